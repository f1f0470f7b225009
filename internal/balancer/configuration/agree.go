package configuration

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
	"hale/internal/yamlfile"
)

// agree reports what is wrong with values that are each right by themselves: names
// that are not there or twice, and what ELB would refuse. It also makes file names
// relative to the working directory.
func (r *reader) agree() {
	r.credentials()
	r.certificates()
	r.targetGroups()
	r.loadBalancers()
	r.ports()
	r.scaling()
	r.fileNames()
}

// seen remembers where names are, to tell of a second one.
type seen map[string]int

// name reports a name that is there already.
func (r *reader) name(names seen, path, name, what string) {
	n := r.Node(path)
	if n == nil || !r.OK(path) {
		return
	}
	if line, twice := names[name]; twice {
		r.Fault(n, path, "%s is the name of another %s already (line %d); give each its own", r.Seen(n, name), what, line)
		return
	}
	names[name] = n.Line
}

func (r *reader) credentials() {
	names := seen{}
	for i, c := range r.file.Credentials {
		path := yamlfile.Join(yamlfile.ElementPath("Credentials", i), "AccessKeyId")
		r.name(names, path, c.AccessKeyID, "pair of keys")
		if c.AccessKeyID == "" {
			r.FaultOf(path, "is empty; write a name for the key, such as local")
		}
	}
}

func (r *reader) certificates() {
	names := seen{}
	for i := range r.file.Certificates {
		c, at := &r.file.Certificates[i], yamlfile.ElementPath("Certificates", i)
		r.name(names, yamlfile.Join(at, "Name"), string(c.Name), "certificate")
		files := c.CertificateFile != "" || c.PrivateKeyFile != ""
		switch {
		case !r.OK(at):
		case files && c.ACME():
			r.FaultNear(yamlfile.Join(at, "DomainNames"), "a certificate is from files or obtained by ACME, not both; take the files away, or DomainNames")
		case c.ACME():
			for j, domain := range c.DomainNames {
				if !yamlfile.IsHost(domain) || !strings.Contains(domain, ".") {
					r.FaultNear(yamlfile.ElementPath(yamlfile.Join(at, "DomainNames"), j), "is no domain that ACME's challenge tls-alpn-01 can prove; write one such as www.example.com, without a wildcard")
				}
			}
		case c.CertificateFile == "" && c.PrivateKeyFile == "":
			r.FaultNear(at, "says not where the certificate comes from; write CertificateFile and PrivateKeyFile, or DomainNames")
		case c.CertificateFile == "":
			r.FaultNear(yamlfile.Join(at, "PrivateKeyFile"), "is of no use alone; write CertificateFile as well")
		case c.PrivateKeyFile == "":
			r.FaultNear(yamlfile.Join(at, "CertificateFile"), "is of no use alone; write PrivateKeyFile as well")
		}
	}
}

// empty is an edit of an inventory that has nothing, to see what ELB would refuse.
func (r *reader) empty() *inventory.Edit {
	place := r.file.Place()
	place.Instance = func(string) (netip.Addr, bool) { return netip.Addr{}, true } // whether it runs, is seen when it is registered
	return new(inventory.Inventory).Begin(place, time.Time{})
}

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

// attributes reports each wrong attribute, and then values that do not go together.
func (r *reader) attributes(at string, table elb.AttributeTable, set map[string]string) {
	keys := table.Keys()
	for _, key := range slices.Sorted(maps.Keys(set)) {
		path := yamlfile.Join(at, yamlfile.ShownKey(key))
		err := table.Check(key, set[key])
		if err == nil {
			continue
		}
		if !slices.Contains(keys, key) {
			text := err.Error()
			near := yamlfile.Nearest(key, keys)
			if i := slices.IndexFunc(keys, func(whole string) bool { return strings.HasPrefix(whole, key+".") }); near == "" && i >= 0 {
				near = keys[i]
			}
			if near != "" {
				text = "unknown attribute; did you mean " + near + "?"
			}
			r.FaultNear(path, text)
		} else {
			r.FaultNear(path, err.Error())
		}
	}
	if r.OK(at) {
		_, err := elb.SetAttributes(table, nil, elb.Attributes(set))
		r.refused(at, err)
	}
}

