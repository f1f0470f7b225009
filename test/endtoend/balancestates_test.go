package endtoend

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"golang.org/x/sys/unix"

	"hale/test/servers"
)

// held is what a target is held for.
type held struct {
	state       types.TargetHealthStateEnum
	reason      types.TargetHealthReasonEnum
	description string
}

// site is a target group with a listener of its own, in a hale balance.
type site struct {
	t      *testing.T
	client *elbv2.Client
	lb     *types.LoadBalancer
	group  string
	port   int // the listener's
	target types.TargetDescription
}

// standing are the words of a target's health.
var (
	healthy           = held{types.TargetHealthStateEnumHealthy, "", ""}
	registering       = held{types.TargetHealthStateEnumInitial, types.TargetHealthReasonEnumRegistrationInProgress, "Target registration is in progress"}
	checking          = held{types.TargetHealthStateEnumInitial, types.TargetHealthReasonEnumInitialHealthChecking, "Initial health checks in progress"}
	mismatch          = held{types.TargetHealthStateEnumUnhealthy, types.TargetHealthReasonEnumResponseCodeMismatch, "Health checks failed with these codes: [404]"}
	timedOut          = held{types.TargetHealthStateEnumUnhealthy, types.TargetHealthReasonEnumTimeout, "Request timed out"}
	failed            = held{types.TargetHealthStateEnumUnhealthy, types.TargetHealthReasonEnumFailedHealthChecks, "Health checks failed"}
	draining          = held{types.TargetHealthStateEnumDraining, types.TargetHealthReasonEnumDeregistrationInProgress, "Target deregistration is in progress"}
	unhealthyDraining = held{types.TargetHealthStateEnumUnhealthyDraining, "", ""}
	notRegistered     = held{types.TargetHealthStateEnumUnused, types.TargetHealthReasonEnumNotRegistered, "Target is not registered to the target group"}
	notInUse          = held{types.TargetHealthStateEnumUnused, types.TargetHealthReasonEnumNotInUse, "Target group is not configured to receive traffic from the load balancer"}
	zoneDisabled      = held{types.TargetHealthStateEnumUnused, types.TargetHealthReasonEnumNotInUse, "Target is in an Availability Zone that is not enabled for the load balancer"}
	ipUnusable        = held{types.TargetHealthStateEnumUnused, types.TargetHealthReasonEnumIpUnusable, "The IP address cannot be used as a target, as it is in use by a load balancer"}
)

