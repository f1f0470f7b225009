package listen_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hale/internal/listen"
	"hale/internal/probe"
)

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		log := &listen.JSON{Out: &out}
		s := start(t, listen.Server{Probers: probe.Probers(), Answer: listen.Answer{Body: "ok\n"}}, target, log)
		ask(t, s, request)
		ask(t, s, "PROXY TCP4 192.0.2.9 192.0.2.1 5000 80\r\nGET /\xff\u009b HTTP/1.1\r\nHost: a\r\n\r\n")
		s.dial(node).Close()
		time.Sleep(time.Second)
		if err := log.Summary(s.end()); err != nil {
			t.Error(err)
		}
	})
	checkPrintable(t, out.String())
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	want := []string{
		`{"event":"visit","number":1,"time":"*","peer":"10.0.2.17:41234","local":"10.0.1.23:8080","connection":1,"nth":1,"waited_ms":0,"kind":"request",` +
			`"request":{"method":"GET","target":"/health","version":"HTTP/1.1","header":[{"name":"Host","value":"10.0.1.23:8080"},{"name":"Connection","value":"close"},{"name":"User-Agent","value":"ELB-HealthChecker/2.0"}],"body_size":0},` +
			`"raw":"R0VUIC9oZWFsdGggSFRUUC8xLjENCkhvc3Q6IDEwLjAuMS4yMzo4MDgwDQpDb25uZWN0aW9uOiBjbG9zZQ0KVXNlci1BZ2VudDogRUxCLUhlYWx0aENoZWNrZXIvMi4wDQoNCg==","size":100,` +
			`"looks_like":[{"prober":"alb","title":"AWS Application Load Balancer","differs":[]}],"may_stumble":[{"id":"host-is-ip","text":"*"},{"id":"host-has-port","text":"*"},{"id":"no-x-forwarded-proto","text":"*"},{"id":"no-accept","text":"*"}],` +
			`"answer":{"status":200,"keep":false}}`,
		`{"event":"left","connection":1,"visit":1,"visits":1,"answered":true,"after_ms":0,"by_us":false,"reset":false}`,
		`{"event":"visit","number":2,"time":"*","peer":"10.0.2.17:41234","local":"10.0.1.23:8080","connection":2,"nth":1,"waited_ms":0,"kind":"request",` +
			`"proxy":{"version":1,"command":"PROXY","family":"TCP4","source":"192.0.2.9:5000","destination":"192.0.2.1:80","raw":"UFJPWFkgVENQNCAxOTIuMC4yLjkgMTkyLjAuMi4xIDUwMDAgODANCg=="},` +
			`"request":{"method":"GET","target":"/\ufffd\u009b","version":"HTTP/1.1","header":[{"name":"Host","value":"a"}],"body_size":0},` +
			`"raw":"R0VUIC//wpsgSFRUUC8xLjENCkhvc3Q6IGENCg0K","size":30,` +
			`"looks_like":[],"may_stumble":[{"id":"proxy-header","text":"*"},{"id":"no-x-forwarded-proto","text":"*"},{"id":"no-accept","text":"*"},{"id":"no-user-agent","text":"*"}],` +
			`"answer":{"status":200,"keep":true}}`,
		`{"event":"left","connection":2,"visit":2,"visits":1,"answered":true,"after_ms":1000,"by_us":false,"reset":false}`,
		`{"event":"visit","number":3,"time":"*","peer":"10.0.2.17:41234","local":"10.0.1.23:8080","connection":3,"nth":1,"waited_ms":0,"kind":"connection","why":"closed after 0.000ms","raw":"","size":0,"looks_like":[*],"may_stumble":[{"id":"bare-connection","text":"*"}]}`,
		`{"event":"summary","visits":3,"connections":3,"turned_away":0,"took_ms":3000,"by":[{"name":"alb","visits":1,"addresses":1},{"name":"bare connections","visits":1,"addresses":1},{"name":"no prober that is known","visits":1,"addresses":1}]}`,
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), out.String())
	}
	for i, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
		line = regexp.MustCompile(`"(time|text)":"[^"]*"`).ReplaceAllString(line, `"$1":"*"`)
		line = regexp.MustCompile(`"looks_like":\[\{"prober":"classic".*?\]\}\]`).ReplaceAllString(line, `"looks_like":[*]`)
		line = regexp.MustCompile(`"looks_like":\[\{"prober":"classic",.*\],"may`).ReplaceAllString(line, `"looks_like":[*],"may`)
		if line != want[i] {
			t.Errorf("line %d:\n%s\nwant\n%s", i+1, line, want[i])
		}
	}
}
