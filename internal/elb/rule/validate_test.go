package rule_test

import (
	"errors"
	"strings"
	"testing"

	"hale/internal/elb"
	"hale/internal/elb/rule"
)

const (
	codeValidation = "ValidationError"
	codeAction     = "InvalidLoadBalancerAction"
)

var (
	forward = []rule.Action{rule.ForwardTo("arn:blue")}
	anyPath = rule.Condition{Field: rule.PathPattern, Values: []string{"/*"}}
)

// conditioned is a rule that is right but for its conditions.
func conditioned(conditions ...rule.Condition) rule.Rule {
	return rule.Rule{Priority: 1, Conditions: conditions, Actions: forward}
}

// acting is a rule that is right but for its actions.
func acting(actions ...rule.Action) rule.Rule {
	return rule.Rule{Priority: 1, Conditions: []rule.Condition{anyPath}, Actions: actions}
}

func transforming(transforms ...rule.Transform) rule.Rule {
	return rule.Rule{Priority: 1, Conditions: []rule.Condition{anyPath}, Actions: forward, Transforms: transforms}
}

func values(f rule.Field, v ...string) rule.Condition { return rule.Condition{Field: f, Values: v} }

func regexes(f rule.Field, v ...string) rule.Condition {
	return rule.Condition{Field: f, RegexValues: v}
}

func header(name string, v ...string) rule.Condition {
	return rule.Condition{Field: rule.HTTPHeader, HTTPHeaderName: name, Values: v}
}

func query(pairs ...rule.KeyValue) rule.Condition {
	return rule.Condition{Field: rule.QueryString, QueryStringValues: pairs}
}

func redirect(c rule.RedirectConfig) rule.Action {
	if c.StatusCode == "" {
		c.StatusCode = "HTTP_301"
	}
	return rule.Action{Type: rule.Redirect, RedirectConfig: &c}
}

func fixed(status, contentType, body string) rule.Action {
	return rule.Action{Type: rule.FixedResponse, FixedResponseConfig: &rule.FixedResponseConfig{StatusCode: status, ContentType: contentType, MessageBody: body}}
}

func to(c rule.ForwardConfig) rule.Action {
	return rule.Action{Type: rule.Forward, ForwardConfig: &c}
}

