package machine

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// parseNFT reads what "nft -j list ruleset" writes (libnftables-json(5)). Tables
// of IPv6 and of bridges are left out.
func parseNFT(content []byte) ([]chain, error) {
	var ruleset struct {
		NFTables []struct {
			Chain *nftChain
			Rule  *nftRule
			Set   *nftSet
			Map   *nftSet
		}
	}
	if err := json.Unmarshal(content, &ruleset); err != nil {
		return nil, fmt.Errorf("nft's answer is not in the form that is known: %w", err)
	}
	sets := make(nftSets)
	index := make(map[string]int)
	var chains []chain
	for _, object := range ruleset.NFTables {
		if s := object.Set; s != nil {
			sets[s.Family+" "+s.Table+" @"+s.Name] = s.Elem
		}
		if s := object.Map; s != nil {
			sets[s.Family+" "+s.Table+" @"+s.Name] = s.Elem
		}
		if c := object.Chain; c != nil && slices.Contains([]string{"ip", "inet", "netdev"}, c.Family) && c.Type != "nat" {
			index[c.Family+" "+c.Table+" "+c.Name] = len(chains)
			chains = append(chains, chain{table: c.Family + " " + c.Table, name: c.Name, hook: c.Hook, policy: FirewallAction(c.Policy)})
		}
	}
	for _, object := range ruleset.NFTables {
		if r := object.Rule; r != nil {
			if i, ok := index[r.Family+" "+r.Table+" "+r.Chain]; ok {
				chains[i].rules = append(chains[i].rules, r.rules(sets)...)
			}
		}
	}
	return chains, nil
}

type nftChain struct{ Family, Table, Name, Type, Hook, Policy string }

type nftSet struct {
	Family, Table, Name string
	Elem                []any
}

// nftSets are the elements of named sets: "inet filter @blocked".
type nftSets map[string][]any

type nftRule struct {
	Family, Table, Chain string
	Expr                 []map[string]any
}

// rules makes a rule of it; of one with a verdict map, one for each verdict.
func (r *nftRule) rules(sets nftSets) []rule {
	var texts []string
	var matches []func(packet) truth
	ports := false
	made := func(action, target string) rule {
		return rule{
			text: strings.Join(texts, " "), ports: ports, action: action, target: target,
			matches: func(p packet) truth {
				result := yes
				for _, m := range matches {
					result = all(result, m(p))
				}
				return result
			},
		}
	}
	table := r.Family + " " + r.Table
	for _, statement := range r.Expr {
		for kind, value := range statement {
			if action, target, text, ok := nftVerdict(kind, value); ok {
				texts = append(texts, text)
				return []rule{made(action, target)}
			}
			switch kind {
			case "match":
				m := newNFTMatch(value, table, sets)
				texts = append(texts, m.text)
				matches = append(matches, m.matches)
				ports = ports || m.ports()
			case "vmap":
				return r.verdicts(value, table, sets, texts, matches)
			case "limit", "connlimit", "quota", "xt": // which match some
				texts = append(texts, kind)
				matches = append(matches, func(packet) truth { return maybe })
			}
		}
	}
	return []rule{made("", "")}
}

// nftVerdict reads what becomes of a packet.
func nftVerdict(kind string, value any) (action, target, text string, ok bool) {
	fields, _ := value.(map[string]any)
	switch kind {
	case "accept", "drop", "return":
		return kind, "", kind, true
	case "continue":
		return "", "", kind, true
	case "queue": // to a program, which decides
		return "", "", kind, true
	case "reject":
		if fields["expr"] == nil && fields["type"] == nil {
			return kind, "", kind, true
		}
		return kind, "", strings.TrimSpace("reject with " + nftText(fields["type"]) + " " + nftText(fields["expr"])), true
	case "jump", "goto":
		target = nftText(fields["target"])
		return kind, target, kind + " " + target, true
	case "xt":
		if fields["type"] == "target" && fields["name"] == "REJECT" { // of a rule that iptables made
			return "reject", "", "reject", true
		}
	}
	return "", "", "", false
}