// TestEachTargetHealth reaches each state and reason that a target can be held
// for, by an event that brings it about in the world, too. What only Lambda
// functions can have, Target.HealthCheckDisabled, is left out; the states of
// instances are tried with Auto Scaling groups.
func TestEachTargetHealth(t *testing.T) {
	t.Parallel()
	b := &balance{api: servers.FreeAddress(t), dir: filepath.Join(t.TempDir(), "state")}
	b.start(t)
	t.Cleanup(b.kill)
	client := b.client()
	groupNames(t, b, client)
	alb, nlb := createBalancer(t, client, "alb", types.LoadBalancerTypeEnumApplication), createBalancer(t, client, "nlb", types.LoadBalancerTypeEnumNetwork)

	well := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for _, tt := range []struct {
		name string
		lb   *types.LoadBalancer
		app  http.HandlerFunc // nil: nobody listens
		// begin changes the group, or the target before it is registered.
		begin func(*site)
		event func(*site) // after the first states
		first []held      // that come one after the other, before the event
		then  []held
	}{
		{name: "well", lb: alb, app: well, first: []held{registering, healthy}},
		{name: "another status", lb: alb, app: http.NotFound, first: []held{checking, mismatch}},
		{name: "no answer", lb: alb, app: hang, first: []held{checking, timedOut}},
		{name: "nobody listens", lb: alb, first: []held{checking, failed}},
		{name: "another status, network", lb: nlb, app: http.NotFound, first: []held{checking, failed}},
		{name: "deregistered", lb: alb, app: well, first: []held{healthy}, event: (*site).deregister, then: []held{draining, notRegistered}},
		{
			name: "registered again", lb: alb, app: well, first: []held{healthy},
			event: func(s *site) {
				s.deregister()
				s.await(draining)
				s.register()
			},
			then: []held{healthy},
		},
		{name: "no rule any more", lb: alb, app: well, first: []held{healthy}, event: (*site).deleteListener, then: []held{notInUse}},
		{
			name: "another zone", lb: alb, app: well,
			begin: func(s *site) { s.target.AvailabilityZone = aws.String("us-east-1f") }, first: []held{zoneDisabled},
		},
		{
			name: "the load balancer itself", lb: alb, app: well,
			begin: func(s *site) { s.target.Port = aws.Int32(int32(s.port)) }, first: []held{ipUnusable},
		},
		{
			name: "sick, its connections go on for a while", lb: nlb, app: turns(), first: []held{healthy, unhealthyDraining, failed},
			begin: func(s *site) {
				s.set("target_health_state.unhealthy.connection_termination.enabled", "false")
				s.set("target_health_state.unhealthy.draining_interval_seconds", "3")
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, client, tt.lb, tt.app)
			if tt.begin != nil {
				tt.begin(s)
			}
			s.register()
			for _, want := range tt.first {
				s.await(want)
			}
			if tt.event != nil {
				tt.event(s)
			}
			for _, want := range tt.then {
				s.await(want)
			}
		})
	}
}

// TestTheBalancersOwnFault takes its file descriptors from hale balance: its
// targets are not to blame for the probes that it cannot send.
func TestTheBalancersOwnFault(t *testing.T) {
	t.Parallel()
	b := &balance{api: servers.FreeAddress(t), dir: filepath.Join(t.TempDir(), "state")}
	b.start(t)
	t.Cleanup(b.kill)
	client := b.client()
	groupNames(t, b, client)
	well := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	application := newSite(t, client, createBalancer(t, client, "alb", types.LoadBalancerTypeEnumApplication), well)
	network := newSite(t, client, createBalancer(t, client, "nlb", types.LoadBalancerTypeEnumNetwork), well)
	for _, s := range []*site{application, network} {
		s.register()
		s.await(healthy)
	}
	var before unix.Rlimit
	if err := unix.Prlimit(b.command.Process.Pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		t.Fatal(err)
	}
	few := unix.Rlimit{Cur: 1, Max: before.Max}
	if err := unix.Prlimit(b.command.Process.Pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Fatal(err)
	}
	// The API cannot take connections either; what happens is in the log.
	for _, wait := range []string{`"state":"unhealthy","was":"healthy","reason":"Elb.InternalError"`, `"state":"unavailable","was":"healthy","reason":"Elb.InternalError"`} {
		for deadline := time.Now().Add(patience); !strings.Contains(b.output(t), wait); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not in the log: %s\n%s", wait, b.output(t))
			}
		}
	}
	if err := unix.Prlimit(b.command.Process.Pid, unix.RLIMIT_NOFILE, &before, nil); err != nil {
		t.Fatal(err)
	}
	application.await(healthy)
	network.await(healthy)
}

// turns is an app that is well once, and then sick.
func turns() http.HandlerFunc {
	asked := false
	return func(w http.ResponseWriter, _ *http.Request) {
		if asked {
			w.WriteHeader(http.StatusNotFound)
		}
		asked = true
	}
}

