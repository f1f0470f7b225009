package targetgroup_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/targetgroup"
	"hale/test/elbfake"
)

const (
	clusterARN = "arn:aws:ecs:eu-west-1:123456789012:cluster/prod"
	interfaces = `{"NetworkInterfaces": [
	{"NetworkInterfaceId": "eni-1", "VpcId": "vpc-other", "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.1.5", "Primary": true}], "Ipv6Addresses": [], "Groups": [{"GroupId": "sg-other", "GroupName": "other"}]},
	{"NetworkInterfaceId": "eni-2", "VpcId": "vpc-3ac0fb5f", "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.1.4", "Primary": true}, {"PrivateIpAddress": "10.0.1.5", "Primary": false}], "Ipv6Addresses": [], "Groups": [{"GroupId": "sg-app", "GroupName": "app"}]}
]}`
	// kept is a service of ECS whose tasks have ports that ECS chooses.
	kept = `{"services": [
	{"serviceName": "mail", "serviceArn": "arn:aws:ecs:eu-west-1:123456789012:service/prod/mail", "clusterArn": "` + clusterARN + `", "loadBalancers": []},
	{"serviceName": "shop", "serviceArn": "arn:aws:ecs:eu-west-1:123456789012:service/prod/shop", "clusterArn": "` + clusterARN + `", "taskDefinition": "arn:aws:ecs:eu-west-1:123456789012:task-definition/shop:7",
		"loadBalancers": [{"targetGroupArn": "` + groupARN + `", "containerName": "web", "containerPort": 3000}], "healthCheckGracePeriodSeconds": 0,
		"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}},
		"deployments": [{"id": "ecs-svc/1", "status": "PRIMARY", "failedTasks": 14, "rolloutState": "IN_PROGRESS", "rolloutStateReason": "ECS deployment ecs-svc/1 in progress."}]}
], "failures": []}
{"taskDefinition": {"taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/shop:7", "family": "shop", "revision": 7, "networkMode": "bridge", "containerDefinitions": [
	{"name": "log", "portMappings": []},
	{"name": "web", "portMappings": [{"containerPort": 3000, "hostPort": 0, "protocol": "tcp"}], "healthCheck": {"command": ["CMD-SHELL", "curl -f http://localhost:3000/ || exit 1"], "interval": 30, "timeout": 5, "retries": 3, "startPeriod": 10}}
]}}`
)

// silentAccount has a group with one target, which the load balancer does not
// hear.
func silentAccount(kind types.TargetTypeEnum, id string, port int32, beside string) elbfake.Account {
	a := webAccount()
	a.TargetGroups[0].TargetType = kind
	a.LoadBalancers[0].SecurityGroups = []string{"sg-lb"}
	h := target(id, port, types.TargetHealthStateEnumUnhealthy, types.TargetHealthReasonEnumTimeout, "Request timed out")
	h.HealthCheckPort = aws.String(fmt.Sprint(port))
	a.Health[groupARN] = []types.TargetHealthDescription{h}
	a.Beside = beside
	return a
}

