package elbapi

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
)

// What AWS has for each load balancer and one machine has not. Clients take them
// for given.
const (
	network = "vpc-local"
	dnsZone = "ZLOCAL" // the zone that DNSName would be in
)

// mostNamed is how many load balancers, or things with tags, a question may name
// (ELBv2 API, DescribeLoadBalancers, DescribeTags).
const mostNamed = 20

func (a api) createLoadBalancer(ctx context.Context, in *elbv2.CreateLoadBalancerInput) (*elbv2.CreateLoadBalancerOutput, error) {
	subnets, err := subnetsFrom(in.Subnets, in.SubnetMappings)
	if err := first(
		required("Name", in.Name != nil),
		amongTypes(in.Type), among("Scheme", in.Scheme), among("IpAddressType", in.IpAddressType),
		notOffered("CustomerOwnedIpv4Pool", in.CustomerOwnedIpv4Pool != nil),
		notOffered("IpamPools", in.IpamPools != nil),
		err,
	); err != nil {
		return nil, err
	}
	tags, err := tagsFrom(in.Tags)
	if err != nil {
		return nil, err
	}
	made, err := change(ctx, a, func(e *inventory.Edit) (*inventory.LoadBalancer, error) {
		return e.CreateLoadBalancer(inventory.NewLoadBalancer{
			Name: *in.Name, Type: elb.Balancer(in.Type), Scheme: inventory.Scheme(in.Scheme), IPAddressType: string(in.IpAddressType),
			Subnets: subnets, SecurityGroups: in.SecurityGroups, Tags: tags,
		})
	})
	if err != nil {
		return nil, err
	}
	return &elbv2.CreateLoadBalancerOutput{LoadBalancers: []types.LoadBalancer{loadBalancer(made)}}, nil
}

// amongTypes refuses a type that there is not. The classic one is made by this
// action, too, which ELBv2 does not know it in: its own API is not offered.
func amongTypes(typ types.LoadBalancerTypeEnum) error {
	if typ == types.LoadBalancerTypeEnum(elb.Classic) {
		return nil
	}
	return among("Type", typ)
}

func (a api) describeLoadBalancers(_ context.Context, in *elbv2.DescribeLoadBalancersInput) (*elbv2.DescribeLoadBalancersOutput, error) {
	switch {
	case len(in.Names) > 0 && len(in.LoadBalancerArns) > 0:
		return nil, elb.Errorf(elb.CodeValidation, "Load balancer names and load balancer ARNs cannot be specified at the same time")
	case len(in.Names) > mostNamed || len(in.LoadBalancerArns) > mostNamed:
		return nil, elb.Errorf(elb.CodeValidation, "You can specify %d load balancers at most", mostNamed)
	}
	if err := checkARNs(in.LoadBalancerArns, elb.ARNBalancer); err != nil {
		return nil, err
	}
	all, ok := named(a.balancer.Inventory().SortedLoadBalancers(),
		in.LoadBalancerArns, func(b *inventory.LoadBalancer) string { return b.ARN },
		in.Names, func(b *inventory.LoadBalancer) string { return b.Name })
	if !ok {
		return nil, elb.Errorf("LoadBalancerNotFound", "One or more load balancers not found")
	}
	part, next, err := page(all, func(b *inventory.LoadBalancer) string { return b.Name }, in.Marker, in.PageSize)
	return &elbv2.DescribeLoadBalancersOutput{LoadBalancers: each(part, loadBalancer), NextMarker: next}, err
}

func (a api) deleteLoadBalancer(ctx context.Context, in *elbv2.DeleteLoadBalancerInput) (*elbv2.DeleteLoadBalancerOutput, error) {
	arn, err := arnAt("LoadBalancerArn", in.LoadBalancerArn, elb.ARNBalancer)
	if err != nil {
		return nil, err
	}
	return &elbv2.DeleteLoadBalancerOutput{}, a.balancer.Change(ctx, func(e *inventory.Edit) error { return e.DeleteLoadBalancer(arn) })
}

