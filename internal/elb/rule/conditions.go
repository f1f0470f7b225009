package rule

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"hale/internal/elb"
)

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

func cutLast(s string, c byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, c)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
