package configuration_test

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"hale/internal/balancer/configuration"
	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func nothing() *inventory.Inventory { return new(inventory.Inventory) }

func place(f *configuration.File) inventory.Place {
	p := f.Place()
	p.Instance = func(string) (netip.Addr, bool) { return netip.MustParseAddr("127.0.0.1"), true }
	return p
}

func parse(t *testing.T, text string) *configuration.File {
	t.Helper()
	f, err := configuration.Parse("balance.yaml", []byte(text), configuration.Options{Env: lookup})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// apply returns what a file makes of an inventory.
func apply(t *testing.T, f *configuration.File, v *inventory.Inventory) *inventory.Inventory {
	t.Helper()
	_, change, err := f.Difference(v, place(f), now)
	if err != nil {
		t.Fatal(err)
	}
	return edited(t, f, v, change)
}

func edited(t *testing.T, f *configuration.File, v *inventory.Inventory, change func(*inventory.Edit) error) *inventory.Inventory {
	t.Helper()
	edit := v.Begin(place(f), now)
	if err := change(edit); err != nil {
		t.Fatal(err)
	}
	return edit.Inventory()
}

func steps(t *testing.T, f *configuration.File, v *inventory.Inventory) []string {
	t.Helper()
	before := *v
	all, _, err := f.Difference(v, place(f), now)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*v, before) {
		t.Error("the inventory was changed")
	}
	var lines []string
	for _, s := range all {
		lines = append(lines, s.String())
	}
	return lines
}

// site is a file that the tests below change.
const site = `
TargetGroups:
- Name: web
  Protocol: HTTP
  Port: 8000
  TargetType: ip
  HealthCheckPath: /health
  Targets: [{Id: 127.0.0.1, Port: 8001}, {Id: 127.0.0.1, Port: 8002}]
- {Name: api, Protocol: HTTP, Port: 9000, TargetType: ip}
LoadBalancers:
- Name: site
  Scheme: internal
  Attributes: {idle_timeout.timeout_seconds: 30}
  Listeners:
  - Protocol: HTTP
    Port: 8080
    DefaultActions: [{Type: forward, TargetGroup: web}]
    Rules:
    - Priority: 10
      Conditions: [{Field: path-pattern, Values: [/api/*]}]
      Actions: [{Type: forward, TargetGroup: api}]
    - Priority: 20
      Conditions: [{Field: host-header, Values: [old.example]}]
      Actions: [{Type: redirect, RedirectConfig: {Host: new.example, StatusCode: HTTP_301}}]
`

