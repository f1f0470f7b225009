package balancer_test

import (
	"net/netip"
	"strings"
	"testing"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// What a request's rule makes of it, over real sockets. The order of the rules is
// their priority.
func TestRules(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.newGroup("empty", elb.Kind{}, nil)
	redirect := func(c rule.RedirectConfig) rule.Action { return rule.Action{Type: rule.Redirect, RedirectConfig: &c} }
	for i, of := range []struct {
		action     rule.Action
		conditions []rule.Condition
	}{
		{fixed("host"), []rule.Condition{{Field: rule.HostHeader, Values: []string{"*.example.com", "example.org"}}}},
		{fixed("header"), []rule.Condition{{Field: rule.HTTPHeader, HTTPHeaderName: "X-Beta", Values: []string{"y?s*"}}}},
		{fixed("method"), []rule.Condition{{Field: rule.HTTPRequestMethod, Values: []string{"PURGE"}}}},
		{fixed("query"), []rule.Condition{{Field: rule.QueryString, QueryStringValues: []rule.KeyValue{{Key: "version", Value: "v1*"}, {Value: "*canary*"}}}}},
		{fixed("from afar"), []rule.Condition{path("/who"), {Field: rule.SourceIP, Values: []string{"192.0.2.0/24"}}}},
		{fixed("from here"), []rule.Condition{path("/who"), {Field: rule.SourceIP, Values: []string{"192.0.2.0/24", "127.0.0.0/8"}}}},
		{redirect(rule.RedirectConfig{StatusCode: "HTTP_301", Protocol: "HTTPS", Port: "443"}), []rule.Condition{path("/secure/*")}},
		{redirect(rule.RedirectConfig{StatusCode: "HTTP_302", Host: "new.#{host}", Port: "81", Path: "/moved/#{path}", Query: "was=#{protocol}-#{port}&#{query}"}), []rule.Condition{path("/old")}},
		{rule.ForwardTo(s.groups["empty"]), []rule.Condition{path("/empty")}},
	} {
		s.rule(10*(i+1), of.action, of.conditions...)
	}
	s.fill("app", newEcho(t))
	port := s.url[strings.LastIndexByte(s.url, ':')+1:]
	for _, tt := range []struct {
		name     string
		request  string // its line and fields, without the Host of those that have none
		priority int    // of the rule that it meets; 0: the default one, to a target
		status   int    // 0: 200
		body     string
		location string
	}{
		{name: "none", request: "GET /"},
		{name: "host", request: "GET /|Host: www.example.com", priority: 10, body: "host"},
		{name: "host, in capitals and with a port", request: "GET /|Host: WWW.Example.COM:8080", priority: 10, body: "host"},
		{name: "host, another value", request: "GET /|Host: example.org", priority: 10, body: "host"},
		{name: "host, nothing for the star's dot", request: "GET /|Host: example.com"},
		{name: "header", request: "GET /|X-Beta: YES, please", priority: 20, body: "header"},
		{name: "header, its second field", request: "GET /|X-Beta: no|x-beta: yes", priority: 20, body: "header"},
		{name: "header, another value", request: "GET /|X-Beta: no"},
		{name: "method", request: "PURGE /", priority: 30, body: "method"},
		{name: "method, in small letters", request: "purge /"},
		{name: "query, key and value", request: "GET /?a=b&version=V1.2", priority: 40, body: "query"},
		{name: "query, any key", request: "GET /?x=the-Canary-one", priority: 40, body: "query"},
		{name: "query, in the path", request: "GET /version=v1"},
		{name: "source", request: "GET /who", priority: 60, body: "from here"},
		{name: "source, as the client says", request: "GET /who|X-Forwarded-For: 192.0.2.1", priority: 60, body: "from here"},
		{
			name: "redirect to HTTPS", request: "GET /secure/a%20b?c=d|Host: shop.example.net", priority: 70, status: 301,
			location: "https://shop.example.net:443/secure/a%20b?c=d",
		},
		{
			name: "redirect of all parts", request: "GET /old?q=1|Host: shop.example.net:99", priority: 80, status: 302,
			location: "http://new.shop.example.net:81/moved/old?was=http-" + port + "&q=1",
		},
		{name: "path, in capitals", request: "GET /OLD"},
		{name: "path, longer", request: "GET /old/"},
		{name: "group without targets", request: "GET /empty", priority: 90, status: 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			line, fields, _ := strings.Cut(tt.request, "|")
			if !strings.Contains(fields, "Host:") {
				fields += "|Host: localhost"
			}
			got := s.send(line + " HTTP/1.1\r\n" + strings.ReplaceAll(strings.TrimPrefix(fields, "|"), "|", "\r\n") + "\r\n\r\n")
			if want := max(tt.status, 200); got.status != want {
				t.Errorf("status %d, want %d", got.status, want)
			}
			if got.header.Get("Location") != tt.location {
				t.Errorf("location %q, want %q", got.header.Get("Location"), tt.location)
			}
			if tt.body != "" && got.body != tt.body {
				t.Errorf("body %q, want %q", got.body, tt.body)
			}
			if own := got.header.Get("Server") == "awselb/2.0"; own != (tt.priority > 0) {
				t.Errorf("answered by the load balancer: %v", own)
			}
			entry := s.log.next(t)
			if int(entry.MatchedRulePriority) != tt.priority || entry.RedirectURL != tt.location || entry.Status != got.status || entry.TraceID == "" {
				t.Errorf("logged %+v", entry)
			}
		})
	}
	s.t = t
}

