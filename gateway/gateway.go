// Package gateway is the rules by which a web app is reached safely from
// behind a load balancer: the health path answers first, then hosts are
// checked, plain http is redirected to https, and the headers that tell where
// a request came from are made true before the app sees them.
//
// The rules are a pure function, [Gateway.Decide], from the head of a request
// to what should be done with it; whoever moves the bytes applies the
// [Decision]. A Go web app gets the same rules in its own process, with no
// proxy in front, from [Gateway.Middleware].
//
// # Order
//
//  1. The health path, whatever Host, scheme or method: a load balancer's
//     probe names the instance's private address, or nothing at all, and never
//     carries X-Forwarded-Proto.
//  2. Requests that two programs could read differently are refused with 400:
//     a missing, doubled or malformed Host, a target that is not a plain path,
//     contradicting lengths.
//  3. Hosts that are not allowed are refused with 400.
//  4. Plain http is redirected to https.
//  5. All else is forwarded, with corrected headers.
//
// # Who is believed
//
// X-Forwarded-For, -Proto, -Port, -Host, Forwarded (RFC 7239) and X-Request-Id
// count only when the peer is one of [Settings.TrustedProxies]; from others
// they are removed. In lists the last element counts, since each proxy appends
// what it saw: the last one was written by the peer that we trust, those before
// it may have been sent by anybody. X-Forwarded-* win over Forwarded, since
// AWS's load balancers and most proxies write the former and pass on the latter
// as the user wrote it.
//
// X-Forwarded-For for the app is cut off at the first element from the right
// that is no address. If that is next to a trusted proxy, the client is unknown
// (see [Decision]) and never taken for the proxy, whose private address may
// open doors.
//
// Fields that say in other words who asked, or for which URL, are removed
// whoever sends them, since load balancers pass them on as the user wrote them:
// X-Original-*, X-Rewrite-Url, X-Forwarded-Prefix, X-Forwarded-Ssl,
// True-Client-Ip, Cf-Connecting-Ip, Client-Ip and the like ([Owned] knows all).
// Behind a delivery network, list its networks among the trusted proxies: the
// client is then found in X-Forwarded-For. An app below a path is told its
// prefix in its own settings. Other X-Forwarded-* fields, such as
// X-Forwarded-User, and X-Amzn-Trace-Id are kept from trusted proxies alone.
package gateway

import (
	"net/netip"
	"time"
)

// DefaultHealthPath is the health path of the zero Settings.
const DefaultHealthPath = "/health"

// Settings are what a Gateway goes by. The zero value is of use: it answers
// for /health, allows any host, believes proxies on private networks, and
// neither redirects nor adds response headers.
type Settings struct {
	// HealthPath is the path of the health answer: it, and below it /live,
	// /ready, /startup, all with or without a slash at their ends, and
	// /checks/NAME, without one. "" means DefaultHealthPath. It is compared with the path as sent,
	// byte for byte.
	HealthPath string

	// HealthEndpoints are the names of further paths of the health answer:
	// "deep" is /health/deep, with or without a slash at its end. They are words
	// of lower-case letters, digits, dashes and underscores, a letter first. For
	// a health.Monitor they are its Endpoints.
	HealthEndpoints []string

	// Hosts are the hosts that may be asked for; none means any. A pattern is
	// a name ("mysite.com"), a domain with all its subdomains (".mysite.com",
	// as in Django's ALLOWED_HOSTS), an IPv4 or IPv6 address ("10.0.0.5",
	// "[2001:db8::5]"), a network ("10.0.0.0/16"), or "*" for any host.
	// With a port ("mysite.com:8443") it matches only requests to that port,
	// without one it matches all. Case and a trailing dot make no difference.
	// Internationalised names are written as they are sent, in punycode
	// ("xn--bcher-kva.example").
	//
	// The first exact name is the site's main host: see Redirect.
	Hosts []string

	// InstanceAddrs returns the instance's own addresses, which are then
	// allowed as hosts too, with any port. It is called during decisions, by
	// many goroutines at once, and must return at once. nil means none.
	InstanceAddrs func() []netip.Addr

	// HostsSetting is how the answer to a host that is not allowed names the
	// place where it can be allowed, such as "hosts.allow in hale.yaml".
	// "" means "Settings.Hosts of the gateway".
	HostsSetting string

	// TrustedProxies are the networks whose peers are believed about where a
	// request came from. nil means PrivateNetworks; an empty list means none.
	TrustedProxies []netip.Prefix

	// TrustUnix believes peers that have no address: those of a unix socket.
	TrustUnix bool

	// Redirect is the status with which requests that came over plain http
	// are sent to https: 301, 302, 307 or 308; 0 means off. It is used for
	// GET and HEAD; other methods get 308 instead of 301 and 307 instead of
	// 302, so that browsers send the same method and body again.
	//
	// The path and the query are kept as they were sent. The host is the
	// request's own, which has been checked against Hosts (with no Hosts, or
	// "*", it is any well-formed one: the one that the client believes to be
	// talking to). A request for an address that Hosts does not list by itself
	// goes to the site's main host if there is one, since TLS is rarely
	// served for an instance's address.
	Redirect int

	// HTTPSPort is the port of redirects; 0 means 443. The port of the
	// request is never kept: it is the one that speaks plain http.
	HTTPSPort int

	// HSTS makes answers over https carry Strict-Transport-Security.
	HSTS HSTS

	// NoSniff makes answers carry "X-Content-Type-Options: nosniff".
	NoSniff bool

	// FrameOptions is the value of X-Frame-Options: DENY or SAMEORIGIN;
	// "" means no such header.
	FrameOptions string

	// ReferrerPolicy is the value of Referrer-Policy, one of the policies of
	// the W3C's document of that name, or several with commas between them;
	// "" means no such header.
	ReferrerPolicy string

	// NewRequestID makes the ids of requests that come without one; it is
	// called by many goroutines at once, and should return 1 to 128 letters,
	// digits, dots, underscores and dashes. nil means 32 random hexadecimal
	// digits.
	NewRequestID func() string
}

