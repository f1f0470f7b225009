package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"

	"hale/internal/explain"
)

// Firewall is what the packet filter of this machine does to new TCP connections
// over IPv4 that come to a port from other machines, and to the answers of the
// kernel to these. Filters on the way, such as security groups, are not seen
// here.
type Firewall struct {
	// Tools are the programs that told of it: nft, iptables-save.
	Tools []string
	// Rules are those that such packets may meet, in the order in which they
	// meet them, of chains that have one that lets not all through. Behind the
	// one that decides in any case, there is none.
	Rules []FirewallRule
}

// FirewallRule is one rule, or a chain's policy.
type FirewallRule struct {
	Chain  string // such as "inet filter input", or "filter INPUT" of iptables
	Text   string // as nft or iptables write it
	Action FirewallAction
	// NamesPort tells that the rule is about this port, or about a few.
	NamesPort bool
	// Conditional tells that it depends on more than is known, mostly on where
	// the connection comes from.
	Conditional bool
	// Outgoing tells that it is about the answers.
	Outgoing bool
	Policy   bool
}

// FirewallAction is what becomes of a packet.
type FirewallAction string

// What becomes of packets. Who is dropped waits for an answer until a time-out;
// who is rejected hears of it at once.
const (
	Accept FirewallAction = "accept"
	Drop   FirewallAction = "drop"
	Reject FirewallAction = "reject"
)

// Blocking returns the rules that let nothing through that gets as far as them.
func (f Firewall) Blocking() []FirewallRule {
	return slices.DeleteFunc(slices.Clone(f.Rules), func(r FirewallRule) bool { return r.Action == Accept || r.Conditional })
}

// FirewallFor reads the rules that concern a TCP port, by nft(8) and
// iptables-save(8). That takes the rights of root (CAP_NET_ADMIN): without, the
// error is fs.ErrPermission, and where neither program is, fs.ErrNotExist.
func FirewallFor(ctx context.Context, port uint16) (Firewall, error) {
	return FirewallFrom(ctx, port, netip.Addr{})
}

// FirewallFrom is FirewallFor for connections from one address of IPv4: rules
// that ask for it are conditional no more.
func FirewallFrom(ctx context.Context, port uint16, source netip.Addr) (Firewall, error) {
	if err := supported(); err != nil {
		return Firewall{}, err
	}
	var f Firewall
	var errs []error
	legacy := make(map[string]bool) // tables that iptables told of
	for _, tool := range []struct {
		name string
		args []string
		read func(content []byte) ([]chain, error)
	}{
		{"iptables-save", nil, func(content []byte) ([]chain, error) {
			chains := parseIPTables(string(content))
			for _, c := range chains {
				legacy["ip "+c.table] = true
			}
			return chains, nil
		}},
		{"nft", []string{"-j", "list", "ruleset"}, func(content []byte) ([]chain, error) {
			chains, err := parseNFT(content)
			return slices.DeleteFunc(chains, func(c chain) bool { return legacy[c.table] }), err
		}},
	} {
		content, err := run(ctx, tool.name, tool.args...)
		if err == nil {
			var chains []chain
			chains, err = tool.read(content)
			f.Rules = append(f.Rules, decide(chains, packet{port: port, source: source})...)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		f.Tools = append(f.Tools, tool.name)
	}
	return f, whyNot(f, errs)
}

// whyNot returns the error of a firewall that no program told of.
func whyNot(f Firewall, errs []error) error {
	switch {
	case len(f.Tools) > 0:
		return nil
	case !slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, fs.ErrNotExist) }):
		return &explain.Error{Text: "read the firewall's rules: neither nft nor iptables-save is installed", Err: fs.ErrNotExist}
	case os.Geteuid() != 0:
		return &explain.Error{Text: "read the firewall's rules: this takes root's rights", Err: fs.ErrPermission}
	}
	return fmt.Errorf("read the firewall's rules: %w", errors.Join(errs...))
}