// tags reports the tags that a file cannot give.
func (r *reader) tags(at string, tags map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		path := yamlfile.Join(yamlfile.Join(at, "Tags"), yamlfile.ShownKey(key))
		switch {
		case strings.HasPrefix(key, "hale:") || strings.HasPrefix(strings.ToLower(key), "aws:"):
			r.FaultNear(path, "tags that begin with hale: or aws: are not for people; write another key")
		case key == "" || len(key) > 128 || len(tags[key]) > 256:
			r.FaultNear(path, "a tag has a key of 1 to 128 characters and a value of up to 256")
		}
	}
	if len(tags) > 48 {
		r.FaultNear(yamlfile.Join(at, "Tags"), "a thing can have 50 tags, of which 2 are hale's own; take some away")
	}
}

// refused reports what ELB refuses, at a key.
func (r *reader) refused(path string, err error) {
	if err != nil {
		r.FaultNear(path, err.Error())
	}
}

// places are the keys that refusals are about, by words in them.
var places = []struct{ words, key string }{
	{"PrivateIPv4Address", "SubnetMappings"},
	{"subnet", "Subnets"},
	{"SSL policy", "SslPolicy"},
	{"Certificates and SSL policies", "Certificates"},
	{"ertificate", "Certificates"},
	{"ALPN", "AlpnPolicy"},
	{"Listener protocol", "Protocol"},
	{"protocol version", "ProtocolVersion"},
	{"a name has 3", "LaunchTemplateName"},
	{"has no command", "Command"},
	{"cannot listen on port", "Ports"},
	{"variable of the environment", "Environment"},
	{"Group name", "AutoScalingGroupName"},
	{"Max bound", "MaxSize"},
	{"Desired capacity", "DesiredCapacity"},
	{"Availability Zone", "AvailabilityZones"},
	{"Termination policy", "TerminationPolicies"},
	{"hook", "LifecycleHooks"},
}

// refusedOf reports what ELB refuses of a thing, at the key that it is about.
func (r *reader) refusedOf(at string, err error) {
	if err == nil {
		return
	}
	for _, p := range places {
		if path := yamlfile.Join(at, p.key); strings.Contains(err.Error(), p.words) && r.Node(path) != nil {
			r.FaultNear(path, err.Error())
			return
		}
	}
	r.refused(at, err)
}

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