// TestReadAround: other services tell the same through their APIs as they do
// through a file.
func TestReadAround(t *testing.T) {
	t.Parallel()
	instance, address := types.TargetTypeEnumInstance, types.TargetTypeEnumIp
	failing := targetgroup.Measured{Passed: map[string]bool{"10.0.1.5:3000": false}}
	for _, test := range []struct {
		name     string
		account  elbfake.Account
		pageSize int
		measured targetgroup.Measured
		findings []string
		evidence string // that some of it has in it
		notes    []string
		open     []string // what is not decided
		asked    []string // of other services
	}{
		{
			name: "a security group without the port", account: silentAccount(instance, "i-1", 49153, instances+fixedPorts),
			findings: []string{"fail-open-masks", "firewall-drop"}, evidence: "security group sg-app admits: port 8080 from sg-lb",
			asked: []string{"DescribeAutoScalingGroups", "ListClusters", "DescribeInstances", "DescribeSecurityGroups"},
		},
		{
			name: "the same, and the task definition says that ECS gave it", account: silentAccount(instance, "i-1", 49153, instances+fixedPorts+kept),
			findings: []string{"fail-open-masks", "ecs-dynamic-port-sg"}, evidence: "task definition shop:7, container port 3000: no host port of its own",
			notes: []string{"fails the check of its task definition"},
			asked: []string{"DescribeAutoScalingGroups", "ListClusters", "ListServices", "DescribeServices", "DescribeTaskDefinition", "DescribeInstances", "DescribeSecurityGroups"},
		},
		{
			name: "a high port that the task definition has", account: silentAccount(instance, "i-1", 49153, instances+fixedPorts+strings.Replace(kept, `"hostPort": 0`, `"hostPort": 49153`, 1)),
			findings: []string{"fail-open-masks", "firewall-drop"}, evidence: "security group sg-app",
			notes: []string{"fails the check of its task definition"},
			asked: []string{"DescribeAutoScalingGroups", "ListClusters", "ListServices", "DescribeServices", "DescribeTaskDefinition", "DescribeInstances", "DescribeSecurityGroups"},
		},
		{
			name: "an address, with its network interface", account: silentAccount(address, "10.0.1.5", 3000, interfaces+fixedPorts),
			findings: []string{"fail-open-masks", "firewall-drop"}, evidence: "security group sg-app admits: port 8080 from sg-lb",
			asked: []string{"ListClusters", "DescribeNetworkInterfaces", "DescribeSecurityGroups"},
		},
		{
			name: "an address that nobody in the VPC has", account: silentAccount(address, "10.0.9.9", 3000, interfaces+fixedPorts),
			findings: []string{"fail-open-masks"}, open: []string{"does the security group of 10.0.9.9"},
			asked: []string{"ListClusters", "DescribeNetworkInterfaces"},
		},
		{
			name: "security groups that let it in", account: silentAccount(instance, "i-1", 49153, instances+allPorts),
			findings: []string{"fail-open-masks"}, open: []string{"security group sg-app may let it in (ports 32768-65535 from sg-lb): a network ACL"},
			asked: []string{"DescribeAutoScalingGroups", "ListClusters", "DescribeInstances", "DescribeSecurityGroups"},
		},
		{
			name: "a service without grace", account: silentAccount(address, "10.0.1.5", 3000, kept), measured: failing,
			findings: []string{"fail-open-masks", "ecs-kill-loop"}, evidence: "describe-services: deployments: IN_PROGRESS, failed tasks: 14",
			notes: []string{"fails the check of its task definition"},
			asked: []string{"ListClusters", "ListServices", "DescribeServices", "DescribeTaskDefinition", "DescribeNetworkInterfaces"},
		},
		{
			name: "the same in small pages", account: silentAccount(address, "10.0.1.5", 3000, kept), measured: failing, pageSize: 1,
			findings: []string{"fail-open-masks", "ecs-kill-loop"}, evidence: "describe-services: deployments",
			notes: []string{"fails the check of its task definition"},
			asked: []string{"ListClusters", "ListServices", "DescribeServices", "ListServices", "DescribeServices", "DescribeTaskDefinition", "DescribeNetworkInterfaces"},
		},
		{
			name: "addresses that ECS does not register", account: silentAccount(address, "10.0.1.5", 3000, ""), measured: failing,
			findings: []string{"fail-open-masks"},
			asked:    []string{"ListClusters", "DescribeNetworkInterfaces"},
		},
		{
			name: "an Auto Scaling group without grace", account: silentAccount(instance, "i-1", 3000, scalingELB+kept),
			measured: targetgroup.Measured{StartUp: time.Minute, Passed: map[string]bool{"i-1:3000": false}},
			findings: []string{"fail-open-masks", "asg-cold-start-vs-grace"}, evidence: "grace period 0s",
			asked: []string{"DescribeAutoScalingGroups", "DescribeInstances"},
		},
		{
			name: "one that names the group as a traffic source", account: silentAccount(instance, "i-1", 3000, strings.Replace(scalingEC2, `"TargetGroupARNs": ["`+groupARN+`"]`, `"TrafficSources": [{"Identifier": "`+groupARN+`"}]`, 1)),
			measured: failing, findings: []string{"fail-open-masks"},
			notes: []string{"Auto Scaling does not replace instances"}, open: []string{"does the security group of i-1"},
			asked: []string{"DescribeAutoScalingGroups", "DescribeInstances"},
		},
		{
			name: "one of another group", account: silentAccount(instance, "i-1", 3000, strings.ReplaceAll(scalingEC2, groupARN, groupARN+"9")),
			findings: []string{"fail-open-masks"}, open: []string{"does the security group of i-1"},
			asked: []string{"DescribeAutoScalingGroups", "ListClusters", "DescribeInstances"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.account.PageSize = test.pageSize
			server := elbfake.Start(t, test.account)
			g, err := read(t, server.URL)
			if err != nil {
				t.Fatal(err)
			}
			d := g.Diagnose(test.measured)
			var ids, notes, open, evidence []string
			for _, f := range d.Findings {
				ids = append(ids, f.ID)
				for _, e := range f.Evidence {
					evidence = append(evidence, e.Change+": "+e.Before)
				}
			}
			for _, n := range d.Notes {
				notes = append(notes, n.What)
			}
			for _, u := range d.Undecided {
				open = append(open, u.What)
			}
			if !slices.Equal(ids, test.findings) {
				t.Errorf("findings %q, want %q", ids, test.findings)
			}
			if !slices.ContainsFunc(evidence, func(e string) bool { return strings.Contains(e, test.evidence) }) {
				t.Errorf("evidence %q, want %q", evidence, test.evidence)
			}
			match(t, "notes", notes, test.notes)
			match(t, "not decided", open, test.open)
			if asked := others(server); !slices.Equal(asked, test.asked) {
				t.Errorf("asked %q, want %q", asked, test.asked)
			}
			for _, call := range server.Calls() {
				if call.Key == "" || call.Region != "eu-west-1" {
					t.Errorf("%s was not signed for the region: %+v", call.Action, call)
				}
			}
		})
	}
}

