package configuration

import (
	"fmt"
	"reflect"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
	"hale/internal/yamlfile"
)

func (r *reader) loadBalancers() {
	names := seen{}
	for i := range r.file.LoadBalancers {
		b, at := &r.file.LoadBalancers[i], yamlfile.ElementPath("LoadBalancers", i)
		r.name(names, yamlfile.Join(at, "Name"), b.Name, "load balancer")
		if len(b.Subnets) > 0 && len(b.SubnetMappings) > 0 {
			r.FaultNear(yamlfile.Join(at, "SubnetMappings"), "a load balancer has Subnets or SubnetMappings, not both; put the subnets into SubnetMappings")
		}
		if r.OK(yamlfile.Join(at, "Type")) {
			r.attributes(yamlfile.Join(at, "Attributes"), elb.BalancerAttributes(b.wish().Type, b.Scheme == inventory.Internal), b.Attributes)
		}
		r.tags(at, b.Tags)
		if r.Node(yamlfile.Join(at, "Name")) != nil {
			r.refused(yamlfile.Join(at, "Name"), elb.CheckBalancerName(b.Name))
		}
		if r.own(at, "Listeners", yamlfile.KeysOf(reflect.TypeFor[LoadBalancer]())) {
			_, err := r.empty().CreateLoadBalancer(b.wish())
			r.refusedOf(at, err)
		}
		r.listeners(b, at)
	}
}

func (r *reader) listeners(b *LoadBalancer, at string) {
	lines := map[int]int{}
	for i := range b.Listeners {
		l, at := &b.Listeners[i], yamlfile.ElementPath(yamlfile.Join(at, "Listeners"), i)
		if n := r.Node(yamlfile.Join(at, "Port")); n != nil && r.OK(yamlfile.Join(at, "Port")) {
			if line, twice := lines[l.Port]; twice {
				r.Fault(n, yamlfile.Join(at, "Port"), "the load balancer has a listener on this port already (line %d); give each its own", line)
			} else {
				lines[l.Port] = n.Line
			}
		}
		r.certificateNames(l, at)
		r.actions(l.DefaultActions, yamlfile.Join(at, "DefaultActions"), l)
		r.attributes(yamlfile.Join(at, "Attributes"), elb.ListenerAttributes(b.wish().Type), l.Attributes)
		r.tags(at, l.Tags)
		if r.own(at, "Rules", yamlfile.KeysOf(reflect.TypeFor[Listener]())) {
			r.refusedOf(at, r.tryListener(b, l))
		}
		r.rules(b, l, at)
	}
}

func (r *reader) certificateNames(l *Listener, at string) {
	var names []string
	for _, c := range r.file.Certificates {
		names = append(names, string(c.Name))
	}
	for i, name := range l.Certificates {
		r.known(yamlfile.ElementPath(yamlfile.Join(at, "Certificates"), i), name, names, "certificate", "Certificates")
	}
	if secure := l.Protocol == elb.HTTPS || l.Protocol == elb.TLS; secure && len(l.Certificates) == 0 && r.OK(at) {
		r.FaultNear(yamlfile.Join(at, "Certificates"), "is missing; a listener of protocol "+string(l.Protocol)+" needs the name of a certificate")
	}
}

// actions looks at what actions refer to, and at each by itself.
func (r *reader) actions(all []Action, at string, l *Listener) {
	var names []string
	for i := range r.file.TargetGroups {
		names = append(names, r.file.TargetGroups[i].Name)
	}
	for i := range all {
		a, at := &all[i], yamlfile.ElementPath(at, i)
		r.known(yamlfile.Join(at, "TargetGroup"), a.TargetGroup, names, aGroup, "TargetGroups")
		if a.TargetGroup != "" && a.ForwardConfig != nil {
			r.FaultNear(yamlfile.Join(at, "TargetGroup"), "a forward has TargetGroup or ForwardConfig, not both; put the group into ForwardConfig")
		}
		if a.ForwardConfig != nil {
			list := yamlfile.Join(at, "ForwardConfig.TargetGroups")
			for j, g := range a.ForwardConfig.TargetGroups {
				r.known(yamlfile.Join(yamlfile.ElementPath(list, j), "TargetGroup"), g.TargetGroup, names, aGroup, "TargetGroups")
			}
		}
		if a.Type == string(rule.Forward) && a.TargetGroup == "" && a.ForwardConfig == nil && r.OK(at) {
			r.FaultNear(at, "a forward names where to; write TargetGroup: NAME, or ForwardConfig")
		}
	}
	if r.OK(at) && len(all) > 0 && (l.Protocol == elb.HTTP || l.Protocol == elb.HTTPS) {
		r.refused(at, rule.ValidateActions(actions(all, r.standIns()), facts(l)))
	}
}

// standIns names things as if they were there.
func (r *reader) standIns() names {
	return names{
		certificate: func(name string) string { return r.file.ARN(CertificateName(name)) },
		group:       func(name string) string { return name },
	}
}

func facts(l *Listener) rule.Listener { return rule.Listener{Protocol: l.Protocol, Port: l.Port} }

// around makes an edit with a load balancer, a listener with a default action that
// nothing is against, and the groups that actions name.
func (r *reader) around(b *LoadBalancer, all []Action) (*inventory.Edit, *inventory.LoadBalancer, error) {
	edit := r.empty()
	used := map[string]bool{}
	for _, a := range all {
		used[a.TargetGroup] = true
		if a.ForwardConfig != nil {
			for _, g := range a.ForwardConfig.TargetGroups {
				used[g.TargetGroup] = true
			}
		}
	}
	for i := range r.file.TargetGroups {
		g := &r.file.TargetGroups[i]
		if !used[g.Name] {
			continue
		}
		if !r.OK(yamlfile.ElementPath("TargetGroups", i)) {
			return nil, nil, nil // told already
		}
		if _, err := edit.CreateGroup(inventory.NewGroup{Name: g.Name, Kind: g.kind(), Port: g.Port, IPAddressType: g.IPAddressType}); err != nil {
			return nil, nil, nil //nolint:nilerr // told of the group
		}
	}
	made, err := edit.CreateLoadBalancer(inventory.NewLoadBalancer{Name: "a", Type: b.wish().Type})
	return edit, made, err
}

