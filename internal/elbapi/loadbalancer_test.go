package elbapi_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

const (
	notThere  = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/none/0123456789abcdef"
	siteAsXML = `<member>
		<AvailabilityZones><member><LoadBalancerAddresses></LoadBalancerAddresses><SubnetId>subnet-a</SubnetId><ZoneName>eu-west-1a</ZoneName></member></AvailabilityZones>
		<CanonicalHostedZoneId>ZLOCAL</CanonicalHostedZoneId><CreatedTime>2026-01-02T12:00:00.000Z</CreatedTime><DNSName>internal-site-#.eu-west-1.elb.localhost</DNSName>
		<IpAddressType>ipv4</IpAddressType><LoadBalancerArn>LB</LoadBalancerArn><LoadBalancerName>site</LoadBalancerName><Scheme>internal</Scheme>
		<State><Code>active</Code></State><Type>application</Type><VpcId>vpc-local</VpcId></member>`
)

func TestLoadBalancers(t *testing.T) {
	create := func(in elbv2.CreateLoadBalancerInput) ask {
		return asking((*elbv2.Client).CreateLoadBalancer, func(*site) *elbv2.CreateLoadBalancerInput { return &in })
	}
	describe := func(in elbv2.DescribeLoadBalancersInput) ask {
		return asking((*elbv2.Client).DescribeLoadBalancers, func(*site) *elbv2.DescribeLoadBalancersInput { return &in })
	}
	remove := func(arn string) ask {
		return asking((*elbv2.Client).DeleteLoadBalancer, func(s *site) *elbv2.DeleteLoadBalancerInput {
			return &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: new(strings.Replace(arn, "LB", s.lb, 1))}
		})
	}
	hold(t, []answer{
		{
			"a network load balancer in two zones",
			create(elbv2.CreateLoadBalancerInput{
				Name: new("tcp"), Type: types.LoadBalancerTypeEnumNetwork, SecurityGroups: []string{"sg-1"},
				SubnetMappings: []types.SubnetMapping{{SubnetId: new("subnet-b"), PrivateIPv4Address: new("127.0.0.7")}, {SubnetId: new("subnet-c")}},
			}),
			`<LoadBalancers><member><AvailabilityZones>
				<member><LoadBalancerAddresses><member><PrivateIPv4Address>127.0.0.7</PrivateIPv4Address></member></LoadBalancerAddresses><SubnetId>subnet-b</SubnetId><ZoneName>eu-west-1b</ZoneName></member>
				<member><LoadBalancerAddresses></LoadBalancerAddresses><SubnetId>subnet-c</SubnetId><ZoneName>eu-west-1c</ZoneName></member></AvailabilityZones>
			<CanonicalHostedZoneId>ZLOCAL</CanonicalHostedZoneId><CreatedTime>2026-01-02T12:00:00.000Z</CreatedTime><DNSName>tcp-#.elb.eu-west-1.localhost</DNSName>
			<IpAddressType>ipv4</IpAddressType><LoadBalancerArn>arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/net/tcp/#</LoadBalancerArn><LoadBalancerName>tcp</LoadBalancerName>
			<Scheme>internet-facing</Scheme><SecurityGroups><member>sg-1</member></SecurityGroups><State><Code>active</Code></State><Type>network</Type><VpcId>vpc-local</VpcId></member></LoadBalancers>`,
		},
		{
			"a classic load balancer, which this API does not make at AWS",
			create(elbv2.CreateLoadBalancerInput{Name: new("old"), Type: "classic", Scheme: types.LoadBalancerSchemeEnumInternal}),
			`<LoadBalancers>` + strings.NewReplacer("site", "old", ">LB<", ">arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/classic/old/#<", "application", "classic").Replace(siteAsXML) + `</LoadBalancers>`,
		},
		{
			"a type that there is not",
			create(elbv2.CreateLoadBalancerInput{Name: new("x"), Type: "old"}),
			"ValidationError: 1 validation error detected: Value 'old' at 'type' failed to satisfy constraint: Member must satisfy enum value set: [application, network, gateway]",
		},
		{
			"the same again is the one that is there",
			create(elbv2.CreateLoadBalancerInput{Name: new("site"), Scheme: types.LoadBalancerSchemeEnumInternal, Tags: []types.Tag{{Key: new("team"), Value: new("web")}}}),
			"<LoadBalancers>" + siteAsXML + "</LoadBalancers>",
		},
		{
			"another of the same name",
			create(elbv2.CreateLoadBalancerInput{Name: new("site")}),
			"DuplicateLoadBalancerName: A load balancer with the same name 'site' exists, but with different settings",
		},
		{
			"an unknown scheme",
			create(elbv2.CreateLoadBalancerInput{Name: new("x"), Scheme: "private"}),
			"ValidationError: 1 validation error detected: Value 'private' at 'scheme' failed to satisfy constraint: Member must satisfy enum value set: [internet-facing, internal]",
		},
		{
			"subnets in both forms",
			create(elbv2.CreateLoadBalancerInput{Name: new("x"), Subnets: []string{"subnet-a"}, SubnetMappings: []types.SubnetMapping{{SubnetId: new("subnet-b")}}}),
			"ValidationError: Subnets and subnet mappings cannot be specified at the same time",
		},
		{
			"a name that is none",
			create(elbv2.CreateLoadBalancerInput{Name: new("a\x1b[2J")}),
			"ValidationError: The load balancer name 'a\uFFFD[2J' can only contain characters that are alphanumeric characters or hyphens(-)",
		},
		{
			"an elastic address",
			create(elbv2.CreateLoadBalancerInput{Name: new("x"), SubnetMappings: []types.SubnetMapping{{SubnetId: new("subnet-a"), AllocationId: new("eipalloc-1")}}}),
			"InvalidConfigurationRequest: AllocationId is not offered here",
		},
		{"all", describe(elbv2.DescribeLoadBalancersInput{}), "<LoadBalancers>" + siteAsXML + "</LoadBalancers>"},
		{"by name", describe(elbv2.DescribeLoadBalancersInput{Names: []string{"site"}}), "<LoadBalancers>" + siteAsXML + "</LoadBalancers>"},
		{"a name that is not there", describe(elbv2.DescribeLoadBalancersInput{Names: []string{"site", "none"}}), "LoadBalancerNotFound: One or more load balancers not found"},
		{"an ARN that is not there", describe(elbv2.DescribeLoadBalancersInput{LoadBalancerArns: []string{notThere}}), "LoadBalancerNotFound: One or more load balancers not found"},
		{"an ARN that is none", describe(elbv2.DescribeLoadBalancersInput{LoadBalancerArns: []string{"site"}}), "ValidationError: 'site' is not a valid load balancer ARN"},
		{"names and ARNs", describe(elbv2.DescribeLoadBalancersInput{LoadBalancerArns: []string{notThere}, Names: []string{"site"}}), "ValidationError: Load balancer names and load balancer ARNs cannot be specified at the same time"},
		{"too many", describe(elbv2.DescribeLoadBalancersInput{Names: make([]string, 21)}), "ValidationError: You can specify 20 load balancers at most"},
		{"deleted", remove("LB"), ""},
		{"deleted, although it is not there", remove(notThere), ""},
		{"deleted by a name", remove("site"), "ValidationError: 'site' is not a valid load balancer ARN"},
		{
			"addresses of both kinds",
			asking((*elbv2.Client).SetIpAddressType, func(s *site) *elbv2.SetIpAddressTypeInput {
				return &elbv2.SetIpAddressTypeInput{LoadBalancerArn: &s.lb, IpAddressType: types.IpAddressTypeDualstack}
			}),
			"<IpAddressType>dualstack</IpAddressType>",
		},
		{
			"addresses of a kind that is not offered",
			asking((*elbv2.Client).SetIpAddressType, func(s *site) *elbv2.SetIpAddressTypeInput {
				return &elbv2.SetIpAddressTypeInput{LoadBalancerArn: &s.lb, IpAddressType: types.IpAddressTypeDualstackWithoutPublicIpv4}
			}),
			"ValidationError: IpAddressType 'dualstack-without-public-ipv4' is not one of ipv4, dualstack",
		},
		{
			"security groups",
			asking((*elbv2.Client).SetSecurityGroups, func(s *site) *elbv2.SetSecurityGroupsInput {
				return &elbv2.SetSecurityGroupsInput{LoadBalancerArn: &s.lb, SecurityGroups: []string{"sg-1", "sg-2"}}
			}),
			"<SecurityGroupIds><member>sg-1</member><member>sg-2</member></SecurityGroupIds>",
		},
		{
			"subnets",
			asking((*elbv2.Client).SetSubnets, func(s *site) *elbv2.SetSubnetsInput {
				return &elbv2.SetSubnetsInput{LoadBalancerArn: &s.lb, Subnets: []string{"subnet-c"}, IpAddressType: types.IpAddressTypeDualstack}
			}),
			`<AvailabilityZones><member><LoadBalancerAddresses></LoadBalancerAddresses><SubnetId>subnet-c</SubnetId><ZoneName>eu-west-1c</ZoneName></member></AvailabilityZones>
			<IpAddressType>dualstack</IpAddressType>`,
		},
		{
			"no subnets",
			asking((*elbv2.Client).SetSubnets, func(s *site) *elbv2.SetSubnetsInput { return &elbv2.SetSubnetsInput{LoadBalancerArn: &s.lb} }),
			"ValidationError: You must specify subnets or subnet mappings",
		},
		{
			"no capacity is reserved",
			asking((*elbv2.Client).DescribeCapacityReservation, func(s *site) *elbv2.DescribeCapacityReservationInput {
				return &elbv2.DescribeCapacityReservationInput{LoadBalancerArn: &s.lb}
			}),
			"<CapacityReservationState></CapacityReservationState>",
		},
		{
			"an attribute is changed, and all are told",
			asking((*elbv2.Client).ModifyLoadBalancerAttributes, func(s *site) *elbv2.ModifyLoadBalancerAttributesInput {
				return &elbv2.ModifyLoadBalancerAttributesInput{LoadBalancerArn: &s.lb, Attributes: []types.LoadBalancerAttribute{{Key: new("idle_timeout.timeout_seconds"), Value: new("4000")}}}
			}),
			`<Attributes>` + strings.Replace(balancerAttributes, "idle_timeout.timeout_seconds</Key><Value>60", "idle_timeout.timeout_seconds</Key><Value>4000", 1) + `</Attributes>`,
		},
		{
			"attributes",
			asking((*elbv2.Client).DescribeLoadBalancerAttributes, func(s *site) *elbv2.DescribeLoadBalancerAttributesInput {
				return &elbv2.DescribeLoadBalancerAttributesInput{LoadBalancerArn: &s.lb}
			}),
			`<Attributes>` + balancerAttributes + `</Attributes>`,
		},
		{
			"attributes of what is not there",
			asking((*elbv2.Client).DescribeLoadBalancerAttributes, func(*site) *elbv2.DescribeLoadBalancerAttributesInput {
				return &elbv2.DescribeLoadBalancerAttributesInput{LoadBalancerArn: new(notThere)}
			}),
			"LoadBalancerNotFound: One or more load balancers not found",
		},
		{
			"an attribute that nothing has",
			asking((*elbv2.Client).ModifyLoadBalancerAttributes, func(s *site) *elbv2.ModifyLoadBalancerAttributesInput {
				return &elbv2.ModifyLoadBalancerAttributesInput{LoadBalancerArn: &s.lb, Attributes: []types.LoadBalancerAttribute{{Key: new("idle"), Value: new("1")}}}
			}),
			"ValidationError: Load balancer attribute key 'idle' is not recognized",
		},
		{
			"an attribute twice",
			asking((*elbv2.Client).ModifyLoadBalancerAttributes, func(s *site) *elbv2.ModifyLoadBalancerAttributesInput {
				one := types.LoadBalancerAttribute{Key: new("idle_timeout.timeout_seconds"), Value: new("1")}
				return &elbv2.ModifyLoadBalancerAttributesInput{LoadBalancerArn: &s.lb, Attributes: []types.LoadBalancerAttribute{one, one}}
			}),
			"ValidationError: Attribute key 'idle_timeout.timeout_seconds' was given more than once",
		},
	})
}

