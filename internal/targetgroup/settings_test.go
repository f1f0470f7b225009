package targetgroup_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"hale/internal/elb"
	"hale/internal/targetgroup"
)

// printed is what aws elbv2 describe-target-groups printed for a group that was
// created with a name, a protocol, a port and a VPC alone (aws-cli 2.9.19).
const printed = `{
    "TargetGroups": [
        {
            "TargetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/73e2d6bc24d8a067",
            "TargetGroupName": "web",
            "Protocol": "HTTP",
            "Port": 8080,
            "VpcId": "vpc-3ac0fb5f",
            "HealthCheckProtocol": "HTTP",
            "HealthCheckPort": "traffic-port",
            "HealthCheckEnabled": true,
            "HealthCheckIntervalSeconds": 30,
            "HealthCheckTimeoutSeconds": 5,
            "HealthyThresholdCount": 5,
            "UnhealthyThresholdCount": 2,
            "HealthCheckPath": "/health",
            "Matcher": {
                "HttpCode": "200"
            },
            "LoadBalancerArns": [
                "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/site/50dc6c495c0c9188"
            ],
            "TargetType": "instance",
            "ProtocolVersion": "HTTP1",
            "IpAddressType": "ipv4"
        }
    ]
}
`

const printedHealth = `{
    "TargetHealthDescriptions": [
        {
            "Target": {"Id": "i-0f76fade", "Port": 8080},
            "HealthCheckPort": "8080",
            "TargetHealth": {"State": "healthy"}
        },
        {
            "Target": {"Id": "10.0.1.23", "Port": 8080},
            "HealthCheckPort": "8080",
            "TargetHealth": {"State": "unhealthy", "Reason": "Target.ResponseCodeMismatch", "Description": "Health checks failed with these codes: [301]"}
        }
    ]
}
`

func TestSettings(t *testing.T) {
	t.Parallel()
	alone := want
	alone.Targets, alone.HealthKnown, alone.Routes, alone.RoutesKnown, alone.Tags = nil, false, nil, false, nil
	withHealth := alone
	withHealth.Targets, withHealth.HealthKnown = want.Targets, true
	nameless := alone
	nameless.ARN, nameless.Name, nameless.Version, nameless.Kind.Targets = "", "", "", ""
	defaults := targetgroup.Group{Kind: elb.Kind{Protocol: elb.HTTP}, HealthCheck: elb.HealthCheck{Path: "/up"}.WithDefaults(elb.Kind{Protocol: elb.HTTP})}
	for _, test := range []struct {
		name, file, group string
		want              targetgroup.Group
	}{
		{"as it was printed", printed, "", alone},
		{"the group's own ARN", printed, groupARN, alone},
		{"its name", printed, "web", alone},
		{"after a byte order mark", "\ufeff" + printed, "", alone},
		{"health after it", printed + printedHealth, "", withHealth},
		{"health before it", printedHealth + printed, "", withHealth},
		{"both in one document", strings.TrimSuffix(strings.TrimSpace(printed), "}") + "," + strings.TrimPrefix(printedHealth, "{"), "", withHealth},
		{"a list of groups, as --query makes it", "[" + inner(printed) + "]", "", alone},
		{"one group", inner(printed), "", alone},
		{
			"one group, by hand",
			`{"Protocol": "HTTP", "Port": 8080, "HealthCheckPath": "/health", "Matcher": {"HttpCode": "200"}}`, "", nameless,
		},
		{"nothing but a path", `{"HealthCheckPath": "/up"}`, "", defaults},
		{"by hand, with the ARN beside it", `{"HealthCheckPath": "/up"}`, groupARN, defaults},
		{"a newer aws command's keys", `{"HealthCheckPath": "/up", "TargetOptimizerMode": {"On": true}}`, "", defaults},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := targetgroup.Settings(strings.NewReader(test.file), "tg.json", test.group)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("= %+v\nwant %+v", got, test.want)
			}
		})
	}
}

// inner takes the only group out of a document.
func inner(document string) string {
	var groups struct{ TargetGroups []json.RawMessage }
	if err := json.Unmarshal([]byte(document), &groups); err != nil {
		panic(err)
	}
	return string(groups.TargetGroups[0])
}

// The answers to all questions, in one file.
func TestSettingsWithAll(t *testing.T) {
	t.Parallel()
	file := printed + printedHealth + `
{"Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "120"}, {"Key": "load_balancing.cross_zone.enabled", "Value": "use_load_balancer_configuration"}]}
{"Attributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "75"}]}
{"LoadBalancers": [{"LoadBalancerArn": "` + balancerARN + `", "LoadBalancerName": "site", "Type": "application", "State": {"Code": "active"},
  "CreatedTime": "2026-01-02T03:04:05.678000+00:00", "SecurityGroups": ["sg-5943793c"], "AvailabilityZones": [{"ZoneName": "eu-west-1a", "SubnetId": "subnet-a", "LoadBalancerAddresses": []}]}]}
{"Listeners": [{"ListenerArn": "` + listenerARN + `", "LoadBalancerArn": "` + balancerARN + `", "Port": 443, "Protocol": "HTTPS", "DefaultActions": []}]}
{"Rules": [{"RuleArn": "` + ruleARN + `1", "Priority": "10", "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/shop/*", "/cart"]}}],
  "Actions": [{"Type": "forward", "TargetGroupArn": "` + groupARN + `"}]}]}
{"TagDescriptions": [{"ResourceArn": "` + groupARN + `", "Tags": [{"Key": "team", "Value": "web"}]}]}
`
	g, err := targetgroup.Settings(strings.NewReader(file), "tg.json", "")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g.Targets, want.Targets) || !reflect.DeepEqual(g.Routes, want.Routes) || !reflect.DeepEqual(g.Tags, want.Tags) {
		t.Errorf("= %+v", g)
	}
	if g.Attributes["deregistration_delay.timeout_seconds"] != "120" || len(g.Attributes) != 2 {
		t.Errorf("attributes %v", g.Attributes)
	}
	if idle, ok := g.IdleTimeout(); !ok || idle != 75*time.Second {
		t.Errorf("idle time-out %v, %v", idle, ok)
	}
}