func (a api) describeLoadBalancerAttributes(_ context.Context, in *elbv2.DescribeLoadBalancerAttributesInput) (*elbv2.DescribeLoadBalancerAttributesOutput, error) {
	b, err := find(a.balancer.Inventory().LoadBalancers, "LoadBalancerArn", in.LoadBalancerArn, elb.ARNBalancer)
	if err != nil {
		return nil, err
	}
	return &elbv2.DescribeLoadBalancerAttributesOutput{Attributes: loadBalancerAttributes(b)}, nil
}

func (a api) modifyLoadBalancerAttributes(ctx context.Context, in *elbv2.ModifyLoadBalancerAttributesInput) (*elbv2.ModifyLoadBalancerAttributesOutput, error) {
	arn, err := arnAt("LoadBalancerArn", in.LoadBalancerArn, elb.ARNBalancer)
	if err != nil {
		return nil, err
	}
	set, err := attributesFrom(in.Attributes, func(t types.LoadBalancerAttribute) (key, value *string) { return t.Key, t.Value })
	if err != nil {
		return nil, err
	}
	b, err := change(ctx, a, func(e *inventory.Edit) (*inventory.LoadBalancer, error) { return e.SetBalancerAttributes(arn, set) })
	if err != nil {
		return nil, err
	}
	return &elbv2.ModifyLoadBalancerAttributesOutput{Attributes: loadBalancerAttributes(b)}, nil
}

func loadBalancerAttributes(b *inventory.LoadBalancer) []types.LoadBalancerAttribute {
	return attributesOf(b.All(), func(key, value *string) types.LoadBalancerAttribute {
		return types.LoadBalancerAttribute{Key: key, Value: value}
	})
}

func (a api) setIPAddressType(ctx context.Context, in *elbv2.SetIpAddressTypeInput) (*elbv2.SetIpAddressTypeOutput, error) {
	arn, err := arnAt("LoadBalancerArn", in.LoadBalancerArn, elb.ARNBalancer)
	if err := first(err, required("IpAddressType", in.IpAddressType != ""), among("IpAddressType", in.IpAddressType)); err != nil {
		return nil, err
	}
	b, err := change(ctx, a, func(e *inventory.Edit) (*inventory.LoadBalancer, error) {
		return e.SetIPAddressType(arn, string(in.IpAddressType))
	})
	if err != nil {
		return nil, err
	}
	return &elbv2.SetIpAddressTypeOutput{IpAddressType: types.IpAddressType(b.IPAddressType)}, nil
}

func (a api) setSecurityGroups(ctx context.Context, in *elbv2.SetSecurityGroupsInput) (*elbv2.SetSecurityGroupsOutput, error) {
	arn, err := arnAt("LoadBalancerArn", in.LoadBalancerArn, elb.ARNBalancer)
	if err := first(err, required("SecurityGroups", in.SecurityGroups != nil)); err != nil {
		return nil, err
	}
	b, err := change(ctx, a, func(e *inventory.Edit) (*inventory.LoadBalancer, error) {
		return e.SetSecurityGroups(arn, in.SecurityGroups)
	})
	if err != nil {
		return nil, err
	}
	return &elbv2.SetSecurityGroupsOutput{SecurityGroupIds: b.SecurityGroups}, nil
}

func (a api) setSubnets(ctx context.Context, in *elbv2.SetSubnetsInput) (*elbv2.SetSubnetsOutput, error) {
	arn, err := arnAt("LoadBalancerArn", in.LoadBalancerArn, elb.ARNBalancer)
	if err := first(err, among("IpAddressType", in.IpAddressType)); err != nil {
		return nil, err
	}
	subnets, err := subnetsFrom(in.Subnets, in.SubnetMappings)
	if err != nil {
		return nil, err
	}
	if len(subnets) == 0 {
		return nil, elb.Errorf(elb.CodeValidation, "You must specify subnets or subnet mappings")
	}
	b, err := change(ctx, a, func(e *inventory.Edit) (*inventory.LoadBalancer, error) {
		if in.IpAddressType != "" {
			if _, err := e.SetIPAddressType(arn, string(in.IpAddressType)); err != nil {
				return nil, err
			}
		}
		return e.SetSubnets(arn, subnets)
	})
	if err != nil {
		return nil, err
	}
	return &elbv2.SetSubnetsOutput{AvailabilityZones: each(b.Zones, zone), IpAddressType: types.IpAddressType(b.IPAddressType)}, nil
}

