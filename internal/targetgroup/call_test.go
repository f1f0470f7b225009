package targetgroup

import (
	"encoding/json"
	"encoding/xml"
	"net/netip"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"hale/internal/explain"
)

// TestOwnEndpoints are AWS's own, in each of its partitions.
func TestOwnEndpoints(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		region, variable string
		service          service
		want             string
	}{
		{"eu-west-1", "", ec2API, "https://ec2.eu-west-1.amazonaws.com/"},
		{"eu-west-1", "", ecsAPI, "https://ecs.eu-west-1.amazonaws.com/"},
		{"us-gov-west-1", "", autoScalingAPI, "https://autoscaling.us-gov-west-1.amazonaws.com/"},
		{"cn-north-1", "", ec2API, "https://ec2.cn-north-1.amazonaws.com.cn/"},
		{"us-iso-east-1", "", ec2API, "https://ec2.us-iso-east-1.c2s.ic.gov/"},
		{"us-east-1", "AWS_USE_FIPS_ENDPOINT", ec2API, "https://ec2-fips.us-east-1.amazonaws.com/"},
		{"us-east-1", "AWS_USE_DUALSTACK_ENDPOINT", ec2API, "https://ec2.us-east-1.api.aws/"},
	} {
		lookup := func(name string) string {
			switch name {
			case test.variable:
				return "true"
			case "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY":
				return "key"
			case "HOME":
				return t.TempDir()
			}
			return ""
		}
		r, err := newReader(t.Context(), Options{Region: test.region, Lookup: lookup}, "")
		if err != nil {
			t.Fatal(err)
		}
		c, err := r.caller(t.Context(), test.service)
		if err != nil || c.url != test.want || c.keys != (aws.Credentials{AccessKeyID: "key", SecretAccessKey: "key"}) {
			t.Errorf("%s in %s: %+v, %v; want %s", test.service.name, test.region, c, err, test.want)
		}
	}
}

// FuzzAnswers: what another service answers is a stranger's. Whatever it is, an
// error is made of it, or printable facts.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>`,
		`{"__type": "com.amazonaws.ecs#AccessDeniedException", "message": "no"}`,
		`<r><reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><privateIpAddress>10.0.1.5</privateIpAddress><groupSet><item><groupId>sg-&#155;1</groupId></item></groupSet></item></instancesSet></item></reservationSet></r>`,
		`<r><networkInterfaceSet><item><privateIpAddressesSet><item><privateIpAddress>10.0.1.5</privateIpAddress></item></privateIpAddressesSet><groupSet><item><groupId>sg-1</groupId></item></groupSet></item></networkInterfaceSet></r>`,
		`<r><securityGroupInfo><item><groupId>sg-1</groupId><ipPermissions><item><ipProtocol>tcp</ipProtocol><fromPort>-1</fromPort><toPort>99999</toPort><ipRanges><item><cidrIp>10.0.0.0/8</cidrIp></item></ipRanges></item></ipPermissions></item></securityGroupInfo></r>`,
		`{"services": [{"serviceName": "a", "taskDefinition": "t:1", "loadBalancers": [{"containerName": "c", "containerPort": 80}], "deployments": [{"failedTasks": 1}]}], "AutoScalingGroups": [{"HealthCheckGracePeriod": -1}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if refusal(403, body) == nil {
			t.Error("no error")
		}
		var out computingAnswer
		var d document
		_ = xml.Unmarshal(body, &out)
		_ = json.Unmarshal(body, &d)
		d.Reservations = append(d.Reservations, out.Reservations...)
		d.NetworkInterfaces = append(d.NetworkInterfaces, out.Interfaces...)
		d.SecurityGroups = append(d.SecurityGroups, out.Groups...)
		g := Group{Targets: []Target{{ID: "i-1", CheckPort: 80}, {ID: "10.0.1.5", CheckPort: 80, Address: netip.MustParseAddr("10.0.1.5")}}}
		d.fillAround(&g)
		texts := g.Targets[0].SecurityGroups
		for _, s := range g.SecurityGroups {
			texts = append(texts, s.ID, s.String())
		}
		if g.Service != nil {
			texts = append(texts, g.Service.Name, g.Service.Stopped, g.Service.Deploying)
		}
		for _, text := range texts {
			if text != explain.Line(text) {
				t.Errorf("%q is not printable", text)
			}
		}
		for _, target := range g.Targets {
			g.shut(target)
		}
	})
}