// others are the actions of other services that were asked for.
func others(server *elbfake.Server) []string {
	actions := server.Actions()
	after := slices.Index(actions, "DescribeTags") + 1
	return slices.DeleteFunc(actions[after:], func(action string) bool {
		return strings.HasPrefix(action, "DescribeLoadBalancer") || action == "DescribeListeners" || action == "DescribeRules"
	})
}

// What other services refuse is one line for each, with the permission that
// lacks, and with the way through a file.
func TestReadAroundRefused(t *testing.T) {
	t.Parallel()
	denied := elbfake.Failure{Status: 403, Code: "AccessDenied", Message: "not authorized"}
	for _, test := range []struct {
		name    string
		kind    types.TargetTypeEnum
		action  string
		failure elbfake.Failure
		what    string
		how     string
	}{
		{
			"Auto Scaling", types.TargetTypeEnumInstance, "DescribeAutoScalingGroups", denied,
			"whether Auto Scaling replaces instances", "AccessDenied: not authorized; the credentials need the permission autoscaling:DescribeAutoScalingGroups; or write what aws autoscaling describe-auto-scaling-groups prints",
		},
		{
			"instances", types.TargetTypeEnumInstance, "DescribeInstances",
			elbfake.Failure{Status: 403, Code: "UnauthorizedOperation", Message: "You are not authorized to perform this operation."},
			"the instances' addresses", "the credentials need the permission ec2:DescribeInstances; or write what aws ec2 describe-instances --instance-ids i-1 prints",
		},
		{
			"security groups", types.TargetTypeEnumInstance, "DescribeSecurityGroups",
			elbfake.Failure{Status: 403, Code: "UnauthorizedOperation", Message: "You are not authorized to perform this operation."},
			"whether the targets' security groups let", "the credentials need the permission ec2:DescribeSecurityGroups; or write what aws ec2 describe-security-groups --group-ids sg-app prints",
		},
		{
			"network interfaces", types.TargetTypeEnumIp, "DescribeNetworkInterfaces",
			elbfake.Failure{Status: 403, Code: "UnauthorizedOperation"},
			"which security groups the targets have", "the credentials need the permission ec2:DescribeNetworkInterfaces; or write what aws ec2 describe-network-interfaces --filters",
		},
		{
			"clusters", types.TargetTypeEnumIp, "ListClusters",
			elbfake.Failure{Code: "AccessDeniedException", Message: "User is not authorized to perform: ecs:ListClusters"},
			"whether ECS ends tasks", "the credentials need the permission ecs:ListClusters; or write what aws ecs describe-services",
		},
		{
			"the services of a cluster", types.TargetTypeEnumIp, "DescribeServices",
			elbfake.Failure{Code: "com.amazonaws.ecs#AccessDeniedException", Message: "no"},
			"whether ECS ends tasks", "AccessDeniedException: no; the credentials need the permission ecs:DescribeServices",
		},
		{
			"a task definition", types.TargetTypeEnumIp, "DescribeTaskDefinition",
			elbfake.Failure{Code: "AccessDeniedException"},
			"which ports the service's tasks have", "the credentials need the permission ecs:DescribeTaskDefinition; or write what aws ecs describe-task-definition --task-definition arn:aws:ecs:",
		},
		{
			"an endpoint that does not know the action", types.TargetTypeEnumInstance, "DescribeAutoScalingGroups",
			elbfake.Failure{Code: "InvalidAction", Message: "Could not find operation"},
			"whether Auto Scaling replaces instances", "what answers there does not know this question: is it the Auto Scaling API?",
		},
		{
			"an endpoint that answers with a page", types.TargetTypeEnumIp, "ListClusters",
			elbfake.Failure{Status: 200, Body: "<html><body>hello</body></html>"},
			"whether ECS ends tasks", "the answer is none of the ECS API (200): is the endpoint right?",
		},
		{
			"an answer of another kind", types.TargetTypeEnumInstance, "DescribeInstances",
			elbfake.Failure{Status: 200, Body: "<DescribeTagsResponse/>"},
			"the instances' addresses", "the answer is none of the EC2 API (200)",
		},
		{
			"JSON that is cut off", types.TargetTypeEnumIp, "ListClusters",
			elbfake.Failure{Status: 200, Body: `{"clusterArns": [`},
			"whether ECS ends tasks", "the answer is none of the ECS API (200)",
		},
		{
			"an answer without end", types.TargetTypeEnumInstance, "DescribeInstances",
			elbfake.Failure{Status: 200, Body: strings.Repeat(" ", 5<<20)},
			"the instances' addresses", "the answer is longer than any of the EC2 API",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			id := "i-1"
			if test.kind == types.TargetTypeEnumIp {
				id = "10.0.1.5"
			}
			server := elbfake.Start(t, silentAccount(test.kind, id, 3000, instances+interfaces+fixedPorts+kept))
			server.Fail(test.action, test.failure)
			g, err := read(t, server.URL)
			if err != nil {
				t.Fatal(err)
			}
			if len(g.Unread) != 1 || !strings.HasPrefix(g.Unread[0].What, "not read: "+test.what) || !strings.Contains(g.Unread[0].How, test.how) || !strings.HasSuffix(g.Unread[0].How, " prints to a file, and give it with --settings FILE beside --target-group") {
				t.Errorf("not read: %+v", g.Unread)
			}
		})
	}
}

