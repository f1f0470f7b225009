// Package rule holds the rules of an Application Load Balancer's listener: what
// the ELBv2 API takes for one, which rule a request matches, and what its action
// says.
//
// A Rule is as in the API. Rule.Validate says what ELB would refuse it for. A
// Table is a listener's rules made ready; Table.Match finds the first, by
// priority, whose conditions a request fulfils:
//
//	table, err := rule.NewTable(rules)
//	matched := table.Match(&rule.Request{Method: "GET", Host: "example.com", Path: "/"})
//	switch action := matched.Action(); action.Type {
//	case rule.Forward: // action.ForwardConfig, matched.Transform(request)
//	case rule.Redirect: // matched.Location(request)
//	case rule.FixedResponse: // action.FixedResponseConfig
//	}
//
// Sources: guide of Application Load Balancers ("Listener rules", "Condition
// types for listener rules", "Action types for listener rules", "Transforms for
// listener rules"), and the documentation of the API's shapes (version
// 2015-12-01). What neither says is called unconfirmed.
package rule

import "strings"

// Rule is a rule of a listener (ELBv2 API, Rule).
type Rule struct {
	// Priority is from 1 to 50000, the lowest first; 0 is the default rule's,
	// which comes last and has neither conditions nor transforms.
	Priority int

	Conditions []Condition `json:",omitempty"`
	Actions    []Action
	Transforms []Transform `json:",omitempty"`
}

// IsDefault tells whether it is the listener's default rule.
func (r *Rule) IsDefault() bool { return r.Priority == 0 }

// Action returns the action that routes the request: the last by order. It is
// nil if there is none, which Validate refuses.
func (r *Rule) Action() *Action {
	var last *Action
	for i := range r.Actions {
		if last == nil || r.Actions[i].Order >= last.Order {
			last = &r.Actions[i]
		}
	}
	return last
}

// Condition is a condition of a rule (ELBv2 API, RuleCondition). The API has the
// values in a structure of their own for each field (HostHeaderConfig and so on),
// and for two of them in the condition as well; here they are in one place.
type Condition struct {
	Field Field

	// HTTPHeaderName is the header field that http-header looks at, in any case.
	HTTPHeaderName string `json:"HttpHeaderName,omitempty"`

	// Values are what is compared with; one that matches is enough. All but
	// http-request-method and source-ip may have wildcards: * is any number of
	// characters, ? is exactly one.
	Values []string `json:",omitempty"`

	// RegexValues are regular expressions, in place of Values, for host-header,
	// http-header and path-pattern.
	RegexValues []string `json:",omitempty"`

	// QueryStringValues are in place of Values for query-string.
	QueryStringValues []KeyValue `json:",omitempty"`
}

// Field is what a condition looks at.
type Field string

// Fields.
const (
	HostHeader        Field = "host-header"
	PathPattern       Field = "path-pattern"
	HTTPHeader        Field = "http-header"
	HTTPRequestMethod Field = "http-request-method"
	QueryString       Field = "query-string"
	SourceIP          Field = "source-ip"
)

// Fields returns all fields.
func Fields() []Field {
	return []Field{HTTPHeader, HTTPRequestMethod, HostHeader, PathPattern, QueryString, SourceIP}
}

// KeyValue is a pair in a query (ELBv2 API, QueryStringKeyValuePair). Without a
// Key, the value of any key is meant. A \ before * or ? makes it an ordinary
// character.
type KeyValue struct {
	Key   string `json:",omitempty"`
	Value string
}

// Action is what is done with a request (ELBv2 API, Action). For a forward to one
// group the API also takes a TargetGroupArn; here that is a ForwardConfig of one
// group, as ForwardTo makes it.
type Action struct {
	Type ActionType
	// Order is the place among several actions, the lowest first; 0: not given.
	Order int `json:",omitempty"`

	ForwardConfig       *ForwardConfig       `json:",omitempty"`
	RedirectConfig      *RedirectConfig      `json:",omitempty"`
	FixedResponseConfig *FixedResponseConfig `json:",omitempty"`
}

// ActionType is the type of an action (ELBv2 API, ActionTypeEnum).
type ActionType string

// Types of actions. The last three are known, and refused: they need services
// that are not on one machine.
const (
	Forward             ActionType = "forward"
	Redirect            ActionType = "redirect"
	FixedResponse       ActionType = "fixed-response"
	AuthenticateOIDC    ActionType = "authenticate-oidc"
	AuthenticateCognito ActionType = "authenticate-cognito"
	JWTValidation       ActionType = "jwt-validation"
)

