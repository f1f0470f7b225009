package configuration

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/yamlfile"
)

func (r *reader) targetGroups() {
	names := seen{}
	for i := range r.file.TargetGroups {
		g, at := &r.file.TargetGroups[i], yamlfile.ElementPath("TargetGroups", i)
		r.name(names, yamlfile.Join(at, "Name"), g.Name, "target group")
		if !r.OK(at) {
			continue
		}
		r.attributes(yamlfile.Join(at, "Attributes"), elb.GroupAttributes(g.kind()), g.Attributes)
		r.tags(at, g.Tags)
		r.healthCheck(g, at)
		r.targets(g, at)
		r.refused(yamlfile.Join(at, "Name"), elb.CheckGroupName(g.Name))
		if r.OK(at) {
			_, err := r.empty().CreateGroup(g.wish())
			r.refusedOf(at, err)
		}
	}
}

func (r *reader) healthCheck(g *TargetGroup, at string) {
	if g.Matcher.HTTPCode != "" && g.Matcher.GRPCCode != "" {
		r.FaultNear(yamlfile.Join(at, "Matcher"), "has both HttpCode and GrpcCode; write GrpcCode for a group of ProtocolVersion GRPC, else HttpCode")
		return
	}
	other := "HttpCode"
	if g.ProtocolVersion != elb.GRPC {
		other = "GrpcCode"
	}
	if n := r.Node(yamlfile.Join(at, "Matcher."+other)); n != nil {
		r.FaultNear(yamlfile.Join(at, "Matcher."+other), fmt.Sprintf("is not for a group of this ProtocolVersion; write %s", map[string]string{"HttpCode": "GrpcCode", "GrpcCode": "HttpCode"}[other]))
		return
	}
	for _, fault := range g.healthCheck().Faults(g.kind()) {
		const interval, timeout = "HealthCheckIntervalSeconds", "HealthCheckTimeoutSeconds"
		if fault.Setting == timeout && r.Node(yamlfile.Join(at, timeout)) == nil {
			r.FaultNear(yamlfile.Join(at, interval), "does not go with the default of "+timeout+" ("+fault.Problem+"); write that as well")
			continue
		}
		r.FaultNear(yamlfile.Join(at, fault.Setting), fault.Problem)
	}
}

func (r *reader) targets(g *TargetGroup, at string) {
	at = yamlfile.Join(at, "Targets")
	lines := map[inventory.TargetID]int{}
	for i, t := range g.Targets {
		path := yamlfile.ElementPath(at, i)
		target := g.target(t)
		if !r.OK(path) {
			continue
		}
		n := r.Node(yamlfile.Join(path, "Id"))
		if _, err := netip.ParseAddr(t.ID); err == nil && g.kind().Targets == elb.Instances {
			r.FaultNear(yamlfile.Join(path, "Id"), "is an address, and the group's targets are instances; write TargetType: ip in the group")
			continue
		}
		if strings.ContainsAny(t.ID, " @") || t.ID == "" {
			r.FaultNear(yamlfile.Join(path, "Id"), "is no target; write an IP address, or the ID of an instance")
			continue
		}
		if line, twice := lines[target.TargetID]; twice && n != nil {
			r.Fault(n, path, "the target is there already (line %d); keep one, or give them different ports", line)
			continue
		} else if n != nil {
			lines[target.TargetID] = n.Line
		}
		edit := r.empty()
		made, err := edit.CreateGroup(inventory.NewGroup{Name: "a", Kind: g.kind(), Port: g.Port, IPAddressType: g.IPAddressType})
		if err == nil {
			_, err = edit.Register(made.ARN, []inventory.Target{target})
			key := "Id"
			if refused, ok := errors.AsType[*elb.Error](err); ok && strings.Contains(refused.Message, "Zone") {
				key = "AvailabilityZone"
			}
			r.refused(yamlfile.Join(path, key), err)
		}
	}
	if len(g.Targets) > 1000 {
		r.FaultNear(at, "a target group can have 1000 targets (guide, Quotas); make another group")
	}
}
