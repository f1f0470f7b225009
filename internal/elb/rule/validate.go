package rule

import (
	"slices"
	"strconv"
	"strings"

	"hale/internal/elb"
)

// Limits (guide of Application Load Balancers, "Quotas" and "Condition types for
// listener rules").
//
// The guide also speaks of three values in a condition. The service has been seen
// to refuse the sixth in one, with a sentence about the rule's five (aws/aws-cdk
// #10065, aws-cloudformation/cfn-lint#3833), and the API says five for source-ip:
// three is not enforced.
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
