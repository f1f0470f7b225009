package rule

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hale/internal/elb"
)

// Limits (guide of Application Load Balancers, "Quotas" and "Condition types for
// listener rules").
//
// The guide also speaks of three values in a condition. The service has been seen
// to take five in one and to refuse the sixth with a sentence about the rule
// (aws/aws-cdk#10065, aws-cloudformation/cfn-lint#3833), and the API says five for
// source-ip: three is not enforced.
const (
	MaxPriority  = 50000
	MaxRules     = 100 // of a listener, the default rule not counted
	MaxValues    = 5   // of a rule
	MaxWildcards = 5   // of a rule
	MaxGroups    = 5   // of a forward

	maxActions = 2 // one that authenticates and one that routes; unconfirmed
)

// Bounds of single values (ELBv2 API, the shapes). Lengths are in bytes.
const (
	maxValue        = 128
	maxHeaderName   = 40
	maxMethod       = 40
	maxMessage      = 1024
	maxRewrite      = 1024
	maxRedirectPart = 128 // guide, "Redirect actions"; of the query unconfirmed
	maxPort         = 65535
	maxWeight       = 999
	maxStickiness   = 604800 // seconds
)

// Codes of refusals, beside elb.CodeValidation.
const (
	codeAction       = "InvalidLoadBalancerAction"
	codeActions      = "TooManyActions"
	codeRules        = "TooManyRules"
	codeTargetGroups = "TooManyTargetGroups"
	codePriority     = "PriorityInUse"
	codeNotPermitted = "OperationNotPermitted"
)

// Listener is what a rule has to fit. The zero Listener is one that is not known,
// and fits all.
type Listener struct {
	Protocol elb.Protocol // HTTP or HTTPS
	Port     int
}

// Validate returns what ELB would refuse the rule for, as an *elb.Error: of its
// priority (0 is the default rule's), its conditions, actions and transforms. It
// does not know whether target groups exist, nor which priorities are in use.
//
// The API's codes are certain where its documentation has one that fits; the
// messages are ELB's where they have been seen, else ours.
func (r *Rule) Validate(l Listener) error {
	for _, check := range []func(Listener) *elb.Error{r.checkPriority, r.checkConditions, r.checkActions, r.checkTransforms} {
		if err := check(l); err != nil {
			return err
		}
	}
	return nil
}

// ValidateActions is Validate for the default actions of a listener.
func ValidateActions(actions []Action, l Listener) error {
	return (&Rule{Actions: actions}).Validate(l)
}

func (r *Rule) checkPriority(Listener) *elb.Error {
	switch {
	case r.Priority < 0:
		return invalid("1 validation error detected: Value '%d' at 'priority' failed to satisfy constraint: Member must have value greater than or equal to 1", r.Priority)
	case r.Priority > MaxPriority:
		return invalid("1 validation error detected: Value '%d' at 'priority' failed to satisfy constraint: Member must have value less than or equal to %d", r.Priority, MaxPriority)
	}
	return nil
}

// checkConditions: that a rule needs at least one is concluded from CreateRule,
// which requires the list, and from its words that a condition can't be empty.
func (r *Rule) checkConditions(Listener) *elb.Error {
	if r.IsDefault() {
		if len(r.Conditions) > 0 {
			return elb.Errorf(codeNotPermitted, "The default rule cannot have conditions")
		}
		return nil
	}
	if len(r.Conditions) == 0 {
		return invalid("A rule must have at least one condition")
	}
	values, stars := 0, 0
	var seen []Field
	for i := range r.Conditions {
		c := &r.Conditions[i]
		if err := c.check(); err != nil {
			return err
		}
		if c.Field != HTTPHeader && c.Field != QueryString && slices.Contains(seen, c.Field) {
			return invalid("A rule can only have one '%s' condition", c.Field)
		}
		seen = append(seen, c.Field)
		values += len(c.Values) + len(c.RegexValues) + len(c.QueryStringValues)
		stars += c.wildcards()
	}
	switch {
	case values > MaxValues:
		return invalid("A rule can only have '%d' condition values", MaxValues)
	case stars > MaxWildcards:
		return invalid("A rule can only have '%d' condition wildcards", MaxWildcards)
	}
	return nil
}

