package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hale/internal/elb"
	"hale/internal/explain"
)

// Options are what is asked for beside the URL. The zero value is a prober's
// own way.
type Options struct {
	// Host is sent as Host instead of the prober's.
	Host string
	// Path is asked for instead of the URL's; it begins with a slash.
	Path string
	// Port is dialled instead of the URL's.
	Port uint16
	// Matcher is the codes that pass.
	Matcher string
	// Timeout is for the whole exchange.
	Timeout time.Duration
	// ProxyProtocol is 1 or 2 for a PROXY header first.
	ProxyProtocol int
	// Source is the local address that probes come from.
	Source netip.Addr
	// NodeAddress is the load balancer's own address and listener's port, for
	// probers that send it as Host; the zero value: this machine's address as
	// the target sees it, and port 80 or 443.
	NodeAddress netip.AddrPort
	// Search is a text that the body must have, for probers that can look.
	Search string
}

// resolving is how long a name may take to resolve.
const resolving = 5 * time.Second

// New fills in a prober's form for a URL: http://10.0.1.5:8080/health,
// tcp://10.0.1.5:5432, grpc://..., or without a scheme, which is http. It
// resolves the name, which takes 5 s at most. One that has no address is no
// error here: Send tells it.
func New(ctx context.Context, prober *Prober, address string, o Options) (Probe, error) {
	t, err := parseTarget(prober, address)
	if err != nil {
		return Probe{}, err
	}
	p := Probe{
		Prober: prober, Protocol: t.protocol, Name: t.host, Authority: t.authority,
		Method: prober.Method, Path: t.path, Version: prober.Version, Fields: slices.Clone(prober.Fields),
		Host: o.Host, MaxTLS: prober.MaxTLS, VerifyTLS: prober.VerifiesTLS,
		ProxyProtocol: o.ProxyProtocol, Source: o.Source, Matcher: o.Matcher, Search: o.Search,
		Timeout: cmp.Or(o.Timeout, prober.timeout(t.protocol), resolving),
	}
	if t.protocol.CallsGRPC() && prober.GRPCFields != nil {
		p.Fields = slices.Clone(prober.GRPCFields)
	}
	if o.Port != 0 {
		t.port = o.Port
		p.Authority = joinPort(t.host, t.port)
	}
	if err := p.setPath(o.Path); err != nil {
		return Probe{}, err
	}
	if err := p.agree(o); err != nil {
		return Probe{}, err
	}
	if prober.ServerName && t.protocol.Secure() {
		p.ServerName = serverName(t.host)
		if prober.NamedByHost && o.Host != "" {
			p.ServerName = serverName(o.Host)
		}
	}
	p.resolve(ctx, t.port)
	if err := p.checkSource(); err != nil {
		return Probe{}, err
	}
	if err := ownsAddress(ctx, p.Source); err != nil {
		return Probe{}, err
	}
	p.Node = o.NodeAddress
	if !p.Node.IsValid() && prober.Host == HostNode && p.Address.IsValid() {
		p.Node = netip.AddrPortFrom(ownAddress(ctx, p.Address, p.Source), t.protocol.usualPort())
	}
	return p, nil
}

// target is a URL, read.
type target struct {
	protocol        Protocol
	host, authority string
	port            uint16
	path            string // "" for none
}

// schemes are those of URLs; http and https are whatever the prober speaks.
var schemes = map[string]Protocol{
	"http": HTTP, "https": HTTPS, "tcp": TCP, "tls": TLS, "ssl": TLS, "h2c": H2C, "h2": H2, "grpc": GRPC, "grpcs": GRPCS,
}

func parseTarget(prober *Prober, address string) (target, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		if parsing, ok := errors.AsType[*url.Error](err); ok {
			err = parsing.Err // the rest of the text quotes the address, and a password in it
		}
		return target{}, fmt.Errorf("the URL is none: %w; write it as http://10.0.1.5:8080/health", err)
	}
	t := target{host: u.Hostname(), authority: u.Host}
	asked, known := schemes[strings.ToLower(u.Scheme)]
	switch {
	case !known:
		return t, fmt.Errorf("%q is no scheme for a probe; write http, https, tcp, tls, h2c, h2, grpc or grpcs", u.Scheme)
	case u.User != nil:
		return t, errors.New("leave user and password out of the URL: no load balancer sends them")
	case t.host == "":
		return t, errors.New("the URL has no host; write it as http://10.0.1.5:8080/health")
	}
	if t.protocol, err = prober.spoken(asked); err != nil {
		return t, err
	}
	t.port = t.protocol.usualPort()
	if text := u.Port(); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return t, fmt.Errorf("%s is no port; write one from 1 to 65535", text)
		}
		t.port = uint16(port)
	} else if t.protocol.opens() {
		return t, fmt.Errorf("the URL has no port; write it as %s://%s:5432", asked, t.host)
	}
	t.authority = strings.TrimSuffix(t.authority, ":")
	if u.Path != "" || u.RawQuery != "" {
		t.path = u.RequestURI()
	}
	return t, nil
}

// spoken returns the protocol that a scheme stands for.
func (p *Prober) spoken(asked Protocol) (Protocol, error) {
	if p.Speaks(asked) {
		return asked, nil
	}
	switch asked { //nolint:exhaustive // the other schemes are meant as they are
	case HTTP:
		if protocol, ok := p.firstPlain(); ok {
			return protocol, nil
		}
	case HTTPS:
		if protocol, ok := p.firstSecure(); ok {
			return protocol, nil
		}
	}
	spoken := make([]string, len(p.Protocols))
	for i, protocol := range p.Protocols {
		spoken[i] = string(protocol)
	}
	return "", fmt.Errorf("%s does not probe over %s, but over %s", p.Name, asked, strings.Join(spoken, ", "))
}