// verdicts makes rules of "tcp dport vmap { 80 : accept, 81 : drop }".
func (r *nftRule) verdicts(value any, table string, sets nftSets, texts []string, matches []func(packet) truth) []rule {
	fields, _ := value.(map[string]any)
	var rules []rule
	for _, element := range nftElements(fields["data"], table, sets) {
		pair, _ := element.([]any)
		if len(pair) != 2 {
			continue
		}
		verdict, _ := pair[1].(map[string]any)
		for kind, value := range verdict {
			single := nftRule{Family: r.Family, Table: r.Table, Chain: r.Chain, Expr: []map[string]any{
				{"match": map[string]any{"op": "in", "left": fields["key"], "right": pair[0]}},
				{kind: value},
			}}
			for _, s := range single.rules(sets) {
				own := s.matches
				s.text = strings.TrimSpace(strings.Join(texts, " ") + " " + s.text)
				s.matches = func(p packet) truth {
					result := own(p)
					for _, m := range matches {
						result = all(result, m(p))
					}
					return result
				}
				rules = append(rules, s)
			}
		}
	}
	return rules
}

// nftMatch compares something of a packet.
type nftMatch struct {
	left  string // "tcp dport", "ct state", "meta iifname"
	op    string
	right []any // one of these
	known bool  // they are all that there are
	text  string
}

func newNFTMatch(value any, table string, sets nftSets) nftMatch {
	fields, _ := value.(map[string]any)
	m := nftMatch{op: nftText(fields["op"]), left: nftLeft(fields["left"])}
	m.right = nftElements(fields["right"], table, sets)
	m.known = true
	if name, ok := fields["right"].(string); ok && strings.HasPrefix(name, "@") {
		_, m.known = sets[table+" "+name]
	}
	text := strings.TrimPrefix(m.left, "meta ")
	if m.op != "==" && m.op != "in" {
		text += " " + m.op
	}
	m.text = text + " " + nftText(fields["right"])
	return m
}

// nftLeft names what is compared.
func nftLeft(value any) string {
	fields, _ := value.(map[string]any)
	for kind, inner := range fields {
		of, _ := inner.(map[string]any)
		switch kind {
		case "payload":
			return nftText(of["protocol"]) + " " + nftText(of["field"])
		case "meta", "ct":
			return kind + " " + nftText(of["key"])
		}
		return kind
	}
	return ""
}

func (m nftMatch) ports() bool {
	return slices.Contains([]string{"tcp dport", "th dport", "tcp sport", "th sport"}, m.left)
}

// matches tells whether it holds for a packet.
func (m nftMatch) matches(p packet) truth {
	var holds truth
	switch m.left {
	case "tcp dport", "th dport":
		holds = maybe
		if !p.outgoing {
			holds = m.number(int(p.port))
		}
	case "tcp sport", "th sport":
		holds = maybe
		if p.outgoing {
			holds = m.number(int(p.port))
		}
	case "meta l4proto", "ip protocol":
		holds = m.name("tcp", "6")
	case "meta nfproto":
		holds = m.name("ipv4", "2")
	case "meta protocol", "ether type":
		holds = m.name("ip", "8")
	case "meta iifname", "meta iif", "meta oifname", "meta oif":
		holds = maybe
		if m.name("lo", "1") == yes && len(m.right) == 1 {
			holds = no // from and to other machines
		}
	case "ip saddr":
		holds = maybe
		if p.source.IsValid() && !p.outgoing {
			holds = m.address(p.source)
		}
	case "ct state":
		state := "new"
		if p.outgoing {
			state = "established"
		}
		holds = m.name(state, state)
	default:
		protocol, _, _ := strings.Cut(m.left, " ")
		if slices.Contains([]string{"ip6", "icmp", "icmpv6", "udp", "udplite", "sctp", "dccp", "arp", "igmp", "esp", "ah"}, protocol) {
			return no // whatever is asked of such packets
		}
		return maybe
	}
	if m.op == "!=" {
		return -holds
	}
	return holds
}