// chain is a list of rules that a packet goes through.
type chain struct {
	table, name string
	hook        string // where packets enter it; "" where other chains alone lead to it
	policy      FirewallAction
	rules       []rule
}

// rule is what a chain does to the packets that match.
type rule struct {
	text    string
	matches func(packet) truth // nil: all match
	ports   bool               // it asks for ports
	action  string             // accept, drop, reject, jump, goto, return; "" for none of these
	target  string             // of jump and goto
}

// packet is one of which is asked what becomes of it: the first of a client's
// connection to port, or the kernel's answer to it.
type packet struct {
	port     uint16
	source   netip.Addr // the client's; the zero value: not known
	outgoing bool
}

// truth is an answer where not all is known.
type truth int8

const (
	no truth = iota - 1
	maybe
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// all is the truth of several that have to hold.
func all(truths ...truth) truth {
	if len(truths) == 0 {
		return yes
	}
	return slices.Min(truths)
}

// hooks are where packets come by, and whether these are outgoing. What is
// forwarded comes to containers, whose ports are others.
var hooks = map[string]bool{"prerouting": false, "input": false, "ingress": false, "output": true, "postrouting": true}

// maxRules bounds how many rules one base chain is told of.
const maxRules = 200

// decide returns the rules that packets meet, and the answers to them, of base
// chains that do not let all through.
func decide(chains []chain, p packet) []FirewallRule {
	byName := make(map[string]chain, len(chains))
	for _, c := range chains {
		byName[c.table+" "+c.name] = c
	}
	var rules []FirewallRule
	for _, c := range chains {
		outgoing, ok := hooks[c.hook]
		if !ok {
			continue
		}
		w := walk{chains: byName, packet: packet{p.port, p.source, outgoing}}
		if w.chain(c, yes, 0) == goesOn && c.policy != "" {
			w.add(c, rule{text: "policy " + string(c.policy)}, c.policy, yes)
			w.met[len(w.met)-1].Policy = true
		}
		if slices.ContainsFunc(w.met, func(r FirewallRule) bool { return r.Action != Accept }) {
			rules = append(rules, w.met...)
		}
	}
	return rules
}

// walk is the way of a packet through a base chain and those that it leads to.
type walk struct {
	chains map[string]chain
	packet packet
	met    []FirewallRule
	steps  int
}

// outcome is what comes behind a chain: the rest of the one that led to it, or
// nothing.
type outcome bool

const (
	goesOn  outcome = false
	decided outcome = true
)

// chain walks through a chain, into which the packet comes if certain holds.
func (w *walk) chain(c chain, certain truth, depth int) outcome {
	const deepest, longest = 32, 100_000
	for _, r := range c.rules {
		if w.steps++; depth > deepest || w.steps > longest || len(w.met) > maxRules {
			return decided // too much to tell; the kernel itself allows 16 jumps
		}
		matches := yes
		if r.matches != nil {
			matches = r.matches(w.packet)
		}
		if matches == no {
			continue
		}
		here := all(certain, matches)
		switch r.action {
		case "accept", "drop", "reject":
			w.add(c, r, FirewallAction(r.action), here)
			if matches == yes {
				return decided
			}
		case "return":
			if matches == yes {
				return goesOn
			}
			certain = maybe // the rest is met by some only
		case "jump", "goto":
			before := len(w.met)
			out := w.chain(w.chains[c.table+" "+r.target], here, depth+1)
			if r.ports {
				for i := range w.met[before:] {
					w.met[before+i].NamesPort = true
				}
			}
			if matches == yes && (out == decided || r.action == "goto") {
				return out
			}
		}
	}
	return goesOn
}

func (w *walk) add(c chain, r rule, action FirewallAction, certain truth) {
	w.met = append(w.met, FirewallRule{
		Chain: c.table + " " + c.name, Text: explain.Line(r.text), Action: action,
		NamesPort: r.ports, Conditional: certain != yes, Outgoing: w.packet.outgoing,
	})
}