// describeCapacityReservation tells that no capacity is reserved, as Terraform
// asks of each load balancer.
func (a api) describeCapacityReservation(_ context.Context, in *elbv2.DescribeCapacityReservationInput) (*elbv2.DescribeCapacityReservationOutput, error) {
	if _, err := find(a.balancer.Inventory().LoadBalancers, "LoadBalancerArn", in.LoadBalancerArn, elb.ARNBalancer); err != nil {
		return nil, err
	}
	return &elbv2.DescribeCapacityReservationOutput{}, nil
}

// subnetsFrom reads subnets in one of the two forms of the API.
func subnetsFrom(ids []string, mappings []types.SubnetMapping) ([]inventory.Subnet, error) {
	if len(ids) > 0 && len(mappings) > 0 {
		return nil, elb.Errorf(elb.CodeValidation, "Subnets and subnet mappings cannot be specified at the same time")
	}
	var subnets []inventory.Subnet
	for _, id := range ids {
		subnets = append(subnets, inventory.Subnet{ID: id})
	}
	for _, m := range mappings {
		if err := notOffered("AllocationId", m.AllocationId != nil); err != nil {
			return nil, err
		}
		subnets = append(subnets, inventory.Subnet{ID: aws.ToString(m.SubnetId), Address: aws.ToString(m.PrivateIPv4Address)})
	}
	return subnets, nil
}

// loadBalancer tells a load balancer. It is active as soon as it is there.
func loadBalancer(b *inventory.LoadBalancer) types.LoadBalancer {
	return types.LoadBalancer{
		LoadBalancerArn:       &b.ARN,
		LoadBalancerName:      &b.Name,
		DNSName:               &b.DNSName,
		CanonicalHostedZoneId: new(dnsZone),
		CreatedTime:           &b.Created,
		Type:                  types.LoadBalancerTypeEnum(b.Type),
		Scheme:                types.LoadBalancerSchemeEnum(b.Scheme),
		IpAddressType:         types.IpAddressType(b.IPAddressType),
		VpcId:                 new(network),
		State:                 &types.LoadBalancerState{Code: types.LoadBalancerStateEnumActive},
		AvailabilityZones:     each(b.Zones, zone),
		SecurityGroups:        b.SecurityGroups,
	}
}

func zone(z inventory.Zone) types.AvailabilityZone {
	told := types.AvailabilityZone{ZoneName: &z.Name, SubnetId: &z.SubnetID, LoadBalancerAddresses: []types.LoadBalancerAddress{}}
	if z.Address != "" {
		told.LoadBalancerAddresses = []types.LoadBalancerAddress{{PrivateIPv4Address: &z.Address}}
	}
	return told
}

// named returns those of a list that are asked for by one of two kinds of names,
// all of them if none is. It is false if one that was asked for is not there.
func named[T any](all []T, arns []string, arn func(T) string, names []string, name func(T) string) ([]T, bool) {
	asked, by := arns, arn
	if len(arns) == 0 {
		asked, by = names, name
	}
	if len(asked) == 0 {
		return all, true
	}
	var found []T
	there := make(map[string]bool)
	for _, one := range all {
		if slices.Contains(asked, by(one)) {
			found = append(found, one)
			there[by(one)] = true
		}
	}
	for _, one := range asked {
		if !there[one] {
			return nil, false
		}
	}
	return found, true
}
