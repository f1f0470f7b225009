package doctor_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/doctor"
	"hale/internal/elb"
	"hale/internal/probe"
	"hale/internal/targetgroup"
	"hale/test/elbfake"
	"hale/test/sites"
)

// examineGroup starts a target group and lets the doctor examine it, which asks
// the ELBv2 API, or reads a file, as it would of a real one.
func examineGroup(t *testing.T, c sites.GroupCase) (r doctor.GroupReport, started sites.Group) {
	t.Helper()
	started = c.Start(t)
	account := accountOf(t, &started)
	var g targetgroup.Group
	var err error
	if started.Beside != "" && !started.Asked {
		g, err = targetgroup.Settings(strings.NewReader(printed(t, account)+started.Beside), "settings", "")
	} else {
		account.Beside = started.Beside
		g, err = targetgroup.Read(t.Context(), targetgroup.Options{
			Group: groupARN, Endpoint: elbfake.Start(t, account).URL, Lookup: func(string) string { return "" },
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	r, err = doctor.ExamineGroup(ctx, doctor.GroupOptions{
		Options: doctor.Options{Domain: sites.Domain, Inside: c.Inside, Group: &g, IdleWait: -1, Owned: owned(c.Inside)},
		Source:  netip.MustParseAddr(sites.Prober),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, started
}

// judgeGroupAlone examines a group in a network of its own, where that is wanted.
func judgeGroupAlone(t *testing.T, c sites.GroupCase, results *found) {
	t.Helper()
	if !c.Alone {
		judgeGroup(t, c, results)
		return
	}
	r, outside := inOwnNetwork(t, func() doctor.GroupReport {
		judgeGroup(t, c, results)
		return results.groups[c.Name]
	})
	if outside {
		results.addGroup(c.Name, r)
	}
}

// judgeGroup examines a group until all is right, twice at most.
func judgeGroup(t *testing.T, c sites.GroupCase, results *found) {
	t.Helper()
	for try := 1; ; try++ {
		r, started := examineGroup(t, c)
		wrong := groupFaults(c, r)
		if len(wrong) == 0 || try == tries {
			results.addGroup(c.Name, r)
		}
		if len(wrong) == 0 {
			for _, text := range sites.ProveGroup(t, c, started) {
				t.Errorf("its targets have not the faults that they are there for: %s", text)
			}
			return
		}
		for i := range r.Targets {
			if one := r.Targets[i].Report; one != nil {
				short := shortened(*one)
				r.Targets[i].Report = &short
			}
		}
		r.Findings = shortened(doctor.Report{Findings: r.Findings}).Findings
		report, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("try %d: %s\nreport: %s", try, strings.Join(wrong, "; "), report)
		if try == tries {
			t.Error(text)
			return
		}
		t.Log(text)
	}
}

// groupFaults are what is wrong with a group's report.
func groupFaults(c sites.GroupCase, r doctor.GroupReport) (wrong []string) {
	if ids := ids(r.Findings); !slices.Equal(ids, c.Findings) {
		wrong = append(wrong, fmt.Sprintf("found %v of the group, want %v", ids, c.Findings))
	}
	for i, t := range r.Targets {
		var found []string
		if t.Report != nil {
			found = findings(*t.Report)
			if t.Report.Requests > doctor.MostRequests {
				wrong = append(wrong, fmt.Sprintf("%d requests to target %d, more than %d", t.Report.Requests, i+1, doctor.MostRequests))
			}
		}
		if !slices.Equal(found, c.Of[i]) {
			wrong = append(wrong, fmt.Sprintf("found %v of target %d, want %v", found, i+1, c.Of[i]))
		}
	}
	for _, f := range r.Findings {
		if len(f.Evidence) == 0 || len(f.Fixes) == 0 {
			wrong = append(wrong, fmt.Sprintf("%s lacks evidence or fixes", f.ID))
		}
	}
	if healthy := c.Row == "healthy"; r.Healthy != healthy {
		wrong = append(wrong, fmt.Sprintf("healthy: %v, want %v", r.Healthy, healthy))
	}
	return wrong
}

// groupLine is what the table says of a group.
func groupLine(c sites.GroupCase, r doctor.GroupReport) string {
	var parts []string
	if len(r.Findings) > 0 {
		parts = append(parts, "of the group: "+strings.Join(ids(r.Findings), ", "))
	}
	for i, t := range r.Targets {
		if t.Report != nil && len(t.Report.Findings) > 0 {
			parts = append(parts, fmt.Sprintf("of target %d: %s", i+1, strings.Join(findings(*t.Report), ", ")))
		}
	}
	verdict := "yes"
	if len(groupFaults(c, r)) > 0 {
		verdict = "no"
	}
	what := strings.Join(parts, "; ")
	if what == "" {
		what = "nothing"
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", c.Name, c.Row, what, verdict)
}

const (
	arnPrefix   = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:"
	groupARN    = arnPrefix + "targetgroup/shop/73e2d6bc24d8a067"
	balancerARN = arnPrefix + "loadbalancer/app/site/50dc6c495c0c9188"
	listenerARN = arnPrefix + "listener/app/site/50dc6c495c0c9188/f2f7dc8efc522ab2"
)

// accountOf is an account with the group behind an Application Load Balancer,
// which calls its targets what its own probe is answered.
func accountOf(t *testing.T, g *sites.Group) elbfake.Account {
	t.Helper()
	group := types.TargetGroup{
		TargetGroupArn: aws.String(groupARN), TargetGroupName: aws.String("shop"),
		Protocol: types.ProtocolEnumHttp, ProtocolVersion: aws.String("HTTP1"), Port: aws.Int32(80), TargetType: types.TargetTypeEnumIp,
		HealthCheckEnabled: aws.Bool(true), HealthCheckProtocol: types.ProtocolEnumHttp, HealthCheckPort: aws.String("traffic-port"),
		HealthCheckIntervalSeconds: aws.Int32(60), HealthCheckTimeoutSeconds: aws.Int32(20), HealthyThresholdCount: aws.Int32(5), UnhealthyThresholdCount: aws.Int32(2),
		LoadBalancerArns: []string{balancerARN},
	}
	if g.Timeout != 0 {
		group.HealthCheckTimeoutSeconds = aws.Int32(int32(g.Timeout / time.Second))
	}
	if g.Interval != 0 {
		group.HealthCheckIntervalSeconds = aws.Int32(int32(g.Interval / time.Second))
	}
	if g.Path != "" {
		group.HealthCheckPath = aws.String(g.Path)
	}
	if g.Version != "" {
		group.ProtocolVersion = aws.String(g.Version)
	}
	if g.Instances {
		group.TargetType = types.TargetTypeEnumInstance
	}
	account := elbfake.Account{
		TargetGroups: []types.TargetGroup{group},
		LoadBalancers: []types.LoadBalancer{{
			LoadBalancerArn: aws.String(balancerARN), LoadBalancerName: aws.String("site"), Type: types.LoadBalancerTypeEnumApplication,
			State: &types.LoadBalancerState{Code: types.LoadBalancerStateEnumActive}, SecurityGroups: []string{"sg-balancer"},
			AvailabilityZones: []types.AvailabilityZone{{ZoneName: aws.String("eu-west-1a")}, {ZoneName: aws.String("eu-west-1b")}},
		}},
		Listeners: []types.Listener{{
			ListenerArn: aws.String(listenerARN), LoadBalancerArn: aws.String(balancerARN), Protocol: types.ProtocolEnumHttps, Port: aws.Int32(443),
			DefaultActions: []types.Action{{Type: types.ActionTypeEnumForward, TargetGroupArn: aws.String(groupARN)}},
		}},
		Rules: map[string][]types.Rule{listenerARN: {{
			Priority: aws.String("default"), Actions: []types.Action{{Type: types.ActionTypeEnumForward, TargetGroupArn: aws.String(groupARN)}},
		}}},
		Health: map[string][]types.TargetHealthDescription{},
		Tags:   map[string]map[string]string{groupARN: g.Tags},
	}
	for i, s := range g.Sites {
		host, text, err := net.SplitHostPort(s.Address)
		if err != nil {
			t.Fatal(err)
		}
		port, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		id := host
		if g.Instances {
			id = "i-0f76fade0"
		}
		health := verdict(t, g, s)
		if len(g.Verdicts) > i && g.Verdicts[i] != "" {
			reason, description, _ := strings.Cut(g.Verdicts[i], " ")
			health = unhealthy(types.TargetHealthReasonEnum(reason), description)
			if strings.HasPrefix(reason, "Elb.") {
				health.State = types.TargetHealthStateEnumInitial
			}
		}
		account.Health[groupARN] = append(account.Health[groupARN], types.TargetHealthDescription{
			Target: &types.TargetDescription{Id: aws.String(id), Port: aws.Int32(int32(port))}, HealthCheckPort: aws.String(text), TargetHealth: health,
		})
	}
	return account
}

// verdict is what the load balancer comes to when it probes a target.
func verdict(t *testing.T, g *sites.Group, s sites.Site) *types.TargetHealth {
	t.Helper()
	settings := fmt.Sprintf(`{"Protocol": "HTTP", "ProtocolVersion": %q, "HealthCheckTimeoutSeconds": %d}`, g.Version, cmp.Or(int(g.Timeout/time.Second), 20))
	group, err := targetgroup.Settings(strings.NewReader(settings), "settings", "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := group.ProbeURL(t.Context(), "http://"+s.Address+g.Path)
	if err != nil {
		t.Fatal(err)
	}
	p.Source = netip.MustParseAddr(sites.Prober)
	switch a := p.Send(t.Context()); {
	case a.Healthy:
		return &types.TargetHealth{State: types.TargetHealthStateEnumHealthy}
	case a.Outcome == probe.Answered && a.Reason == elb.ResponseCodeMismatch:
		return unhealthy(types.TargetHealthReasonEnumResponseCodeMismatch, fmt.Sprintf("Health checks failed with these codes: [%d]", a.Status))
	default:
		return unhealthy(types.TargetHealthReasonEnumFailedHealthChecks, "Health checks failed")
	}
}

func unhealthy(reason types.TargetHealthReasonEnum, description string) *types.TargetHealth {
	return &types.TargetHealth{State: types.TargetHealthStateEnumUnhealthy, Reason: reason, Description: aws.String(description)}
}

// printed is what the aws command prints of an account.
func printed(t *testing.T, a elbfake.Account) string {
	t.Helper()
	var b bytes.Buffer
	for _, document := range []any{
		map[string]any{"TargetGroups": a.TargetGroups},
		map[string]any{"TargetHealthDescriptions": a.Health[groupARN]},
		map[string]any{"LoadBalancers": a.LoadBalancers},
		map[string]any{"Listeners": a.Listeners},
	} {
		content, err := json.MarshalIndent(document, "", "    ")
		if err != nil {
			t.Fatal(err)
		}
		b.Write(content)
		b.WriteByte('\n')
	}
	return b.String()
}