func TestValid(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 128)
	for name, r := range map[string]rule.Rule{
		"default rule":             {Actions: forward},
		"highest priority":         {Priority: 50000, Conditions: []rule.Condition{anyPath}, Actions: forward},
		"host":                     conditioned(values(rule.HostHeader, "example.com", "*.Example.com", "a-?.co")),
		"longest host":             conditioned(values(rule.HostHeader, long[:124]+".com")),
		"path":                     conditioned(values(rule.PathPattern, `/aZ09_-.$/~"'@:+&?*`, "/a&amp;b", "*.html")),
		"longest path":             conditioned(values(rule.PathPattern, long)),
		"method":                   conditioned(values(rule.HTTPRequestMethod, "GET", "MY_OWN-METHOD")),
		"header":                   conditioned(header("X-Version", "v1 (beta)", "*")),
		"two headers, two queries": conditioned(header("A", "1"), header("A", "2"), query(rule.KeyValue{Value: "x"}), query(rule.KeyValue{Key: "k", Value: "x"})),
		"source":                   conditioned(values(rule.SourceIP, "192.0.2.0/24", "2001:db8::/32", "198.51.100.10/32")),
		"five values in one":       conditioned(values(rule.PathPattern, "/a", "/b", "/c", "/d", "/e")),
		"five wildcards":           conditioned(values(rule.PathPattern, "/*/*", "/?"), header("A", "**")),
		"wildcards that are none":  conditioned(query(rule.KeyValue{Value: `\*\*\*\?\?\?`})),
		"regular expressions":      conditioned(regexes(rule.HostHeader, `^example\.com:8443$`), regexes(rule.PathPattern, `^/(a|b)/[0-9]+$`)),
		"a backslash before p":     conditioned(regexes(rule.PathPattern, `^/\\p$`)),
		"each field once":          conditioned(values(rule.HostHeader, "a.b"), values(rule.PathPattern, "/"), values(rule.HTTPRequestMethod, "GET"), values(rule.SourceIP, "10.0.0.0/8")),
		"weights":                  acting(to(rule.ForwardConfig{TargetGroups: []rule.TargetGroup{{"a", 0}, {"b", 999}, {"c", 1}, {"d", 1}, {"e", 1}}})),
		"sticky":                   acting(to(rule.ForwardConfig{TargetGroups: []rule.TargetGroup{{"a", 1}}, TargetGroupStickinessConfig: rule.TargetGroupStickinessConfig{Enabled: true, DurationSeconds: 604800}})),
		"not sticky, with time":    acting(to(rule.ForwardConfig{TargetGroups: []rule.TargetGroup{{"a", 1}}, TargetGroupStickinessConfig: rule.TargetGroupStickinessConfig{DurationSeconds: 1}})),
		"to https":                 acting(redirect(rule.RedirectConfig{Protocol: "HTTPS", Port: "443"})),
		"to https, all parts":      acting(redirect(rule.RedirectConfig{Protocol: "HTTPS", Host: "#{host}", Port: "443", Path: "/#{path}", Query: "#{query}", StatusCode: "HTTP_302"})),
		"to another host":          acting(redirect(rule.RedirectConfig{Host: "example.#{host}"})),
		"to another path":          acting(redirect(rule.RedirectConfig{Path: "/new/#{path}?", Query: "#{query}&from=#{protocol}-#{host}-#{port}-#{path}"})),
		"fixed":                    acting(fixed("200", "text/plain", strings.Repeat("x", 1024))),
		"fixed, bare":              acting(fixed("503", "", "")),
		"transforms": transforming(
			rule.Transform{Type: rule.HostHeaderRewrite, Rewrites: []rule.Rewrite{{Regex: `^mywebsite-(.+).com$`, Replace: "internal.dev.$1.myweb.com"}}},
			rule.Transform{Type: rule.URLRewrite, Rewrites: []rule.Rewrite{{Regex: `^/old/(.*)$`, Replace: "/$1?cost=$"}}}),
	} {
		if err := r.Validate(rule.Listener{Protocol: elb.HTTP, Port: 80}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	plain := rule.Listener{Protocol: elb.HTTP, Port: 80}
	secure := rule.Listener{Protocol: elb.HTTPS, Port: 443}
	long := strings.Repeat("a", 129)
	for name, test := range map[string]struct {
		rule     rule.Rule
		listener rule.Listener
		code     string
		message  string // a part of it
	}{
		"priority below":         {rule: rule.Rule{Priority: -1, Actions: forward}, message: "greater than or equal to 1"},
		"priority above":         {rule: rule.Rule{Priority: 50001, Actions: forward}, message: "less than or equal to 50000"},
		"default with condition": {rule: rule.Rule{Conditions: []rule.Condition{anyPath}, Actions: forward}, code: "OperationNotPermitted", message: "conditions"},
		"default with transform": {rule: rule.Rule{Transforms: []rule.Transform{{}}, Actions: forward}, code: "OperationNotPermitted", message: "transforms"},

		"no condition":           {rule: conditioned(), message: "at least one condition"},
		"no field":               {rule: conditioned(rule.Condition{Values: []string{"/"}}), message: "A condition field must be specified"},
		"unknown field":          {rule: conditioned(values("cookie", "a")), message: "Condition field 'cookie' must be one of"},
		"no value":               {rule: conditioned(values(rule.HostHeader)), message: "A condition value must be specified"},
		"empty value":            {rule: conditioned(values(rule.PathPattern, "")), message: "cannot be empty"},
		"long value":             {rule: conditioned(values(rule.PathPattern, long)), message: "longer than '128'"},
		"six values":             {rule: conditioned(values(rule.PathPattern, "/a", "/b", "/c", "/d"), values(rule.HTTPRequestMethod, "GET", "PUT")), message: "A rule can only have '5' condition values"},
		"six wildcards":          {rule: conditioned(values(rule.PathPattern, "/***"), header("A", "?*?")), message: "A rule can only have '5' condition wildcards"},
		"two hosts":              {rule: conditioned(values(rule.HostHeader, "a.b"), values(rule.HostHeader, "c.d")), message: "one 'host-header' condition"},
		"two sources":            {rule: conditioned(values(rule.SourceIP, "10.0.0.0/8"), values(rule.SourceIP, "10.0.0.0/8")), message: "one 'source-ip' condition"},
		"host without dot":       {rule: conditioned(values(rule.HostHeader, "localhost")), message: "at least one '.'"},
		"host, digits at end":    {rule: conditioned(values(rule.HostHeader, "10.0.0.1")), message: "alphabetical characters after the final '.'"},
		"host, wildcard at end":  {rule: conditioned(values(rule.HostHeader, "example.*")), message: "alphabetical characters after the final '.'"},
		"host, nothing at end":   {rule: conditioned(values(rule.HostHeader, "example.")), message: "alphabetical characters after the final '.'"},
		"host with port":         {rule: conditioned(values(rule.HostHeader, "example.com:8443")), message: "contains a character that is not valid"},
		"path with a comma":      {rule: conditioned(values(rule.PathPattern, "/test1, /test2")), message: "Condition value '/test1, /test2' contains a character that is not valid"},
		"path with a line break": {rule: conditioned(values(rule.PathPattern, "/\r\n")), message: `Condition value '/\r\n' contains`},
		"method in lower case":   {rule: conditioned(values(rule.HTTPRequestMethod, "get")), message: "not valid"},
		"method with wildcard":   {rule: conditioned(values(rule.HTTPRequestMethod, "GE*")), message: "not valid"},
		"long method":            {rule: conditioned(values(rule.HTTPRequestMethod, strings.Repeat("A", 41))), message: "longer than '40'"},
		"address without length": {rule: conditioned(values(rule.SourceIP, "192.0.2.1")), message: "CIDR"},
		"source with wildcard":   {rule: conditioned(values(rule.SourceIP, "192.0.2.*")), message: "CIDR"},
		"header without name":    {rule: conditioned(header("", "a")), message: "must have an HTTP header name"},
		"header's long name":     {rule: conditioned(header(strings.Repeat("a", 41), "a")), message: "longer than '40'"},
		"header's wild name":     {rule: conditioned(header("X-*", "a")), message: "not valid"},
		"header Host":            {rule: conditioned(header("HOST", "a")), message: "use 'host-header'"},
		"header, control":        {rule: conditioned(header("A", "a\x7f")), message: "not valid"},
		"header, not ASCII":      {rule: conditioned(header("A", "ä")), message: "not valid"},
		"name with a path":       {rule: conditioned(rule.Condition{Field: rule.PathPattern, HTTPHeaderName: "A", Values: []string{"/"}}), message: "'HttpHeaderConfig'"},
		"pairs with a path":      {rule: conditioned(rule.Condition{Field: rule.PathPattern, Values: []string{"/"}, QueryStringValues: []rule.KeyValue{{Value: "a"}}}), message: "'QueryStringConfig'"},
		"query without pairs":    {rule: conditioned(query()), message: "A condition value must be specified"},
		"query with values":      {rule: conditioned(values(rule.QueryString, "a")), message: "'QueryStringConfig'"},
		"query without value":    {rule: conditioned(query(rule.KeyValue{Key: "a"})), message: "cannot be empty"},
		"query, long key":        {rule: conditioned(query(rule.KeyValue{Key: long, Value: "a"})), message: "longer than '128'"},
		"query, control":         {rule: conditioned(query(rule.KeyValue{Value: "a\n"})), message: "not valid"},

		"expression for a method":    {rule: conditioned(regexes(rule.HTTPRequestMethod, "GET")), message: "RegexValues"},
		"values and expressions":     {rule: conditioned(rule.Condition{Field: rule.PathPattern, Values: []string{"/"}, RegexValues: []string{"/"}}), message: "both Values and RegexValues"},
		"expression, long":           {rule: conditioned(regexes(rule.PathPattern, long)), message: "longer than '128'"},
		"expression, empty":          {rule: conditioned(regexes(rule.PathPattern, "")), message: "empty"},
		"expression, broken":         {rule: conditioned(regexes(rule.PathPattern, "(")), message: "not valid"},
		"expression, lookahead":      {rule: conditioned(regexes(rule.PathPattern, "a(?=b)")), message: "not valid"},
		"expression, back reference": {rule: conditioned(regexes(rule.PathPattern, `(a)\1`)), message: "not valid"},
		"expression, Unicode class":  {rule: conditioned(regexes(rule.PathPattern, `\p{L}`)), message: "class of Unicode"},

		"no action":             {rule: acting(), message: "at least one action"},
		"no type":               {rule: acting(rule.Action{}), message: "enum value set"},
		"unknown type":          {rule: acting(rule.Action{Type: "drop"}), message: "Value 'drop'"},
		"two routing actions":   {rule: acting(forward[0], fixed("200", "", "")), code: codeAction, message: "exactly one action"},
		"three actions":         {rule: acting(forward[0], forward[0], forward[0]), code: "TooManyActions", message: "at most 2"},
		"authentication":        {rule: acting(rule.Action{Type: rule.AuthenticateOIDC}, forward[0]), code: codeAction, message: "'authenticate-oidc' is not available in hale balance"},
		"cognito":               {rule: acting(rule.Action{Type: rule.AuthenticateCognito}, forward[0]), code: codeAction, message: "not available"},
		"tokens":                {rule: acting(rule.Action{Type: rule.JWTValidation}, forward[0]), code: codeAction, message: "not available"},
		"forward to nowhere":    {rule: acting(rule.Action{Type: rule.Forward}), code: codeAction, message: "'ForwardConfig'"},
		"redirect without":      {rule: acting(rule.Action{Type: rule.Redirect}), code: codeAction, message: "For actions of type 'redirect', you must specify the following fields: 'RedirectConfig'"},
		"fixed without":         {rule: acting(rule.Action{Type: rule.FixedResponse}), code: codeAction, message: "'FixedResponseConfig'"},
		"forward with redirect": {rule: acting(rule.Action{Type: rule.Forward, ForwardConfig: forward[0].ForwardConfig, RedirectConfig: &rule.RedirectConfig{}}), code: codeAction, message: "cannot specify"},
		"no groups":             {rule: acting(to(rule.ForwardConfig{})), code: codeAction, message: "at least one target group"},
		"six groups":            {rule: acting(to(rule.ForwardConfig{TargetGroups: []rule.TargetGroup{{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {"e", 1}, {"f", 1}}})), code: "TooManyTargetGroups", message: "at most 5"},
		"the same group twice":  {rule: acting(to(rule.ForwardConfig{TargetGroups: []rule.TargetGroup{{"a", 1}, {"a", 1}}})), code: codeAction, message: "more than once"},
		"group without ARN":     {rule: acting(to(rule.ForwardConfig{TargetGroups: []rule.TargetGroup{{"", 1}}})), message: "ARN"},
		"weight above":          {rule: acting(to(rule.ForwardConfig{TargetGroups: []rule.TargetGroup{{"a", 1000}}})), message: "between 0 and 999"},
		"weight below":          {rule: acting(to(rule.ForwardConfig{TargetGroups: []rule.TargetGroup{{"a", -1}}})), message: "between 0 and 999"},
		"sticky without time":   {rule: acting(to(rule.ForwardConfig{TargetGroups: []rule.TargetGroup{{"a", 1}}, TargetGroupStickinessConfig: rule.TargetGroupStickinessConfig{Enabled: true}})), code: codeAction, message: "duration"},
		"sticky too long":       {rule: acting(to(rule.ForwardConfig{TargetGroups: []rule.TargetGroup{{"a", 1}}, TargetGroupStickinessConfig: rule.TargetGroupStickinessConfig{DurationSeconds: 604801}})), message: "604800"},

		"redirect, no status":       {rule: acting(rule.Action{Type: rule.Redirect, RedirectConfig: &rule.RedirectConfig{Port: "1"}}), message: "HTTP_301, HTTP_302"},
		"redirect, other status":    {rule: acting(redirect(rule.RedirectConfig{Port: "1", StatusCode: "HTTP_308"})), message: "HTTP_308"},
		"redirect, nothing changes": {rule: acting(redirect(rule.RedirectConfig{})), code: codeAction, message: "creates a loop"},
		"redirect, query alone":     {rule: acting(redirect(rule.RedirectConfig{Query: "a=b"})), code: codeAction, message: "creates a loop"},
		"redirect to itself":        {rule: acting(redirect(rule.RedirectConfig{Protocol: "HTTPS", Port: "443"})), listener: secure, code: codeAction, message: "creates a loop"},
		"https to http":             {rule: acting(redirect(rule.RedirectConfig{Protocol: "HTTP", Port: "80"})), listener: secure, code: codeAction, message: "HTTPS to HTTP"},
		"redirect, protocol":        {rule: acting(redirect(rule.RedirectConfig{Protocol: "https"})), message: "protocol 'https'"},
		"redirect, port 0":          {rule: acting(redirect(rule.RedirectConfig{Port: "0"})), message: "between 1 and 65535"},
		"redirect, port above":      {rule: acting(redirect(rule.RedirectConfig{Port: "65536"})), message: "between 1 and 65535"},
		"redirect, port with 0s":    {rule: acting(redirect(rule.RedirectConfig{Protocol: "HTTPS", Port: "0443"})), message: "between 1 and 65535"},
		"redirect, signed port":     {rule: acting(redirect(rule.RedirectConfig{Port: "+80"})), message: "between 1 and 65535"},
		"redirect, host":            {rule: acting(redirect(rule.RedirectConfig{Host: "a/b"})), message: "not valid"},
		"redirect, host's keyword":  {rule: acting(redirect(rule.RedirectConfig{Host: "#{path}.com"})), message: "keyword"},
		"redirect, nested keyword":  {rule: acting(redirect(rule.RedirectConfig{Path: "/#{#{host}path}"})), message: "keyword"},
		"redirect, unknown keyword": {rule: acting(redirect(rule.RedirectConfig{Path: "/#{fragment}"})), message: "keyword"},
		"redirect, bare path":       {rule: acting(redirect(rule.RedirectConfig{Path: "new"})), message: "must begin with '/'"},
		"redirect, path's query":    {rule: acting(redirect(rule.RedirectConfig{Path: "/#{query}"})), message: "keyword"},
		"redirect, fragment":        {rule: acting(redirect(rule.RedirectConfig{Path: "/a#b"})), message: "not valid"},
		"redirect, line break":      {rule: acting(redirect(rule.RedirectConfig{Path: "/\r\nSet-Cookie:a"})), message: "not valid"},
		"redirect, long path":       {rule: acting(redirect(rule.RedirectConfig{Path: "/" + long})), message: "longer than '128'"},

		"fixed, no status":    {rule: acting(fixed("", "", "")), message: "^(2|4|5)"},
		"fixed, 3xx":          {rule: acting(fixed("301", "", "")), message: "'301'"},
		"fixed, four digits":  {rule: acting(fixed("2000", "", "")), message: "'2000'"},
		"fixed, letters":      {rule: acting(fixed("2xx", "", "")), message: "'2xx'"},
		"fixed, content type": {rule: acting(fixed("200", "text/xml", "")), message: "'text/xml'"},
		"fixed, long":         {rule: acting(fixed("200", "", strings.Repeat("x", 1025))), message: "'1024' bytes"},

		"transform's type":      {rule: transforming(rule.Transform{Type: "path-rewrite"}), message: "'path-rewrite'"},
		"transform twice":       {rule: transforming(rewriting("a", "b"), rewriting("a", "b")), message: "one transform of type 'url-rewrite'"},
		"transform, no rewrite": {rule: transforming(rule.Transform{Type: rule.URLRewrite}), message: "exactly one rewrite"},
		"transform, expression": {rule: transforming(rewriting("(", "")), message: "not valid"},
		"transform, no group":   {rule: transforming(rewriting("(a)", "$2")), message: "no group $2"},
		"transform, long":       {rule: transforming(rewriting("a", strings.Repeat("b", 1025))), message: "longer than '1024'"},
		"transform, control":    {rule: transforming(rewriting("a", "/\r\n")), message: "not valid"},
	} {
		l := test.listener
		if l == (rule.Listener{}) {
			l = plain
		}
		if test.code == "" {
			test.code = codeValidation
		}
		err := test.rule.Validate(l)
		refusal, ok := errors.AsType[*elb.Error](err)
		if !ok {
			t.Errorf("%s: %v, want an *elb.Error", name, err)
			continue
		}
		if refusal.Code != test.code || !strings.Contains(refusal.Message, test.message) {
			t.Errorf("%s: %s: %s, want %s: ...%s...", name, refusal.Code, refusal.Message, test.code, test.message)
		}
		if strings.ContainsAny(refusal.Message, "\r\n\x00\x7f") {
			t.Errorf("%s: the message is not fit for a terminal: %q", name, refusal.Message)
		}
	}
}

func rewriting(regex, replace string) rule.Transform {
	return rule.Transform{Type: rule.URLRewrite, Rewrites: []rule.Rewrite{{Regex: regex, Replace: replace}}}
}

func TestValidateActions(t *testing.T) {
	t.Parallel()
	l := rule.Listener{Protocol: elb.HTTPS, Port: 8443}
	if err := rule.ValidateActions([]rule.Action{redirect(rule.RedirectConfig{Protocol: "HTTPS", Port: "443"})}, l); err != nil {
		t.Errorf("a redirect to another port of the same protocol: %v", err)
	}
	if err := rule.ValidateActions(nil, l); err == nil {
		t.Error("no actions are taken")
	}
}

// The routing action is the last by order, or by place.
func TestAction(t *testing.T) {
	t.Parallel()
	r := rule.Rule{Actions: []rule.Action{{Type: rule.Forward, Order: 2}, {Type: rule.AuthenticateOIDC, Order: 1}}}
	if got := r.Action().Type; got != rule.Forward {
		t.Errorf("by order: %s", got)
	}
	r = rule.Rule{Actions: []rule.Action{{Type: rule.AuthenticateOIDC}, {Type: rule.Redirect}}}
	if got := r.Action().Type; got != rule.Redirect {
		t.Errorf("by place: %s", got)
	}
	if (&rule.Rule{}).Action() != nil {
		t.Error("a rule without actions has one")
	}
}
