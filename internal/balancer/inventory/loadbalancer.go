package inventory

import (
	"net/netip"
	"slices"
	"strings"

	"hale/internal/elb"
)

// NewLoadBalancer is what CreateLoadBalancer asks for. Empty fields stand for
// ELB's defaults.
type NewLoadBalancer struct {
	Name           string
	Type           elb.Balancer
	Scheme         Scheme
	IPAddressType  string
	Subnets        []Subnet
	SecurityGroups []string
	Attributes     elb.Attributes
	Tags           []Tag
}

// Subnet names a subnet of a zone, and perhaps the address to listen on there.
type Subnet struct{ ID, Address string }

// How many there can be: in a region, of a load balancer, beside a listener's
// default certificate (guide, "Quotas").
const (
	mostLoadBalancers = 50
	mostListeners     = 50
	mostCertificates  = 25
)

// CreateLoadBalancer adds a load balancer, or returns the one of that name if it
// is the same.
func (e *Edit) CreateLoadBalancer(n NewLoadBalancer) (*LoadBalancer, error) {
	b := &LoadBalancer{
		Name: n.Name, Type: n.Type, Scheme: n.Scheme, IPAddressType: n.IPAddressType,
		SecurityGroups: n.SecurityGroups, Created: e.now, Tags: n.Tags,
	}
	if b.Type == "" {
		b.Type = elb.Application
	}
	if b.Scheme == "" {
		b.Scheme = InternetFacing
	}
	if b.IPAddressType == "" {
		b.IPAddressType = "ipv4"
	}
	if err := elb.CheckBalancerName(n.Name); err != nil {
		return nil, err
	}
	switch {
	case b.Type != elb.Application && b.Type != elb.Network && b.Type != elb.Classic:
		return nil, elb.Errorf("InvalidConfigurationRequest", "Load balancers of type '%s' are not offered here: application, network or classic", b.Type)
	case b.Scheme != InternetFacing && b.Scheme != Internal:
		return nil, elb.Errorf("InvalidScheme", "Scheme '%s' is not one of internet-facing, internal", b.Scheme)
	}
	if err := checkIPAddressType(b.IPAddressType); err != nil {
		return nil, err
	}
	var err error
	if b.Zones, err = e.zones(n.Subnets); err != nil {
		return nil, err
	}
	if err := checkTags(n.Tags); err != nil {
		return nil, err
	}
	if b.Attributes, err = elb.SetAttributes(b.attributes(), nil, n.Attributes); err != nil {
		return nil, err
	}
	for _, other := range e.next.LoadBalancers {
		if other.Name != b.Name {
			continue
		}
		if other.Type == b.Type && other.Scheme == b.Scheme && slices.Equal(other.Zones, b.Zones) &&
			other.IPAddressType == b.IPAddressType && slices.Equal(other.SecurityGroups, b.SecurityGroups) && sameTags(other.Tags, b.Tags) {
			return other, nil
		}
		return nil, elb.Errorf("DuplicateLoadBalancerName", "A load balancer with the same name '%s' exists, but with different settings", b.Name)
	}
	if len(e.next.LoadBalancers) >= mostLoadBalancers {
		return nil, elb.Errorf("TooManyLoadBalancers", "There are %d load balancers, as many as there can be", mostLoadBalancers)
	}
	id := hex16()
	b.ARN = elb.BalancerARN(e.place.Region, e.place.Account, b.Type, b.Name, id)
	// Every name below localhost is this machine's (RFC 6761, 6.3).
	b.DNSName = strings.Replace(elb.DNSName(e.place.Region, b.Type, b.Scheme == Internal, b.Name, id), "amazonaws.com", "localhost", 1)
	e.next.LoadBalancers[b.ARN] = b
	return b, nil
}

func checkIPAddressType(typ string) error {
	switch typ {
	case "ipv4", "dualstack":
		return nil
	default:
		return elb.Errorf(elb.CodeValidation, "IpAddressType '%s' is not one of ipv4, dualstack", typ)
	}
}