func namesIn(edit *inventory.Edit, r *reader) names {
	n := r.standIns()
	n.group = func(name string) string {
		if g := groupNamed(edit.Inventory(), name); g != nil {
			return g.ARN
		}
		return ""
	}
	return n
}

// tryListener returns what ELB refuses of a listener that has no fault so far.
func (r *reader) tryListener(b *LoadBalancer, l *Listener) error {
	edit, made, err := r.around(b, l.DefaultActions)
	if edit == nil || err != nil {
		return err
	}
	wish, others := l.wish(namesIn(edit, r))
	listener, err := edit.CreateListener(made.ARN, wish)
	if err == nil && len(others) > 0 {
		_, err = edit.AddCertificates(listener.ARN, others)
	}
	return err
}

func (r *reader) rules(b *LoadBalancer, l *Listener, at string) {
	lines := map[int]int{}
	for i := range l.Rules {
		one, at := &l.Rules[i], yamlfile.ElementPath(yamlfile.Join(at, "Rules"), i)
		path := yamlfile.Join(at, "Priority")
		if n := r.Node(path); n != nil && r.OK(path) {
			if line, twice := lines[one.Priority]; twice {
				r.Fault(n, path, "another rule has this priority (line %d); give each its own", line)
			} else {
				lines[one.Priority] = n.Line
			}
		}
		r.conditions(one, yamlfile.Join(at, "Conditions"), l)
		r.actions(one.Actions, yamlfile.Join(at, "Actions"), l)
		r.transforms(one, yamlfile.Join(at, "Transforms"), l)
		r.tags(at, one.Tags)
		if r.OK(at) {
			r.refused(at, r.tryRule(b, l, one))
		}
	}
	if len(l.Rules) > rule.MaxRules {
		r.FaultNear(yamlfile.Join(at, "Rules"), fmt.Sprintf("a listener can have %d rules beside its default actions (guide, Quotas)", rule.MaxRules))
	}
}

// answer is an action that nothing is against.
var answer = []rule.Action{{Type: rule.FixedResponse, FixedResponseConfig: &rule.FixedResponseConfig{StatusCode: "200"}}}

// conditions looks at each condition by itself.
func (r *reader) conditions(one *Rule, at string, l *Listener) {
	for i := range one.Conditions {
		c, at := &one.Conditions[i], yamlfile.ElementPath(at, i)
		for _, s := range c.sections() {
			switch {
			case !s.there:
			case c.Field != string(s.field):
				r.FaultNear(yamlfile.Join(at, s.key), fmt.Sprintf("is for conditions of Field %s; this one's is %s", s.field, c.Field))
			case len(c.Values)+len(c.RegexValues) > 0:
				r.FaultNear(yamlfile.Join(at, s.key), "a condition has its values in one place; take Values or this away")
			}
		}
		if r.OK(at) {
			alone := rule.Rule{Priority: 1, Conditions: []rule.Condition{c.wish()}, Actions: answer}
			r.refused(at, alone.Validate(facts(l)))
		}
	}
}

// transforms looks at each transform by itself.
func (r *reader) transforms(one *Rule, at string, l *Listener) {
	for i := range one.Transforms {
		t, at := &one.Transforms[i], yamlfile.ElementPath(at, i)
		host, url := t.HostHeaderRewriteConfig != nil, t.URLRewriteConfig != nil
		if !r.OK(at) {
			continue
		}
		if wantsHost := t.Type == string(rule.HostHeaderRewrite); host == url || host != wantsHost {
			key := "UrlRewriteConfig"
			if wantsHost {
				key = "HostHeaderRewriteConfig"
			}
			r.FaultNear(at, fmt.Sprintf("a transform of Type %s has %s, and no other section", t.Type, key))
			continue
		}
		alone := rule.Rule{
			Priority: 1, Transforms: []rule.Transform{t.wish()}, Actions: []rule.Action{rule.ForwardTo("a")},
			Conditions: []rule.Condition{{Field: rule.PathPattern, Values: []string{"/"}}},
		}
		r.refused(at, alone.Validate(facts(l)))
	}
}

// tryRule returns what ELB refuses of a rule that has no fault so far.
func (r *reader) tryRule(b *LoadBalancer, l *Listener, one *Rule) error {
	edit, made, err := r.around(b, one.Actions)
	if edit == nil || err != nil {
		return err
	}
	settings := inventory.ListenerSettings{Protocol: elb.HTTP, Port: l.Port, Default: answer}
	if made.Type != elb.Application {
		return elb.Errorf("InvalidConfigurationRequest", "rules are for listeners of application load balancers alone; take them away")
	}
	if l.Protocol == elb.HTTPS {
		settings.Protocol, settings.Certificates = elb.HTTPS, []string{"stand-in"}
		place := r.file.Place()
		place.HasCertificate = func(string) bool { return true }
		edit = edit.Inventory().Begin(place, time.Time{})
	}
	listener, err := edit.CreateListener(made.ARN, settings)
	if err != nil {
		return nil //nolint:nilerr // told of the listener
	}
	wish, _ := one.wish(namesIn(edit, r))
	_, err = edit.CreateRule(listener.ARN, wish, nil)
	return err
}
