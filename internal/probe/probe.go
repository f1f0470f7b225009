// Package probe sends health requests exactly as load balancers send them, and
// judges the answers as they do. Each load balancer is a row of one table.
package probe

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Probe is one health request: a prober's form, filled in for one target. It
// is a value; an experiment is a copy with one thing changed.
type Probe struct {
	Prober   *Prober
	Protocol Protocol
	// Address is the IP and port that is dialled; Source the local address
	// that the connection comes from (the zero value: the kernel's choice). An
	// Address without an IP is a name that has none: ResolveErr says why.
	Address netip.AddrPort
	Source  netip.Addr
	// Name is the host of the URL as given; equal to the address where that
	// was an IP.
	Name string
	// Authority is host and port of the URL as given.
	Authority string
	// Addresses are all IPs that the name has, Resolve how long it took to
	// learn them.
	Addresses  []netip.Addr
	Resolve    time.Duration
	ResolveErr error
	// Node is the load balancer's own address and listener's port, for probers
	// that put it into Host.
	Node netip.AddrPort
	// Method, Path (with query) and Version make the request line.
	Method, Path, Version string
	// Host overrides what the prober's form makes; NoHost leaves the line out.
	Host   string
	NoHost bool
	// Fields is the rest of the header, in order and case; a field with the
	// value HostField stands where Host goes.
	Fields []Field
	// ServerName is sent as SNI; empty: none. MaxTLS caps the version (0: none).
	ServerName string
	MaxTLS     uint16
	// VerifyTLS tells whether the certificate is checked, against Roots (nil:
	// the system's).
	VerifyTLS bool
	Roots     *x509.CertPool
	// ProxyProtocol is the version of the PROXY header that goes first, 1 or
	// 2; 0: none.
	ProxyProtocol int
	// Timeout is for the whole exchange, from the dialling to the body's end.
	// A prober's limits for single phases are stretched with it.
	Timeout time.Duration
	// Matcher is the codes that pass; empty: the prober's.
	Matcher string
	// Search is a text that the body must have near its beginning; empty: none.
	Search string
	// Service is what a call of grpc.health.v1 asks about; empty: the server.
	// The method that any gRPC call is for is Path: /package.Service/Method.
	Service string
}

// Send sends the probe once, on a connection of its own, follows redirects
// where the prober does, and judges the answer. It returns when the answer is
// whole, the time-out is over, or ctx ends.
func (p Probe) Send(ctx context.Context) Answer {
	start := time.Now()
	deadline := start.Add(p.Timeout)
	var followed []Answer
	hop := &p
	a := hop.ask(ctx, deadline)
	for {
		next, ok := hop.redirected(ctx, deadline, &a, len(followed))
		if !ok {
			break
		}
		hop, followed = &next, append(followed, a)
		a = hop.ask(ctx, deadline)
	}
	a.Followed = followed
	a.Times.Resolve += p.Resolve
	a.Times.Total = time.Since(start)
	if err := ctx.Err(); err != nil && a.Err != nil {
		a.Err = err // who interrupts is not told that the target is slow
		return a
	}
	hop.judge(&a)
	return a
}

// With returns the probe with a field of the header set: in its place where it
// stands already, else at the end.
func (p Probe) With(name, value string) Probe {
	if strings.EqualFold(name, "Host") {
		p.Host, p.NoHost = value, false
		return p
	}
	p.Fields = slices.Clone(p.Fields)
	if i := p.field(name); i >= 0 {
		p.Fields[i].Value = value
		return p
	}
	p.Fields = append(p.Fields, Field{name, value})
	return p
}

// Without returns the probe without a field of the header.
func (p Probe) Without(name string) Probe {
	if strings.EqualFold(name, "Host") {
		p.NoHost = true
		return p
	}
	p.Fields = slices.DeleteFunc(slices.Clone(p.Fields), func(f Field) bool { return strings.EqualFold(f.Name, name) })
	return p
}