// fieldRule is what a field allows in its condition.
type fieldRule struct {
	regex bool // RegexValues in place of Values
	check func(value string) *elb.Error
}

var fieldRules = map[Field]fieldRule{
	HostHeader:        {regex: true, check: checkHost},
	PathPattern:       {regex: true, check: checkPath},
	HTTPHeader:        {regex: true, check: checkText},
	HTTPRequestMethod: {check: checkMethod},
	SourceIP:          {check: checkPrefix},
	QueryString:       {},
}

func (c *Condition) check() *elb.Error {
	if c.Field == "" {
		return invalid("A condition field must be specified")
	}
	field, known := fieldRules[c.Field]
	switch {
	case !known:
		return invalid("Condition field '%s' must be one of '%s'", printable(string(c.Field)), join(Fields()))
	case c.HTTPHeaderName != "" && c.Field != HTTPHeader:
		return invalid("You cannot provide 'HttpHeaderConfig' for a condition of type '%s'", c.Field)
	case len(c.QueryStringValues) > 0 && c.Field != QueryString:
		return invalid("You cannot provide 'QueryStringConfig' for a condition of type '%s'", c.Field)
	case len(c.RegexValues) > 0 && !field.regex:
		return invalid("You cannot provide RegexValues for a condition of type '%s'", c.Field)
	case len(c.RegexValues) > 0 && len(c.Values) > 0:
		return invalid("You cannot provide both Values and RegexValues for a condition of type '%s'", c.Field)
	case c.Field == HTTPHeader:
		if err := checkHeaderName(c.HTTPHeaderName); err != nil {
			return err
		}
	case c.Field == QueryString:
		return c.checkQuery()
	}
	if len(c.Values)+len(c.RegexValues) == 0 {
		return invalid("A condition value must be specified")
	}
	for _, v := range c.Values {
		if err := checkValue(v, field.check); err != nil {
			return err
		}
	}
	for _, v := range c.RegexValues {
		if err := checkRegex(v, maxValue); err != nil {
			return err
		}
	}
	return nil
}

func (c *Condition) checkQuery() *elb.Error {
	switch {
	case len(c.Values) > 0:
		return invalid("The values of a condition of type '%s' are pairs of 'QueryStringConfig'", c.Field)
	case len(c.QueryStringValues) == 0:
		return invalid("A condition value must be specified")
	}
	for _, pair := range c.QueryStringValues {
		if err := checkValue(pair.Value, checkText); err != nil {
			return err
		}
		if pair.Key == "" {
			continue
		}
		if err := checkValue(pair.Key, checkText); err != nil {
			return err
		}
	}
	return nil
}

// wildcards counts those of all values. Regular expressions have none.
func (c *Condition) wildcards() int {
	n := 0
	if c.Field != HTTPRequestMethod && c.Field != SourceIP {
		for _, v := range c.Values {
			n += wildcards(v, false)
		}
	}
	for _, pair := range c.QueryStringValues {
		n += wildcards(pair.Key, true) + wildcards(pair.Value, true)
	}
	return n
}

func checkValue(value string, check func(string) *elb.Error) *elb.Error {
	switch {
	case value == "":
		return invalid("A condition value cannot be empty")
	case len(value) > maxValue:
		return invalid("Condition value '%s' cannot be longer than '%d' characters", printable(value), maxValue)
	}
	return check(value)
}

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
	stars   = "*?"
)

// The characters of values are those of the API's RuleCondition.
func checkHost(value string) *elb.Error {
	if err := checkCharacters(value, letters+digits+"-."+stars); err != nil {
		return err
	}
	_, last, found := cutLast(value, '.')
	switch {
	case !found:
		return invalid("Condition value '%s' must contain at least one '.'", value)
	case last == "" || strings.Trim(last, letters) != "":
		return invalid("Condition value '%s' can only contain alphabetical characters after the final '.'", value)
	}
	return nil
}

// checkPath: the API writes the ampersand as &amp; and means, it seems, the
// character alone; both are taken.
func checkPath(value string) *elb.Error {
	return checkCharacters(strings.ReplaceAll(value, "&amp;", "&"), letters+digits+`_-.$/~"'@:+&`+stars)
}

