package balancer

import (
	"slices"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/desync"
	"hale/internal/elb/forwarded"
	"hale/internal/elb/rule"
	"hale/internal/elb/spread"
	"hale/internal/proxy"
)

// routes are what a load balancer does with requests: its rules made ready. They
// do not change; a change of the inventory makes new ones.
type routes struct {
	name      string // as access logs have it: app/site/50dc6c495c0c9188
	classic   bool
	forwarded forwarded.Settings
	owns      func(name string) bool // the forwarded.Owns
	desync    desync.Mode
	ports     map[uint16]*rules
}

// rules are those of a listener.
type rules struct {
	// left is when the listener was to go; its connections have their last answers by
	// these rules. Zero: it stays.
	left time.Time

	protocol elb.Protocol
	port     int
	table    *rule.Table
	forwards []*forward // by the entry's Index, nil for other actions

	// certificate is the ARN of the listener's, "" if it has several.
	certificate string
	headers     headers
}

// forward is where a rule sends requests.
type forward struct {
	groups []*group
	split  *spread.Split // nil for one group
	sticky *spread.Stickiness
	scope  []uint64 // the groups' keys in cookies
}

// newRoutes returns those of a load balancer. Old ones are those until now, nil if it
// is new.
func newRoutes(b *Balancer, user *inventory.LoadBalancer, v *inventory.Inventory, old *routes) *routes {
	all := user.All()
	r := &routes{
		name: user.ARN, classic: user.Type == elb.Classic,
		forwarded: forwarded.Settings{
			XFFHeaderProcessing: forwarded.Mode(all["routing.http.xff_header_processing.mode"]),
			XFFClientPort:       all.Bool("routing.http.xff_client_port.enabled"),
			PreserveHostHeader:  all.Bool("routing.http.preserve_host_header.enabled"),
			TLSHeaders:          all.Bool("routing.http.x_amzn_tls_version_and_cipher_suite.enabled"),
			DropInvalidFields:   all.Bool("routing.http.drop_invalid_header_fields.enabled"),
		},
		desync: desync.Mode(all["routing.http.desync_mitigation_mode"]),
		ports:  make(map[uint16]*rules),
	}
	r.owns = r.forwarded.Owns
	if arn, err := elb.ParseARN(user.ARN); err == nil {
		if r.name = arn.Dimension(); r.classic {
			r.name = user.Name
		}
	}
	for _, l := range v.ListenersOf(user.ARN) {
		if l.Protocol != elb.HTTP && l.Protocol != elb.HTTPS {
			continue
		}
		made, err := newRules(b, l, v)
		if err != nil {
			// Every rule was checked when it was made.
			b.log.Error("a listener's rules cannot be used", "listener", l.ARN, "error", err)
			continue
		}
		r.ports[uint16(l.Port)] = made //nolint:gosec // checked when it was made
	}
	r.keep(old, time.Now())
	return r
}

// lastAnswers is for how long the rules of a listener that goes are kept: as long as
// it waits for its connections, and for the requests that are on their way then.
const lastAnswers = 10 * parting

// keep keeps the rules of ports that are used no more.
func (r *routes) keep(old *routes, now time.Time) {
	if old == nil {
		return
	}
	for port, of := range old.ports {
		switch {
		case r.ports[port] != nil:
		case of.left.IsZero():
			leaving := *of
			leaving.left = now
			r.ports[port] = &leaving
		case now.Sub(of.left) < lastAnswers:
			r.ports[port] = of
		}
	}
}

func newRules(b *Balancer, l *inventory.Listener, v *inventory.Inventory) (*rules, error) {
	list := []rule.Rule{{Actions: l.Default}}
	for _, of := range v.RulesOf(l.ARN) {
		list = append(list, of.Rule)
	}
	table, err := rule.NewTable(list)
	if err != nil {
		return nil, err
	}
	r := &rules{protocol: l.Protocol, port: l.Port, table: table, headers: newHeaders(l, v.LoadBalancers[l.LoadBalancer])}
	if len(l.Certificates) == 1 {
		r.certificate = l.Certificates[0].ARN
	}
	for _, entry := range table.Entries() {
		r.forwards = append(r.forwards, newForward(b, l, entry.Action()))
	}
	return r, nil
}

// newForward returns where an action sends requests, nil for one that doesn't.
func newForward(b *Balancer, l *inventory.Listener, action *rule.Action) *forward {
	if action.ForwardConfig == nil {
		return nil
	}
	f := new(forward)
	var weights []int
	groups := *b.groups.Load()
	for _, g := range action.ForwardConfig.TargetGroups {
		f.groups = append(f.groups, groups[g.TargetGroupArn])
		f.scope = append(f.scope, spread.KeyOf(g.TargetGroupArn, 0))
		weights = append(weights, g.Weight)
	}
	if len(f.groups) > 1 {
		f.split = spread.NewSplit(weights...)
	}
	if sticky := action.ForwardConfig.TargetGroupStickinessConfig; sticky.Enabled && len(f.groups) > 1 {
		f.sticky = &spread.Stickiness{
			Cookie: spread.GroupCookie, Sealer: b.sealer, Scope: spread.KeyOf(l.ARN, 0),
			Duration: time.Duration(sticky.DurationSeconds) * time.Second,
		}
	}
	return f
}

// pick chooses the group of a request, by its place; ok is false if all weights
// are 0.
func (f *forward) pick(h *proxy.Head) (i int, ok bool) {
	if f.sticky != nil {
		if key, sticks := f.sticky.Read(h.Header.Values("Cookie"), h.Start); sticks {
			if i := slices.Index(f.scope, key); i >= 0 {
				return i, true
			}
		}
	}
	if f.split == nil {
		return 0, true
	}
	return f.split.Pick()
}