// A rule's transforms change what the target is asked, and nothing else.
func TestTransforms(t *testing.T) {
	t.Parallel()
	s := newSite(t, elb.Attributes{"routing.http.preserve_host_header.enabled": "true"})
	for i, of := range []struct{ path, url, host string }{
		{"/api/*", "/v2/$1", "inner.example.com"},
		{"/break/*", "no path", "inner.example.com"},
	} {
		s.ruleOf(rule.Rule{
			Priority: i + 1, Conditions: []rule.Condition{path(of.path)}, Actions: []rule.Action{rule.ForwardTo(s.groups["app"])},
			Transforms: []rule.Transform{
				{Type: rule.URLRewrite, Rewrites: []rule.Rewrite{{Regex: "^" + strings.TrimSuffix(of.path, "*") + "([^?]*)", Replace: of.url}}},
				{Type: rule.HostHeaderRewrite, Rewrites: []rule.Rewrite{{Regex: "^outer[.].*", Replace: of.host}}},
			},
		})
	}
	s.fill("app", newEcho(t))
	for _, tt := range []struct {
		target, host      string
		line, sees        string // what the target sees
		uri, logged, word string // what the log has
	}{
		{"/api/users?id=7", "outer.example.com", "GET /v2/users?id=7 HTTP/1.1", "inner.example.com", "/v2/users?id=7", "inner.example.com", "TransformSuccess"},
		{"/api/users", "other.example.com", "GET /v2/users HTTP/1.1", "other.example.com", "/v2/users", "", "TransformSuccess"},
		{"/else", "outer.example.com", "GET /else HTTP/1.1", "outer.example.com", "", "", ""},
	} {
		got := s.send("GET " + tt.target + " HTTP/1.1\r\nHost: " + tt.host + "\r\n\r\n")
		if !strings.HasPrefix(got.body, tt.line+"\r\nHost: "+tt.sees+"\r\n") {
			t.Errorf("%s of %s: the target sees %q", tt.target, tt.host, got.body)
		}
		e := s.log.next(t)
		if e.TransformedURI != tt.uri || e.TransformedHost != tt.logged || e.TransformStatus != tt.word || e.Request.URI != tt.target || e.Request.Host != tt.host {
			t.Errorf("%s of %s: logged %+v", tt.target, tt.host, e)
		}
	}
	if got := s.send("GET /break/x HTTP/1.1\r\nHost: a\r\n\r\n"); got.status != 500 {
		t.Errorf("a transform that makes no path is answered with %d", got.status)
	}
	if e := s.log.next(t); e.TransformStatus != "TransformInvalidPath" {
		t.Errorf("logged %+v", e)
	}
}

