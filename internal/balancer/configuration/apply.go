package configuration

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// Difference returns what is done so that an inventory is as the file says, and
// the change that does it, all of it or nothing. It changes nothing itself.
//
// What an earlier file made and this one no longer names is deleted. What the API
// made is left alone, and also what the API changed of the file's things, for as
// long as the file says the same of them.
func (f *File) Difference(v *inventory.Inventory, place inventory.Place, now time.Time) ([]Step, func(*inventory.Edit) error, error) {
	steps, err := f.Apply(v.Begin(place, now))
	if err != nil {
		return nil, nil, err
	}
	return steps, func(e *inventory.Edit) error {
		_, err := f.Apply(e)
		return err
	}, nil
}

// Apply makes an edit's inventory be as the file says, and returns what was done.
// After an error the edit must not be used.
func (f *File) Apply(e *inventory.Edit) ([]Step, error) {
	a := &application{file: f, edit: e}
	// Groups come before those who use them, and go after. Listeners and rules that
	// go, go first: two load balancers cannot use one group, nor one port.
	for _, do := range []func() error{
		a.removeLoadBalancers, a.pairListeners, a.removeListeners, a.putGroups, a.putLoadBalancers, a.putListeners, a.checkReplaced, a.removeGroups, a.putCertificates,
	} {
		if err := do(); err != nil {
			return nil, err
		}
	}
	return a.steps, nil
}

// application is one Apply under way.
type application struct {
	file  *File
	edit  *inventory.Edit
	steps []Step

	balancers []*balancerPlan
	replaced  []string // ARNs of groups that took the place of others
}

// balancerPlan is a load balancer of the file and its listeners.
type balancerPlan struct {
	wish      *LoadBalancer
	arn       string // empty: not there yet
	listeners []*listenerPlan
	gone      []*inventory.Listener
}

// listenerPlan is a listener of the file and its rules.
type listenerPlan struct {
	wish  *Listener
	name  string // site:80
	arn   string // empty: not there yet
	rules []*rulePlan
	gone  []*inventory.Rule
}

// rulePlan is a rule of the file.
type rulePlan struct {
	wish *Rule
	arn  string // empty: not there yet
}

func (a *application) did(verb Verb, kind, name, detail string) {
	a.steps = append(a.steps, Step{verb, kind, name, detail})
}

const (
	aBalancer = "load balancer"
	aListener = "listener"
	aRule     = "rule"
	aGroup    = "target group"
	aTarget   = "target"

	aCertificate = "certificate"
)

// foreign refuses to take over what a file did not make.
func foreign(kind, name string) error {
	return fmt.Errorf("%s %s was made through the API, and a file does not change that: give the file's another name or place, delete it there, or hand it over with add-tags Key=%s", kind, name, MadeTag)
}

// failed says what could not be done.
func failed(verb Verb, kind, name string, err error) error {
	return fmt.Errorf("%s %s %s: %w", verb, kind, name, err)
}

// removeLoadBalancers deletes those that the file no longer names, and those that
// have to be made anew.
func (a *application) removeLoadBalancers() error {
	for _, b := range a.edit.Inventory().SortedLoadBalancers() {
		i := slices.IndexFunc(a.file.LoadBalancers, func(w LoadBalancer) bool { return w.Name == b.Name })
		switch {
		case i < 0 && !made(b.Tags):
			continue
		case i < 0:
			if err := a.edit.DeleteLoadBalancer(b.ARN); err != nil {
				return failed(Delete, aBalancer, b.Name, err)
			}
			a.did(Delete, aBalancer, b.Name, "")
		case !made(b.Tags):
			return foreign(aBalancer, b.Name)
		default:
			wish := a.file.LoadBalancers[i].wish()
			var fixed difference
			fixed.add("Type", string(b.Type), string(wish.Type))
			fixed.add("Scheme", string(b.Scheme), string(wish.Scheme))
			if len(fixed) == 0 || stands(b.Tags, fingerprint(&a.file.LoadBalancers[i])) {
				continue
			}
			if err := a.edit.DeleteLoadBalancer(b.ARN); err != nil {
				return failed(Replace, aBalancer, b.Name, err)
			}
			a.did(Replace, aBalancer, b.Name, fixed.String()+"; ELB cannot change that: it is deleted with its listeners, and made anew under a new ARN")
		}
	}
	return nil
}