// number tells whether a number is one of those compared with.
func (m nftMatch) number(n int) truth {
	compare := func(f func(limit int) bool) truth {
		limit, ok := nftNumber(m.right)
		if !ok {
			return maybe
		}
		return truthOf(f(limit))
	}
	switch m.op {
	case "<":
		return compare(func(limit int) bool { return n < limit })
	case ">":
		return compare(func(limit int) bool { return n > limit })
	case "<=":
		return compare(func(limit int) bool { return n <= limit })
	case ">=":
		return compare(func(limit int) bool { return n >= limit })
	}
	unknown := !m.known
	for _, element := range m.right {
		if fields, ok := element.(map[string]any); ok {
			if inner, ok := fields["elem"].(map[string]any); ok { // an element with a time-out, or a comment
				element = inner["val"]
				fields, _ = element.(map[string]any)
			}
			if bounds, ok := fields["range"].([]any); ok && len(bounds) == 2 {
				low, lowOK := nftNumber(bounds[:1])
				high, highOK := nftNumber(bounds[1:])
				if lowOK && highOK && n >= low && n <= high {
					return yes
				}
				continue
			}
		}
		number, ok := nftNumber([]any{element})
		if ok && number == n {
			return yes
		}
		unknown = unknown || !ok
	}
	if unknown {
		return maybe
	}
	return no
}

// address tells whether an address is one of those compared with, or in one of
// the networks.
func (m nftMatch) address(ip netip.Addr) truth {
	if m.op != "==" && m.op != "!=" && m.op != "in" {
		return maybe
	}
	unknown := !m.known
	for _, element := range m.right {
		if fields, ok := element.(map[string]any); ok {
			if inner, ok := fields["elem"].(map[string]any); ok { // an element with a time-out, or a comment
				element = inner["val"]
			}
		}
		low, high, ok := nftAddresses(element)
		switch {
		case !ok:
			unknown = true
		case ip.Compare(low) >= 0 && ip.Compare(high) <= 0:
			return yes
		}
	}
	if unknown {
		return maybe
	}
	return no
}

// nftAddresses are the first and the last address of one that is written alone,
// as a network or as a range.
func nftAddresses(value any) (low, high netip.Addr, ok bool) {
	text := nftText(value)
	if first, last, isRange := strings.Cut(text, "-"); isRange {
		low, err := netip.ParseAddr(first)
		high, errHigh := netip.ParseAddr(last)
		return low, high, err == nil && errHigh == nil
	}
	if network, err := netip.ParsePrefix(text); err == nil {
		return network.Masked().Addr(), LastOf(network), true
	}
	low, err := netip.ParseAddr(text)
	return low, low, err == nil
}

// LastOf is the last address of a network.
func LastOf(network netip.Prefix) netip.Addr {
	last := network.Masked().Addr().AsSlice()
	for bit := network.Bits(); bit < 8*len(last); bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	ip, _ := netip.AddrFromSlice(last)
	return ip
}

// name tells whether a name, or the number for it, is one of those compared with.
func (m nftMatch) name(name, number string) truth {
	for _, element := range m.right {
		if text := nftText(element); text == name || text == number {
			return yes
		}
	}
	if !m.known {
		return maybe
	}
	return no
}

// nftElements returns what is compared with, each for itself.
func nftElements(value any, table string, sets nftSets) []any {
	switch v := value.(type) {
	case []any:
		return v
	case map[string]any:
		if elements, ok := v["set"].([]any); ok {
			return elements
		}
	case string:
		if strings.HasPrefix(v, "@") {
			return sets[table+" "+v]
		}
	}
	return []any{value}
}

func nftNumber(values []any) (int, bool) {
	if len(values) != 1 {
		return 0, false
	}
	n, ok := values[0].(float64)
	return int(n), ok
}

// nftText writes a value as nft does.
func nftText(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		parts := make([]string, 0, len(v))
		for _, element := range v {
			parts = append(parts, nftText(element))
		}
		return strings.Join(parts, ",")
	case map[string]any:
		if elements, ok := v["set"].([]any); ok {
			parts := make([]string, 0, len(elements))
			for _, element := range elements {
				parts = append(parts, nftText(element))
			}
			return "{ " + strings.Join(parts, ", ") + " }"
		}
		if bounds, ok := v["range"].([]any); ok && len(bounds) == 2 {
			return nftText(bounds[0]) + "-" + nftText(bounds[1])
		}
		if prefix, ok := v["prefix"].(map[string]any); ok {
			return nftText(prefix["addr"]) + "/" + nftText(prefix["len"])
		}
		if inner, ok := v["elem"].(map[string]any); ok {
			return nftText(inner["val"])
		}
		return "(...)"
	}
	return fmt.Sprint(value)
}