func createBalancer(t *testing.T, client *elbv2.Client, name string, typ types.LoadBalancerTypeEnum) *types.LoadBalancer {
	t.Helper()
	made, err := client.CreateLoadBalancer(t.Context(), &elbv2.CreateLoadBalancerInput{
		Name: &name, Type: typ, Scheme: types.LoadBalancerSchemeEnumInternal, Subnets: []string{"subnet-a"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &made.LoadBalancers[0]
}

// newSite makes a target group whose target is to be the app, checked each 5
// seconds, and a listener that forwards to it.
func newSite(t *testing.T, client *elbv2.Client, lb *types.LoadBalancer, app http.HandlerFunc) *site {
	t.Helper()
	s := &site{t: t, client: client, lb: lb, port: servers.FreePort(t)}
	port := servers.FreePort(t)
	if app != nil {
		server := httptest.NewServer(app)
		t.Cleanup(server.Close)
		port = server.Listener.Addr().(*net.TCPAddr).Port
	}
	s.target = types.TargetDescription{Id: aws.String("127.0.0.1"), Port: aws.Int32(int32(port))}
	protocol := types.ProtocolEnumHttp
	if lb.Type == types.LoadBalancerTypeEnumNetwork {
		protocol = types.ProtocolEnumTcp
	}
	group, err := client.CreateTargetGroup(t.Context(), &elbv2.CreateTargetGroupInput{
		Name: aws.String("g" + strconv.Itoa(s.port)), Protocol: protocol, Port: aws.Int32(80), TargetType: types.TargetTypeEnumIp, VpcId: aws.String("vpc-1"),
		HealthCheckProtocol: types.ProtocolEnumHttp, HealthCheckIntervalSeconds: aws.Int32(5), HealthCheckTimeoutSeconds: aws.Int32(2),
		HealthyThresholdCount: aws.Int32(2), UnhealthyThresholdCount: aws.Int32(2), Matcher: &types.Matcher{HttpCode: aws.String("200")},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.group = *group.TargetGroups[0].TargetGroupArn
	s.set("deregistration_delay.timeout_seconds", "2")
	_, err = client.CreateListener(t.Context(), &elbv2.CreateListenerInput{
		LoadBalancerArn: lb.LoadBalancerArn, Protocol: protocol, Port: aws.Int32(int32(s.port)),
		DefaultActions: []types.Action{{Type: types.ActionTypeEnumForward, TargetGroupArn: &s.group}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// set sets an attribute of the group.
func (s *site) set(key, value string) {
	s.t.Helper()
	_, err := s.client.ModifyTargetGroupAttributes(s.t.Context(), &elbv2.ModifyTargetGroupAttributesInput{
		TargetGroupArn: &s.group, Attributes: []types.TargetGroupAttribute{{Key: &key, Value: &value}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) register() {
	s.t.Helper()
	_, err := s.client.RegisterTargets(s.t.Context(), &elbv2.RegisterTargetsInput{TargetGroupArn: &s.group, Targets: []types.TargetDescription{s.target}})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) deregister() {
	s.t.Helper()
	_, err := s.client.DeregisterTargets(s.t.Context(), &elbv2.DeregisterTargetsInput{TargetGroupArn: &s.group, Targets: []types.TargetDescription{s.target}})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) deleteListener() {
	s.t.Helper()
	listeners, err := s.client.DescribeListeners(s.t.Context(), &elbv2.DescribeListenersInput{LoadBalancerArn: s.lb.LoadBalancerArn})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, l := range listeners.Listeners {
		if *l.Port != int32(s.port) {
			continue
		}
		if _, err := s.client.DeleteListener(s.t.Context(), &elbv2.DeleteListenerInput{ListenerArn: l.ListenerArn}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// await waits until the target is held for what is wanted.
func (s *site) await(want held) {
	s.t.Helper()
	var last held
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		health, err := s.client.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: &s.group, Targets: []types.TargetDescription{s.target}})
		cancel()
		if err != nil {
			s.t.Fatal(err)
		}
		h := health.TargetHealthDescriptions[0].TargetHealth
		if last = (held{h.State, h.Reason, aws.ToString(h.Description)}); last == want {
			return
		}
	}
	s.t.Fatalf("the target is held for %+v, want %+v", last, want)
}