// setPath puts the path asked for into the request.
func (p *Probe) setPath(path string) error {
	if p.Protocol.opens() {
		if path != "" || p.Path != "" && p.Path != "/" {
			return fmt.Errorf("a probe over %s has no path; leave it out", p.Protocol)
		}
		return nil
	}
	if path != "" {
		if path[0] != '/' {
			return fmt.Errorf("the path %q does not begin with a slash; write %q", path, "/"+path)
		}
		p.Path = path
	}
	if strings.ContainsFunc(p.Path, unprintable) {
		return fmt.Errorf("the path %q has a space or a control character; write it as %%20 and the like", p.Path)
	}
	if p.Protocol.CallsGRPC() && p.Prober.GRPCHealth {
		// Its method is fixed; what a URL can name is the service.
		p.Service, p.Path = strings.Trim(p.Path, "/"), healthMethod
		return nil
	}
	p.Path = cmp.Or(p.Path, p.Prober.Path, "/")
	return nil
}

// CheckHost refuses what cannot stand in Host: it is a name or an address, with or
// without a port.
func CheckHost(host string) error {
	switch {
	case strings.ContainsFunc(host, unprintable):
		return fmt.Errorf("the host %q has a space or a control character", host)
	case strings.ContainsAny(host, "/?#@"):
		return fmt.Errorf("the host %q is more than a name; write it alone, such as example.com", host)
	}
	return nil
}

// agree refuses what makes no sense together.
func (p *Probe) agree(o Options) error {
	if o.Matcher != "" {
		if _, err := elb.ParseMatcher(o.Matcher); err != nil {
			return fmt.Errorf("success codes: %w", err)
		}
		if p.Protocol.opens() {
			return fmt.Errorf("a probe over %s sees no status; leave out the success codes", p.Protocol)
		}
	}
	if err := CheckHost(o.Host); err != nil {
		return err
	}
	if o.ProxyProtocol < 0 || o.ProxyProtocol > 2 {
		return fmt.Errorf("the PROXY protocol has no version %d; write 1 or 2", o.ProxyProtocol)
	}
	if o.Timeout < 0 {
		return fmt.Errorf("a time-out of %v is none; write one such as 5s", o.Timeout)
	}
	if o.Search == "" {
		return nil
	}
	switch most := p.Prober.SearchLength; {
	case p.Prober.SearchLimit == 0 || p.Protocol != HTTP && p.Protocol != HTTPS:
		return fmt.Errorf("%s does not look for a text in the body over %s", p.Prober.Name, p.Protocol)
	case most > 0 && len(o.Search) > most:
		return fmt.Errorf("the text to look for has %d bytes; %s takes %d at most", len(o.Search), p.Prober.Name, most)
	}
	return nil
}

// unprintable tells of a character that would end a word or a line of a request.
func unprintable(r rune) bool { return r <= ' ' || r == 0x7f }

// resolve looks up the name, IPv4 first, as most load balancers have targets of
// IPv4 alone.
func (p *Probe) resolve(ctx context.Context, port uint16) {
	p.Address = netip.AddrPortFrom(netip.Addr{}, port)
	if ip, err := netip.ParseAddr(p.Name); err == nil {
		p.Addresses = []netip.Addr{ip}
		p.Address = netip.AddrPortFrom(ip, port)
		return
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, resolving)
	defer cancel()
	network := "ip"
	if p.Prober.IPv4 {
		network = "ip4"
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, network, p.Name)
	p.Resolve = time.Since(start)
	if err != nil && strings.EqualFold(p.Name, "localhost") { // a container of a binary alone may have no /etc/hosts (RFC 6761, 6.3)
		found, err = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
	if err != nil || len(found) == 0 {
		p.ResolveErr = explain.Network(cmp.Or(err, error(&net.DNSError{Name: p.Name, IsNotFound: true})), p.Name)
		return
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	slices.SortStableFunc(found, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	p.Addresses = slices.Compact(found)
	p.Address = netip.AddrPortFrom(p.Addresses[0], port)
}

func (p *Probe) checkSource() error {
	if p.Source.IsValid() && p.Address.IsValid() && p.Source.Is4() != p.Address.Addr().Unmap().Is4() {
		return fmt.Errorf("the source %v cannot reach %v: one is IPv4, the other IPv6", p.Source, p.Address.Addr())
	}
	return nil
}

// ownsAddress refuses a source that is not of this machine. Else the target
// would be blamed for it.
func ownsAddress(ctx context.Context, source netip.Addr) error {
	if !source.IsValid() {
		return nil
	}
	var config net.ListenConfig
	conn, err := config.ListenPacket(ctx, "udp", netip.AddrPortFrom(source, 0).String())
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return fmt.Errorf("the source %v is no address of this machine; ip address tells which are", source)
	}
	if err == nil {
		_ = conn.Close()
	}
	return nil
}

// ownAddress returns the address of this machine that the target sees. It sends
// nothing: connecting UDP only asks for the route.
func ownAddress(ctx context.Context, to netip.AddrPort, source netip.Addr) netip.Addr {
	if source.IsValid() {
		return source
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", to.String())
	if err != nil {
		return netip.IPv4Unspecified()
	}
	defer conn.Close()
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return netip.IPv4Unspecified()
	}
	return local.Addr().Unmap()
}

// serverName returns the name of a host as SNI has it: no port, no IP.
func serverName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ""
	}
	return host
}

func joinPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
