package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// SettingError is a mistake in Settings.
type SettingError struct {
	Field   string // of Settings: "Hosts"
	Index   int    // of the element, if the field is a list; else -1
	Value   string
	Problem string // what is wrong, and the way out
}

func (e *SettingError) Error() string {
	if e.Index >= 0 {
		return fmt.Sprintf("%s[%d]: %q %s", e.Field, e.Index, e.Value, e.Problem)
	}
	return fmt.Sprintf("%s: %q %s", e.Field, e.Value, e.Problem)
}

// mistakes collects what is wrong with Settings.
type mistakes []error

func (m *mistakes) add(field string, index int, value any, problem string) {
	*m = append(*m, &SettingError{Field: field, Index: index, Value: fmt.Sprint(value), Problem: problem})
}

func (m mistakes) err() error { return errors.Join(m...) }

// healthPaths is the paths of the health answer.
type healthPaths struct{ base string } // without a slash at its end

func newHealthPaths(path string, m *mistakes) healthPaths {
	if path == "" {
		path = DefaultHealthPath
	}
	switch {
	case path[0] != '/':
		m.add("HealthPath", -1, path, "is not a path; begin it with a slash")
	case strings.HasPrefix(path, "//") || !plainTarget(path) || strings.Contains(path, "?"):
		m.add("HealthPath", -1, path, "is not a plain path; write one like "+DefaultHealthPath+", without a query, spaces or doubled slashes")
	}
	return healthPaths{strings.TrimSuffix(path, "/")}
}

// own tells whether path is one of the health answer's. Only exact paths are:
// a prefix would exempt pages of the app from the rules.
func (h healthPaths) own(path string) bool {
	rest, ok := strings.CutPrefix(path, h.base)
	if !ok {
		return false
	}
	switch rest {
	case "":
		return path != ""
	case "/", "/live", "/ready", "/startup":
		return true
	}
	name, ok := strings.CutPrefix(rest, "/checks/")
	return ok && name != "" && strings.IndexByte(name, '/') < 0
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
