package rule_test

import (
	"net/url"
	"strings"
	"testing"

	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// entryOf makes the default rule's entry of an action.
func entryOf(t testing.TB, a rule.Action) *rule.Entry {
	t.Helper()
	table, err := rule.NewTable([]rule.Rule{{Actions: []rule.Action{a}}})
	if err != nil {
		t.Fatal(err)
	}
	return &table.Entries()[0]
}

func TestLocation(t *testing.T) {
	t.Parallel()
	plain := rule.Request{Host: "example.com:8080", Path: "/a/b", RawQuery: "x=1&y", Protocol: elb.HTTP, Port: 8080}
	with := func(change func(*rule.Request)) rule.Request {
		r := plain
		change(&r)
		return r
	}
	toHTTPS := rule.RedirectConfig{Protocol: "HTTPS", Port: "443"}
	for name, test := range map[string]struct {
		config  rule.RedirectConfig
		request rule.Request
		want    string
	}{
		"to https":               {toHTTPS, plain, "https://example.com:443/a/b?x=1&y"},
		"all keywords written":   {rule.RedirectConfig{Protocol: "HTTPS", Host: "#{host}", Port: "443", Path: "/#{path}", Query: "#{query}"}, plain, "https://example.com:443/a/b?x=1&y"},
		"no query, no mark":      {toHTTPS, with(func(r *rule.Request) { r.RawQuery = "" }), "https://example.com:443/a/b"},
		"the root":               {toHTTPS, with(func(r *rule.Request) { r.Path, r.RawQuery = "/", "" }), "https://example.com:443/"},
		"protocol and port stay": {rule.RedirectConfig{Host: "www.#{host}"}, plain, "http://www.example.com:8080/a/b?x=1&y"},
		"from https":             {rule.RedirectConfig{Path: "/new/#{path}"}, with(func(r *rule.Request) { r.Protocol, r.Port = elb.HTTPS, 443 }), "https://example.com:443/new/a/b?x=1&y"},
		"keywords in the path":   {rule.RedirectConfig{Path: "/#{host}/#{port}/#{path}"}, plain, "http://example.com:8080/example.com/8080/a/b?x=1&y"},
		"keywords in the query":  {rule.RedirectConfig{Path: "/", Query: "#{query}&from=#{protocol}://#{host}:#{port}/#{path}"}, plain, "http://example.com:8080/?x=1&y&from=http://example.com:8080/a/b"},
		"a path of its own":      {rule.RedirectConfig{Path: "/maintenance", Query: "a=b"}, plain, "http://example.com:8080/maintenance?a=b"},
		"a question mark in it":  {rule.RedirectConfig{Path: "/what?"}, plain, "http://example.com:8080/what%3F?x=1&y"},
		"escapes stay":           {toHTTPS, with(func(r *rule.Request) { r.Path = "/a%2Fb%20c" }), "https://example.com:443/a%2Fb%20c?x=1&y"},
		"two slashes":            {toHTTPS, with(func(r *rule.Request) { r.Path = "//evil.example/" }), "https://example.com:443//evil.example/?x=1&y"},
		"a line break":           {toHTTPS, with(func(r *rule.Request) { r.Path, r.RawQuery = "/a\r\nSet-Cookie: b", "c\nd" }), "https://example.com:443/a%0D%0ASet-Cookie:%20b?c%0Ad"},
		"beyond ASCII":           {toHTTPS, with(func(r *rule.Request) { r.Path = "/ä" }), "https://example.com:443/%C3%A4?x=1&y"},
		"a fragment":             {toHTTPS, with(func(r *rule.Request) { r.RawQuery = "a#b" }), "https://example.com:443/a/b?a%23b"},
		"a host that is none":    {toHTTPS, with(func(r *rule.Request) { r.Host = "a@b/c?d\\e f:1" }), "https://a%40b%2Fc%3Fd%5Ce%20f:443/a/b?x=1&y"},
		"IPv6":                   {toHTTPS, with(func(r *rule.Request) { r.Host = "[2001:db8::1]:8080" }), "https://[2001:db8::1]:443/a/b?x=1&y"},
		"IPv6 without port":      {toHTTPS, with(func(r *rule.Request) { r.Host = "[2001:db8::1]" }), "https://[2001:db8::1]:443/a/b?x=1&y"},
		"no host":                {toHTTPS, with(func(r *rule.Request) { r.Host = "" }), ""},
		"no host, but its own":   {rule.RedirectConfig{Host: "example.net"}, with(func(r *rule.Request) { r.Host = "" }), "http://example.net:8080/a/b?x=1&y"},
		"OPTIONS *":              {toHTTPS, with(func(r *rule.Request) { r.Path, r.RawQuery = "*", "" }), "https://example.com:443/*"},
	} {
		e := entryOf(t, redirect(test.config))
		if got := e.Location(&test.request); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]int{"HTTP_301": 301, "HTTP_302": 302} {
		if got := (rule.RedirectConfig{StatusCode: code}).Status(); got != want {
			t.Errorf("%s: %d", code, got)
		}
	}
	if got := (rule.FixedResponseConfig{StatusCode: "503"}).Status(); got != 503 {
		t.Errorf("503: %d", got)
	}
}

// Whatever is asked, a redirect is one line, is a URL, and leads to the host that
// was asked or configured.
func FuzzLocation(f *testing.F) {
	f.Add("example.com", "/a", "b=c")
	f.Add("a@evil.example", "//evil.example", "\r\nSet-Cookie: a=b")
	f.Add("[::1]:80", "/%zz\x00", "#")
	f.Add("e\\vil", "/\\", "\u2028")
	f.Fuzz(func(t *testing.T, host, path, query string) {
		for _, c := range []rule.RedirectConfig{
			{Host: "fixed.example", Path: "/#{host}/#{path}", Query: "#{query}#{path}#{host}"},
			{Protocol: "HTTPS", Port: "443"},
		} {
			got := entryOf(t, redirect(c)).Location(&rule.Request{Host: host, Path: path, RawQuery: query, Protocol: elb.HTTP, Port: 80})
			if got == "" {
				continue
			}
			for _, b := range []byte(got) {
				if b <= ' ' || b > '~' {
					t.Fatalf("host %q, path %q, query %q: %q is no URL", host, path, query, got)
				}
			}
			if strings.Contains(got, "#") {
				t.Errorf("host %q, path %q, query %q: %q has a fragment", host, path, query, got)
			}
			if c.Host == "" {
				continue
			}
			u, err := url.Parse(got)
			if err != nil {
				continue // an escape that is none was there before
			}
			if u.Host != "fixed.example:80" {
				t.Errorf("host %q, path %q, query %q: %q leads to %s", host, path, query, got, u.Host)
			}
		}
	})
}