// pairListeners finds for each listener and rule of the file the one that is
// there, if there is one.
func (a *application) pairListeners() error {
	v := a.edit.Inventory()
	for i := range a.file.LoadBalancers {
		p := &balancerPlan{wish: &a.file.LoadBalancers[i]}
		a.balancers = append(a.balancers, p)
		var there []*inventory.Listener
		for arn, b := range v.LoadBalancers {
			if b.Name == p.wish.Name {
				p.arn, there = arn, v.ListenersOf(arn)
			}
		}
		found, gone, err := pair(p.wish.Listeners, there, listenerSide(p.wish.Name))
		if err != nil {
			return err
		}
		p.gone = gone
		for j := range p.wish.Listeners {
			l := &listenerPlan{wish: &p.wish.Listeners[j], name: listenerName(p.wish.Name, p.wish.Listeners[j].Port)}
			p.listeners = append(p.listeners, l)
			var rules []*inventory.Rule
			if found[j] != nil {
				l.arn, rules = found[j].ARN, v.RulesOf(found[j].ARN)
			}
			same, gone, err := pair(l.wish.Rules, rules, ruleSide(l.name))
			if err != nil {
				return err
			}
			l.gone = gone
			for k := range l.wish.Rules {
				r := &rulePlan{wish: &l.wish.Rules[k]}
				if same[k] != nil {
					r.arn = same[k].ARN
				}
				l.rules = append(l.rules, r)
			}
		}
	}
	return nil
}

func listenerName(balancer string, port int) string { return balancer + ":" + strconv.Itoa(port) }
func ruleName(listener string, priority int) string {
	return listener + " priority " + strconv.Itoa(priority)
}

// side is how wishes W are told apart from one another, and things T.
type side[W, T any] struct {
	kind    string
	name    func(place int) string
	placeOf func(*W) int
	place   func(T) int
	tags    func(T) []inventory.Tag
	// moved tells that one wish and one thing that are left over are the same in
	// another place.
	moved bool
}

func listenerSide(balancer string) side[Listener, *inventory.Listener] {
	return side[Listener, *inventory.Listener]{
		aListener, func(port int) string { return listenerName(balancer, port) },
		func(w *Listener) int { return w.Port }, func(l *inventory.Listener) int { return l.Port },
		func(l *inventory.Listener) []inventory.Tag { return l.Tags }, true,
	}
}

func ruleSide(listener string) side[Rule, *inventory.Rule] {
	return side[Rule, *inventory.Rule]{
		aRule, func(priority int) string { return ruleName(listener, priority) },
		func(w *Rule) int { return w.Priority }, func(r *inventory.Rule) int { return r.Priority },
		func(r *inventory.Rule) []inventory.Tag { return r.Tags }, false,
	}
}

// pair finds for each wish the thing that a file made for it: the same in the same
// place, the same elsewhere, another in the same place. What is left over is gone.
func pair[W, T any](wishes []W, there []T, s side[W, T]) (found []T, gone []T, err error) {
	found = make([]T, len(wishes))
	have := make([]bool, len(wishes))
	taken := make([]bool, len(there))
	take := func(fits func(w *W, t T) bool) {
		for i := range wishes {
			for j, t := range there {
				if !have[i] && !taken[j] && made(s.tags(t)) && fits(&wishes[i], t) {
					found[i], have[i], taken[j] = t, true, true
				}
			}
		}
	}
	samePlace := func(w *W, t T) bool { return s.placeOf(w) == s.place(t) }
	sayNow := func(w *W, t T) bool { return stands(s.tags(t), fingerprint(w)) }
	take(func(w *W, t T) bool { return samePlace(w, t) && sayNow(w, t) })
	if s.moved {
		take(samePlace)
	}
	take(sayNow)
	take(samePlace)
	left := 0
	for i := range wishes {
		if !have[i] {
			left++
		}
	}
	for j, t := range there {
		switch {
		case taken[j]:
		case made(s.tags(t)):
			gone = append(gone, t)
		default:
			for i := range wishes {
				if samePlace(&wishes[i], t) {
					return nil, nil, foreign(s.kind, s.name(s.place(t)))
				}
			}
		}
	}
	if s.moved && left == 1 && len(gone) == 1 {
		for i := range wishes {
			if !have[i] {
				found[i], gone = gone[0], nil
			}
		}
	}
	return found, gone, nil
}

