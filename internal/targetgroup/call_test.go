package targetgroup

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
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
