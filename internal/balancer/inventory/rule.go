package inventory

import (
	"cmp"
	"slices"

	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// mostGroupsOf is how many target groups a load balancer can use (guide,
// "Quotas").
const mostGroupsOf = 100

// CreateRule adds a rule to a listener.
func (e *Edit) CreateRule(listener string, r rule.Rule, tags []Tag) (*Rule, error) {
	l := e.next.Listeners[listener]
	if l == nil {
		return nil, listenerNotFound()
	}
	b := e.next.LoadBalancers[l.LoadBalancer]
	if b.Type != elb.Application {
		return nil, elb.Errorf("InvalidConfigurationRequest", "Rules are possible for listeners of application load balancers alone")
	}
	if err := checkTags(tags); err != nil {
		return nil, err
	}
	if r.Priority == 0 {
		return nil, elb.Errorf(elb.CodeValidation, "A rule priority must be specified")
	}
	if err := r.Validate(facts(l)); err != nil {
		return nil, err
	}
	rules := e.next.RulesOf(listener)
	if slices.ContainsFunc(rules, func(o *Rule) bool { return o.Priority == r.Priority }) {
		return nil, elb.Errorf("PriorityInUse", "Priority '%d' is currently in use", r.Priority)
	}
	if len(rules) >= rule.MaxRules {
		return nil, elb.Errorf("TooManyRules", "The listener has %d rules, as many as it can have", rule.MaxRules)
	}
	if err := e.checkForwards(b, l, r.Actions); err != nil {
		return nil, err
	}
	added := &Rule{ARN: elb.RuleARN(listener, hex16()), Listener: listener, Rule: r, Tags: tags}
	e.next.Rules[added.ARN] = added
	return added, nil
}

// RuleChange is what ModifyRule asks for; a nil field means: as it is.
type RuleChange struct {
	Conditions      []rule.Condition
	Actions         []rule.Action
	Transforms      []rule.Transform
	ResetTransforms bool // leaves none
}

// ModifyRule changes a rule.
func (e *Edit) ModifyRule(arn string, c RuleChange) (*Rule, error) {
	old := e.next.Rules[arn]
	if old == nil {
		return nil, ruleNotFound()
	}
	r := *old
	if c.Conditions != nil {
		r.Conditions = c.Conditions
	}
	if c.Transforms != nil {
		r.Transforms = c.Transforms
	}
	if c.ResetTransforms {
		r.Transforms = nil
	}
	if c.Actions != nil {
		r.Actions = c.Actions
	}
	l := e.next.Listeners[r.Listener]
	if err := r.Validate(facts(l)); err != nil {
		return nil, err
	}
	if err := e.checkForwards(e.next.LoadBalancers[l.LoadBalancer], l, r.Actions); err != nil {
		return nil, err
	}
	e.next.Rules[arn] = &r
	return &r, nil
}

func ruleNotFound() error { return elb.Errorf("RuleNotFound", "One or more rules not found") }

// DeleteRule removes a rule.
func (e *Edit) DeleteRule(arn string) error {
	if e.next.Rules[arn] == nil {
		return ruleNotFound()
	}
	delete(e.next.Rules, arn)
	return nil
}

// SetPriorities gives rules of one listener their priorities, all at once, so that
// two can change places.
func (e *Edit) SetPriorities(priorities map[string]int) ([]*Rule, error) {
	var changed []*Rule
	listener := ""
	for arn, priority := range priorities {
		old := e.next.Rules[arn]
		if old == nil {
			return nil, ruleNotFound()
		}
		if listener != "" && old.Listener != listener {
			return nil, elb.Errorf("InvalidConfigurationRequest", "The rules are not of the same listener")
		}
		listener = old.Listener
		r := *old
		r.Priority = priority
		if priority < 1 || priority > rule.MaxPriority {
			return nil, elb.Errorf(elb.CodeValidation, "Priority '%d' is not between 1 and %d", priority, rule.MaxPriority)
		}
		changed = append(changed, &r)
	}
	taken := make(map[int]bool)
	for _, r := range e.next.RulesOf(listener) {
		priority, moved := priorities[r.ARN]
		if !moved {
			priority = r.Priority
		}
		if taken[priority] {
			return nil, elb.Errorf("PriorityInUse", "Priority '%d' is currently in use", priority)
		}
		taken[priority] = true
	}
	for _, r := range changed {
		e.next.Rules[r.ARN] = r
	}
	slices.SortFunc(changed, func(a, b *Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	return changed, nil
}

// facts are what a listener's rules have to fit.
func facts(l *Listener) rule.Listener { return rule.Listener{Protocol: l.Protocol, Port: l.Port} }

// checkForwards refuses actions whose target groups are not there, or are not for
// the listener l of the load balancer b.
func (e *Edit) checkForwards(b *LoadBalancer, l *Listener, actions []rule.Action) error {
	users := e.next.BalancersOf()
	used := make(map[string]bool)
	for group, user := range users {
		used[group] = user == b.ARN
	}
	for _, arn := range groupsOf(actions) {
		g := e.next.Groups[arn]
		if g == nil {
			return elb.Errorf("TargetGroupNotFound", "One or more target groups not found")
		}
		if user, ok := users[arn]; ok && user != b.ARN {
			return elb.Errorf("TargetGroupAssociationLimit", "The target group '%s' is already used by another load balancer: it can be one's alone", arn)
		}
		if err := compatible(l, g); err != nil {
			return err
		}
		used[arn] = true
	}
	n := 0
	for _, of := range used {
		if of {
			n++
		}
	}
	if n > mostGroupsOf {
		return elb.Errorf("TooManyUniqueTargetGroupsPerLoadBalancer", "A load balancer can use %d target groups", mostGroupsOf)
	}
	return nil
}

// takes are the protocols of the groups that a listener can send to.
var takes = map[elb.Protocol][]elb.Protocol{
	elb.HTTP:  {elb.HTTP, elb.HTTPS},
	elb.HTTPS: {elb.HTTP, elb.HTTPS},
	elb.TCP:   {elb.TCP, elb.TCPUDP},
	elb.TLS:   {elb.TCP, elb.TLS},
}

// compatible refuses a group that a listener cannot send to (ELBv2 API,
// IncompatibleProtocols).
func compatible(l *Listener, g *Group) error {
	protocol := g.Kind.Protocol
	if !slices.Contains(takes[l.Protocol], protocol) {
		return elb.Errorf("IncompatibleProtocols", "Listener protocol '%s' and target group protocol '%s' do not go together", l.Protocol, cmp.Or(protocol, "none"))
	}
	if version := g.Kind.Version; l.Protocol == elb.HTTP && (version == elb.HTTP2 || version == elb.GRPC) {
		// Such groups take HTTP/2 alone, which clients speak over TLS (guide of
		// Application Load Balancers, "Target groups", protocol version).
		return elb.Errorf("InvalidConfigurationRequest", "Listener protocol 'HTTP' is not supported with a target group with the protocol-version '%s': it has to be HTTPS", version)
	}
	return nil
}
