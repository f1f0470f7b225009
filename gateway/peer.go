package gateway

import "net/netip"

// trusts tells whether a peer is a trusted proxy.
func (g *Gateway) trusts(a netip.Addr) bool {
	if !a.IsValid() {
		return g.trustUnix
	}
	for _, p := range g.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// PrivateNetworks returns the networks that are not reached from the internet:
// loopback, private (RFC 1918, RFC 4193), shared (RFC 6598) and link-local
// addresses. A load balancer's peers come from them.
func PrivateNetworks() []netip.Prefix {
	names := []string{
		"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
		"::1/128", "fc00::/7", "fe80::/10",
	}
	networks := make([]netip.Prefix, len(names))
	for i, name := range names {
		networks[i] = netip.MustParsePrefix(name)
	}
	return networks
}

func newTrusted(networks []netip.Prefix, m *mistakes) []netip.Prefix {
	if networks == nil {
		return PrivateNetworks()
	}
	trusted := make([]netip.Prefix, len(networks))
	for i, n := range networks {
		if !n.IsValid() {
			m.add("TrustedProxies", i, n, "is not a network; write one like 10.0.0.0/8")
			continue
		}
		trusted[i] = plainPrefix(n)
	}
	return trusted
}

// plainAddr returns a as the rules compare it: IPv4 addresses that a
// dual-stack socket shows as IPv6 are IPv4, and there are no zones.
func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// plainPrefix is plainAddr for networks.
func plainPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
