package machine

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// captured returns what nft or iptables-save wrote on a machine with some rules.
func captured(t *testing.T, name string) []chain {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "firewall", name))
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(name) != ".json" {
		return parseIPTables(string(content))
	}
	chains, err := parseNFT(content)
	if err != nil {
		t.Fatal(err)
	}
	return chains
}

// texts writes rules as "chain: text", with what is said of them before.
func texts(rules []FirewallRule) []string {
	var all []string
	for _, r := range rules {
		text := string(r.Action)
		for _, flag := range []struct {
			set  bool
			name string
		}{{r.NamesPort, "port"}, {r.Conditional, "some"}, {r.Outgoing, "out"}, {r.Policy, "policy"}} {
			if flag.set {
				text += " " + flag.name
			}
		}
		all = append(all, text+": "+r.Chain+": "+r.Text)
	}
	return all
}

func TestFirewallRules(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		file string
		port uint16
		want []string
	}{
		{"one that is let in", "nft.json", 22, nil},
		{"within a range that is let in", "nft.json", 8150, nil},
		{"one that is dropped", "nft.json", 8000, []string{"drop port: inet filter input: tcp dport 8000 drop"}},
		{"within a named set", "nft.json", 8002, []string{"reject port: inet filter input: tcp dport @blocked reject with tcp reset"}},
		{"within a named set of ranges", "nft.json", 9005, []string{"reject port: inet filter input: tcp dport @ranges reject with icmpx admin-prohibited"}},
		{"let in from a network", "nft.json", 8003, []string{
			"accept port some: inet filter input: ip saddr 10.0.0.0/8 tcp dport 8003 accept",
			"drop policy: inet filter input: policy drop",
		}},
		{"dropped by a verdict map", "nft.json", 8004, []string{"drop port: inet filter input: tcp dport 8004 drop"}},
		{"let in by a verdict map", "nft.json", 8006, nil},
		{"let in by another chain, up to a limit", "nft.json", 8007, []string{
			"accept some: inet filter web: limit accept",
			"reject: inet filter web: reject with icmpx port-unreachable",
		}},
		{"another chain returns at once", "nft.json", 8005, []string{"drop policy: inet filter input: policy drop"}},
		{"without a rule of its own", "nft.json", 8999, []string{"drop policy: inet filter input: policy drop"}},
		{"answers that are dropped", "nft.json", 8008, []string{
			"drop policy: inet filter input: policy drop",
			"drop port out: inet filter output: tcp sport 8008 drop",
		}},
		{"answers that are let out", "nft.json", 8009, []string{"drop policy: inet filter input: policy drop"}},

		{"iptables: let in", "iptables-save.txt", 22, nil},
		{"iptables: one of several ports", "iptables-save.txt", 443, nil},
		{"iptables: let in from a network", "iptables-save.txt", 8000, []string{
			"accept port some: filter INPUT: -A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 8000 -j ACCEPT",
			"drop policy: filter INPUT: policy drop",
		}},
		{"iptables: rejected, after it was logged", "iptables-save.txt", 8001, []string{
			"reject port: filter INPUT: -A INPUT -p tcp -m tcp --dport 8001 -j REJECT --reject-with tcp-reset",
		}},
		{"iptables: not sent to the other chain", "iptables-save.txt", 8002, nil},
		{"iptables: dropped by the other chain", "iptables-save.txt", 8003, []string{
			"drop port: filter web: -A web -p tcp -m tcp --dport 8003 -j DROP",
		}},
		{"iptables: answers that are dropped", "iptables-save.txt", 8004, []string{
			"drop policy: filter INPUT: policy drop",
			"drop port out: filter OUTPUT: -A OUTPUT -p tcp -m tcp --sport 8004 -j DROP",
		}},
		{"iptables: answers are no new connections", "iptables-save.txt", 8005, []string{"drop policy: filter INPUT: policy drop"}},
		{"iptables, as nft tells of it", "nft-of-iptables.json", 8003, []string{
			"accept some: ip filter INPUT: xt accept",
			"drop some: ip filter INPUT: xt drop",
			"accept some: ip filter INPUT: l4proto tcp xt accept",
			"drop port: ip filter web: tcp dport 8003 drop",
		}},
	} {
		if got := texts(decide(captured(t, test.file), packet{port: test.port})); !slices.Equal(got, test.want) {
			t.Errorf("%s, port %d:\n%s\nwant\n%s", test.name, test.port, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
}

func TestFirewallBlocking(t *testing.T) {
	t.Parallel()
	f := Firewall{Rules: []FirewallRule{{Action: Accept}, {Action: Drop, Conditional: true}, {Action: Reject, Text: "this"}, {Action: Drop, Text: "that"}}}
	if got := f.Blocking(); len(got) != 2 || got[0].Text != "this" || got[1].Text != "that" || len(f.Rules) != 4 {
		t.Errorf("%+v of %+v", got, f.Rules)
	}
}

// nft and iptables-save are replaced by programs that tell what was captured.
func TestFirewallFor(t *testing.T) {
	data, err := filepath.Abs("testdata/firewall")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := func(name, script string) {
		t.Helper()
		writeFile(t, filepath.Join(dir, name), "#!/bin/sh\n"+script+"\n")
		if err := os.Chmod(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	program("iptables-save", "cat "+data+"/iptables-save.txt")
	program("nft", `test "$*" = "-j list ruleset" && cat `+data+"/nft-of-iptables.json")
	f, err := FirewallFor(t.Context(), 8003)
	if err != nil || !slices.Equal(f.Tools, []string{"iptables-save", "nft"}) || !slices.Equal(texts(f.Rules), []string{"drop port: filter web: -A web -p tcp -m tcp --dport 8003 -j DROP"}) {
		t.Errorf("%+v, %v", f, err)
	}
	program("iptables-save", "echo 'Permission denied (you must be root)' >&2; exit 4")
	program("nft", "echo {")
	_, err = FirewallFor(t.Context(), 8003)
	want := "read the firewall's rules: iptables-save: Permission denied (you must be root)\nnft's answer is not in the form that is known: unexpected end of JSON input"
	if os.Geteuid() != 0 {
		want = "read the firewall's rules: this takes root's rights"
	}
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	absent := []error{fs.ErrNotExist, fs.ErrNotExist}
	if err := whyNot(Firewall{}, absent); !errors.Is(err, fs.ErrNotExist) || err.Error() != "read the firewall's rules: neither nft nor iptables-save is installed" {
		t.Errorf("%v", err)
	}
}

func FuzzFirewall(f *testing.F) {
	for _, name := range []string{"nft.json", "nft-of-iptables.json", "iptables-save.txt"} {
		content, err := os.ReadFile(filepath.Join("testdata", "firewall", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(content), uint16(8000))
	}
	f.Add("*filter\n:INPUT ACCEPT\n:a - [0:0]\n-A INPUT -j a\n-A a -g a\n-A a ! -p tcp --dport :80,90: -j REJECT", uint16(80))
	f.Fuzz(func(t *testing.T, content string, port uint16) {
		chains := parseIPTables(content)
		if parsed, err := parseNFT([]byte(content)); err == nil {
			chains = append(chains, parsed...)
		}
		if rules := decide(chains, packet{port: port}); len(rules) > 0 && !slices.ContainsFunc(rules, func(r FirewallRule) bool { return r.Action != Accept }) {
			t.Errorf("nothing is blocked: %+v", rules)
		}
	})
}

// TestDecideFrom: what a rule asks of the source is known for one address.
func TestDecideFrom(t *testing.T) {
	t.Parallel()
	nft := func(right string) []chain {
		chains, err := parseNFT([]byte(`{"nftables": [
			{"set": {"family": "inet", "table": "f", "name": "lb", "elem": [{"prefix": {"addr": "35.191.0.0", "len": 16}}, {"elem": {"val": "130.211.0.7", "comment": "a"}}]}},
			{"chain": {"family": "inet", "table": "f", "name": "in", "type": "filter", "hook": "input", "policy": "drop"}},
			{"rule": {"family": "inet", "table": "f", "chain": "in", "expr": [
				{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": ` + right + `}}, {"accept": null}]}}
		]}`))
		if err != nil {
			t.Fatal(err)
		}
		return chains
	}
	tables := func(rule string) []chain {
		return parseIPTables("*filter\n:INPUT DROP [0:0]\n-A INPUT " + rule + " -p tcp -j ACCEPT\nCOMMIT\n")
	}
	for _, test := range []struct {
		name   string
		chains []chain
		source string
		want   string // what becomes of its packet; "maybe": it cannot be told
	}{
		{"an address", nft(`"10.0.0.5"`), "10.0.0.5", "accept"},
		{"another address", nft(`"10.0.0.5"`), "10.0.0.6", "drop"},
		{"a network", nft(`{"prefix": {"addr": "10.0.0.0", "len": 8}}`), "10.200.0.1", "accept"},
		{"another network", nft(`{"prefix": {"addr": "10.0.0.0", "len": 8}}`), "11.0.0.1", "drop"},
		{"a range", nft(`{"range": ["10.0.0.5", "10.0.0.9"]}`), "10.0.0.9", "accept"},
		{"outside of a range", nft(`{"range": ["10.0.0.5", "10.0.0.9"]}`), "10.0.0.10", "drop"},
		{"a set written there", nft(`{"set": ["10.0.0.5", {"prefix": {"addr": "35.191.0.0", "len": 16}}]}`), "35.191.255.255", "accept"},
		{"a named set", nft(`"@lb"`), "130.211.0.7", "accept"},
		{"outside of a named set", nft(`"@lb"`), "130.211.0.8", "drop"},
		{"a set that is not known", nft(`"@nobody"`), "10.0.0.5", "maybe"},
		{"no source", nft(`"10.0.0.5"`), "", "maybe"},
		{"iptables, a network", tables("-s 35.191.0.0/16"), "35.191.3.4", "accept"},
		{"iptables, another", tables("-s 35.191.0.0/16"), "35.192.0.1", "drop"},
		{"iptables, all but one", tables("! -s 10.0.0.5/32"), "10.0.0.5", "drop"},
		{"iptables, no source", tables("-s 10.0.0.5/32"), "", "maybe"},
	} {
		source := netip.Addr{}
		if test.source != "" {
			source = netip.MustParseAddr(test.source)
		}
		got := "accept" // what lets all through tells no rules
		for _, r := range decide(test.chains, packet{port: 8080, source: source}) {
			if got = string(r.Action); r.Conditional {
				got = "maybe"
			}
			break // the first decides, or may
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
