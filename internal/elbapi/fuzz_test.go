package elbapi_test

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
	"hale/internal/elbapi"
)

// FuzzActions: whatever is asked is answered in the API's words: nothing fails on
// this side, and each answer is XML.
func FuzzActions(f *testing.F) {
	// ARNs of a site that is always the same one.
	const (
		of       = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:"
		lb       = of + "loadbalancer/app/site/0123456789abcdef"
		group    = of + "targetgroup/blue/0123456789abcdef"
		listener = of + "listener/app/site/0123456789abcdef/0123456789abcdef"
		ruleARN  = of + "listener-rule/app/site/0123456789abcdef/0123456789abcdef/0123456789abcdef"
	)
	site := &inventory.Inventory{
		LoadBalancers: map[string]*inventory.LoadBalancer{lb: {ARN: lb, Name: "site", Type: elb.Application, Zones: []inventory.Zone{{Name: "eu-west-1a", SubnetID: "subnet-a"}}}},
		Groups:        map[string]*inventory.Group{group: {ARN: group, Name: "blue", Port: 80, Kind: elb.Kind{Protocol: elb.HTTP, Targets: elb.Addresses}, Targets: []inventory.Target{{TargetID: inventory.TargetID{ID: "10.0.0.1", Port: 80}}}}},
		Listeners:     map[string]*inventory.Listener{listener: {ARN: listener, LoadBalancer: lb, Protocol: elb.HTTP, Port: 80, Default: []rule.Action{rule.ForwardTo(group)}}},
		Rules: map[string]*inventory.Rule{ruleARN: {ARN: ruleARN, Listener: listener, Rule: rule.Rule{
			Priority: 1, Conditions: []rule.Condition{{Field: rule.PathPattern, Values: []string{"/a"}}}, Actions: []rule.Action{rule.ForwardTo(group)},
		}}},
	}
	names := strings.NewReplacer("LB", lb, "GROUP", group, "LISTENER", listener, "RULE", ruleARN)
	for _, seed := range []string{
		"CreateLoadBalancer&Name=a&SubnetMappings.member.1.SubnetId=subnet-a&Tags.member.1.Key=k",
		"SetSubnets&LoadBalancerArn=LB&Subnets.member.1=subnet-b",
		"ModifyLoadBalancerAttributes&LoadBalancerArn=LB&Attributes.member.1.Key=idle_timeout.timeout_seconds&Attributes.member.1.Value=1",
		"CreateTargetGroup&Name=a&Protocol=HTTP&Port=1&Matcher.HttpCode=200&HealthCheckPort=1&TargetType=ip",
		"ModifyTargetGroup&TargetGroupArn=GROUP&HealthCheckProtocol=TCP&HealthCheckPath=/",
		"RegisterTargets&TargetGroupArn=GROUP&Targets.member.1.Id=10.0.0.2&Targets.member.1.AvailabilityZone=all",
		"DescribeTargetHealth&TargetGroupArn=GROUP&Targets.member.1.Id=10.0.0.2&Include.member.1=All",
		"CreateListener&LoadBalancerArn=LB&Protocol=HTTP&Port=81&DefaultActions.member.1.Type=fixed-response&DefaultActions.member.1.FixedResponseConfig.StatusCode=200",
		"ModifyListener&ListenerArn=LISTENER&DefaultActions.member.1.Type=forward&DefaultActions.member.1.ForwardConfig.TargetGroups.member.1.TargetGroupArn=GROUP",
		"CreateRule&ListenerArn=LISTENER&Priority=2&Conditions.member.1.Field=http-header&Conditions.member.1.HttpHeaderConfig.HttpHeaderName=a&Conditions.member.1.HttpHeaderConfig.Values.member.1=b&Actions.member.1.Type=redirect&Actions.member.1.RedirectConfig.StatusCode=HTTP_301&Actions.member.1.RedirectConfig.Host=a",
		"ModifyRule&RuleArn=RULE&Transforms.member.1.Type=url-rewrite&Transforms.member.1.UrlRewriteConfig.Rewrites.member.1.Regex=(&Conditions.member.1.Field=query-string&Conditions.member.1.QueryStringConfig.Values=",
		"SetRulePriorities&RulePriorities.member.1.RuleArn=RULE&RulePriorities.member.1.Priority=5",
		"DescribeRules&ListenerArn=LISTENER&PageSize=1&Marker=AA",
		"AddTags&ResourceArns.member.1=RULE&Tags.member.1.Key=k",
		"DescribeSSLPolicies&LoadBalancerType=network&PageSize=400",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, form string) {
		m := newMemory()
		m.now = site
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/", strings.NewReader("Version=2015-12-01&Action="+names.Replace(form)))
		w := httptest.NewRecorder()
		elbapi.New(elbapi.Options{Balancer: m}).ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		answer := xml.NewDecoder(w.Body)
		for {
			if _, err := answer.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	})
}