// zones places subnets: the last letter of a subnet's ID names its zone, as in
// subnet-b; one without such a letter is in zone a. There are no subnets on one
// machine; this is so that rules about zones can be tried.
func (e *Edit) zones(subnets []Subnet) ([]Zone, error) {
	var zones []Zone
	for _, s := range subnets {
		if s.ID == "" {
			return nil, elb.Errorf("InvalidSubnet", "A subnet has no ID")
		}
		z := Zone{SubnetID: s.ID, Name: e.place.ZoneOf(s.ID), Address: s.Address}
		if s.Address != "" {
			if _, err := netip.ParseAddr(s.Address); err != nil {
				return nil, elb.Errorf(elb.CodeValidation, "PrivateIPv4Address '%s' is not an IP address", s.Address)
			}
		}
		if slices.ContainsFunc(zones, func(o Zone) bool { return o.Name == z.Name }) {
			return nil, elb.Errorf("InvalidConfigurationRequest", "A load balancer cannot be attached to multiple subnets in the same Availability Zone: '%s'", z.Name)
		}
		zones = append(zones, z)
	}
	if len(zones) == 0 {
		zones = []Zone{{Name: e.place.Region + "a", SubnetID: "subnet-a"}}
	}
	return zones, nil
}

// ZoneOf returns the zone of a subnet.
func (p Place) ZoneOf(subnet string) string {
	letter := "a"
	if rest := strings.TrimPrefix(subnet, "subnet-"); len(rest) == 1 && rest[0] >= 'a' && rest[0] <= 'f' {
		letter = rest
	}
	return p.Region + letter
}

// loadBalancer returns a copy that may be changed, already in its place.
func (e *Edit) loadBalancer(arn string) (*LoadBalancer, error) {
	old := e.next.LoadBalancers[arn]
	if old == nil {
		return nil, elb.Errorf("LoadBalancerNotFound", "One or more load balancers not found")
	}
	b := *old
	e.next.LoadBalancers[arn] = &b
	return &b, nil
}

// DeleteLoadBalancer removes a load balancer with its listeners and their rules.
// One that is gone already is no error.
func (e *Edit) DeleteLoadBalancer(arn string) error {
	b := e.next.LoadBalancers[arn]
	if b == nil {
		return nil
	}
	if b.All().Bool("deletion_protection.enabled") {
		return elb.Errorf("OperationNotPermitted", "Load balancer '%s' cannot be deleted because deletion protection is enabled", arn)
	}
	for _, l := range e.next.ListenersOf(arn) {
		e.deleteListener(l.ARN)
	}
	delete(e.next.LoadBalancers, arn)
	return nil
}

// SetBalancerAttributes changes the attributes that are given.
func (e *Edit) SetBalancerAttributes(arn string, set elb.Attributes) (*LoadBalancer, error) {
	b, err := e.loadBalancer(arn)
	if err != nil {
		return nil, err
	}
	attributes, err := elb.SetAttributes(b.attributes(), b.Attributes, set)
	if err != nil {
		return nil, err
	}
	b.Attributes = attributes
	return b, nil
}

// SetSubnets replaces the zones.
func (e *Edit) SetSubnets(arn string, subnets []Subnet) (*LoadBalancer, error) {
	zones, err := e.zones(subnets)
	if err != nil {
		return nil, err
	}
	b, err := e.loadBalancer(arn)
	if err != nil {
		return nil, err
	}
	b.Zones = zones
	return b, nil
}

// SetSecurityGroups replaces the security groups. They are kept and told; nothing
// is filtered on one machine.
func (e *Edit) SetSecurityGroups(arn string, groups []string) (*LoadBalancer, error) {
	b, err := e.loadBalancer(arn)
	if err != nil {
		return nil, err
	}
	if b.Type == elb.Network && len(b.SecurityGroups) == 0 && len(groups) > 0 { // ELBv2 API, SetSecurityGroups
		return nil, elb.Errorf("InvalidConfigurationRequest", "A Network Load Balancer that was made without security groups cannot be given some: make it anew with them")
	}
	b.SecurityGroups = groups
	return b, nil
}

// SetIPAddressType changes the address type.
func (e *Edit) SetIPAddressType(arn, typ string) (*LoadBalancer, error) {
	if err := checkIPAddressType(typ); err != nil {
		return nil, err
	}
	b, err := e.loadBalancer(arn)
	if err != nil {
		return nil, err
	}
	b.IPAddressType = typ
	return b, nil
}