// own tells whether a thing has no fault of its own: those below a key do not
// count.
func (r *reader) own(at, below string, keys []string) bool {
	return !slices.ContainsFunc(keys, func(key string) bool { return key != below && !r.OK(yamlfile.Join(at, key)) })
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

// known reports a name that nothing has.
func (r *reader) known(path, name string, names []string, what, key string) {
	n := r.Node(path)
	if n == nil || !r.OK(path) || slices.Contains(names, name) {
		return
	}
	hint := "there are " + yamlfile.Alternatives(names)
	if len(names) == 0 {
		hint = "there are none in " + key
	}
	if near := yamlfile.Nearest(name, names); near != "" && !r.FromEnvironment(n) {
		hint = "did you mean " + near + "?"
	}
	r.Fault(n, path, "%s is no %s; %s", r.Seen(n, name), what, hint)
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
	if made.Type == elb.Network {
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

// taken is a port that something listens on.
type taken struct {
	host string // empty: all addresses
	port int
	what string
}

// ports finds what cannot listen side by side, and groups that two load balancers
// use.
func (r *reader) ports() {
	all := make(map[int][]taken) // by port
	for _, own := range []struct {
		key     string
		address yamlfile.Address
	}{{"API", r.file.API}, {"Admin", r.file.Admin}} {
		host, port, err := net.SplitHostPort(string(own.address))
		if n, wrong := strconv.Atoi(port); err == nil && wrong == nil && n != 0 && r.OK(own.key) {
			r.taken(all, own.key, taken{host, n, own.key})
		}
	}
	users := map[string]int{}
	for i := range r.file.LoadBalancers {
		b, at := &r.file.LoadBalancers[i], yamlfile.ElementPath("LoadBalancers", i)
		for j := range b.Listeners {
			l, at := &b.Listeners[j], yamlfile.ElementPath(yamlfile.Join(at, "Listeners"), j)
			if path := yamlfile.Join(at, "Port"); r.OK(path) {
				for _, host := range b.hosts() {
					r.taken(all, path, taken{host, l.Port, fmt.Sprintf("the listener of load balancer %s", b.Name)})
				}
			}
			r.users(users, i, l.DefaultActions, yamlfile.Join(at, "DefaultActions"))
			for k := range l.Rules {
				r.users(users, i, l.Rules[k].Actions, yamlfile.Join(yamlfile.ElementPath(yamlfile.Join(at, "Rules"), k), "Actions"))
			}
		}
	}
}

// hosts returns where the load balancer listens.
func (b *LoadBalancer) hosts() []string {
	var hosts []string
	for _, m := range b.SubnetMappings {
		if m.PrivateIPv4Address != "" {
			hosts = append(hosts, m.PrivateIPv4Address)
		}
	}
	switch {
	case len(hosts) > 0:
		return hosts
	case b.Scheme == inventory.Internal:
		return []string{"127.0.0.1"}
	default:
		return []string{""}
	}
}

// taken reports a port that something else has.
func (r *reader) taken(all map[int][]taken, path string, t taken) {
	for _, other := range all[t.port] {
		if other.what != t.what && yamlfile.Overlap(net.JoinHostPort(other.host, strconv.Itoa(other.port)), net.JoinHostPort(t.host, strconv.Itoa(t.port))) {
			text := fmt.Sprintf("%s has port %d already; write another port, or give them addresses of their own", other.what, t.port)
			if r.Node(path) == nil && r.Node(other.what) != nil {
				path = other.what
			}
			r.FaultNear(path, text)
			return
		}
	}
	all[t.port] = append(all[t.port], t)
}

// users reports groups that two load balancers use: ELB allows one.
func (r *reader) users(users map[string]int, balancer int, all []Action, at string) {
	use := func(path, group string) {
		if group == "" || !r.OK(path) {
			return
		}
		if user, there := users[group]; there && user != balancer {
			r.FaultNear(path, fmt.Sprintf("load balancer %s uses this target group, and a group can be one load balancer's alone; make another group with the same targets", r.file.LoadBalancers[user].Name))
			return
		}
		users[group] = balancer
	}
	for i, a := range all {
		at := yamlfile.ElementPath(at, i)
		use(yamlfile.Join(at, "TargetGroup"), a.TargetGroup)
		if a.ForwardConfig != nil {
			list := yamlfile.Join(at, "ForwardConfig.TargetGroups")
			for j, g := range a.ForwardConfig.TargetGroups {
				use(yamlfile.Join(yamlfile.ElementPath(list, j), "TargetGroup"), g.TargetGroup)
			}
		}
	}
}

// fileNames makes relative file names relative to the directory of the file.
func (r *reader) fileNames() {
	f := r.file
	if f.AccessLog != yamlfile.LogStdout && f.AccessLog != yamlfile.LogStderr {
		f.AccessLog = yamlfile.LogTarget(r.InDir(string(f.AccessLog)))
	}
	if f.StateDirectory != StateOff {
		f.StateDirectory = StateDirectory(r.InDir(string(f.StateDirectory)))
	}
	for i := range f.LaunchTemplates {
		if t := &f.LaunchTemplates[i]; !strings.HasPrefix(t.Directory, "{") {
			t.Directory = r.InDir(t.Directory)
		}
	}
	for i := range f.Certificates {
		c := &f.Certificates[i]
		for _, name := range []*string{&c.CertificateFile, &c.PrivateKeyFile, &c.CacheDirectory} {
			*name = r.InDir(*name)
		}
	}
}