// A service that is busy is asked again.
func TestReadAroundBusy(t *testing.T) {
	t.Parallel()
	server := elbfake.Start(t, silentAccount(types.TargetTypeEnumInstance, "i-1", 3000, instances+fixedPorts))
	server.Fail("DescribeInstances", elbfake.Failure{Status: 503, Code: "RequestLimitExceeded", Message: "Request limit exceeded."}, elbfake.Failure{Status: 503, Body: "busy"})
	server.Fail("ListClusters", elbfake.Failure{Code: "ThrottlingException", Message: "Rate exceeded"})
	if g, err := read(t, server.URL); err != nil || len(g.Unread) > 0 || len(g.SecurityGroups) == 0 {
		t.Errorf("%+v, %v", g.Unread, err)
	}
}

// A group that is well is not told what could not be read of who would replace
// its targets, and EC2 is not asked at all.
func TestReadAroundHealthy(t *testing.T) {
	t.Parallel()
	account := silentAccount(types.TargetTypeEnumInstance, "i-1", 3000, instances+fixedPorts)
	account.Health[groupARN][0].TargetHealth = &types.TargetHealth{State: types.TargetHealthStateEnumHealthy}
	server := elbfake.Start(t, account)
	server.Fail("DescribeAutoScalingGroups", elbfake.Failure{Code: "InvalidAction"})
	server.Fail("ListClusters", elbfake.Failure{Code: "AccessDeniedException"})
	g, err := read(t, server.URL)
	if err != nil || len(g.Unread) > 0 {
		t.Errorf("%+v, %v", g.Unread, err)
	}
	if want := []string{"DescribeAutoScalingGroups", "ListClusters"}; !slices.Equal(others(server), want) {
		t.Errorf("asked %q", others(server))
	}
}