// balancerAttributes are those of a new internal load balancer.
var balancerAttributes = attributes(
	"access_logs.s3.bucket", "", "access_logs.s3.enabled", "false", "access_logs.s3.prefix", "",
	"client_keep_alive.seconds", "3600",
	"connection_logs.s3.bucket", "", "connection_logs.s3.enabled", "false", "connection_logs.s3.prefix", "",
	"deletion_protection.enabled", "false",
	"health_check_logs.s3.bucket", "", "health_check_logs.s3.enabled", "false", "health_check_logs.s3.prefix", "",
	"idle_timeout.timeout_seconds", "60", "ipv6.deny_all_igw_traffic", "true", "load_balancing.cross_zone.enabled", "true",
	"routing.http.desync_mitigation_mode", "defensive", "routing.http.drop_invalid_header_fields.enabled", "false",
	"routing.http.preserve_host_header.enabled", "false", "routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false",
	"routing.http.xff_client_port.enabled", "false", "routing.http.xff_header_processing.mode", "append", "routing.http2.enabled", "true",
	"waf.fail_open.enabled", "false", "zonal_shift.config.enabled", "false",
)

// attributes are keys and values in turn, as XML.
func attributes(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString("<member><Key>" + pairs[i] + "</Key><Value>" + pairs[i+1] + "</Value></member>")
	}
	return b.String()
}

