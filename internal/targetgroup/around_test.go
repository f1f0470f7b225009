package targetgroup_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hale/internal/elb"
	"hale/internal/targetgroup"
)

// What the aws command prints of other services, cut short.
const (
	taskGroup = `{"TargetGroups": [{
	"TargetGroupArn": "` + groupARN + `", "TargetGroupName": "web", "Protocol": "HTTP", "Port": 3000, "TargetType": "TYPE",
	"HealthCheckPath": "/health", "HealthCheckIntervalSeconds": 10, "UnhealthyThresholdCount": 2
}]}
{"TargetHealthDescriptions": [
	{"Target": {"Id": "ID", "Port": PORT}, "HealthCheckPort": "PORT", "TargetHealth": {"State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"}},
	{"Target": {"Id": "i-other", "Port": 8080}, "HealthCheckPort": "8080", "TargetHealth": {"State": "healthy"}}
]}
{"LoadBalancers": [{"LoadBalancerArn": "` + balancerARN + `", "LoadBalancerName": "site", "Type": "application", "SecurityGroups": ["sg-lb"]}]}
`
	instances     = `{"Reservations": [{"Instances": [{"InstanceId": "i-1", "PrivateIpAddress": "10.0.1.5", "SecurityGroups": [{"GroupName": "app", "GroupId": "sg-app"}]}]}]}`
	fixedPorts    = `{"SecurityGroups": [{"GroupId": "sg-lb", "IpPermissions": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}, {"GroupId": "sg-app", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "UserIdGroupPairs": [{"GroupId": "sg-lb"}]}]}]}`
	allPorts      = `{"SecurityGroups": [{"GroupId": "sg-app", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 32768, "ToPort": 65535, "UserIdGroupPairs": [{"GroupId": "sg-lb"}]}]}]}`
	otherGroup    = `{"SecurityGroups": [{"GroupId": "sg-app", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535, "UserIdGroupPairs": [{"GroupId": "sg-bastion"}]}, {"IpProtocol": "udp", "FromPort": 0, "ToPort": 65535, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]}]}`
	network       = `{"SecurityGroups": [{"GroupId": "sg-app", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]}]}`
	noGrace       = `{"services": [{"serviceName": "shop", "loadBalancers": [{"targetGroupArn": "` + groupARN + `", "containerPort": 3000}], "healthCheckGracePeriodSeconds": 0, "events": [{"message": "(service shop) has reached a steady state."}]}], "failures": []}`
	longGrace     = `{"services": [{"serviceName": "shop", "loadBalancers": [{"targetGroupArn": "` + groupARN + `"}], "healthCheckGracePeriodSeconds": 300}]}`
	stoppingTasks = `{"services": [{"serviceName": "other", "loadBalancers": [{"targetGroupArn": "arn:other"}], "healthCheckGracePeriodSeconds": 900}, {"serviceName": "shop", "loadBalancers": [{"targetGroupArn": "` + groupARN + `"}], "healthCheckGracePeriodSeconds": 30,
	"events": [{"message": "(service shop) (port 3000) is unhealthy in (target-group ` + groupARN + `) due to (reason Health checks failed)"}]}]}`
	scalingELB = `{"AutoScalingGroups": [{"AutoScalingGroupName": "web", "HealthCheckType": "ELB", "HealthCheckGracePeriod": 0, "TargetGroupARNs": ["` + groupARN + `"]}]}`
	scalingEC2 = `{"AutoScalingGroups": [{"AutoScalingGroupName": "web", "HealthCheckType": "EC2", "HealthCheckGracePeriod": 0, "TargetGroupARNs": ["` + groupARN + `"]}]}`
)