// ECS is asked a bounded number of times, and that is said.
func TestReadAroundManyServices(t *testing.T) {
	t.Parallel()
	var services []string
	for i := range 900 {
		services = append(services, fmt.Sprintf(`{"serviceName": "s%d", "serviceArn": "arn:aws:ecs:eu-west-1:123456789012:service/prod/s%[1]d", "clusterArn": "%s", "loadBalancers": []}`, i, clusterARN))
	}
	account := silentAccount(types.TargetTypeEnumIp, "10.0.1.5", 3000, `{"services": [`+strings.Join(services, ",")+`]}`)
	account.PageSize = 100
	server := elbfake.Start(t, account)
	g, err := read(t, server.URL)
	if err != nil || len(g.Unread) != 1 || !strings.HasPrefix(g.Unread[0].How, "ECS was asked 60 times, and none of the 530 services that were seen registers its tasks with the group; there are more; or write what aws ecs describe-services") {
		t.Errorf("%+v, %v", g.Unread, err)
	}
}

// What a file tells goes before, and is not asked for.
func TestReadBeside(t *testing.T) {
	t.Parallel()
	server := elbfake.Start(t, silentAccount(types.TargetTypeEnumIp, "10.0.1.5", 3000, interfaces+fixedPorts+kept))
	o := targetgroup.Options{Group: groupARN, Endpoint: server.URL, Lookup: environment("HOME", t.TempDir()), Beside: []byte(longGrace + interfaces + allPorts), BesideName: "beside.json"}
	g, err := targetgroup.Read(t.Context(), o)
	if err != nil || g.Service == nil || g.Service.Grace != 300*time.Second || len(g.SecurityGroups) == 0 || g.SecurityGroups[0].String() != "ports 32768-65535 from sg-lb" {
		t.Errorf("%+v, %v", g, err)
	}
	o.Beside = []byte(`{"services": 1}`)
	if _, err := targetgroup.Read(t.Context(), o); err == nil || !strings.HasPrefix(err.Error(), "beside.json: line 1: ") {
		t.Errorf("error %v", err)
	}
}

// Where other services are asked.
func TestAroundEndpoints(t *testing.T) {
	t.Parallel()
	elb := elbfake.Start(t, silentAccount(types.TargetTypeEnumInstance, "i-1", 3000, ""))
	ec2 := elbfake.Start(t, silentAccount(types.TargetTypeEnumInstance, "i-1", 3000, instances+fixedPorts))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	listener.Close()
	for _, test := range []struct {
		name        string
		environment []string
		ec2         bool // it was asked there
		how         []string
	}{
		{"one for all", []string{"AWS_ENDPOINT_URL", elb.URL}, false, nil},
		{"one of EC2's own", []string{"AWS_ENDPOINT_URL", elb.URL, "AWS_ENDPOINT_URL_EC2", ec2.URL}, true, nil},
		{
			"nobody there",
			[]string{"AWS_ENDPOINT_URL", elb.URL, "AWS_ENDPOINT_URL_ECS", "http://" + nobody},
			false,
			[]string{"ListClusters at " + nobody + ": connection refused: is the endpoint right, and may this machine reach it?; or write"},
		},
		{"no URL", []string{"AWS_ENDPOINT_URL", elb.URL, "AWS_ENDPOINT_URL_AUTO_SCALING", "nope"}, false, []string{"AWS_ENDPOINT_URL_AUTO_SCALING is no URL"}},
		{
			"a stand-in for ELBv2 alone, and no credentials",
			[]string{"AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2", elb.URL},
			false,
			[]string{"the Auto Scaling API was not asked: there are no credentials for it", "the ECS API was not asked", "the EC2 API was not asked"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(ec2.Calls())
			g, err := targetgroup.Read(t.Context(), targetgroup.Options{Group: groupARN, Lookup: environment(append(test.environment, "HOME", t.TempDir())...)})
			if err != nil {
				t.Fatal(err)
			}
			var how []string
			for _, u := range g.Unread {
				how = append(how, u.How)
			}
			match(t, "not read", how, test.how)
			if asked := len(ec2.Calls()) > before; asked != test.ec2 {
				t.Errorf("EC2 was asked: %v", asked)
			}
		})
	}
}
