package elbfake_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/test/elbfake"
)

// TestWire holds the answers to their form on the wire: AWS's SDKs are stricter
// about some of it than about other parts.
func TestWire(t *testing.T) {
	t.Parallel()
	server := elbfake.Start(t, elbfake.Account{
		TargetGroups: []types.TargetGroup{{TargetGroupArn: aws.String("arn:a"), TargetGroupName: aws.String("a<b"), Port: aws.Int32(80), HealthCheckEnabled: aws.Bool(false)}},
		Health: map[string][]types.TargetHealthDescription{"arn:a": {{
			Target: &types.TargetDescription{Id: aws.String("i-1")}, TargetHealth: &types.TargetHealth{State: types.TargetHealthStateEnumHealthy},
		}}},
		LoadBalancers: []types.LoadBalancer{{LoadBalancerArn: aws.String("arn:lb")}},
	})
	const (
		open    = ` xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/">`
		request = "<ResponseMetadata><RequestId>12345678-1234-1234-1234-123456789012</RequestId></ResponseMetadata>"
	)
	for _, test := range []struct {
		name, form string
		unsigned   bool
		status     int
		want       string // that the answer has in it
	}{
		{
			name: "a group", form: "Action=DescribeTargetGroups&Version=2015-12-01", status: 200,
			want: "<DescribeTargetGroupsResponse" + open + "<DescribeTargetGroupsResult><TargetGroups><member><HealthCheckEnabled>false</HealthCheckEnabled><Port>80</Port>" +
				"<TargetGroupArn>arn:a</TargetGroupArn><TargetGroupName>a&lt;b</TargetGroupName></member></TargetGroups></DescribeTargetGroupsResult>" + request + "</DescribeTargetGroupsResponse>",
		},
		{name: "an empty list is an element", form: "Action=DescribeListeners&Version=2015-12-01&LoadBalancerArn=arn:lb", status: 200, want: "<DescribeListenersResult><Listeners></Listeners></DescribeListenersResult>"},
		{name: "a target by its id", form: "Action=DescribeTargetHealth&Version=2015-12-01&TargetGroupArn=arn:a&Targets.member.1.Id=i-1", status: 200, want: "<TargetHealth><State>healthy</State></TargetHealth>"},
		{name: "one that is not registered is no error", form: "Action=DescribeTargetHealth&Version=2015-12-01&TargetGroupArn=arn:a&Targets.member.1.Id=i-2", status: 200, want: "<Reason>Target.NotRegistered</Reason><State>unused</State>"},
		{name: "no such group", form: "Action=DescribeTargetHealth&Version=2015-12-01&TargetGroupArn=arn:b", status: 400, want: "<Error><Type>Sender</Type><Code>TargetGroupNotFound</Code><Message>One or more target groups not found</Message></Error>"},
		{name: "no such load balancer", form: "Action=DescribeLoadBalancers&Version=2015-12-01&Names.member.1=x", status: 400, want: "<Code>LoadBalancerNotFound</Code>"},
		{name: "neither listener nor load balancer", form: "Action=DescribeListeners&Version=2015-12-01", status: 400, want: "<Code>ValidationError</Code>"},
		{name: "no such listener", form: "Action=DescribeRules&Version=2015-12-01&ListenerArn=arn:l", status: 400, want: "<Code>ListenerNotFound</Code>"},
		{name: "a page of nothing", form: "Action=DescribeTargetGroups&Version=2015-12-01&PageSize=0", status: 400, want: "<Code>ValidationError</Code>"},
		{name: "a page that nobody marked", form: "Action=DescribeTargetGroups&Version=2015-12-01&Marker=x", status: 400, want: "<Code>ValidationError</Code>"},
		{name: "an action that it does not know", form: "Action=DeleteEverything&Version=2015-12-01", status: 400, want: "<Code>InvalidAction</Code>"},
		{name: "the Classic API", form: "Action=DescribeLoadBalancers&Version=2012-06-01", status: 400, want: "<Code>InvalidAction</Code>"},
		{name: "EC2, signed for another service", form: "Action=DescribeInstances&Version=2016-11-15", status: 403, want: "<Response><Errors><Error><Code>MissingAuthenticationToken</Code>"},
		{name: "Auto Scaling, signed for another service", form: "Action=DescribeAutoScalingGroups&Version=2011-01-01", status: 403, want: "<Code>MissingAuthenticationToken</Code>"},
		{name: "unsigned", form: "Action=DescribeTargetGroups&Version=2015-12-01", unsigned: true, status: 403, want: "<Code>MissingAuthenticationToken</Code>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(test.form))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
			if !test.unsigned {
				req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=KEY/20260102/eu-west-1/elasticloadbalancing/aws4_request, SignedHeaders=host, Signature=0")
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != test.status || !strings.Contains(string(body), test.want) {
				t.Errorf("%d %s, %v\nwant %d %s", res.StatusCode, body, err, test.status, test.want)
			}
		})
	}
	calls := server.Calls()
	if len(calls) == 0 || calls[0].Key != "KEY" || calls[0].Region != "eu-west-1" || calls[0].Form.Encode() != (url.Values{"Action": {"DescribeTargetGroups"}, "Version": {"2015-12-01"}}).Encode() {
		t.Errorf("calls %+v", calls)
	}
}
