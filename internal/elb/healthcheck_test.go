package elb

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDefaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		kind Kind
		set  HealthCheck
		want HealthCheck
	}{
		{
			"a group of an Application Load Balancer",
			Kind{Protocol: HTTP},
			HealthCheck{},
			HealthCheck{Protocol: HTTP, Path: "/", Matcher: "200", Interval: 30 * time.Second, Timeout: 5 * time.Second, Healthy: 5, Unhealthy: 2},
		},
		{
			"of gRPC",
			Kind{Protocol: HTTPS, Version: GRPC},
			HealthCheck{},
			HealthCheck{Protocol: HTTP, Path: "/AWS.ALB/healthcheck", Matcher: "12", Interval: 30 * time.Second, Timeout: 5 * time.Second, Healthy: 5, Unhealthy: 2},
		},
		{
			"of a Lambda function",
			Kind{Targets: Lambda},
			HealthCheck{Disabled: true},
			HealthCheck{Disabled: true, Protocol: HTTP, Path: "/", Matcher: "200", Interval: 35 * time.Second, Timeout: 30 * time.Second, Healthy: 5, Unhealthy: 5},
		},
		{
			"of a Network Load Balancer",
			Kind{Protocol: UDP},
			HealthCheck{},
			HealthCheck{Protocol: TCP, Interval: 30 * time.Second, Timeout: 10 * time.Second, Healthy: 5, Unhealthy: 2},
		},
		{
			"of a Network Load Balancer that asks over HTTP",
			Kind{Protocol: TCP},
			HealthCheck{Protocol: HTTP},
			HealthCheck{Protocol: HTTP, Path: "/", Matcher: "200-399", Interval: 30 * time.Second, Timeout: 6 * time.Second, Healthy: 5, Unhealthy: 2},
		},
		{
			"of a Network Load Balancer that asks over HTTPS",
			Kind{Protocol: TLS},
			HealthCheck{Protocol: HTTPS},
			HealthCheck{Protocol: HTTPS, Path: "/", Matcher: "200-399", Interval: 30 * time.Second, Timeout: 10 * time.Second, Healthy: 5, Unhealthy: 2},
		},
		{
			"of an ALB behind a Network Load Balancer",
			Kind{Protocol: TCP, Targets: Balancers},
			HealthCheck{},
			HealthCheck{Protocol: HTTP, Path: "/", Matcher: "200-399", Interval: 30 * time.Second, Timeout: 6 * time.Second, Healthy: 5, Unhealthy: 2},
		},
		{
			"of a Gateway Load Balancer",
			Kind{Protocol: GENEVE},
			HealthCheck{},
			HealthCheck{Protocol: TCP, Port: 80, Interval: 10 * time.Second, Timeout: 5 * time.Second, Healthy: 5, Unhealthy: 2},
		},
		{
			"what is set stays",
			Kind{Protocol: HTTP},
			HealthCheck{Protocol: HTTPS, Port: 8081, Path: "/up", Matcher: "200,204", Interval: 5 * time.Second, Timeout: 2 * time.Second, Healthy: 2, Unhealthy: 3},
			HealthCheck{Protocol: HTTPS, Port: 8081, Path: "/up", Matcher: "200,204", Interval: 5 * time.Second, Timeout: 2 * time.Second, Healthy: 2, Unhealthy: 3},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.set.WithDefaults(test.kind)
			if got != test.want {
				t.Errorf("= %+v\nwant %+v", got, test.want)
			}
			if faults := got.Faults(test.kind); len(faults) > 0 {
				t.Errorf("ELB's own defaults are refused: %v", faults)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	alb, nlb, grpc := Kind{Protocol: HTTP}, Kind{Protocol: TCP}, Kind{Protocol: HTTP, Version: GRPC}
	for _, test := range []struct {
		name  string
		kind  Kind
		check HealthCheck
		want  []string // the faults; none: it is taken
	}{
		{"the shortest that there is", alb, HealthCheck{Interval: 5 * time.Second, Timeout: 2 * time.Second, Healthy: 2, Unhealthy: 2}, nil},
		{"the longest", alb, HealthCheck{Interval: 300 * time.Second, Timeout: 120 * time.Second, Healthy: 10, Unhealthy: 10, Path: "/" + strings.Repeat("x", 1023)}, nil},
		{"interval too short", alb, HealthCheck{Interval: 4 * time.Second, Timeout: 2 * time.Second}, []string{"HealthCheckIntervalSeconds 4 is not between 5 and 300"}},
		{"interval too long", nlb, HealthCheck{Interval: 301 * time.Second}, []string{"HealthCheckIntervalSeconds 301 is not between 5 and 300"}},
		{"half a second", nlb, HealthCheck{Interval: 10500 * time.Millisecond}, []string{"HealthCheckIntervalSeconds 10.5s is not a whole number of seconds"}},
		{"time-out too short", alb, HealthCheck{Timeout: time.Second}, []string{"HealthCheckTimeoutSeconds 1 is not between 2 and 120"}},
		{"time-out as long as the interval", alb, HealthCheck{Interval: 5 * time.Second}, []string{"HealthCheckTimeoutSeconds 5 is not smaller than HealthCheckIntervalSeconds 5"}},
		{"the same is taken by a Network Load Balancer", nlb, HealthCheck{Interval: 10 * time.Second, Timeout: 10 * time.Second}, nil},
		{"but not more", nlb, HealthCheck{Interval: 5 * time.Second, Timeout: 6 * time.Second}, []string{"HealthCheckTimeoutSeconds 6 is greater than HealthCheckIntervalSeconds 5"}},
		{"thresholds", alb, HealthCheck{Healthy: 1, Unhealthy: 11}, []string{"HealthyThresholdCount 1 is not between 2 and 10", "UnhealthyThresholdCount 11 is not between 2 and 10"}},
		{"TCP for an Application Load Balancer", alb, HealthCheck{Protocol: TCP}, []string{"HealthCheckProtocol TCP is not possible for a group of protocol HTTP with targets of type instance: HTTP or HTTPS"}},
		{"TCP for an ALB as target", Kind{Protocol: TCP, Targets: Balancers}, HealthCheck{Protocol: TCP}, []string{"HealthCheckProtocol TCP is not possible for a group of protocol TCP with targets of type alb: HTTP or HTTPS"}},
		{"no protocol of health checks", nlb, HealthCheck{Protocol: UDP}, []string{"HealthCheckProtocol UDP is none that health checks speak: HTTP, HTTPS or TCP"}},
		{"switched off", alb, HealthCheck{Disabled: true}, []string{"HealthCheckEnabled false is possible for targets of type lambda alone"}},
		{"port", alb, HealthCheck{Port: 70000}, []string{"HealthCheckPort 70000 is neither traffic-port nor between 1 and 65535"}},
		{"path without a slash", alb, HealthCheck{Path: "health"}, []string{`HealthCheckPath "health" does not begin with /`}},
		{"path too long", alb, HealthCheck{Path: "/" + strings.Repeat("x", 1024)}, []string{"HealthCheckPath is longer than 1024 characters"}},
		{"a 5xx can never be healthy behind an ALB", alb, HealthCheck{Matcher: "200-500"}, []string{"Matcher.HttpCode 200-500 is not within 200-499, the codes that a health check may have there"}},
		{"but behind an NLB", nlb, HealthCheck{Protocol: HTTP, Matcher: "200-599"}, nil},
		{"codes of HTTP for gRPC", grpc, HealthCheck{Matcher: "200"}, []string{"Matcher.GrpcCode 200 is not within 0-99, the codes that a health check may have there"}},
		{"codes of gRPC", grpc, HealthCheck{Matcher: "0,12"}, nil},
		{"no codes", alb, HealthCheck{Matcher: "2xx"}, []string{`Matcher.HttpCode "2xx" is no code and no range of codes; write them as in "200" or "200-299,404"`}},
		{"a Gateway Load Balancer has one matcher", Kind{Protocol: GENEVE}, HealthCheck{Protocol: HTTP, Matcher: "200"}, []string{"Matcher.HttpCode 200 is not 200-399, the only one that a Gateway Load Balancer has"}},
		{"a matcher for TCP", nlb, HealthCheck{Matcher: "200"}, []string{"Matcher 200 is of no use: a health check of protocol TCP sees no status"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, fault := range test.check.Faults(test.kind) {
				got = append(got, fault.Error())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("= %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestBalancer(t *testing.T) {
	t.Parallel()
	want := map[Protocol]Balancer{HTTP: Application, HTTPS: Application, GENEVE: Gateway}
	for _, p := range Protocols() {
		balancer := want[p]
		if balancer == "" {
			balancer = Network
		}
		if got := (Kind{Protocol: p}).Balancer(); got != balancer {
			t.Errorf("%s is for %s, want %s", p, got, balancer)
		}
	}
	if got := (Kind{Targets: Lambda}).Balancer(); got != Application {
		t.Errorf("functions are for %s", got)
	}
}