// HSTS is HTTP Strict Transport Security (RFC 6797): for how long browsers
// shall ask for this host over https only. The zero value is off.
type HSTS struct {
	// MaxAge is sent in whole seconds; 0 means no header. A negative one is
	// sent as max-age=0, which makes browsers forget (RFC 6797, 6.1.1).
	MaxAge            time.Duration
	IncludeSubDomains bool
	Preload           bool // needs IncludeSubDomains
}

// Gateway decides about requests. It is made by New, never changes, and may be
// used by many goroutines at once.
type Gateway struct {
	health    healthPaths
	hosts     hosts
	notHere   string // end of the answer to a host that is not allowed
	trusted   []netip.Prefix
	trustUnix bool
	redirect  redirect
	response  responses
	newID     func() string
}

// New makes a Gateway. Its error joins a *SettingError for each mistake.
func New(s Settings) (*Gateway, error) {
	var m mistakes
	g := &Gateway{
		health:    newHealthPaths(&s, &m),
		hosts:     newHosts(s.Hosts, s.InstanceAddrs, &m),
		trusted:   newTrusted(s.TrustedProxies, &m),
		trustUnix: s.TrustUnix,
		redirect:  newRedirect(s.Redirect, s.HTTPSPort, &m),
		response:  newResponses(&s, &m),
		newID:     s.NewRequestID,
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	if g.newID == nil {
		g.newID = randomID
	}
	where := s.HostsSetting
	if where == "" {
		where = "Settings.Hosts of the gateway"
	}
	g.notHere = "\" is not allowed here; to allow it, add it to " + where + "\n"
	return g, nil
}

// Host returns the site's main host, the first exact name in Settings.Hosts,
// in lower case and without its port; "" if there is none.
func (g *Gateway) Host() string { return g.hosts.main }

// Decide tells what to do with a request. It does no I/O, keeps nothing, and
// does not change the request.
func (g *Gateway) Decide(r *Request) Decision {
	peer := plainAddr(r.Peer.Addr())
	trusted := g.trusts(peer)
	h := readHead(r.Header, trusted)
	o := g.origin(r, &h, peer, trusted)
	d := Decision{Client: o.client, Scheme: o.scheme, RequestID: o.requestID}

	if g.health.own(r.Path) {
		d.Kind = Health
		return d
	}
	if d.RequestID == "" {
		d.RequestID = g.newID()
	}
	if reason, text := h.refusal(r); reason != "" {
		g.refuse(&d, reason, text)
		d.Close = true
		return d
	}
	host, reason, text := readHost(r.Host, r.Proto)
	if reason != "" {
		g.refuse(&d, reason, text)
		d.Close = true
		return d
	}
	if !g.hosts.allow(host, d.Scheme) {
		if host.name == "" {
			g.refuse(&d, NoHost, noHost)
		} else {
			g.refuse(&d, HostNotAllowed, "400: host \""+harmless(r.Host)+g.notHere)
		}
		return d
	}
	if r.Path == "*" {
		// It asks what this server can do at all (RFC 9110, 9.3.7): anything.
		d.Kind, d.Status, d.Response = Answer, 204, g.response.forwarded(d.Scheme)
		return d
	}
	if g.redirect.status != 0 && d.Scheme != "https" {
		g.sendToHTTPS(&d, r, host)
		return d
	}
	d.Kind = Forward
	d.Response = g.response.forwarded(d.Scheme)
	g.edit(&d, r, &h, &o, host)
	return d
}