func TestSettingsErrors(t *testing.T) {
	t.Parallel()
	second := strings.NewReplacer("73e2d6bc24d8a067", "83e2d6bc24d8a067", `"web"`, `"shop"`).Replace(printed)
	for _, test := range []struct{ name, file, group, want string }{
		{"empty", " \n", "", "tg.json: the file is empty: write what aws elbv2 describe-target-groups prints into it"},
		{"cut off", printed[:len(printed)/2], "", "tg.json: line 13: the file ends in the middle of the JSON"},
		{"YAML", "TargetGroups:\n- Port: 80\n", "", "tg.json: line 1: not JSON as the aws command prints it: invalid character 'T' looking for beginning of value; add --output json to it"},
		{"a comma too many", "{\n \"HealthCheckPath\": \"/up\",\n}", "", "tg.json: line 3: not JSON as the aws command prints it: invalid character '}' looking for beginning of object key string; add --output json to it"},
		{"a fault in the second document", printed + "{\"TargetHealthDescriptions\": [}", "", "tg.json: line 29: not JSON as the aws command prints it: invalid character '}' looking for beginning of value; add --output json to it"},
		{"something else", `{"Buckets": []}`, "", "tg.json: line 1: nothing of a target group in it: write what aws elbv2 describe-target-groups prints into the file"},
		{"a number", "7", "", "tg.json: line 1: the document is a number, not an object"},
		{"health alone", printedHealth, "", "tg.json: no target group in it: write what aws elbv2 describe-target-groups prints into it"},
		{"no groups at all", `{"TargetGroups": []}`, "", "tg.json: no target group in it: write what aws elbv2 describe-target-groups prints into it"},
		{"several", printed + second, "", "tg.json: 2 target groups in it (web, shop): name the one that is meant with --target-group"},
		{"another", printed + second, "cart", "tg.json: no target group cart in it, but web, shop"},
		{"another than the only one", printed, "cart", "tg.json: no target group cart in it, but web"},
		{"a slip of the pen", "{\n\n  \"HealthCheckPaths\": \"/up\"\n}", "", `tg.json: line 1: unknown key "HealthCheckPaths": do you mean HealthCheckPath?`},
		{"a slip in a list", `{"TargetGroups": [{"HealthcheckIntervalSecond": 5}]}`, "", `tg.json: line 1: unknown key "HealthcheckIntervalSecond": do you mean HealthCheckIntervalSeconds?`},
		{"a number as text", "{\n  \"HealthCheckPath\": \"/up\",\n  \"HealthCheckIntervalSeconds\": \"30\"\n}", "", "tg.json: line 3: HealthCheckIntervalSeconds is a string, not a number"},
		{"a text as number", "{\n  \"HealthCheckPort\": 8081\n}", "", "tg.json: line 2: HealthCheckPort is a number, not a string"},
		{"too large", `{"Port": 99999999999}`, "", "tg.json: line 1: Port is 99999999999, which is too large, or no whole number"},
		{"no port", `{"HealthCheckPort": "http"}`, "", `tg.json: HealthCheckPort: "http" is neither traffic-port nor a port`},
		{"less than none", `{"HealthCheckIntervalSeconds": -1}`, "", "tg.json: HealthCheckIntervalSeconds: -1 makes no sense: a number of 1 or more, or nothing for ELB's default"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := targetgroup.Settings(strings.NewReader(test.file), "tg.json", test.group)
			if err == nil || err.Error() != test.want {
				t.Errorf("= %v\nwant %s", err, test.want)
			}
		})
	}
	if _, err := targetgroup.Settings(iotest.ErrReader(iotest.ErrTimeout), "tg.json", ""); err == nil || err.Error() != "read tg.json: timeout" {
		t.Errorf("error of reading: %v", err)
	}
}

// FuzzSettings: no file makes it panic, and what it takes can be diagnosed.
func FuzzSettings(f *testing.F) {
	f.Add(printed + printedHealth)
	f.Add(`[{"HealthCheckPath": "/up", "Matcher": {"GrpcCode": "0-99"}, "ProtocolVersion": "GRPC"}]`)
	f.Add(`{"Protocol": "TCP", "TargetType": "alb", "HealthCheckProtocol": "UDP", "Matcher": null}`)
	f.Add(`{"Listeners": [{"DefaultActions": [{"ForwardConfig": {"TargetGroups": [{}]}}]}]} {"TargetGroups": [{}]}`)
	f.Add(`{"HealthCheckPath": "` + strings.Repeat("/", 2000) + `"} {"TargetHealthDescriptions": [{}, {"Target": {}}]}`)
	f.Fuzz(func(t *testing.T, file string) {
		g, err := targetgroup.Settings(strings.NewReader(file), "tg.json", "")
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("more than a line: %q", err)
			}
			return
		}
		measured := targetgroup.Measured{P99: time.Second, StartUp: time.Minute}
		for _, row := range g.Timing(measured).Rows() {
			if row.Best < 0 || row.Worst < row.Best {
				t.Errorf("%+v", row)
			}
		}
		g.Diagnose(measured)
		for _, target := range g.Targets {
			g.Probe(t.Context(), target)
		}
	})
}