// removeListeners deletes listeners and rules that the file no longer names.
func (a *application) removeListeners() error {
	for _, p := range a.balancers {
		for _, l := range p.gone {
			name := listenerName(p.wish.Name, l.Port)
			if err := a.edit.DeleteListener(l.ARN); err != nil {
				return failed(Delete, aListener, name, err)
			}
			a.did(Delete, aListener, name, "")
		}
		for _, l := range p.listeners {
			for _, r := range l.gone {
				name := ruleName(l.name, r.Priority)
				if err := a.edit.DeleteRule(r.ARN); err != nil {
					return failed(Delete, aRule, name, err)
				}
				a.did(Delete, aRule, name, "")
			}
		}
	}
	return nil
}

func groupNamed(v *inventory.Inventory, name string) *inventory.Group {
	for _, g := range v.Groups {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// putGroups makes the groups be as the file says, with their targets.
func (a *application) putGroups() error {
	for i := range a.file.TargetGroups {
		w := &a.file.TargetGroups[i]
		g, err := a.putGroup(w)
		if err != nil {
			return err
		}
		if err := a.putTargets(w, g); err != nil {
			return err
		}
	}
	return nil
}

func (a *application) putGroup(w *TargetGroup) (*inventory.Group, error) {
	wish, old := w.wish(), groupNamed(a.edit.Inventory(), w.Name)
	switch {
	case old == nil:
		g, err := a.edit.CreateGroup(wish)
		if err != nil {
			return nil, failed(Create, aGroup, w.Name, err)
		}
		a.did(Create, aGroup, w.Name, fmt.Sprintf("%s:%d", g.Kind.Protocol, g.Port))
		return g, nil
	case !made(old.Tags):
		return nil, foreign(aGroup, w.Name)
	case stands(old.Tags, fingerprint(w)):
		return old, nil
	}
	if fixed := fixedOfGroup(old, wish); len(fixed) > 0 {
		g, err := a.edit.ReplaceGroup(old.ARN, wish)
		if err != nil {
			return nil, failed(Replace, aGroup, w.Name, err)
		}
		a.replaced = append(a.replaced, g.ARN)
		a.did(Replace, aGroup, w.Name, fixed.String()+"; ELB cannot change that: it is deleted, and made anew under a new ARN")
		return g, nil
	}
	if old.Targets != nil {
		wish.Tags = withTag(wish.Tags, old.Tags, targetsTag)
	}
	g, err := a.modifyGroup(old, wish)
	if err != nil {
		return nil, failed(Modify, aGroup, w.Name, err)
	}
	if changed := differenceOfGroups(old, g); len(changed) > 0 {
		a.did(Modify, aGroup, w.Name, changed.String())
	}
	return g, nil
}

// fixedOfGroup tells what of a group ELB cannot change.
func fixedOfGroup(g *inventory.Group, wish inventory.NewGroup) difference {
	var d difference
	d.add("Protocol", string(g.Kind.Protocol), string(wish.Kind.Protocol))
	d.add("ProtocolVersion", string(g.Kind.Version), string(wish.Kind.Version))
	d.add("TargetType", string(g.Kind.Targets), string(wish.Kind.Targets))
	d.add("Port", strconv.Itoa(g.Port), strconv.Itoa(wish.Port))
	d.add("VpcId", g.VPC, wish.VPC)
	d.add("IpAddressType", g.IPAddressType, cmp.Or(wish.IPAddressType, "ipv4"))
	return d
}

func (a *application) modifyGroup(old *inventory.Group, wish inventory.NewGroup) (*inventory.Group, error) {
	check := wish.HealthCheck.WithDefaults(old.Kind)
	if check.Port == 0 {
		check.Port = inventory.TrafficPort
	}
	if _, err := a.edit.ModifyHealthCheck(old.ARN, check); err != nil {
		return nil, err
	}
	if _, err := a.edit.SetGroupAttributes(old.ARN, reset(elb.GroupAttributes(old.Kind), old.Attributes, wish.Attributes)); err != nil {
		return nil, err
	}
	if err := a.retag(old.ARN, wish.Tags); err != nil {
		return nil, err
	}
	return a.edit.Inventory().Groups[old.ARN], nil
}

// reset returns the change that leaves what the wish says, and the defaults.
func reset(table elb.AttributeTable, set, wish elb.Attributes) elb.Attributes {
	change, initial := maps.Clone(wish), table.Full(nil)
	for key := range set {
		if _, ok := wish[key]; !ok {
			if change == nil {
				change = make(elb.Attributes)
			}
			change[key] = initial[key]
		}
	}
	return change
}

// retag replaces the tags of a thing.
func (a *application) retag(arn string, tags []inventory.Tag) error {
	old, _ := a.edit.Inventory().Tagged(arn)
	var keys []string
	for _, t := range old {
		if _, ok := tag(tags, t.Key); !ok {
			keys = append(keys, t.Key)
		}
	}
	if err := a.edit.RemoveTags([]string{arn}, keys); err != nil {
		return err
	}
	return a.edit.AddTags([]string{arn}, tags)
}

// withTag adds one of the tags that a thing has.
func withTag(tags, of []inventory.Tag, key string) []inventory.Tag {
	if value, ok := tag(of, key); ok {
		return append(tags, inventory.Tag{Key: key, Value: value})
	}
	return tags
}

// putTargets registers the targets that the file has come to name, and deregisters
// those that it has ceased to.
func (a *application) putTargets(w *TargetGroup, g *inventory.Group) error {
	var wished []string
	targets := make(map[string]inventory.Target)
	for _, t := range w.Targets {
		target := w.target(t)
		entry := targetEntry(target)
		wished, targets[entry] = append(wished, entry), target
	}
	is, _ := tag(g.Tags, targetsTag)
	was := strings.Fields(is)
	for _, entry := range was {
		if slices.Contains(wished, entry) {
			continue
		}
		id, err := parseEntry(entry)
		if err != nil {
			continue // somebody has written into the tag: nothing that is known is gone
		}
		if t := g.Target(id); t == nil || t.Draining != nil {
			continue
		}
		if _, err := a.edit.Deregister(g.ARN, []inventory.TargetID{id}); err != nil {
			return failed(Deregister, aTarget, entry, err)
		}
		a.did(Deregister, aTarget, entry, aGroup+" "+w.Name)
	}
	for _, entry := range wished {
		if slices.Contains(was, entry) {
			continue
		}
		if _, err := a.edit.Register(g.ARN, []inventory.Target{targets[entry]}); err != nil {
			return failed(Register, aTarget, entry, err)
		}
		a.did(Register, aTarget, entry, aGroup+" "+w.Name)
	}
	slices.Sort(wished) // another order in the file is no change
	list := strings.Join(wished, " ")
	switch list {
	case is:
		return nil
	case "":
		return a.edit.RemoveTags([]string{g.ARN}, []string{targetsTag})
	default:
		return a.edit.AddTags([]string{g.ARN}, []inventory.Tag{{Key: targetsTag, Value: list}})
	}
}

// targetEntry writes a target as 127.0.0.1:8001, with @ and its zone if it has one.
func targetEntry(t inventory.Target) string {
	entry := net.JoinHostPort(t.ID, strconv.Itoa(t.Port))
	if t.Zone != "" {
		entry += "@" + t.Zone
	}
	return entry
}

func parseEntry(entry string) (inventory.TargetID, error) {
	address, _, _ := strings.Cut(entry, "@")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return inventory.TargetID{}, err
	}
	n, err := strconv.Atoi(port)
	return inventory.TargetID{ID: host, Port: n}, err
}

// putLoadBalancers makes the load balancers be as the file says, without their
// listeners.
func (a *application) putLoadBalancers() error {
	for _, p := range a.balancers {
		wish := p.wish.wish()
		if p.arn == "" {
			b, err := a.edit.CreateLoadBalancer(wish)
			if err != nil {
				return failed(Create, aBalancer, wish.Name, err)
			}
			p.arn = b.ARN
			a.did(Create, aBalancer, wish.Name, string(b.Type)+", "+string(b.Scheme))
			continue
		}
		old := a.edit.Inventory().LoadBalancers[p.arn]
		if stands(old.Tags, fingerprint(p.wish)) {
			continue
		}
		if err := a.modifyLoadBalancer(old, wish); err != nil {
			return failed(Modify, aBalancer, wish.Name, err)
		}
		if changed := differenceOfBalancers(old, a.edit.Inventory().LoadBalancers[p.arn]); len(changed) > 0 {
			a.did(Modify, aBalancer, wish.Name, changed.String())
		}
	}
	return nil
}

func (a *application) modifyLoadBalancer(old *inventory.LoadBalancer, wish inventory.NewLoadBalancer) error {
	table := elb.BalancerAttributes(old.Type, old.Scheme == inventory.Internal)
	if _, err := a.edit.SetBalancerAttributes(old.ARN, reset(table, old.Attributes, wish.Attributes)); err != nil {
		return err
	}
	if _, err := a.edit.SetSubnets(old.ARN, wish.Subnets); err != nil {
		return err
	}
	if _, err := a.edit.SetSecurityGroups(old.ARN, wish.SecurityGroups); err != nil {
		return err
	}
	if _, err := a.edit.SetIPAddressType(old.ARN, wish.IPAddressType); err != nil {
		return err
	}
	return a.retag(old.ARN, wish.Tags)
}

// names finds the ARNs of what the file names.
func (a *application) names() names {
	return names{
		certificate: func(name string) string { return a.file.ARN(CertificateName(name)) },
		group: func(name string) string {
			if g := groupNamed(a.edit.Inventory(), name); g != nil {
				return g.ARN
			}
			return ""
		},
	}
}

// errNotYet says that something else has to be done first.
var errNotYet = errors.New("its listener could not be made")

// putListeners makes listeners and rules be as the file says. A group or a port
// that one of them is still to give up for another has that one wait.
func (a *application) putListeners() error {
	var tasks []func() error
	for _, p := range a.balancers {
		for _, l := range p.listeners {
			tasks = append(tasks, func() error { return a.putListener(p, l) }, func() error { return a.moveRules(l) })
			for _, r := range l.rules {
				tasks = append(tasks, func() error { return a.putRule(l, r) })
			}
		}
	}
	for len(tasks) > 0 {
		var (
			waiting []func() error
			first   error
		)
		for _, do := range tasks {
			err := do()
			switch {
			case err == nil:
			case waits(err):
				waiting, first = append(waiting, do), cmp.Or(first, err)
			default:
				return err
			}
		}
		if len(waiting) == len(tasks) {
			return first
		}
		tasks = waiting
	}
	return nil
}

// waits tells whether what failed may be done after something else.
func waits(err error) bool {
	refused, ok := errors.AsType[*elb.Error](err)
	return errors.Is(err, errNotYet) || ok && (refused.Code == "TargetGroupAssociationLimit" || refused.Code == "DuplicateListener")
}

func (a *application) putListener(p *balancerPlan, l *listenerPlan) error {
	wish, others := l.wish.wish(a.names())
	if l.arn == "" {
		made, err := a.edit.CreateListener(p.arn, wish)
		if err == nil && len(others) > 0 {
			_, err = a.edit.AddCertificates(made.ARN, others)
		}
		if err != nil {
			return failed(Create, aListener, l.name, err)
		}
		l.arn = made.ARN
		a.did(Create, aListener, l.name, string(wish.Protocol)+", "+a.say(wish.Default))
		return nil
	}
	old := a.edit.Inventory().Listeners[l.arn]
	if stands(old.Tags, fingerprint(l.wish)) && old.Port == l.wish.Port {
		return nil
	}
	if err := a.modifyListener(old, wish, others); err != nil {
		return failed(Modify, aListener, listenerName(p.wish.Name, old.Port), err)
	}
	if changed := a.differenceOfListeners(p, old, a.edit.Inventory().Listeners[l.arn]); len(changed) > 0 {
		a.did(Modify, aListener, listenerName(p.wish.Name, old.Port), changed.String())
	}
	return nil
}

func (a *application) modifyListener(old *inventory.Listener, wish inventory.ListenerSettings, others []string) error {
	if stands(old.Tags, fingerprintOf(wish.Tags)) {
		// It has moved; what the API changed of it stands.
		_, err := a.edit.ModifyListener(old.ARN, inventory.ListenerSettings{Port: wish.Port})
		return err
	}
	if wish.ALPN == nil {
		wish.ALPN = []string{}
	}
	next, err := a.edit.ModifyListener(old.ARN, wish)
	if err != nil {
		return err
	}
	var gone []string
	for _, c := range next.Certificates {
		if len(wish.Certificates) > 0 && c.ARN != wish.Certificates[0] && !slices.Contains(others, c.ARN) {
			gone = append(gone, c.ARN)
		}
	}
	if err := a.edit.RemoveCertificates(old.ARN, gone); err != nil {
		return err
	}
	if len(others) > 0 {
		if _, err := a.edit.AddCertificates(old.ARN, others); err != nil {
			return err
		}
	}
	balancer := a.edit.Inventory().LoadBalancers[old.LoadBalancer]
	if _, err := a.edit.SetListenerAttributes(old.ARN, reset(elb.ListenerAttributes(balancer.Type), old.Attributes, wish.Attributes)); err != nil {
		return err
	}
	return a.retag(old.ARN, wish.Tags)
}

func fingerprintOf(tags []inventory.Tag) string {
	value, _ := tag(tags, MadeTag)
	return value
}

// moveRules gives the rules of a listener that have moved their new priorities, all
// at once.
func (a *application) moveRules(l *listenerPlan) error {
	if l.arn == "" {
		return failed(Modify, aListener, l.name, errNotYet)
	}
	moves := make(map[string]int)
	var steps []Step
	for _, r := range l.rules {
		if r.arn == "" {
			continue
		}
		if is := a.edit.Inventory().Rules[r.arn].Priority; is != r.wish.Priority {
			moves[r.arn] = r.wish.Priority
			steps = append(steps, Step{Modify, aRule, ruleName(l.name, is), fmt.Sprintf("Priority %d -> %d", is, r.wish.Priority)})
		}
	}
	if len(moves) == 0 {
		return nil
	}
	if _, err := a.edit.SetPriorities(moves); err != nil {
		return failed(Modify, aListener, l.name, err)
	}
	a.steps = append(a.steps, steps...)
	return nil
}

func (a *application) putRule(l *listenerPlan, r *rulePlan) error {
	name := ruleName(l.name, r.wish.Priority)
	if l.arn == "" {
		return failed(Create, aRule, name, errNotYet)
	}
	wish, tags := r.wish.wish(a.names())
	if r.arn == "" {
		made, err := a.edit.CreateRule(l.arn, wish, tags)
		if err != nil {
			return failed(Create, aRule, name, err)
		}
		r.arn = made.ARN
		a.did(Create, aRule, name, sayConditions(wish.Conditions)+" -> "+a.say(wish.Actions))
		return nil
	}
	old := a.edit.Inventory().Rules[r.arn]
	if stands(old.Tags, fingerprint(r.wish)) {
		return nil
	}
	next, err := a.edit.ModifyRule(r.arn, inventory.RuleChange{
		Conditions: wish.Conditions, Actions: wish.Actions, Transforms: wish.Transforms, ResetTransforms: len(wish.Transforms) == 0,
	})
	if err == nil {
		err = a.retag(r.arn, tags)
	}
	if err != nil {
		return failed(Modify, aRule, name, err)
	}
	if changed := a.differenceOfRules(old, next); len(changed) > 0 {
		a.did(Modify, aRule, name, changed.String())
	}
	return nil
}

// checkReplaced refuses groups that those who use them cannot use any more.
func (a *application) checkReplaced() error {
	for _, arn := range a.replaced {
		if err := a.edit.CheckUse(arn); err != nil {
			return failed(Replace, aGroup, a.edit.Inventory().Groups[arn].Name, err)
		}
	}
	return nil
}

// removeGroups deletes the groups that the file no longer names. One that the
// API's rules use stays.
func (a *application) removeGroups() error {
	users := a.edit.Inventory().BalancersOf()
	for _, g := range a.edit.Inventory().SortedGroups() {
		named := slices.ContainsFunc(a.file.TargetGroups, func(w TargetGroup) bool { return w.Name == g.Name })
		switch user := a.edit.Inventory().LoadBalancers[users[g.ARN]]; {
		case named || !made(g.Tags):
		case user != nil:
			a.did(Keep, aGroup, g.Name, "the file does not name it any more, but what the API made of load balancer "+user.Name+" uses it")
		default:
			if err := a.edit.DeleteGroup(g.ARN); err != nil {
				return failed(Delete, aGroup, g.Name, err)
			}
			a.did(Delete, aGroup, g.Name, "")
		}
	}
	return nil
}

// putCertificates keeps where the file's certificates come from. One that the API's
// listeners use stays.
func (a *application) putCertificates() error {
	sources, err := a.file.CertificateSources()
	if err != nil {
		return err
	}
	for _, arn := range a.edit.SetCertificates(sources) {
		_, name, _ := strings.Cut(arn, "/")
		a.did(Keep, aCertificate, name, "the file does not name it any more, but a listener that the API made or changed uses it")
	}
	return nil
}

// say writes actions for people.
func (a *application) say(actions []rule.Action) string {
	return sayActions(a.edit.Inventory(), actions)
}