func checkText(value string) *elb.Error {
	for _, c := range []byte(value) {
		if c < 0x20 || c > 0x7e {
			return badCharacter(value)
		}
	}
	return nil
}

func checkMethod(value string) *elb.Error {
	if len(value) > maxMethod {
		return invalid("Condition value '%s' cannot be longer than '%d' characters", printable(value), maxMethod)
	}
	return checkCharacters(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_")
}

func checkPrefix(value string) *elb.Error {
	if _, err := netip.ParsePrefix(value); err != nil {
		return invalid("Condition value '%s' is not a CIDR block, as in 192.0.2.0/24", printable(value))
	}
	return nil
}

func checkHeaderName(name string) *elb.Error {
	switch {
	case name == "":
		return invalid("A condition of type '%s' must have an HTTP header name", HTTPHeader)
	case len(name) > maxHeaderName:
		return invalid("HTTP header name '%s' cannot be longer than '%d' characters", printable(name), maxHeaderName)
	case strings.EqualFold(name, "host"):
		return invalid("The host header cannot be used in a condition of type '%s'; use '%s'", HTTPHeader, HostHeader)
	case strings.Trim(name, letters+digits+"!#$%&'+-.^_`|~") != "": // RFC 7230's characters without the wildcard
		return invalid("HTTP header name '%s' contains a character that is not valid", printable(name))
	}
	return nil
}

func checkCharacters(value, allowed string) *elb.Error {
	if strings.Trim(value, allowed) != "" {
		return badCharacter(value)
	}
	return nil
}

func badCharacter(value string) *elb.Error {
	return invalid("Condition value '%s' contains a character that is not valid", printable(value))
}

// checkRegex takes what package regexp does: like ELB's expressions, its have
// neither lookarounds nor back references, atomic groups, possessive quantifiers
// and recursion. ELB has no classes of Unicode (\p{L}) either (guide of
// Application Load Balancers, "Transforms for listener rules").
func checkRegex(expression string, longest int) *elb.Error {
	switch {
	case expression == "":
		return invalid("A regular expression cannot be empty")
	case len(expression) > longest:
		return invalid("Regular expression '%s' cannot be longer than '%d' characters", printable(expression), longest)
	case checkText(expression) != nil:
		return invalid("Regular expression '%s' contains a character that is not valid", printable(expression))
	}
	for i := 0; i+1 < len(expression); i++ {
		if expression[i] != '\\' {
			continue
		}
		if i++; expression[i] == 'p' || expression[i] == 'P' {
			return invalid("Regular expression '%s' has a class of Unicode characters, which is not supported", expression)
		}
	}
	if _, err := regexp.Compile(expression); err != nil {
		return invalid("Regular expression '%s' is not valid: %v", expression, err)
	}
	return nil
}

func (r *Rule) checkActions(l Listener) *elb.Error {
	switch {
	case len(r.Actions) == 0:
		return invalid("A rule must have at least one action")
	case len(r.Actions) > maxActions:
		return elb.Errorf(codeActions, "A rule can have at most %d actions", maxActions)
	}
	for i := range r.Actions {
		if err := r.Actions[i].check(l); err != nil {
			return err
		}
	}
	if len(r.Actions) > 1 {
		return elb.Errorf(codeAction, "A rule must have exactly one action of type '%s', '%s' or '%s'", Forward, Redirect, FixedResponse)
	}
	return nil
}

func (a *Action) check(l Listener) *elb.Error {
	configs := []struct {
		of    ActionType
		name  string
		given bool
	}{
		{Forward, "ForwardConfig", a.ForwardConfig != nil},
		{Redirect, "RedirectConfig", a.RedirectConfig != nil},
		{FixedResponse, "FixedResponseConfig", a.FixedResponseConfig != nil},
	}
	for _, c := range configs {
		switch {
		case c.of == a.Type && !c.given:
			return elb.Errorf(codeAction, "For actions of type '%s', you must specify the following fields: '%s'", a.Type, c.name)
		case c.of != a.Type && c.given:
			return elb.Errorf(codeAction, "For actions of type '%s', you cannot specify the following fields: '%s'", printable(string(a.Type)), c.name)
		}
	}
	switch a.Type {
	case Forward:
		return a.ForwardConfig.check()
	case Redirect:
		return a.RedirectConfig.check(l)
	case FixedResponse:
		return a.FixedResponseConfig.check()
	case AuthenticateOIDC, AuthenticateCognito, JWTValidation:
		return elb.Errorf(codeAction, "The action '%s' is not available in hale balance: it needs a service outside of this machine", a.Type)
	default:
		return invalid("1 validation error detected: Value '%s' at 'actions.1.member.type' failed to satisfy constraint: Member must satisfy enum value set: [%s]", printable(string(a.Type)), join(ActionTypes()))
	}
}

func (c *ForwardConfig) check() *elb.Error {
	switch sticky := c.TargetGroupStickinessConfig; {
	case len(c.TargetGroups) == 0:
		return elb.Errorf(codeAction, "For actions of type '%s', you must specify at least one target group", Forward)
	case len(c.TargetGroups) > MaxGroups: // the code is unconfirmed
		return elb.Errorf(codeTargetGroups, "An action can have at most %d target groups", MaxGroups)
	case sticky.Enabled && sticky.DurationSeconds == 0:
		return elb.Errorf(codeAction, "You must specify a target group stickiness duration when target group stickiness is enabled")
	case sticky.DurationSeconds < 0 || sticky.DurationSeconds > maxStickiness:
		return invalid("Target group stickiness duration '%d' must be between 1 and %d seconds", sticky.DurationSeconds, maxStickiness)
	}
	seen := map[string]bool{}
	for _, g := range c.TargetGroups {
		switch {
		case g.TargetGroupArn == "":
			return invalid("A target group ARN must be specified")
		case seen[g.TargetGroupArn]:
			return elb.Errorf(codeAction, "Target group '%s' is in the action more than once", printable(g.TargetGroupArn))
		case g.Weight < 0 || g.Weight > maxWeight:
			return invalid("Weight '%d' must be between 0 and %d", g.Weight, maxWeight)
		}
		seen[g.TargetGroupArn] = true
	}
	return nil
}

var contentTypes = []string{"text/plain", "text/css", "text/html", "application/javascript", "application/json"}

func (c *FixedResponseConfig) check() *elb.Error {
	status := c.StatusCode
	switch {
	case len(status) != 3 || strings.Trim(status, digits) != "" || !strings.Contains("245", status[:1]):
		return invalid("1 validation error detected: Value '%s' at 'fixedResponseConfig.statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: ^(2|4|5)\\d\\d$", printable(status))
	case c.ContentType != "" && !slices.Contains(contentTypes, c.ContentType):
		return invalid("Content type '%s' must be one of '%s'", printable(c.ContentType), join(contentTypes))
	case len(c.MessageBody) > maxMessage:
		return invalid("The message body of a fixed response cannot be longer than '%d' bytes", maxMessage)
	}
	return nil
}

// loop is ELB's sentence (kubernetes-sigs/aws-load-balancer-controller#1752: seen
// for HTTPS, port 443, at a listener of HTTPS and port 443).
const loop = "The redirect configuration is not valid because it creates a loop."

func (c *RedirectConfig) check(l Listener) *elb.Error {
	filled := c.Filled()
	switch c.StatusCode {
	case "HTTP_301", "HTTP_302":
	default:
		return invalid("1 validation error detected: Value '%s' at 'redirectConfig.statusCode' failed to satisfy constraint: Member must satisfy enum value set: [HTTP_301, HTTP_302]", printable(c.StatusCode))
	}
	switch filled.Protocol {
	case "#{protocol}", string(elb.HTTPS):
	case string(elb.HTTP):
		if l.Protocol == elb.HTTPS {
			return elb.Errorf(codeAction, "You cannot redirect from HTTPS to HTTP")
		}
	default:
		return invalid("Redirect protocol '%s' must be HTTP, HTTPS or #{protocol}", printable(c.Protocol))
	}
	if port, err := strconv.Atoi(filled.Port); filled.Port != "#{port}" && (err != nil || port < 1 || port > maxPort || strings.Trim(filled.Port, digits) != "") {
		return invalid("Redirect port '%s' must be between 1 and %d, or #{port}", printable(c.Port), maxPort)
	}
	for _, part := range redirectParts {
		if err := part.check(part.of(&filled)); err != nil {
			return err
		}
	}
	if filled.Host == "#{host}" && filled.Path == "/#{path}" &&
		(filled.Protocol == "#{protocol}" || filled.Protocol == string(l.Protocol)) &&
		(filled.Port == "#{port}" || filled.Port == strconv.Itoa(l.Port)) {
		return elb.Errorf(codeAction, loop)
	}
	return nil
}

// redirectPart is what one part of a redirect may hold.
type redirectPart struct {
	name     string
	of       func(*RedirectConfig) string
	keywords []string // ELBv2 API, RedirectActionConfig, and the guide, "Redirect actions"
	allowed  string   // characters beside keywords; "": all that are visible, but #
}

var redirectParts = []redirectPart{
	{"host", func(c *RedirectConfig) string { return c.Host }, []string{"#{host}"}, letters + digits + "-."},
	{"path", func(c *RedirectConfig) string { return c.Path }, []string{"#{host}", "#{path}", "#{port}"}, ""},
	{"query", func(c *RedirectConfig) string { return c.Query }, []string{"#{protocol}", "#{host}", "#{port}", "#{path}", "#{query}"}, ""},
}

func (p *redirectPart) check(value string) *elb.Error {
	var gone []string
	for _, keyword := range p.keywords {
		gone = append(gone, keyword, "")
	}
	rest := strings.NewReplacer(gone...).Replace(value)
	switch {
	case len(value) > maxRedirectPart:
		return invalid("Redirect %s '%s' cannot be longer than '%d' characters", p.name, printable(value), maxRedirectPart)
	case p.name == "path" && value[0] != '/':
		return invalid("Redirect path '%s' must begin with '/'", printable(value))
	case strings.Contains(rest, "#{"):
		return invalid("Redirect %s '%s' has a keyword that cannot be used there; the keywords are %s", p.name, printable(value), strings.Join(p.keywords, ", "))
	case p.allowed != "" && strings.Trim(rest, p.allowed) != "",
		strings.ContainsAny(rest, "# ") || checkText(rest) != nil:
		return invalid("Redirect %s '%s' contains a character that is not valid", p.name, printable(value))
	}
	return nil
}

func (r *Rule) checkTransforms(Listener) *elb.Error {
	if r.IsDefault() && len(r.Transforms) > 0 {
		return elb.Errorf(codeNotPermitted, "The default rule cannot have transforms")
	}
	var seen []TransformType
	for i := range r.Transforms {
		t := &r.Transforms[i]
		switch {
		case t.Type != HostHeaderRewrite && t.Type != URLRewrite:
			return invalid("Transform type '%s' must be one of '%s, %s'", printable(string(t.Type)), HostHeaderRewrite, URLRewrite)
		case slices.Contains(seen, t.Type):
			return invalid("A rule can only have one transform of type '%s'", t.Type)
		case len(t.Rewrites) != 1:
			return invalid("A transform of type '%s' must have exactly one rewrite", t.Type)
		}
		seen = append(seen, t.Type)
		if err := t.Rewrites[0].check(); err != nil {
			return err
		}
	}
	return nil
}

func (w *Rewrite) check() *elb.Error {
	if err := checkRegex(w.Regex, maxRewrite); err != nil {
		return err
	}
	switch {
	case len(w.Replace) > maxRewrite:
		return invalid("Replacement '%s' cannot be longer than '%d' characters", printable(w.Replace), maxRewrite)
	case checkText(w.Replace) != nil:
		return invalid("Replacement '%s' contains a character that is not valid", printable(w.Replace))
	}
	compiled, err := newRewrite(*w)
	if err == nil {
		err = compiled.missing()
	}
	if err != nil {
		return invalid("Replacement '%s' is not valid: %v", w.Replace, err)
	}
	return nil
}

func invalid(format string, args ...any) *elb.Error {
	return elb.Errorf(elb.CodeValidation, format, args...)
}

// printable makes a stranger's text fit for a terminal and a message.
func printable(s string) string {
	const longest = 200
	if len(s) > longest {
		s = s[:longest] + "..."
	}
	quoted := strconv.QuoteToASCII(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func join[T ~string](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}

func cutLast(s string, c byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, c)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
