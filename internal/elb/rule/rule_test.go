package rule_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"testing"

	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// A rule is kept and sent with the API's names, and what is not given is left out.
func TestJSON(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]rule.Rule{
		`{"Priority":1,"Conditions":[{"Field":"http-header","HttpHeaderName":"A","Values":["b"]}],"Actions":[{"Type":"forward","ForwardConfig":{"TargetGroups":[{"TargetGroupArn":"arn:blue","Weight":1}]}}]}`: {
			Priority: 1, Conditions: []rule.Condition{header("A", "b")}, Actions: forward,
		},
		`{"Priority":0,"Actions":[{"Type":"redirect","RedirectConfig":{"Protocol":"HTTPS","Port":"443","StatusCode":"HTTP_301"}}]}`: {
			Actions: []rule.Action{redirect(rule.RedirectConfig{Protocol: "HTTPS", Port: "443"})},
		},
	} {
		got, err := json.Marshal(r)
		if err != nil || string(got) != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}

func TestFilled(t *testing.T) {
	t.Parallel()
	want := rule.RedirectConfig{Protocol: "HTTPS", Host: "#{host}", Port: "#{port}", Path: "/#{path}", Query: "#{query}", StatusCode: "HTTP_301"}
	if got := (rule.RedirectConfig{Protocol: "HTTPS", StatusCode: "HTTP_301"}).Filled(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// What Validate takes can be used: it makes a table, and is the same after having
// been kept.
func FuzzRule(f *testing.F) {
	for _, r := range []rule.Rule{
		conditioned(values(rule.HostHeader, "*.example.com"), values(rule.PathPattern, "/a?/*"), values(rule.HTTPRequestMethod, "GET")),
		conditioned(header("User-Agent", "*x*"), query(rule.KeyValue{Key: `a\*`, Value: "?"}), values(rule.SourceIP, "10.0.0.0/8")),
		conditioned(regexes(rule.HostHeader, `^a\.b(:1)?$`), regexes(rule.PathPattern, "^/[a-z]{2}$")),
		acting(redirect(rule.RedirectConfig{Protocol: "HTTPS", Path: "/#{host}/#{path}", Query: "#{query}"})),
		acting(fixed("503", "text/html", "<p>")),
		transforming(rewriting("^/(a)", "/$1$10"), hostRewriting("a", "b")),
	} {
		text, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "a.example.com:80", "/ab/c", "a*=x")
	}
	f.Fuzz(func(t *testing.T, text []byte, host, path, query string) {
		var r rule.Rule
		if json.Unmarshal(text, &r) != nil || r.Validate(rule.Listener{Protocol: elb.HTTP, Port: 80}) != nil || r.IsDefault() {
			return
		}
		table, err := rule.NewTable([]rule.Rule{r, defaultRule})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		request := rule.Request{
			Method: "GET", Host: host, Path: path, RawQuery: query, Peer: netip.MustParseAddr("10.0.0.1"),
			Header: http.Header{"User-Agent": {host, path}}, Protocol: elb.HTTP, Port: 80,
		}
		table.Match(&request)
		e := &table.Entries()[0]
		e.Location(&request)
		_, _ = e.Transform(&request)
		if c := e.Action().FixedResponseConfig; c != nil && (c.Status() < 200 || c.Status() > 599) {
			t.Errorf("%s: status %d", text, c.Status())
		}
		kept, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again rule.Rule
		if err := json.Unmarshal(kept, &again); err != nil {
			t.Fatal(err)
		}
		if text, _ := json.Marshal(again); string(text) != string(kept) {
			t.Errorf("%s came back as %s", kept, text)
		}
	})
}
