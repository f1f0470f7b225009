package machine

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// parseIPTables reads what iptables-save(8) writes: lines of *table, :CHAIN
// POLICY, and -A CHAIN with the options of iptables(8) and
// iptables-extensions(8). What nat does is left out.
func parseIPTables(content string) []chain {
	var chains []chain
	index := make(map[string]int)
	table := ""
	for line := range strings.Lines(content) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case table == "nat":
		case strings.HasPrefix(line, ":"):
			fields := strings.Fields(line[1:])
			if len(fields) < 2 {
				continue
			}
			c := chain{table: table, name: fields[0]}
			if fields[1] != "-" { // a built-in one
				c.hook, c.policy = strings.ToLower(fields[0]), FirewallAction(strings.ToLower(fields[1]))
			}
			index[table+" "+c.name] = len(chains)
			chains = append(chains, c)
		case strings.HasPrefix(line, "-A "):
			words := iptablesWords(line)
			if len(words) < 2 {
				continue
			}
			if i, ok := index[table+" "+words[1]]; ok {
				chains[i].rules = append(chains[i].rules, iptablesRule(line, words[2:]))
			}
		}
	}
	return chains
}

// iptablesWords splits a line at its spaces, but not within double quotes.
func iptablesWords(line string) []string {
	var words []string
	var b strings.Builder
	quoted, begun := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case c == '"':
			quoted, begun = !quoted, true
		case c == ' ' && !quoted:
			if begun {
				words = append(words, b.String())
			}
			b.Reset()
			begun = false
		default:
			b.WriteByte(c)
			begun = true
		}
	}
	if begun {
		words = append(words, b.String())
	}
	return words
}

// iptablesRule reads the options of a rule.
func iptablesRule(line string, words []string) rule {
	r := rule{text: line}
	var matches []func(packet) truth
	not := false
	for i := 0; i < len(words); i++ {
		option := words[i]
		value := ""
		if i+1 < len(words) {
			value = words[i+1]
		}
		match := func(packet) truth { return maybe }
		switch option {
		case "!":
			not = true
			continue
		case "-m", "--match", "--comment":
			i++
			continue
		case "-j", "--jump", "-g", "--goto":
			r.action, r.target = iptablesAction(option, value)
			r.matches = func(p packet) truth {
				result := yes
				for _, m := range matches {
					result = all(result, m(p))
				}
				return result
			}
			return r // what follows belongs to the target
		case "-p", "--protocol":
			match = func(packet) truth {
				return truthOf(value == "tcp" || value == "6" || value == "all" || value == "0")
			}
		case "--dport", "--dports", "--destination-port", "--destination-ports":
			r.ports = true
			match = func(p packet) truth {
				if p.outgoing {
					return maybe
				}
				return truthOf(iptablesPorts(value, p.port))
			}
		case "--sport", "--sports", "--source-port", "--source-ports":
			r.ports = true
			match = func(p packet) truth {
				if !p.outgoing {
					return maybe
				}
				return truthOf(iptablesPorts(value, p.port))
			}
		case "--ports":
			r.ports = true
			match = func(p packet) truth {
				if iptablesPorts(value, p.port) {
					return yes
				}
				return maybe
			}
		case "-i", "--in-interface", "-o", "--out-interface":
			if value == "lo" { // these packets are from and to other machines
				match = func(packet) truth { return no }
			}
		case "--ctstate", "--state":
			match = func(p packet) truth {
				state := "NEW"
				if p.outgoing {
					state = "ESTABLISHED"
				}
				return truthOf(slices.Contains(strings.Split(value, ","), state))
			}
		case "-s", "--source":
			match = func(p packet) truth { return iptablesSource(value, p) }
		case "--tcp-flags", "--icmp-type", "-d":
		default:
			if !strings.HasPrefix(option, "-") { // another value of an option that is not known
				continue
			}
		}
		if i+1 < len(words) && !strings.HasPrefix(value, "-") {
			i++
		}
		if not {
			yet := match
			match = func(p packet) truth { return -yet(p) }
			not = false
		}
		matches = append(matches, match)
	}
	return r // counts alone
}

// iptablesAction reads a target. What is neither a verdict nor a chain, as LOG
// is, is taken for a chain that does not exist, behind which it goes on.
func iptablesAction(option, target string) (action, to string) {
	switch {
	case slices.Contains([]string{"ACCEPT", "DROP", "REJECT", "RETURN"}, target):
		return strings.ToLower(target), ""
	case option == "-g" || option == "--goto":
		return "goto", target
	default:
		return "jump", target
	}
}

// iptablesSource tells whether a packet comes from an address or a network, as
// iptables-save writes it: "10.0.0.0/8".
func iptablesSource(text string, p packet) truth {
	network, err := netip.ParsePrefix(text)
	if ip, addrErr := netip.ParseAddr(text); addrErr == nil {
		network, err = netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	if err != nil || !p.source.IsValid() || p.outgoing {
		return maybe
	}
	return truthOf(network.Contains(p.source))
}

// iptablesPorts tells whether a port is among "80", "8000:8010" or "22,80,90:99".
func iptablesPorts(list string, port uint16) bool {
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, ":")
		if !isRange {
			high = low
		}
		first, err := strconv.ParseUint(low, 10, 16)
		if err != nil && low != "" {
			continue
		}
		last, err := strconv.ParseUint(high, 10, 16)
		if err != nil {
			if high != "" {
				continue
			}
			last = 65535
		}
		if uint64(port) >= first && uint64(port) <= last {
			return true
		}
	}
	return false
}
