package targetgroup_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/elb"
	"hale/internal/targetgroup"
	"hale/test/elbfake"
)

const (
	unhealthy = types.TargetHealthStateEnumUnhealthy
	unused    = types.TargetHealthStateEnumUnused
	mismatch  = types.TargetHealthReasonEnumResponseCodeMismatch
)

// TestDiagnose reads each account over the API and tells what is found in it,
// beside what a sound one has: nothing.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	setTargets := func(targets ...types.TargetHealthDescription) func(*elbfake.Account) {
		return func(a *elbfake.Account) { a.Health[groupARN] = targets }
	}
	healthy := target("i-1", 8080, types.TargetHealthStateEnumHealthy, "", "")
	inZone := func(t types.TargetHealthDescription, zone string) types.TargetHealthDescription {
		t.Target.AvailabilityZone = aws.String(zone)
		return t
	}
	both := func(changes ...func(*elbfake.Account)) func(*elbfake.Account) {
		return func(a *elbfake.Account) {
			for _, change := range changes {
				change(a)
			}
		}
	}
	attribute := func(arn, key, value string) func(*elbfake.Account) {
		return func(a *elbfake.Account) { a.Attributes[arn][key] = value }
	}
	group := func(change func(*types.TargetGroup)) func(*elbfake.Account) {
		return func(a *elbfake.Account) { change(&a.TargetGroups[0]) }
	}
	network := func(a *elbfake.Account) {
		g, b := &a.TargetGroups[0], &a.LoadBalancers[0]
		g.Protocol, g.ProtocolVersion = types.ProtocolEnumTcp, nil
		b.Type = types.LoadBalancerTypeEnumNetwork
		a.Listeners = []types.Listener{{
			ListenerArn: aws.String(listenerARN), LoadBalancerArn: aws.String(balancerARN), Protocol: types.ProtocolEnumTcp, Port: aws.Int32(80),
			DefaultActions: []types.Action{forward(groupARN)},
		}}
		a.Rules = nil
		a.Health[groupARN] = []types.TargetHealthDescription{healthy}
	}
	for _, test := range []struct {
		name      string
		change    func(*elbfake.Account)
		measured  targetgroup.Measured
		findings  []string // their ids
		notes     []string // parts of what they say, in order
		undecided []string
	}{
		{name: "all is well", change: setTargets(healthy)},
		{
			name:      "one of two is unhealthy: why, is for probes to find",
			change:    setTargets(healthy, target("10.0.1.23", 8080, unhealthy, mismatch, "Health checks failed with these codes: [301]")),
			undecided: []string{"does Auto Scaling replace instances"},
		},
		{
			name: "no load balancer uses the group",
			change: both(group(func(g *types.TargetGroup) { g.LoadBalancerArns = nil }),
				setTargets(target("i-1", 8080, unused, types.TargetHealthReasonEnumNotInUse, "Target group is not configured to receive traffic from the load balancer"))),
			notes: []string{"no load balancer uses the target group"},
		},
		{
			name: "no rule forwards to the group",
			change: both(func(a *elbfake.Account) { a.Rules[listenerARN] = a.Rules[listenerARN][1:] },
				setTargets(target("i-1", 8080, unused, types.TargetHealthReasonEnumNotInUse, "Target group is not configured to receive traffic from the load balancer"))),
			notes: []string{"no rule of a listener forwards to the target group"},
		},
		{
			name: "a rule with the weight 0",
			change: both(setTargets(healthy), func(a *elbfake.Account) {
				a.Rules[listenerARN][0].Actions[0].ForwardConfig.TargetGroups = []types.TargetGroupTuple{
					{TargetGroupArn: aws.String(groupARN), Weight: aws.Int32(0)}, {TargetGroupArn: aws.String("blue"), Weight: aws.Int32(100)},
				}
			}),
			notes: []string{"gives it the weight 0"},
		},
		{
			name: "a zone that the API tells",
			change: setTargets(healthy, inZone(target("10.0.3.7", 8080, unused, types.TargetHealthReasonEnumNotInUse,
				"Target is in an Availability Zone that is not enabled for the load balancer"), "eu-west-1c")),
			notes: []string{"no node in the target's availability zone"},
		},
		{
			name:   "a zone that only ELB's words tell",
			change: setTargets(healthy, target("i-2", 8080, unused, types.TargetHealthReasonEnumNotInUse, "Target is in an Availability Zone that is not enabled for the load balancer")),
			notes:  []string{"no node in the target's availability zone"},
		},
		{
			name:      "not in use, and nothing tells why",
			change:    setTargets(healthy, target("i-2", 8080, unused, types.TargetHealthReasonEnumNotInUse, "")),
			undecided: []string{"why is i-2 not in use"},
		},
		{
			name: "every other state",
			change: setTargets(
				healthy,
				target("i-2", 8080, types.TargetHealthStateEnumInitial, types.TargetHealthReasonEnumRegistrationInProgress, "Target registration is in progress"),
				target("i-3", 8080, types.TargetHealthStateEnumInitial, types.TargetHealthReasonEnumInitialHealthChecking, "Initial health checks in progress"),
				target("i-4", 8080, types.TargetHealthStateEnumDraining, types.TargetHealthReasonEnumDeregistrationInProgress, "Target deregistration is in progress"),
				target("i-5", 8080, unused, types.TargetHealthReasonEnumInvalidState, "Target is in the stopped state"),
				target("i-6", 8080, unused, types.TargetHealthReasonEnumIpUnusable, ""),
				target("i-7", 8080, unused, types.TargetHealthReasonEnumNotRegistered, ""),
				target("i-8", 8080, unhealthy, types.TargetHealthReasonEnumInternalError, "Health checks failed due to an internal error"),
				target("i-9", 8080, types.TargetHealthStateEnumUnavailable, types.TargetHealthReasonEnumInternalError, ""),
				target("i-10", 8080, types.TargetHealthStateEnumUnavailable, types.TargetHealthReasonEnumHealthCheckDisabled, ""),
				target("i-11", 8080, types.TargetHealthStateEnumUnhealthyDraining, "", ""),
			),
			notes: []string{
				"i-2:8080 is just being registered", "i-3:8080 is new and has no verdict yet", "i-8:8080 is held for unhealthy because of an error of the load balancer's own",
				"i-9:8080 has no verdict because of an error", "i-10:8080 is not checked", "i-11:8080 is unhealthy, and open connections", "i-4:8080 was deregistered",
				"i-7:8080 is not registered", "i-5:8080 is stopped or terminated", "i-6:8080 has an address that a load balancer uses itself",
			},
			undecided: []string{"does Auto Scaling replace instances"},
		},
		{
			name: "a zonal shift",
			change: func(a *elbfake.Account) {
				shifted := healthy
				shifted.AdministrativeOverride = &types.AdministrativeOverride{State: types.TargetAdministrativeOverrideStateEnumZonalShiftActive, Description: aws.String("Zonal shift is in effect for zone eu-west-1a")}
				a.Health[groupARN] = []types.TargetHealthDescription{shifted}
			},
			notes: []string{"i-1 gets no traffic because of a zonal shift"},
		},
		{
			name:      "no target is healthy, and yet traffic flows",
			change:    setTargets(target("i-1", 8080, unhealthy, types.TargetHealthReasonEnumFailedHealthChecks, "Health checks failed"), target("i-2", 8080, unhealthy, mismatch, "Health checks failed with these codes: [500]")),
			findings:  []string{"fail-open-masks"},
			undecided: []string{"does Auto Scaling replace instances"},
		},
		{
			name:      "a new target may still turn healthy",
			change:    setTargets(target("i-1", 8080, unhealthy, mismatch, "Health checks failed with these codes: [500]"), target("i-2", 8080, types.TargetHealthStateEnumInitial, types.TargetHealthReasonEnumInitialHealthChecking, "")),
			notes:     []string{"i-2:8080 is new"},
			undecided: []string{"does Auto Scaling replace instances"},
		},
		{
			name: "fewer are healthy than the group's attribute wants",
			change: both(attribute(groupARN, "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "60"),
				setTargets(healthy, target("i-2", 8080, unhealthy, mismatch, "Health checks failed with these codes: [500]"))),
			notes:     []string{"so few targets are healthy"},
			undecided: []string{"does Auto Scaling replace instances"},
		},
		{
			name:   "an empty group",
			change: setTargets(),
			notes:  []string{"no target is registered"},
		},
		{
			name: "a load balancer that failed",
			change: both(setTargets(healthy), func(a *elbfake.Account) {
				a.LoadBalancers[0].State = &types.LoadBalancerState{Code: types.LoadBalancerStateEnumFailed, Reason: aws.String("no capacity")}
			}),
			notes: []string{"the load balancer site itself is not well"},
		},
		{
			name:      "an answer 2xx that the matcher does not take",
			change:    setTargets(healthy, target("i-2", 8080, unhealthy, mismatch, "Health checks failed with these codes: [204]")),
			findings:  []string{"success-matcher-mismatch"},
			undecided: []string{"does Auto Scaling replace instances"},
		},
		{
			name:      "two codes, of which one is an error",
			change:    setTargets(healthy, target("i-2", 8080, unhealthy, mismatch, "Health checks failed with these codes: [204, 500]")),
			undecided: []string{"does Auto Scaling replace instances"},
		},
		{
			name: "Elastic Beanstalk counts the probes",
			change: both(func(a *elbfake.Account) {
				a.Tags[groupARN] = map[string]string{"elasticbeanstalk:environment-name": "shop-prod"}
			},
				setTargets(healthy, target("i-2", 8080, unhealthy, mismatch, "Health checks failed with these codes: [400]"))),
			findings:  []string{"beanstalk-severe-4xx"},
			undecided: []string{"does Auto Scaling replace instances"},
		},
		{
			name:      "no answer: security groups are not this API's",
			change:    setTargets(healthy, target("i-2", 8080, unhealthy, types.TargetHealthReasonEnumTimeout, "Request timed out")),
			undecided: []string{"does the security group of i-2 let the load balancer's nodes in on port 8080?", "does Auto Scaling"},
		},
		{
			name:      "no answer to the load balancer, but here",
			change:    setTargets(healthy, target("i-2", 8080, unhealthy, types.TargetHealthReasonEnumTimeout, "Request timed out")),
			measured:  targetgroup.Measured{Passed: map[string]bool{"i-2:8080": true}},
			undecided: []string{"what lies between the load balancer and i-2?", "does Auto Scaling"},
		},
		{
			name:      "no answer here either: then the probes tell why",
			change:    setTargets(healthy, target("i-2", 8080, unhealthy, types.TargetHealthReasonEnumTimeout, "Request timed out")),
			measured:  targetgroup.Measured{Passed: map[string]bool{"i-2:8080": false}},
			undecided: []string{"does Auto Scaling"},
		},
		{
			name: "a port that ECS gave",
			change: setTargets(healthy, func() types.TargetHealthDescription {
				h := target("i-2", 49153, unhealthy, types.TargetHealthReasonEnumTimeout, "Request timed out")
				h.HealthCheckPort = aws.String("49153")
				return h
			}()),
			notes:     []string{"the unhealthy target is registered with port 49153, healthy ones with 8080"},
			undecided: []string{"security group of i-2", "ecs-dynamic-port-sg", "does Auto Scaling"},
		},
		{
			name: "a target of another version of HTTP",
			change: both(group(func(g *types.TargetGroup) { g.ProtocolVersion = aws.String("HTTP2") }),
				setTargets(healthy, target("i-2", 8080, unhealthy, types.TargetHealthReasonEnumFailedHealthChecks, "Health checks failed"))),
			undecided: []string{"protocol-version-mismatch-464", "does Auto Scaling"},
		},
		{
			name: "the check asks another port",
			change: both(group(func(g *types.TargetGroup) { g.HealthCheckPort = aws.String("8081") }), setTargets(func() types.TargetHealthDescription {
				h := healthy
				h.HealthCheckPort = aws.String("8081")
				return h
			}())),
			notes: []string{"the health check asks port 8081, users get port 8080"},
		},
		{
			name:   "a matcher that takes redirects",
			change: both(setTargets(healthy), group(func(g *types.TargetGroup) { g.Matcher.HttpCode = aws.String("200-399") })),
			notes:  []string{"a redirect passes the check"},
		},
		{
			name:   "a matcher that takes everything",
			change: both(setTargets(healthy), group(func(g *types.TargetGroup) { g.Matcher.HttpCode = aws.String("200-499") })),
			notes:  []string{"a redirect passes the check", "a page that does not exist passes the check"},
		},
		{
			name: "gRPC's default",
			change: both(setTargets(healthy), group(func(g *types.TargetGroup) {
				g.ProtocolVersion, g.HealthCheckPath, g.Matcher = aws.String("GRPC"), aws.String("/AWS.ALB/healthcheck"), &types.Matcher{GrpcCode: aws.String("12")}
			})),
			notes: []string{"every server of gRPC is healthy to this check"},
		},
		{
			name: "a check over TCP",
			change: both(network, group(func(g *types.TargetGroup) {
				g.HealthCheckProtocol, g.HealthCheckPath, g.Matcher = types.ProtocolEnumTcp, nil, nil
			})),
			notes: []string{"a check over TCP passes as soon as a connection comes about"},
		},
		{
			name: "a Gateway Load Balancer",
			change: both(setTargets(healthy), group(func(g *types.TargetGroup) {
				g.Protocol, g.ProtocolVersion, g.Matcher.HttpCode, g.HealthCheckPort = types.ProtocolEnumGeneve, nil, aws.String("200-399"), aws.String("8080")
			})),
			notes:     []string{"a redirect passes the check"},
			undecided: []string{"what does a Gateway Load Balancer put into its requests?"},
		},
		{
			name: "each zone for itself",
			change: both(network, func(a *elbfake.Account) {
				a.Health[groupARN] = []types.TargetHealthDescription{
					inZone(target("10.0.1.1", 8080, types.TargetHealthStateEnumHealthy, "", ""), "eu-west-1a"),
					inZone(target("10.0.2.1", 8080, unhealthy, types.TargetHealthReasonEnumFailedHealthChecks, "Health checks failed"), "eu-west-1b"),
				}
			}),
			measured:  targetgroup.Measured{Passed: map[string]bool{"10.0.2.1:8080": false}},
			notes:     []string{"no target is healthy in the zone eu-west-1b"},
			undecided: []string{"does Auto Scaling"},
		},
		{
			name: "cross-zone: then it does not matter",
			change: both(network, attribute(groupARN, "load_balancing.cross_zone.enabled", "true"), func(a *elbfake.Account) {
				a.Health[groupARN] = []types.TargetHealthDescription{inZone(target("10.0.1.1", 8080, types.TargetHealthStateEnumHealthy, "", ""), "eu-west-1a")}
			}),
		},
		{
			name:   "requests are cut off",
			change: both(setTargets(healthy), attribute(groupARN, "deregistration_delay.timeout_seconds", "0")),
			notes:  []string{"requests in flight are cut off the moment an instance is removed"},
		},
		{
			name:     "times that do not fit what was measured",
			change:   setTargets(healthy),
			measured: targetgroup.Measured{P99: 6 * time.Second, StartUp: 2 * time.Minute, Grace: elb.Known(time.Minute), Request: 3 * time.Minute},
			findings: []string{"tight-timeout-flapping", "asg-cold-start-vs-grace"},
			notes:    []string{"requests that still run when the deregistration delay is over", "gives up before the slowest request is answered", "keep a worker busy for up to 40 %"},
		},
		{
			name:     "hale stops too soon",
			change:   setTargets(healthy),
			measured: targetgroup.Measured{Instance: elb.Instance{Notice: elb.Known(25 * time.Second)}},
			findings: []string{"shutdown-order-502"},
		},
		{
			name: "tasks of ECS, with the start measured",
			change: both(group(func(g *types.TargetGroup) { g.TargetType = types.TargetTypeEnumIp }),
				setTargets(healthy, target("10.0.1.9", 8080, types.TargetHealthStateEnumInitial, types.TargetHealthReasonEnumInitialHealthChecking, ""))),
			measured:  targetgroup.Measured{StartUp: 8 * time.Second},
			notes:     []string{"10.0.1.9:8080 is new"},
			undecided: []string{"(ecs-kill-loop)? Its service has a grace period, which is 0 unless it was set. It has to be longer than 43s"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			account := webAccount()
			test.change(&account)
			g, err := read(t, elbfake.Start(t, account).URL)
			if err != nil {
				t.Fatal(err)
			}
			g.ScalingAsked, g.ServiceAsked = targetgroup.NotAsked, targetgroup.NotAsked // as from a file: other tests are about these
			d := g.Diagnose(test.measured)
			var ids, notes, undecided []string
			for _, f := range d.Findings {
				ids = append(ids, f.ID)
				if f.What == "" || f.Way == "" || len(f.Evidence) == 0 {
					t.Errorf("finding without evidence or way out: %+v", f)
				}
			}
			for _, n := range d.Notes {
				notes = append(notes, n.What)
				if n.Seen == "" || n.Way == "" {
					t.Errorf("note without evidence or way out: %+v", n)
				}
			}
			for _, u := range d.Undecided {
				undecided = append(undecided, u.What)
				if u.How == "" {
					t.Errorf("undecided without a way to find out: %+v", u)
				}
			}
			if !slices.Equal(ids, test.findings) {
				t.Errorf("findings %q, want %q", ids, test.findings)
			}
			match(t, "notes", notes, test.notes)
			match(t, "undecided", undecided, test.undecided)
		})
	}
}