// Of a thousand requests, each group gets its weight's share; with stickiness, a
// client stays where it was first.
func TestWeightedGroups(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	weigh := func(sticky bool, weights ...int) {
		c := &rule.ForwardConfig{TargetGroupStickinessConfig: rule.TargetGroupStickinessConfig{Enabled: sticky, DurationSeconds: 600}}
		for i, weight := range weights {
			c.TargetGroups = append(c.TargetGroups, rule.TargetGroup{TargetGroupArn: s.groups[[]string{"app", "green"}[i]], Weight: weight})
		}
		s.change(func(e *inventory.Edit) error {
			_, err := e.ModifyListener(s.listener, inventory.ListenerSettings{Default: []rule.Action{{Type: rule.Forward, ForwardConfig: c}}})
			return err
		})
	}
	s.newGroup("green", elb.Kind{}, nil)
	weigh(false, 90, 10)
	blue, green := newApp(t, "blue"), newApp(t, "green")
	s.fill("app", blue.AddrPort)
	s.fill("green", green.AddrPort)
	for range 1000 {
		get(t, s.url)
	}
	if n := green.served.Load(); n < 97 || n > 103 {
		t.Errorf("the group of weight 10 of 100 got %d of 1000 requests", n)
	}
	weigh(true, 50, 50)
	cookies := map[string]string{} // by the group that gave them
	for range 10 {
		got := get(t, s.url)
		cookies[got.body] = cookiesOf(got, "AWSALBTG", "AWSALBTGCORS")
	}
	if len(cookies) != 2 {
		t.Fatalf("both groups should have been asked, not %v", cookies)
	}
	weigh(true, 0, 100)
	for group, cookie := range cookies {
		for range 5 {
			if got := s.send("GET / HTTP/1.1\r\nHost: a\r\nCookie: " + cookie + "\r\n\r\n"); got.body != group {
				t.Errorf("a client of %s was sent to %s", group, got.body)
			}
		}
	}
	if got := s.send("GET / HTTP/1.1\r\nHost: a\r\nCookie: AWSALBTG=forged\r\n\r\n"); got.body != "green" || cookiesOf(got, "AWSALBTG") == "" {
		t.Errorf("with a cookie that is none: %+v", got)
	}
	weigh(false, 0, 0)
	if got := get(t, s.url); got.status != 503 {
		t.Errorf("with weights of 0: %d", got.status)
	}
}

// cookiesOf returns the cookies of those names that an answer sets, for a Cookie
// field.
func cookiesOf(r reply, names ...string) string {
	var pairs []string
	for _, line := range r.header.Values("Set-Cookie") {
		pair, _, _ := strings.Cut(line, ";")
		for _, name := range names {
			if strings.HasPrefix(pair, name+"=") && !strings.HasSuffix(pair, "=_remove_") {
				pairs = append(pairs, pair)
			}
		}
	}
	return strings.Join(pairs, "; ")
}

// A client stays at its target by the load balancer's cookie, until that target
// is deregistered or sick; then it stays at another one.
func TestStickyTargets(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.change(func(e *inventory.Edit) error {
		_, err := e.SetGroupAttributes(s.groups["app"], elb.Attributes{"stickiness.enabled": "true", "stickiness.type": "lb_cookie"})
		return err
	})
	apps := map[string]*app{}
	var addresses []netip.AddrPort
	for _, name := range []string{"one", "two", "three"} {
		apps[name] = newApp(t, name)
		addresses = append(addresses, apps[name].AddrPort)
	}
	s.fill("app", addresses...)
	stays := func(cookie, where string) string {
		t.Helper()
		for range 6 {
			got := s.send("GET / HTTP/1.1\r\nHost: a\r\nCookie: other=1; " + cookie + "\r\n\r\n")
			if where == "" {
				where = got.body
			}
			if got.body != where {
				t.Errorf("a client of %s was sent to %s", where, got.body)
			}
			if cookie = cookiesOf(got, "AWSALB"); cookie == "" {
				t.Fatalf("the cookie is not renewed: %v", got.header)
			}
		}
		return cookie
	}
	first := get(t, s.url)
	cookie := stays(cookiesOf(first, "AWSALB"), first.body)
	stays(cookiesOf(first, "AWSALBCORS"), first.body)
	s.change(func(e *inventory.Edit) error {
		_, err := e.Deregister(s.groups["app"], []inventory.TargetID{idOf(apps[first.body].AddrPort)})
		return err
	})
	s.await(apps[first.body].AddrPort, elb.Draining)
	got := s.send("GET / HTTP/1.1\r\nHost: a\r\nCookie: " + cookie + "\r\n\r\n")
	if got.body == first.body || got.status != 200 {
		t.Fatalf("a target that drains gets no new requests: %+v", got)
	}
	stays(cookiesOf(got, "AWSALB"), got.body)
	apps[got.body].health.Store(500)
	s.await(apps[got.body].AddrPort, elb.Unhealthy)
	moved := s.send("GET / HTTP/1.1\r\nHost: a\r\nCookie: " + cookiesOf(got, "AWSALB") + "\r\n\r\n")
	if moved.body == got.body || moved.body == first.body || moved.status != 200 {
		t.Errorf("the client of a sick target is at %q", moved.body)
	}
}
