package rule_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"hale/internal/elb"
	"hale/internal/elb/rule"
)

var defaultRule = rule.Rule{Actions: []rule.Action{rule.ForwardTo("arn:default")}}

func tableOf(t testing.TB, rules ...rule.Rule) *rule.Table {
	t.Helper()
	for i := range rules {
		if err := rules[i].Validate(rule.Listener{Protocol: elb.HTTP, Port: 80}); err != nil {
			t.Fatalf("rule %d: %v", i, err)
		}
	}
	table, err := rule.NewTable(append(rules, defaultRule))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestConditions(t *testing.T) {
	t.Parallel()
	type request = rule.Request
	from := func(addr string) request { return request{Peer: netip.MustParseAddr(addr)} }
	asks := func(q string) request { return request{RawQuery: q} }
	tells := func(fields ...string) request {
		h := http.Header{}
		for i := 0; i < len(fields); i += 2 {
			h.Add(fields[i], fields[i+1])
		}
		return request{Header: h}
	}
	for name, test := range map[string]struct {
		conditions []rule.Condition
		match      []request
		other      []request
	}{
		"host": {
			[]rule.Condition{values(rule.HostHeader, "example.com", "*.Example.org")},
			[]request{{Host: "example.com"}, {Host: "EXAMPLE.com"}, {Host: "example.com:8443"}, {Host: "a.b.example.ORG"}},
			[]request{{}, {Host: "example.org"}, {Host: "example.com."}, {Host: "example.com.evil.net"}, {Host: "aexample.com"}},
		},
		"host, expression": {
			[]rule.Condition{regexes(rule.HostHeader, `^example\.com(:8443)?$`)},
			[]request{{Host: "example.com"}, {Host: "Example.com:8443"}, {Host: "example.com:80"}},
			[]request{{Host: "a.example.com"}},
		},
		"host, expression with a port": {
			[]rule.Condition{regexes(rule.HostHeader, `^example\.com:8443$`)},
			[]request{{Host: "example.com:8443"}},
			[]request{{Host: "example.com"}, {Host: "example.com:443"}},
		},
		"path": {
			[]rule.Condition{values(rule.PathPattern, "/img/*", "/a&amp;b", "/c&d")},
			[]request{{Path: "/img/"}, {Path: "/img/a.png"}, {Path: "/a&b"}, {Path: "/c&d"}},
			[]request{{Path: "/img"}, {Path: "/IMG/a"}, {Path: "/", RawQuery: "/img/a"}, {Path: "/x/img/a"}, {Path: "/a&amp;b"}},
		},
		"path, expression": {
			[]rule.Condition{regexes(rule.PathPattern, `^/user/[0-9]+$`, `\.php`)},
			[]request{{Path: "/user/7"}, {Path: "/index.php/x"}},
			[]request{{Path: "/user/7/"}, {Path: "/USER/7"}, {Path: "/", RawQuery: "a.php"}},
		},
		"method": {
			[]rule.Condition{values(rule.HTTPRequestMethod, "GET", "CUSTOM-METHOD")},
			[]request{{Method: "GET"}, {Method: "CUSTOM-METHOD"}},
			[]request{{Method: "get"}, {Method: "POST"}, {}},
		},
		"header": {
			[]rule.Condition{header("user-agent", "*Chrome*", "curl/?.*")},
			[]request{tells("User-Agent", "x CHROME y"), tells("User-Agent", "curl/8.1"), tells("User-Agent", "none", "User-Agent", "chrome")},
			[]request{{}, tells("User-Agent", "curl/10"), tells("Referer", "Chrome")},
		},
		"header, expression": {
			[]rule.Condition{{Field: rule.HTTPHeader, HTTPHeaderName: "X-Version", RegexValues: []string{`^v[0-9]$`}}},
			[]request{tells("X-Version", "v1"), tells("X-Version", "beta", "X-Version", "v2")},
			[]request{tells("X-Version", "v10"), tells("X-Version", "V1"), tells()},
		},
		"query": {
			[]rule.Condition{query(rule.KeyValue{Key: "version", Value: "v1"}, rule.KeyValue{Value: "*example*"})},
			[]request{asks("version=v1"), asks("a=b&VERSION=V1&c"), asks("any=an-Example"), asks("version=v2&x=example")},
			[]request{asks(""), asks("version=v12"), asks("xversion=v1"), asks("example=1"), asks("&&="), asks("version=%76%31")},
		},
		"query, escaped": {
			[]rule.Condition{query(rule.KeyValue{Key: `a\?`, Value: `\*b*`})},
			[]request{asks("a?=*b"), asks("a?=*bc")},
			[]request{asks("ab=*b"), asks("a?=xb")},
		},
		"query, any value": {
			[]rule.Condition{query(rule.KeyValue{Key: "debug", Value: "*"})},
			[]request{asks("debug"), asks("debug="), asks("x&debug=1=2")},
			[]request{asks("debugger=1"), asks("x=debug")},
		},
		"source": {
			[]rule.Condition{values(rule.SourceIP, "192.0.2.77/24", "2001:db8::/32")},
			[]request{from("192.0.2.1"), from("::ffff:192.0.2.1"), from("2001:db8::1"), from("2001:db8::1%eth0")},
			[]request{{}, from("192.0.3.1"), from("2001:db9::1")},
		},
		"source is never X-Forwarded-For": {
			[]rule.Condition{values(rule.SourceIP, "192.0.2.0/24")},
			nil,
			[]request{{Peer: netip.MustParseAddr("198.51.100.1"), Header: http.Header{"X-Forwarded-For": {"192.0.2.1"}}}},
		},
		"all of several": {
			[]rule.Condition{values(rule.PathPattern, "/api/*"), values(rule.HostHeader, "example.com"), header("X-Beta", "1"), header("X-User", "7")},
			[]request{{Host: "example.com", Path: "/api/x", Header: http.Header{"X-Beta": {"1"}, "X-User": {"7"}}}},
			[]request{
				{Host: "example.com", Path: "/api/x", Header: http.Header{"X-Beta": {"1"}}},
				{Host: "example.com", Path: "/", Header: http.Header{"X-Beta": {"1"}, "X-User": {"7"}}},
				{Host: "a.com", Path: "/api/x", Header: http.Header{"X-Beta": {"1"}, "X-User": {"7"}}},
			},
		},
	} {
		table := tableOf(t, rule.Rule{Priority: 7, Conditions: test.conditions, Actions: forward})
		for _, r := range test.match {
			if got := table.Match(&r); got.Priority != 7 {
				t.Errorf("%s: %+v does not match", name, r)
			}
		}
		for _, r := range test.other {
			if got := table.Match(&r); !got.IsDefault() {
				t.Errorf("%s: %+v matches", name, r)
			}
		}
	}
}

// The lowest priority is tried first, the default rule last.
func TestOrder(t *testing.T) {
	t.Parallel()
	path := func(priority int, pattern string) rule.Rule {
		return rule.Rule{Priority: priority, Conditions: []rule.Condition{values(rule.PathPattern, pattern)}, Actions: forward}
	}
	table := tableOf(t, path(50000, "*"), path(10, "/a/*"), path(2, "/a/b"), path(100, "/a*"))
	for request, want := range map[string]int{"/a/b": 2, "/a/c": 10, "/ab": 100, "/b": 50000} {
		got := table.Match(&rule.Request{Path: request})
		if got.Priority != want {
			t.Errorf("%s matches %d, want %d", request, got.Priority, want)
		}
		if &table.Entries()[got.Index] != got {
			t.Errorf("%s: index %d is another rule's", request, got.Index)
		}
	}
	last := table.Entries()[4]
	if !last.IsDefault() || last.Action().ForwardConfig.TargetGroups[0].TargetGroupArn != "arn:default" {
		t.Errorf("last is %+v", last.Rule)
	}
}

func TestNewTableRefuses(t *testing.T) {
	t.Parallel()
	one := conditioned(anyPath)
	var many []rule.Rule
	for i := range rule.MaxRules + 1 {
		r := one
		r.Priority = i + 1
		many = append(many, r)
	}
	for name, test := range map[string]struct {
		rules []rule.Rule
		code  string
	}{
		"nothing":          {nil, codeValidation},
		"no default":       {[]rule.Rule{one}, codeValidation},
		"two defaults":     {[]rule.Rule{defaultRule, defaultRule}, codeValidation},
		"the same twice":   {[]rule.Rule{one, one, defaultRule}, "PriorityInUse"},
		"101 rules":        {append(many, defaultRule), "TooManyRules"},
		"no action":        {[]rule.Rule{{}}, codeValidation},
		"a bad expression": {[]rule.Rule{conditioned(regexes(rule.PathPattern, "(")), defaultRule}, codeValidation},
		"a bad block":      {[]rule.Rule{conditioned(values(rule.SourceIP, "x")), defaultRule}, codeValidation},
		"a bad transform":  {[]rule.Rule{transforming(rewriting("(", "")), defaultRule}, codeValidation},
	} {
		_, err := rule.NewTable(test.rules)
		if refusal, ok := errors.AsType[*elb.Error](err); !ok || refusal.Code != test.code {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
	}
	if _, err := rule.NewTable(append(many[:rule.MaxRules], defaultRule)); err != nil {
		t.Errorf("100 rules: %v", err)
	}
}

// hundred is 100 rules as a site with many hosts has them, of which a request for
// the last host and path matches the last.
func hundred(t testing.TB) (*rule.Table, rule.Request) {
	var rules []rule.Rule
	for i := range rule.MaxRules {
		c := []rule.Condition{values(rule.HostHeader, fmt.Sprintf("site-%d.example.com", i/4))}
		switch i % 4 {
		case 0:
			c = append(c, values(rule.PathPattern, fmt.Sprintf("/api/v%d/*", i), "/static/*.css"))
		case 1:
			c = append(c, header("X-Version", "v?", "*beta*"))
		case 2:
			c = append(c, query(rule.KeyValue{Key: "version", Value: "v1"}), values(rule.SourceIP, "192.0.2.0/24"))
		}
		rules = append(rules, rule.Rule{Priority: i + 1, Conditions: c, Actions: forward})
	}
	return tableOf(t, rules...), rule.Request{
		Method: "GET", Host: "site-24.example.com", Path: "/products/12345/reviews", RawQuery: "page=2&sort=date",
		Peer:   netip.MustParseAddr("198.51.100.7"),
		Header: http.Header{"User-Agent": {strings.Repeat("Mozilla/5.0 ", 9)}, "X-Version": {"stable"}},
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	table, request := hundred(t)
	if got := table.Match(&request); got.Priority != 100 {
		t.Fatalf("it matches %d", got.Priority)
	}
	if n := testing.AllocsPerRun(100, func() { table.Match(&request) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	table, last := hundred(b)
	first, none := last, last
	first.Host, first.Path = "site-0.example.com", "/api/v0/users"
	none.Host = "www.example.net"
	for name, request := range map[string]rule.Request{"first of 100": first, "last of 100": last, "default after 100": none} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				table.Match(&request)
			}
		})
	}
}