// From returns the probe with another local address to come from; the zero
// value leaves it as it is.
func (p Probe) From(source netip.Addr) (Probe, error) {
	if source.IsValid() {
		p.Source = source
	}
	return p, p.checkSource()
}

// Get returns the value of a field of the request, "" if it has none.
func (p Probe) Get(name string) string {
	if strings.EqualFold(name, "Host") {
		return p.SentHost()
	}
	if i := p.field(name); i >= 0 {
		return p.Fields[i].Value
	}
	return ""
}

func (p *Probe) field(name string) int {
	return slices.IndexFunc(p.Fields, func(f Field) bool { return strings.EqualFold(f.Name, name) })
}

// SentHost returns the Host as it will be sent, "" for none.
func (p Probe) SentHost() string {
	switch {
	case p.NoHost:
		return ""
	case p.Host != "":
		return p.Host
	case p.Prober == nil:
		return p.Authority
	}
	usual := p.Address.Port() == p.Protocol.usualPort()
	address := netip.AddrPortFrom(p.Address.Addr().WithZone(""), p.Address.Port()).String()
	switch p.Prober.Host {
	case HostNone:
	case HostAddress:
		return bracketed(p.Address.Addr())
	case HostUsualPort:
		if usual {
			return bracketed(p.Address.Addr())
		}
		return address
	case HostAddressPort:
		return address
	case HostNode:
		return p.Node.String()
	case HostURLPort:
		return p.Authority
	case HostURL:
		name := p.Name
		if ip, err := netip.ParseAddr(name); err == nil {
			name = bracketed(ip)
		}
		if usual {
			return name
		}
		return name + ":" + strconv.Itoa(int(p.Address.Port()))
	}
	return ""
}

// Unconfirmed returns what of this probe no document and no capture confirms: of
// the prober's sentences those that are about it. A connection alone has none.
func (p Probe) Unconfirmed() []string {
	if p.Protocol.opens() {
		return nil
	}
	about := map[string]bool{
		"Over TLS: ":            p.Protocol.Secure(),
		"Over gRPC: ":           p.Protocol.CallsGRPC(),
		"Over HTTP/2: ":         p.Protocol == H2C || p.Protocol == H2,
		"Over IPv6: ":           p.Address.Addr().Unmap().Is6(),
		"With a PROXY header: ": p.ProxyProtocol != 0,
	}
	var all []string
	for _, sentence := range p.prober().Unconfirmed {
		fits := true
		for start, is := range about {
			fits = fits && (is || !strings.HasPrefix(sentence, start))
		}
		if fits {
			all = append(all, sentence)
		}
	}
	return all
}

// bracketed returns an IP as it stands in a URL.
func bracketed(ip netip.Addr) string {
	if ip.Is6() {
		return "[" + ip.WithZone("").String() + "]"
	}
	return ip.String()
}

// target names what is dialled, for errors.
func (p *Probe) target() string {
	if p.Address.IsValid() {
		return p.Address.String()
	}
	return net.JoinHostPort(p.Name, strconv.Itoa(int(p.Address.Port())))
}

// prober returns the prober, one without any rules for a probe that has none. It is
// not to be changed.
func (p *Probe) prober() *Prober {
	if p.Prober == nil {
		return &noRules
	}
	return p.Prober
}

// noRules is one for all: a new one at each call would make the stacks of thousands
// of probes grow.
var noRules Prober

// phases returns the limits of the phases, stretched as the time-out is.
func (p *Probe) phases() Phases {
	own := p.prober().timeout(p.Protocol)
	limits := p.prober().Phases
	if own <= 0 || p.Protocol.opens() || p.Timeout == own {
		return limits
	}
	stretch := func(d time.Duration) time.Duration {
		return time.Duration(float64(d) * float64(p.Timeout) / float64(own))
	}
	return Phases{stretch(limits.Connect), stretch(limits.Head), stretch(limits.Body)}
}
