package doctor

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"hale/internal/probe"
)

// change is one thing that an experiment changes in a probe. Its code is the
// catalogue's; text is how evidence names it.
type change struct {
	code, text string
	apply      func(probe.Probe) probe.Probe
}

// kind names what it changes: the later of two of a kind takes the place of the
// earlier.
func (c change) kind() string {
	switch c.code {
	case "slash", "path":
		return "path"
	}
	return c.code
}

// Hosts that no site is configured for.
const (
	randomHost = "hc-control.invalid"
	browser    = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
)

// hostIs sends another Host, and the SNI with it where there is TLS.
func hostIs(code, host string) change {
	return change{code, "Host: " + host, func(p probe.Probe) probe.Probe {
		p.Host, p.NoHost = host, false
		return p
	}}
}

// noPort leaves the port out of Host.
func noPort(p probe.Probe) (change, bool) {
	host, _, err := net.SplitHostPort(p.SentHost())
	if err != nil {
		return change{}, false
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return change{"noport", "Host without the port: " + host, func(p probe.Probe) probe.Probe {
		p.Host = host
		return p
	}}, true
}

// field sets a line of the header.
func field(code, name, value string) change {
	return change{code, name + ": " + value, func(p probe.Probe) probe.Probe { return p.With(name, value) }}
}

var (
	forwardedProto = field("xfp", "X-Forwarded-Proto", "https")
	acceptAll      = field("accept", "Accept", "*/*")
	userAgent      = change{"ua", "User-Agent of a browser", func(p probe.Probe) probe.Probe { return p.With("User-Agent", browser) }}
	french         = field("lang", "Accept-Language", "fr")
	forwardedFor   = field("xff", "X-Forwarded-For", "192.0.2.1")
	keepAlive      = field("keep", "Connection", "keep-alive")
)

// upgrade asks for a WebSocket (RFC 6455, 1.3).
var upgrade = change{"ws", "Upgrade: websocket", func(p probe.Probe) probe.Probe {
	return p.With("Connection", "Upgrade").With("Upgrade", "websocket").With("Sec-WebSocket-Version", "13").
		With("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}}

// method asks with another method.
func method(name string) change {
	return change{"meth", "method " + name, func(p probe.Probe) probe.Probe {
		p.Method = name
		return p
	}}
}

// pathIs asks for another path.
func pathIs(code, path string) change {
	return change{code, "path " + path, func(p probe.Probe) probe.Probe {
		p.Path = path
		return p
	}}
}

// slash adds the slash at the path's end, or takes it away.
func slash(p probe.Probe) change {
	path, query, asks := strings.Cut(p.Path, "?")
	if cut := strings.TrimRight(path, "/"); cut != path && cut != "" {
		path = cut
	} else if cut == path {
		path += "/"
	}
	if asks {
		path += "?" + query
	}
	return pathIs("slash", path)
}

// overTLS is what a protocol is called over TLS.
var overTLS = map[probe.Protocol]probe.Protocol{
	probe.HTTP: probe.HTTPS, probe.H2C: probe.H2, probe.GRPC: probe.GRPCS, probe.TCP: probe.TLS,
}

// inPlain is overTLS, turned round.
var inPlain = map[probe.Protocol]probe.Protocol{
	probe.HTTPS: probe.HTTP, probe.H2: probe.H2C, probe.GRPCS: probe.GRPC, probe.TLS: probe.TCP,
}

// spoken speaks another protocol, where there is one for the probe's own.
func spoken(code, text string, other map[probe.Protocol]probe.Protocol) change {
	return change{code, text, func(p probe.Probe) probe.Probe {
		if protocol, ok := other[p.Protocol]; ok {
			p.Protocol = protocol
		}
		return p
	}}
}

// secure speaks TLS instead of plain TCP, and plain turns that round.
var (
	secure = spoken("tls", "https", overTLS)
	plain  = spoken("plain", "http", inPlain)
	http2  = spoken("h2", "HTTP/2", map[probe.Protocol]probe.Protocol{probe.HTTP: probe.H2C, probe.HTTPS: probe.H2})
	anyTLS = change{"tls13", "TLS up to 1.3", func(p probe.Probe) probe.Probe {
		p.MaxTLS = tls.VersionTLS13
		return p
	}}
	proxyLine = change{"pp", "a PROXY protocol header first", func(p probe.Probe) probe.Probe {
		p.ProxyProtocol = 1
		return p
	}}
	http11 = change{"http11", "HTTP/1.1 with a Host", func(p probe.Probe) probe.Probe {
		p.Version = "HTTP/1.1"
		return p
	}}
)

// serverName sends SNI.
func serverName(name string) change {
	return change{"sni", "TLS server name " + name, func(p probe.Probe) probe.Probe {
		p.ServerName = name
		return p
	}}
}

// addressIs dials another address, and says the same there.
func addressIs(code, text string, address netip.AddrPort) change {
	return change{code, text, func(p probe.Probe) probe.Probe {
		if p.Host == "" && !p.NoHost {
			p.Host = p.SentHost() // the same request, elsewhere
		}
		p.Address = address
		p.Source = netip.Addr{}
		return p
	}}
}

// loopback dials 127.0.0.1, or ::1, at the same port.
func loopback(p probe.Probe) change {
	address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), p.Address.Port())
	if p.Address.Addr().Is6() && !p.Address.Addr().Is4In6() {
		address = netip.AddrPortFrom(netip.IPv6Loopback(), p.Address.Port())
	}
	return addressIs("lo", "connect to "+address.String(), address)
}

// leastPatience is more than what an answer takes that comes at all.
const leastPatience = 10 * time.Second

// patience gives an answer four times as long.
func patience(p probe.Probe) change {
	longer := max(4*p.Timeout, leastPatience)
	return change{"time", "time-out of " + longer.String(), func(p probe.Probe) probe.Probe {
		p.Timeout = longer
		return p
	}}
}

// accepting widens the matcher by one code.
func accepting(p probe.Probe, status int) change {
	matcher := p.Matcher
	if matcher == "" && p.Prober != nil {
		matcher = p.Prober.Matcher
	}
	wider := strings.Trim(matcher+","+strconv.Itoa(status), ",")
	return change{"matcher", fmt.Sprintf("success codes %s", wider), func(p probe.Probe) probe.Probe {
		p.Matcher = wider
		return p
	}}
}

// probeValue shortens the signatures of changes.
type probeValue = probe.Probe

func portOf(p probe.Probe) string { return strconv.Itoa(int(p.Address.Port())) }
