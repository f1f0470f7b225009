package inventory

import (
	"cmp"
	"reflect"
	"slices"

	"hale/internal/elb"
)

// NewGroup is what CreateTargetGroup asks for. Zero fields of the health check
// stand for ELB's defaults.
type NewGroup struct {
	Name          string
	Kind          elb.Kind
	Port          int
	VPC           string
	IPAddressType string
	HealthCheck   elb.HealthCheck
	Attributes    elb.Attributes
	Tags          []Tag
}

const mostGroups = 3000 // per region (guide, "Quotas")

// CreateGroup adds a target group, or returns the one of that name if it is the
// same.
func (e *Edit) CreateGroup(n NewGroup) (*Group, error) {
	g := &Group{
		Name: n.Name, Kind: n.Kind, Port: n.Port, VPC: n.VPC, IPAddressType: cmp.Or(n.IPAddressType, "ipv4"),
		Created: e.now, Tags: n.Tags,
	}
	g.Kind.Targets = cmp.Or(g.Kind.Targets, elb.Instances)
	if err := checkGroup(g); err != nil {
		return nil, err
	}
	if g.Kind.Balancer() == elb.Application {
		g.Kind.Version = cmp.Or(g.Kind.Version, elb.HTTP1)
	}
	if err := e.place.checkHealth(g.Kind, n.HealthCheck); err != nil {
		return nil, err
	}
	g.HealthCheck = n.HealthCheck.WithDefaults(g.Kind)
	if err := checkTags(n.Tags); err != nil {
		return nil, err
	}
	var err error
	if g.Attributes, err = elb.SetAttributes(elb.GroupAttributes(g.Kind), nil, n.Attributes); err != nil {
		return nil, err
	}
	for _, other := range e.next.Groups {
		if other.Name != g.Name {
			continue
		}
		if other.Kind == g.Kind && other.Port == g.Port && other.VPC == g.VPC && other.IPAddressType == g.IPAddressType && other.HealthCheck == g.HealthCheck && sameTags(other.Tags, g.Tags) {
			return other, nil
		}
		return nil, elb.Errorf("DuplicateTargetGroupName", "A target group with the same name '%s' exists, but with different settings", g.Name)
	}
	if len(e.next.Groups) >= mostGroups {
		return nil, elb.Errorf("TooManyTargetGroups", "There are %d target groups, as many as there can be", mostGroups)
	}
	g.ARN = elb.GroupARN(e.place.Region, e.place.Account, g.Name, hex16())
	e.next.Groups[g.ARN] = g
	return g, nil
}

func checkGroup(g *Group) error {
	if err := elb.CheckGroupName(g.Name); err != nil {
		return err
	}
	switch g.Kind.Targets {
	case elb.Instances, elb.Addresses:
	case elb.Lambda, elb.Balancers:
		return elb.Errorf("InvalidConfigurationRequest", "Targets of type '%s' are not offered here: instance or ip", g.Kind.Targets)
	default:
		return elb.Errorf(elb.CodeValidation, "Target type '%s' is not one of instance, ip", g.Kind.Targets)
	}
	switch g.Kind.Protocol {
	case elb.HTTP, elb.HTTPS:
		if v := g.Kind.Version; v != "" && v != elb.HTTP1 && v != elb.HTTP2 && v != elb.GRPC {
			return elb.Errorf(elb.CodeValidation, "Protocol version '%s' is not one of HTTP1, HTTP2, GRPC", v)
		}
	case elb.TCP, elb.TLS:
		if g.Kind.Version != "" {
			return elb.Errorf("InvalidConfigurationRequest", "A protocol version is possible for groups of protocol HTTP or HTTPS alone")
		}
	case "":
		return elb.Errorf(elb.CodeValidation, "A protocol must be specified")
	default:
		return elb.Errorf("InvalidConfigurationRequest", "Target groups of protocol '%s' are not offered here: HTTP, HTTPS, TCP or TLS", g.Kind.Protocol)
	}
	if g.Port < 1 || g.Port > 65535 {
		return elb.Errorf(elb.CodeValidation, "A port between 1 and 65535 must be specified")
	}
	if g.IPAddressType != "ipv4" && g.IPAddressType != "ipv6" {
		return elb.Errorf(elb.CodeValidation, "IpAddressType '%s' is not one of ipv4, ipv6", g.IPAddressType)
	}
	return nil
}

func groupNotFound() error {
	return elb.Errorf("TargetGroupNotFound", "One or more target groups not found")
}

// group returns a copy that may be changed, already in its place. Its targets are
// still shared.
func (e *Edit) group(arn string) (*Group, error) {
	old := e.next.Groups[arn]
	if old == nil {
		return nil, groupNotFound()
	}
	g := *old
	e.next.Groups[arn] = &g
	return &g, nil
}

// TrafficPort is the Port of a change that sets it back to 0, the port that each
// target takes traffic on.
const TrafficPort = -1

// ModifyHealthCheck changes those settings of a group's health check that are
// not zero.
func (e *Edit) ModifyHealthCheck(arn string, set elb.HealthCheck) (*Group, error) {
	g, err := e.group(arn)
	if err != nil {
		return nil, err
	}
	next := overlay(g.HealthCheck, set)
	if set.Port == TrafficPort {
		next.Port = 0
	}
	if set.Protocol == elb.TCP && set.Matcher == "" {
		next.Path, next.Matcher = "", "" // a connection has neither
	}
	if err := e.place.checkHealth(g.Kind, next); err != nil {
		return nil, err
	}
	g.HealthCheck = next.WithDefaults(g.Kind)
	return g, nil
}

// overlay returns h with what is set in set.
func overlay(h, set elb.HealthCheck) elb.HealthCheck {
	to, from := reflect.ValueOf(&h).Elem(), reflect.ValueOf(set)
	for i := range from.NumField() {
		if f := from.Field(i); !f.IsZero() {
			to.Field(i).Set(f)
		}
	}
	return h
}

// DeleteGroup removes a group that no rule uses. One that is gone already is no
// error.
func (e *Edit) DeleteGroup(arn string) error {
	if e.next.BalancersOf()[arn] != "" {
		return elb.Errorf("ResourceInUse", "Target group '%s' is currently in use by a listener or a rule", arn)
	}
	delete(e.next.Groups, arn)
	return nil
}

// SetGroupAttributes changes the attributes that are given.
func (e *Edit) SetGroupAttributes(arn string, set elb.Attributes) (*Group, error) {
	g, err := e.group(arn)
	if err != nil {
		return nil, err
	}
	attributes, err := elb.SetAttributes(elb.GroupAttributes(g.Kind), g.Attributes, set)
	if err != nil {
		return nil, err
	}
	g.Attributes = attributes
	return g, nil
}

// LoadBalancersOf returns the ARNs of the load balancers that use a group: one,
// or none.
func (v *Inventory) LoadBalancersOf(group string) []string {
	if b := v.BalancersOf()[group]; b != "" {
		return []string{b}
	}
	return nil
}

// cloneTargets gives a copied group targets of its own.
func (g *Group) cloneTargets() { g.Targets = slices.Clone(g.Targets) }