// ActionTypes returns all types of actions.
func ActionTypes() []ActionType {
	return []ActionType{Forward, AuthenticateOIDC, AuthenticateCognito, Redirect, FixedResponse, JWTValidation}
}

// ForwardConfig is where a forward goes (ELBv2 API, ForwardActionConfig).
type ForwardConfig struct {
	TargetGroups                []TargetGroup
	TargetGroupStickinessConfig TargetGroupStickinessConfig `json:",omitzero"`
}

// TargetGroup is a group and its weight (ELBv2 API, TargetGroupTuple).
type TargetGroup struct {
	TargetGroupArn string
	// Weight is from 0 to 999. A group without one in the API has 1.
	Weight int
}

// TargetGroupStickinessConfig keeps a client at the group it was sent to first.
type TargetGroupStickinessConfig struct {
	Enabled bool
	// DurationSeconds is from 1 to 604800, which is 7 days; it has to be given
	// if Enabled.
	DurationSeconds int `json:",omitempty"`
}

// ForwardTo returns the action of a forward to one group.
func ForwardTo(targetGroupArn string) Action {
	return Action{Type: Forward, ForwardConfig: &ForwardConfig{
		TargetGroups: []TargetGroup{{TargetGroupArn: targetGroupArn, Weight: 1}},
	}}
}

// RedirectConfig is where a redirect points to (ELBv2 API, RedirectActionConfig).
// Parts that are empty have the request's own, as the keywords in their comments.
type RedirectConfig struct {
	Protocol   string `json:",omitempty"` // HTTP, HTTPS or #{protocol}
	Host       string `json:",omitempty"` // #{host}
	Port       string `json:",omitempty"` // #{port}
	Path       string `json:",omitempty"` // /#{path}: #{path} is without its slash
	Query      string `json:",omitempty"` // #{query}; without the question mark
	StatusCode string // HTTP_301 or HTTP_302
}

// Filled returns the redirect as the API shows it: with the keywords in place of
// what is empty.
func (c RedirectConfig) Filled() RedirectConfig {
	for _, part := range []struct {
		of      *string
		keyword string
	}{
		{&c.Protocol, "#{protocol}"}, {&c.Host, "#{host}"}, {&c.Port, "#{port}"}, {&c.Path, "/#{path}"}, {&c.Query, "#{query}"},
	} {
		if *part.of == "" {
			*part.of = part.keyword
		}
	}
	return c
}

// Location returns where the redirect leads, with the keywords that are filled in
// for each request, as in "https://#{host}:443/#{path}?#{query}".
func (c RedirectConfig) Location() string {
	c = c.Filled()
	to := strings.ToLower(c.Protocol) + "://" + c.Host + ":" + c.Port + c.Path
	if c.Query != "" {
		to += "?" + c.Query
	}
	return to
}

// Status returns 301 or 302.
func (c RedirectConfig) Status() int {
	if c.StatusCode == "HTTP_302" {
		return 302
	}
	return 301
}

// FixedResponseConfig is an answer (ELBv2 API, FixedResponseActionConfig).
type FixedResponseConfig struct {
	StatusCode string // 2xx, 4xx or 5xx
	// ContentType is text/plain, text/css, text/html, application/javascript,
	// application/json, or empty.
	ContentType string `json:",omitempty"`
	MessageBody string `json:",omitempty"` // up to 1024 bytes
}

// Status returns the status as a number.
func (c FixedResponseConfig) Status() int {
	status := 0
	for _, digit := range []byte(c.StatusCode) {
		status = status*10 + int(digit-'0')
	}
	return status
}

// Transform changes a request on its way to the target (ELBv2 API,
// RuleTransform). It does not change which rule the request matches.
type Transform struct {
	Type TransformType
	// Rewrites is exactly one. It stands for HostHeaderRewriteConfig.Rewrites
	// or UrlRewriteConfig.Rewrites.
	Rewrites []Rewrite
}

// TransformType is the type of a transform (ELBv2 API, TransformTypeEnum).
type TransformType string

// Types of transforms.
const (
	HostHeaderRewrite TransformType = "host-header-rewrite"
	URLRewrite        TransformType = "url-rewrite"
)

// Rewrite replaces what a regular expression matches (ELBv2 API, RewriteConfig).
type Rewrite struct {
	Regex string
	// Replace may name groups of the expression: $1, $2.
	Replace string
}