// TestDiagnoseAround is about what other services of AWS tell of a group.
func TestDiagnoseAround(t *testing.T) {
	t.Parallel()
	instance := strings.NewReplacer("TYPE", "instance", "ID", "i-1", "PORT", "49153").Replace(taskGroup)
	fixed := strings.NewReplacer("TYPE", "instance", "ID", "i-1", "PORT", "3000").Replace(taskGroup)
	task := strings.NewReplacer("TYPE", "ip", "ID", "10.0.1.5", "PORT", "3000").Replace(taskGroup)
	failing := targetgroup.Measured{Passed: map[string]bool{"10.0.1.5:3000": false}}
	for _, test := range []struct {
		name      string
		file      string
		measured  targetgroup.Measured
		findings  []string
		undecided string // a part of one; "": not asked for
		note      string
	}{
		{"a security group without the port that ECS gave", instance + instances + fixedPorts, targetgroup.Measured{}, []string{"ecs-dynamic-port-sg"}, "", ""},
		{"the same, and nobody told which group is the instance's", instance + fixedPorts, targetgroup.Measured{}, []string{"ecs-dynamic-port-sg"}, "", ""},
		{"the same, and from here it fails as well", instance + instances + fixedPorts, targetgroup.Measured{Passed: map[string]bool{"i-1:49153": false}}, nil, "", ""},
		{"a security group with such ports", instance + instances + allPorts, targetgroup.Measured{}, nil, "ecs-dynamic-port-sg", ""},
		{"an address range, which may be the load balancer's", instance + instances + network, targetgroup.Measured{}, nil, "ecs-dynamic-port-sg", ""},
		{"a rule for others, and none for TCP", instance + instances + otherGroup, targetgroup.Measured{}, []string{"ecs-dynamic-port-sg"}, "", ""},
		{"a port that nobody gave, and no rule for it", fixed + instances + fixedPorts, targetgroup.Measured{}, []string{"firewall-drop"}, "", ""},
		{"a group of the instance's that was not told", instance + strings.Replace(instances, "sg-app", "sg-unknown", 1) + fixedPorts, targetgroup.Measured{}, nil, "ecs-dynamic-port-sg", ""},

		{"no grace, and the check fails", task + noGrace, failing, []string{"ecs-kill-loop"}, "", ""},
		{"no grace, as told, of targets that are tasks", task, targetgroup.Measured{Grace: elb.Known(0), Passed: failing.Passed}, []string{"ecs-kill-loop"}, "", ""},
		{"no grace, as told, of instances", fixed, targetgroup.Measured{Grace: elb.Known(0), Passed: map[string]bool{"i-1:3000": false}}, nil, "", ""},
		{"no grace, and the check passes", task + noGrace, targetgroup.Measured{Passed: map[string]bool{"10.0.1.5:3000": true}}, nil, "", ""},
		{"enough grace, and the check fails", task + longGrace, failing, nil, "", ""},
		{"ECS says so", task + stoppingTasks, failing, []string{"ecs-kill-loop"}, "", ""},
		{"no grace, and a slow start", task + noGrace, targetgroup.Measured{StartUp: time.Minute, Passed: failing.Passed}, []string{"ecs-kill-loop"}, "", ""},
		{"enough grace for a slow start", task + longGrace, targetgroup.Measured{StartUp: time.Minute}, nil, "", ""},

		{"Auto Scaling without grace, and a slow start", fixed + scalingELB, targetgroup.Measured{StartUp: time.Minute, Passed: map[string]bool{"i-1:3000": false}}, []string{"asg-cold-start-vs-grace"}, "", ""},
		{"Auto Scaling that does not heed the load balancer", fixed + scalingEC2, targetgroup.Measured{StartUp: time.Minute, Passed: map[string]bool{"i-1:3000": false}}, nil, "", "does not replace instances"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g, err := targetgroup.Settings(strings.NewReader(test.file), "tg.json", "")
			if err != nil {
				t.Fatal(err)
			}
			d := g.Diagnose(test.measured)
			var ids []string
			for _, f := range d.Findings {
				ids = append(ids, f.ID)
				if f.What == "" || f.Way == "" || len(f.Evidence) == 0 {
					t.Errorf("finding without evidence or way out: %+v", f)
				}
			}
			if !slices.Equal(ids, test.findings) {
				t.Errorf("findings %q, want %q", ids, test.findings)
			}
			if !slices.ContainsFunc(d.Undecided, func(u targetgroup.Undecided) bool { return strings.Contains(u.What, test.undecided) }) && test.undecided != "" {
				t.Errorf("not decided: %+v, want %q among them", d.Undecided, test.undecided)
			}
			if !slices.ContainsFunc(d.Notes, func(n targetgroup.Note) bool { return strings.Contains(n.What, test.note) }) && test.note != "" {
				t.Errorf("notes: %+v, want %q among them", d.Notes, test.note)
			}
		})
	}
}

// TestInstancesTellAddresses: the ELBv2 API tells an instance's id alone.
func TestInstancesTellAddresses(t *testing.T) {
	t.Parallel()
	file := strings.NewReplacer("TYPE", "instance", "ID", "i-1", "PORT", "3000").Replace(taskGroup) + instances
	g, err := targetgroup.Settings(strings.NewReader(file), "tg.json", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Targets[0].Address.String(); got != "10.0.1.5" {
		t.Errorf("address %s", got)
	}
}
