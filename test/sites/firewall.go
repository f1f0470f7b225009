package sites

import "testing"

// behindFirewall is a site with nginx on a machine whose firewall has a rule
// in one of its chains, input or output. Its words are replaced.
func behindFirewall(chain, rule string) func(testing.TB) Site {
	return func(t testing.TB) Site {
		s := newSetting(t)
		site := serveNginx(s, `server { listen @port@; `+nginxWell+`}`)
		s.firewall(`
table inet filter {
	chain ` + chain + ` {
		type filter hook ` + chain + ` priority filter; policy accept;
		` + rule + `
	}
}
`)
		return site
	}
}

// firewalls are sites that the load balancer's packets do not reach, or whose
// packets do not reach the load balancer. Each is alone: the rules hold for
// nobody else, and go with the site's network.
func firewalls() []Case {
	return []Case{
		{
			Name: "firewall-drop", Row: "firewall-drop", Findings: []string{"firewall-drop"}, Inside: true, Alone: true, Slow: true,
			Start: behindFirewall("input", "ip saddr 127.0.0.6 tcp dport @port@ drop"),
		},
		{
			Name: "firewall-drops-answers", Row: "nacl-return-path", Findings: []string{"nacl-return-path"}, Inside: true, Alone: true, Slow: true,
			Start: behindFirewall("output", "ip daddr 127.0.0.6 tcp sport @port@ drop"),
		},
		{
			// As firewalld does by default.
			Name: "firewall-prohibits", Row: "firewall-reject", Findings: []string{"firewall-reject"}, Inside: true, Alone: true,
			Start: behindFirewall("input", "ip saddr 127.0.0.6 tcp dport @port@ reject with icmpx type admin-prohibited"),
		},
		{
			Name: "firewall-resets", Row: "firewall-reject", Findings: []string{"firewall-reject"}, Inside: true, Alone: true,
			Start: behindFirewall("input", "ip saddr 127.0.0.6 tcp dport @port@ reject with tcp reset"),
		},
	}
}