// match holds that each text has its part, and that there are no others.
func match(t *testing.T, what string, got, parts []string) {
	t.Helper()
	same := len(got) == len(parts)
	for i := range min(len(got), len(parts)) {
		same = same && strings.Contains(got[i], parts[i])
	}
	if !same {
		t.Errorf("%s %q\nwant %q", what, got, parts)
	}
}

// What cannot be read leaves questions open.
func TestDiagnoseWithoutRules(t *testing.T) {
	t.Parallel()
	account := webAccount()
	account.Health[groupARN] = []types.TargetHealthDescription{target("i-1", 8080, unused, types.TargetHealthReasonEnumNotInUse, "")}
	server := elbfake.Start(t, account)
	server.Fail("DescribeListeners", elbfake.Failure{Status: 403, Code: "AccessDenied"})
	g, err := read(t, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	d := g.Diagnose(targetgroup.Measured{})
	if len(d.Findings)+len(d.Notes) > 0 || len(d.Undecided) != 2 || !strings.Contains(d.Undecided[0].What, "does a rule of a listener forward") || !strings.HasPrefix(d.Undecided[1].What, "not read: ") {
		t.Errorf("%+v", d)
	}
}

// Settings alone, as from a file: nothing is claimed of targets and rules.
func TestDiagnoseSettingsAlone(t *testing.T) {
	t.Parallel()
	g, err := targetgroup.Settings(strings.NewReader(printed), "tg.json", "")
	if err != nil {
		t.Fatal(err)
	}
	if d := g.Diagnose(targetgroup.Measured{}); len(d.Findings)+len(d.Notes)+len(d.Undecided) > 0 {
		t.Errorf("%+v", d)
	}
	g, err = targetgroup.Settings(strings.NewReader(`{"HealthCheckIntervalSeconds": 3, "HealthCheckTimeoutSeconds": 2}`), "tg.json", "")
	if err != nil {
		t.Fatal(err)
	}
	if d := g.Diagnose(targetgroup.Measured{}); len(d.Notes) != 1 || d.Notes[0].Seen != "HealthCheckIntervalSeconds 3 is not between 5 and 300" {
		t.Errorf("%+v", d)
	}
}