// A load balancer that is protected stays, and one that was deleted takes its
// listeners with it: the group is free.
func TestDeleteALoadBalancer(t *testing.T) {
	t.Parallel()
	s, client := newSite(t)
	protect := func(value string) {
		t.Helper()
		_, err := client.ModifyLoadBalancerAttributes(t.Context(), &elbv2.ModifyLoadBalancerAttributesInput{LoadBalancerArn: &s.lb, Attributes: []types.LoadBalancerAttribute{{Key: new("deletion_protection.enabled"), Value: &value}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	protect("true")
	if _, err := client.DeleteLoadBalancer(t.Context(), &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: &s.lb}); !refused[*types.OperationNotPermittedException](err) {
		t.Errorf("a protected one: %v", err)
	}
	if _, err := client.DeleteTargetGroup(t.Context(), &elbv2.DeleteTargetGroupInput{TargetGroupArn: &s.blue}); !refused[*types.ResourceInUseException](err) {
		t.Errorf("a group in use: %v", err)
	}
	protect("false")
	if _, err := client.DeleteLoadBalancer(t.Context(), &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: &s.lb}); err != nil {
		t.Error(err)
	}
	if _, err := client.DescribeListeners(t.Context(), &elbv2.DescribeListenersInput{ListenerArns: []string{s.listener}}); !refused[*types.ListenerNotFoundException](err) {
		t.Errorf("its listener: %v", err)
	}
	if _, err := client.DeleteTargetGroup(t.Context(), &elbv2.DeleteTargetGroupInput{TargetGroupArn: &s.blue}); err != nil {
		t.Errorf("a group that was freed: %v", err)
	}
}

// The pages of a list have each item once, also when items come and go between
// them.
func TestPages(t *testing.T) {
	t.Parallel()
	_, client := newSite(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		if _, err := client.CreateLoadBalancer(t.Context(), &elbv2.CreateLoadBalancerInput{Name: &name}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	var marker *string
	for page := range 4 {
		out, err := client.DescribeLoadBalancers(t.Context(), &elbv2.DescribeLoadBalancersInput{PageSize: aws.Int32(2), Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range out.LoadBalancers {
			names = append(names, *b.LoadBalancerName)
		}
		names = append(names, "|")
		if marker = out.NextMarker; marker == nil {
			break
		}
		if page == 0 { // the last of the first page goes, and one comes that belongs before it
			first, err := client.DescribeLoadBalancers(t.Context(), &elbv2.DescribeLoadBalancersInput{Names: []string{"b"}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.DeleteLoadBalancer(t.Context(), &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: first.LoadBalancers[0].LoadBalancerArn}); err != nil {
				t.Fatal(err)
			}
			if _, err := client.CreateLoadBalancer(t.Context(), &elbv2.CreateLoadBalancerInput{Name: new("aa")}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := strings.Join(names, " "); got != "a b | c d | e site |" {
		t.Errorf("pages %s", got)
	}
	for _, test := range []struct {
		in   elbv2.DescribeLoadBalancersInput
		want string
	}{
		{elbv2.DescribeLoadBalancersInput{PageSize: aws.Int32(0)}, "Page size '0' is not between 1 and 400"},
		{elbv2.DescribeLoadBalancersInput{PageSize: aws.Int32(401)}, "Page size '401' is not between 1 and 400"},
		{elbv2.DescribeLoadBalancersInput{Marker: new("2!")}, "Invalid marker '2!': use the NextMarker of the answer before, as it is"},
	} {
		if _, err := client.DescribeLoadBalancers(t.Context(), &test.in); err == nil || !strings.Contains(err.Error(), "ValidationError: "+test.want) {
			t.Errorf("error %v, want %s", err, test.want)
		}
	}
}