// swapped returns site with texts replaced.
func swapped(pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(site, pairs[i]) {
			panic("not in it: " + pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(site)
}

// secured returns site with an HTTPS listener that has the certificates of a list.
func secured(names string) string {
	var all strings.Builder
	for _, name := range []string{"one", "two", "three"} {
		fmt.Fprintf(&all, "- {Name: %s, CertificateFile: a, PrivateKeyFile: b}\n", name)
	}
	return swapped("TargetGroups:\n", "Certificates:\n"+all.String()+"TargetGroups:\n", "- Protocol: HTTP\n    Port: 8080", "- Protocol: HTTPS\n    Port: 8080\n    Certificates: ["+names+"]")
}

// ruled returns site with a rule that has another action.
func ruled(action string) string {
	return swapped("{Type: forward, TargetGroup: api}", "{Type: "+action+"}")
}

func TestDifference(t *testing.T) {
	const (
		oneRule = `    - Priority: 20
      Conditions: [{Field: host-header, Values: [old.example]}]
      Actions: [{Type: redirect, RedirectConfig: {Host: new.example, StatusCode: HTTP_301}}]
`
		targets = "  Targets: [{Id: 127.0.0.1, Port: 8001}, {Id: 127.0.0.1, Port: 8002}]\n"
		useAPI  = "      Actions: [{Type: forward, TargetGroup: api}]\n"
	)
	for _, test := range []struct {
		name, before, after string
		want                []string
	}{
		{"from nothing", "", site, []string{
			"create target group web: HTTP:8000",
			"register target 127.0.0.1:8001: target group web",
			"register target 127.0.0.1:8002: target group web",
			"create target group api: HTTP:9000",
			"create load balancer site: application, internal",
			"create listener site:8080: HTTP, forward web",
			"create rule site:8080 priority 10: path-pattern /api/* -> forward api",
			"create rule site:8080 priority 20: host-header old.example -> redirect 301 to #{protocol}://new.example:#{port}/#{path}?#{query}",
		}},
		{"the same", site, site, nil},
		{"the same in other words", site, swapped("HealthCheckPath: /health", "HealthCheckPath: /health\n  HealthyThresholdCount: 5"), nil},
		{"to nothing", site, "Region: us-east-1", []string{
			"delete load balancer site",
			"delete target group api",
			"delete target group web",
		}},
		{"a health check", site, swapped("HealthCheckPath: /health", "HealthCheckPath: /up\n  HealthCheckIntervalSeconds: 5\n  HealthCheckTimeoutSeconds: 2"), []string{
			"modify target group web: HealthCheckPath /health -> /up, HealthCheckIntervalSeconds 30 -> 5, HealthCheckTimeoutSeconds 5 -> 2",
		}},
		{"a setting taken away", swapped("HealthCheckPath: /health", "HealthCheckPath: /health\n  Attributes: {slow_start.duration_seconds: 30}\n  Tags: {a: b}"), site, []string{
			"modify target group web: slow_start.duration_seconds 30 -> 0, Tags",
		}},
		{"values that only together are possible", site, swapped("HealthCheckPath: /health", "HealthCheckPath: /health\n  Attributes: {load_balancing.algorithm.type: weighted_random, load_balancing.algorithm.anomaly_mitigation: on}"), []string{
			"modify target group web: load_balancing.algorithm.anomaly_mitigation off -> on, load_balancing.algorithm.type round_robin -> weighted_random",
		}},
		{"attributes of a load balancer", site, swapped("Attributes: {idle_timeout.timeout_seconds: 30}", "Attributes: {routing.http2.enabled: false}\n  Subnets: [subnet-a, subnet-b]"), []string{
			"modify load balancer site: Subnets subnet-a -> subnet-a subnet-b, idle_timeout.timeout_seconds 30 -> 60, routing.http2.enabled true -> false",
		}},
		{"targets come and go", site, swapped("Port: 8002", "Port: 8003"), []string{
			"deregister target 127.0.0.1:8002: target group web",
			"register target 127.0.0.1:8003: target group web",
		}},
		{"a target moves to another zone", site, swapped("Port: 8002", "Port: 8002, AvailabilityZone: us-east-1a"), []string{
			"deregister target 127.0.0.1:8002: target group web",
			"register target 127.0.0.1:8002@us-east-1a: target group web",
		}},
		{"no more targets", site, swapped(targets, ""), []string{
			"deregister target 127.0.0.1:8001: target group web",
			"deregister target 127.0.0.1:8002: target group web",
		}},
		{"a port that moves", site, swapped("Port: 8080", "Port: 8081"), []string{"modify listener site:8080: Port 8080 -> 8081"}},
		{"a port that moves, and more", site, swapped("Port: 8080", "Port: 8081", "{Type: forward, TargetGroup: web}", "{Type: fixed-response, FixedResponseConfig: {StatusCode: 404}}"), []string{
			"modify listener site:8080: Port 8080 -> 8081, DefaultActions forward web -> fixed-response 404",
		}},
		{"weights", site, swapped("{Type: forward, TargetGroup: web}", "{Type: forward, ForwardConfig: {TargetGroups: [{TargetGroup: web, Weight: 9}, {TargetGroup: api}]}}"), []string{
			"modify listener site:8080: DefaultActions forward web -> forward web 9, api 1",
		}},
		{"a rule's conditions", site, swapped("/api/*", "/v2/*"), []string{"modify rule site:8080 priority 10: Conditions path-pattern /api/* -> path-pattern /v2/*"}},
		{"a rule goes", site, swapped(oneRule, ""), []string{"delete rule site:8080 priority 20"}},
		{"rules change places", site, swapped("Priority: 10", "Priority: 20", "Priority: 20", "Priority: 10"), []string{
			"modify rule site:8080 priority 10: Priority 10 -> 20",
			"modify rule site:8080 priority 20: Priority 20 -> 10",
		}},
		{"a rule before the others", site, swapped("Priority: 10", "Priority: 11", "    Rules:\n", "    Rules:\n    - {Priority: 10, Conditions: [{Field: source-ip, SourceIpConfig: {Values: [10.0.0.0/8]}}], Actions: [{Type: fixed-response, FixedResponseConfig: {StatusCode: 403}}]}\n"), []string{
			"modify rule site:8080 priority 10: Priority 10 -> 11",
			"create rule site:8080 priority 10: source-ip 10.0.0.0/8 -> fixed-response 403",
		}},
		{"a group that nobody uses any more", site, swapped(useAPI, "      Actions: [{Type: forward, TargetGroup: web}]\n", "- {Name: api, Protocol: HTTP, Port: 9000, TargetType: ip}\n", ""), []string{
			"modify rule site:8080 priority 10: Actions forward api -> forward web",
			"delete target group api",
		}},
		{"a group that is made anew", site, swapped("Protocol: HTTP\n  Port: 8000", "Protocol: HTTPS\n  Port: 8443"), []string{
			"replace target group web: Protocol HTTP -> HTTPS, Port 8000 -> 8443; ELB cannot change that: it is deleted, and made anew under a new ARN",
			"register target 127.0.0.1:8001: target group web",
			"register target 127.0.0.1:8002: target group web",
		}},
		{"a load balancer that is made anew", site, swapped("Scheme: internal", "Scheme: internet-facing"), []string{
			"replace load balancer site: Scheme internal -> internet-facing; ELB cannot change that: it is deleted with its listeners, and made anew under a new ARN",
			"create load balancer site: application, internet-facing",
			"create listener site:8080: HTTP, forward web",
			"create rule site:8080 priority 10: path-pattern /api/* -> forward api",
			"create rule site:8080 priority 20: host-header old.example -> redirect 301 to #{protocol}://new.example:#{port}/#{path}?#{query}",
		}},
		{"a listener's protocol", site, swapped("- Protocol: HTTP\n    Port: 8080", "- Protocol: HTTPS\n    Port: 8080\n    Certificates: [one, two]", "TargetGroups:\n- Name", "Certificates: [{Name: one, CertificateFile: a, PrivateKeyFile: b}, {Name: two, CertificateFile: a, PrivateKeyFile: b}]\nTargetGroups:\n- Name"), []string{
			"modify listener site:8080: Protocol HTTP -> HTTPS, SslPolicy none -> ELBSecurityPolicy-2016-08, Certificates none -> one two",
		}},
		{"a listener's certificates change places", secured("one, two, three"), secured("three, one"), []string{
			"modify listener site:8080: Certificates one two three -> three one",
		}},
		{"one certificate alone is left", secured("one, two"), secured("two"), []string{
			"modify listener site:8080: Certificates one two -> two",
		}},
		{
			"what actions are made of", ruled("fixed-response, FixedResponseConfig: {StatusCode: 404, MessageBody: gone}"), ruled("fixed-response, FixedResponseConfig: {StatusCode: 404, ContentType: text/html, MessageBody: away}"),
			[]string{`modify rule site:8080 priority 10: Actions fixed-response 404 text/plain "gone" -> fixed-response 404 text/html "away"`},
		},
		{
			"where a redirect leads", ruled("redirect, RedirectConfig: {Path: /new, StatusCode: HTTP_302}"), ruled("redirect, RedirectConfig: {Path: /newer, StatusCode: HTTP_302}"),
			[]string{"modify rule site:8080 priority 10: Actions redirect 302 to #{protocol}://#{host}:#{port}/new?#{query} -> redirect 302 to #{protocol}://#{host}:#{port}/newer?#{query}"},
		},
		{
			"how long clients stay with a group",
			ruled("forward, ForwardConfig: {TargetGroups: [{TargetGroup: api}]}"), ruled("forward, ForwardConfig: {TargetGroups: [{TargetGroup: api}], TargetGroupStickinessConfig: {Enabled: true, DurationSeconds: 60}}"),
			[]string{"modify rule site:8080 priority 10: Actions forward api -> forward api, stickiness 60 s"},
		},
		{
			"what a rule makes of the path", site, swapped("      Actions: [{Type: forward, TargetGroup: api}]\n", "      Actions: [{Type: forward, TargetGroup: api}]\n      Transforms: [{Type: url-rewrite, UrlRewriteConfig: {Rewrites: [{Regex: ^/api, Replace: /v2}]}}]\n"),
			[]string{"modify rule site:8080 priority 10: Transforms none -> url-rewrite ^/api to /v2"},
		},
		{
			"all becomes TCP",
			"TargetGroups: [{Name: db, Protocol: HTTP, Port: 80, TargetType: ip}]\nLoadBalancers: [{Name: site, Listeners: [{Protocol: HTTP, Port: 80, DefaultActions: [{Type: forward, TargetGroup: db}]}]}]",
			"TargetGroups: [{Name: db, Protocol: TCP, Port: 80, TargetType: ip}]\nLoadBalancers: [{Name: site, Type: network, Listeners: [{Protocol: TCP, Port: 80, DefaultActions: [{Type: forward, TargetGroup: db}]}]}]",
			[]string{
				"replace load balancer site: Type application -> network; ELB cannot change that: it is deleted with its listeners, and made anew under a new ARN",
				"replace target group db: Protocol HTTP -> TCP, ProtocolVersion HTTP1 -> none; ELB cannot change that: it is deleted, and made anew under a new ARN",
				"create load balancer site: network, internet-facing",
				"create listener site:80: TCP, forward db",
			},
		},
		{
			"a group goes from one load balancer to another", twoSites("blue", "green"), twoSites("green", "grey"),
			[]string{
				"modify listener two:82: DefaultActions forward green -> forward grey",
				"modify listener one:81: DefaultActions forward blue -> forward green",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := nothing()
			if test.before != "" {
				v = apply(t, parse(t, test.before), v)
			}
			after := parse(t, test.after)
			if test.want != nil || test.before == test.after {
				if got := steps(t, after, v); !reflect.DeepEqual(got, test.want) {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
				}
			}
			next := apply(t, after, v)
			if again := steps(t, after, next); len(again) > 0 {
				t.Errorf("the second time:\n%s", strings.Join(again, "\n"))
			}
			for arn, l := range next.Listeners {
				for _, g := range forwards(l.Default) {
					if next.Groups[g] == nil {
						t.Errorf("%s forwards to %s, which is not there", arn, g)
					}
				}
			}
		})
	}
}

// twoSites has two load balancers that forward to a group each.
func twoSites(one, two string) string {
	return strings.NewReplacer("ONE", one, "TWO", two).Replace(`
TargetGroups: [{Name: blue, Protocol: HTTP, Port: 1}, {Name: green, Protocol: HTTP, Port: 2}, {Name: grey, Protocol: HTTP, Port: 3}]
LoadBalancers:
- {Name: one, Listeners: [{Protocol: HTTP, Port: 81, DefaultActions: [{Type: forward, TargetGroup: ONE}]}]}
- {Name: two, Listeners: [{Protocol: HTTP, Port: 82, DefaultActions: [{Type: forward, TargetGroup: TWO}]}]}
`)
}

func forwards(actions []rule.Action) []string {
	var arns []string
	for _, a := range actions {
		if a.ForwardConfig != nil {
			for _, g := range a.ForwardConfig.TargetGroups {
				arns = append(arns, g.TargetGroupArn)
			}
		}
	}
	return arns
}

// What the API made, and what it changed of the file's things, stands for as long
// as the file says the same.
func TestTheAPIsWork(t *testing.T) {
	f := parse(t, site)
	v := apply(t, f, nothing())
	var listener, web string
	for arn := range v.Listeners {
		listener = arn
	}
	for arn, g := range v.Groups {
		if g.Name == "web" {
			web = arn
		}
	}
	condition := []rule.Condition{{Field: rule.PathPattern, Values: []string{"/x"}}}
	extra := func(e *inventory.Edit) error {
		made, err := e.CreateGroup(inventory.NewGroup{Name: "green", Kind: elb.Kind{Protocol: elb.HTTP, Targets: elb.Addresses}, Port: 1})
		if err != nil {
			return err
		}
		if _, err := e.CreateRule(listener, rule.Rule{Priority: 5, Conditions: condition, Actions: []rule.Action{rule.ForwardTo(made.ARN)}}, nil); err != nil {
			return err
		}
		if _, err := e.Register(web, []inventory.Target{{TargetID: inventory.TargetID{ID: "127.0.0.1", Port: 8009}}}); err != nil {
			return err
		}
		if _, err := e.Deregister(web, []inventory.TargetID{{ID: "127.0.0.1", Port: 8001}}); err != nil {
			return err
		}
		_, err = e.ModifyHealthCheck(web, elb.HealthCheck{Path: "/other"})
		return err
	}
	v = edited(t, f, v, extra)
	for _, test := range []struct {
		name, file string
		want       []string
	}{
		{"the same file", site, nil},
		{"a change elsewhere", swapped("/api/*", "/v2/*"), []string{"modify rule site:8080 priority 10: Conditions path-pattern /api/* -> path-pattern /v2/*"}},
		{"a change of the same thing", swapped("HealthCheckPath: /health", "HealthCheckPath: /health\n  HealthyThresholdCount: 3"), []string{
			"modify target group web: HealthCheckPath /other -> /health, HealthyThresholdCount 5 -> 3",
		}},
		{"targets", swapped("Port: 8002", "Port: 8003"), []string{
			"deregister target 127.0.0.1:8002: target group web",
			"register target 127.0.0.1:8003: target group web",
		}},
		{"another port keeps the API's rules", swapped("Port: 8080", "Port: 8081"), []string{"modify listener site:8080: Port 8080 -> 8081"}},
		{"the file makes room", "Region: us-east-1", []string{"delete load balancer site", "delete target group api", "delete target group web"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := parse(t, test.file)
			if got := steps(t, f, v); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			next := apply(t, f, v)
			green := 0
			for _, g := range next.Groups {
				if g.Name == "green" {
					green++
				}
			}
			if green != 1 {
				t.Error("the API's group is gone")
			}
		})
	}
}

func TestTheFileDoesNotTakeWhatTheAPIMade(t *testing.T) {
	empty := parse(t, "Region: us-east-1")
	v := edited(t, empty, nothing(), func(e *inventory.Edit) error {
		_, err := e.CreateGroup(inventory.NewGroup{Name: "web", Kind: elb.Kind{Protocol: elb.HTTP, Targets: elb.Addresses}, Port: 8000})
		return err
	})
	f := parse(t, site)
	_, _, err := f.Difference(v, place(f), now)
	if err == nil || err.Error() != "target group web was made through the API, and a file does not change that: give the file's another name or place, delete it there, or hand it over with add-tags Key=hale:file" {
		t.Errorf("got %v", err)
	}
	v = edited(t, empty, v, func(e *inventory.Edit) error {
		return e.AddTags([]string{v.SortedGroups()[0].ARN}, []inventory.Tag{{Key: configuration.MadeTag}})
	})
	if got := steps(t, f, v); len(got) == 0 || got[0] != "modify target group web: HealthCheckPath / -> /health" {
		t.Errorf("handed over: %q", got)
	}
}

// A group that the file no longer names stays while a rule of the API uses it.
func TestAGroupThatTheAPIUsesStays(t *testing.T) {
	v := apply(t, parse(t, site), nothing())
	f := parse(t, "Region: us-east-1")
	v = edited(t, f, v, func(e *inventory.Edit) error {
		for _, b := range v.SortedLoadBalancers() {
			if err := e.RemoveTags([]string{b.ARN}, []string{configuration.MadeTag}); err != nil {
				return err
			}
		}
		return nil
	})
	want := []string{
		"keep target group api: the file does not name it any more, but what the API made of load balancer site uses it",
		"keep target group web: the file does not name it any more, but what the API made of load balancer site uses it",
	}
	if got := steps(t, f, v); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestFullExampleApplies(t *testing.T) {
	data, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f := parse(t, string(data))
	next := apply(t, f, nothing())
	if again := steps(t, f, next); len(again) > 0 {
		t.Errorf("the second time:\n%s", strings.Join(again, "\n"))
	}
	if len(next.Rules) < 5 || len(next.Listeners) < 3 {
		t.Errorf("only %d rules, %d listeners", len(next.Rules), len(next.Listeners))
	}
}
