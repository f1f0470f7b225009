package rule_test

import (
	"errors"
	"strings"
	"testing"

	"hale/internal/elb/rule"
)

func hostRewriting(regex, replace string) rule.Transform {
	return rule.Transform{Type: rule.HostHeaderRewrite, Rewrites: []rule.Rewrite{{Regex: regex, Replace: replace}}}
}

func TestTransform(t *testing.T) {
	t.Parallel()
	request := rule.Request{Host: "mywebsite-example.com", Path: "/api/v1/users", RawQuery: "id=7&x"}
	as := func(host, path, query string) rule.Target {
		return rule.Target{Host: host, Path: path, RawQuery: query, Changed: true}
	}
	same := rule.Target{Host: request.Host, Path: request.Path, RawQuery: request.RawQuery}
	for name, test := range map[string]struct {
		transforms []rule.Transform
		want       rule.Target
		fails      bool
	}{
		"none":                {nil, same, false},
		"the guide's host":    {[]rule.Transform{hostRewriting(`^mywebsite-(.+).com$`, "internal.dev.$1.myweb.com")}, as("internal.dev.example.myweb.com", "/api/v1/users", "id=7&x"), false},
		"no match":            {[]rule.Transform{hostRewriting(`^other$`, "x"), rewriting(`^/v2/`, "/")}, same, false},
		"part of a path":      {[]rule.Transform{rewriting(`/v1/`, "/v2/")}, as(request.Host, "/api/v2/users", "id=7&x"), false},
		"prefix off":          {[]rule.Transform{rewriting(`^/api/(.*)$`, "/$1")}, as(request.Host, "/v1/users", "id=7&x"), false},
		"path into the query": {[]rule.Transform{rewriting(`^/api/v(\d)/([a-z]+)\?(.*)$`, "/$2?version=$1&$3")}, as(request.Host, "/users", "version=1&id=7&x"), false},
		"query alone":         {[]rule.Transform{rewriting(`id=(\d)`, "key=$1")}, as(request.Host, "/api/v1/users", "key=7&x"), false},
		"query off":           {[]rule.Transform{rewriting(`\?.*`, "")}, as(request.Host, "/api/v1/users", ""), false},
		"the first match":     {[]rule.Transform{rewriting(`s`, "S")}, as(request.Host, "/api/v1/uSers", "id=7&x"), false},
		"all that matched":    {[]rule.Transform{rewriting(`^/api`, "/x$0")}, as(request.Host, "/x/api/v1/users", "id=7&x"), false},
		"a group not in play": {[]rule.Transform{rewriting(`^/(api)|(web)`, "/$2$1")}, as(request.Host, "/api/v1/users", "id=7&x"), false},
		"a digit behind":      {[]rule.Transform{rewriting(`^/(api)`, "/$12")}, as(request.Host, "/api2/v1/users", "id=7&x"), false},
		"dollars":             {[]rule.Transform{rewriting(`^/api`, "/$a$$")}, as(request.Host, "/$a$$/v1/users", "id=7&x"), false},
		"both":                {[]rule.Transform{rewriting(`^/api`, ""), hostRewriting(`.*`, "a.internal:8080")}, as("a.internal:8080", "/v1/users", "id=7&x"), false},
		"no path is left":     {[]rule.Transform{rewriting(`^/`, "")}, rule.Target{}, true},
		"nothing is left":     {[]rule.Transform{rewriting(`.*`, "")}, rule.Target{}, true},
		"a fragment":          {[]rule.Transform{rewriting(`v1`, "#")}, rule.Target{}, true},
		"a space":             {[]rule.Transform{rewriting(`v1`, "a b")}, rule.Target{}, true},
		"no host is left":     {[]rule.Transform{hostRewriting(`.*`, "")}, rule.Target{}, true},
		"a host that is none": {[]rule.Transform{hostRewriting(`-`, "/")}, rule.Target{}, true},
	} {
		r := transforming(test.transforms...)
		e := tableOf(t, r).Match(&request)
		got, err := e.Transform(&request)
		if test.fails {
			if !errors.Is(err, rule.ErrTransform) {
				t.Errorf("%s: %+v, %v; want ErrTransform", name, got, err)
			}
			continue
		}
		if err != nil || got != test.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, test.want)
		}
		if e.HasTransforms() != (len(test.transforms) > 0) {
			t.Errorf("%s: HasTransforms %v", name, e.HasTransforms())
		}
	}
}

// Two digits name a group if there are as many.
func TestTransformsTenthGroup(t *testing.T) {
	t.Parallel()
	r := transforming(rewriting(`^/(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)$`, "/$10$1"))
	request := rule.Request{Path: "/abcdefghij"}
	if got, err := tableOf(t, r).Match(&request).Transform(&request); err != nil || got.Path != "/ja" {
		t.Errorf("%+v, %v", got, err)
	}
}

// What comes out of a transform can be written into a request: no line breaks, no
// spaces.
func FuzzTransform(f *testing.F) {
	f.Add(`^/(.*)$`, "/x/$1", "a.b", "/a", "b=c")
	f.Add(`(a)|(b)`, "$2$1$0$", "a\r\n", "/\x00", "\n")
	f.Add(`.*`, "", "", "*", "")
	f.Fuzz(func(t *testing.T, regex, replace, host, path, query string) {
		r := rule.Rule{Priority: 1, Conditions: []rule.Condition{anyHost}, Actions: forward, Transforms: []rule.Transform{rewriting(regex, replace), hostRewriting(regex, replace)}}
		if r.Validate(rule.Listener{}) != nil {
			return
		}
		table, err := rule.NewTable([]rule.Rule{r, defaultRule})
		if err != nil {
			t.Fatalf("what Validate takes is refused: %v", err)
		}
		request := rule.Request{Host: host, Path: path, RawQuery: query}
		got, err := table.Entries()[0].Transform(&request)
		if err != nil {
			return
		}
		if got.Host != host && strings.ContainsAny(got.Host, "\r\n /?#@") {
			t.Errorf("host %q", got.Host)
		}
		if (got.Path != path || got.RawQuery != query) && strings.ContainsAny(got.Path+got.RawQuery, "\r\n #") {
			t.Errorf("path %q, query %q", got.Path, got.RawQuery)
		}
	})
}

var anyHost = values(rule.HostHeader, "*.example.com")
