package doctor

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"hale/internal/probe"
)

// redirectHypotheses are told apart by what a Location changes, not by where
// the redirect stands: frameworks differ in which of theirs comes first.
var redirectHypotheses = []hypothesis{
	{
		id: "kubelet-follows-redirect", on: beyondRedirect,
		fits: func(x *examination) bool { return len(x.current.answer.Followed) > 0 }, changes: one(forwardedProto),
	},
	{
		id: "kubelet-follows-redirect", on: beyondRedirect,
		fits: followedIntoTLS, look: whereItLed,
	},

	{id: "proxy-overwrites-proto", on: toHTTPS, inside: true, look: saysOwnScheme, aside: true},

	// To https, and a claim of https turns it.
	{id: "web-server-xfp-rewrite", on: toHTTPS, fits: is("nginx", "openresty", "apache", "lighttpd"), changes: one(forwardedProto)},
	{id: "django-ssl-redirect", on: toHTTPS, fits: isApp("django"), changes: one(forwardedProto)},
	{id: "rails-force-ssl", on: toHTTPS, fits: either(isApp("rails"), rackSSL), changes: one(forwardedProto)},
	{id: "starlette-https-redirect", on: toHTTPS, fits: either(isApp("starlette", "fastapi"), uvicorn307), changes: one(forwardedProto)},
	{id: "aspnet-https-redirection", on: toHTTPS, fits: isApp("aspnet"), changes: one(forwardedProto)},
	{id: "express-https-redirect", on: toHTTPS, fits: isApp("express", "next", "go"), changes: one(forwardedProto)},
	{id: "phoenix-force-ssl", on: toHTTPS, fits: isApp("phoenix"), changes: one(forwardedProto)},
	{id: "servlet-requires-secure", on: toHTTPS, fits: isApp("tomcat", "spring"), changes: one(forwardedProto)},
	{id: "servlet-requires-secure", on: toHTTPS, fits: toPort8443, changes: one(forwardedProto)},
	{id: "haproxy-redirect-scheme", on: toHTTPS, fits: bareFound, changes: one(forwardedProto)},
	{id: "web-server-xfp-rewrite", on: toHTTPS, changes: one(forwardedProto)},

	// To https and another host, of which the host alone matters.
	{id: "canonical-host-redirect", on: toHTTPS, fits: toOtherHost, changes: toLocationHost, only: true},

	// To https whatever the header says.
	{id: "caddy-auto-https", on: toHTTPS, fits: runs("caddy"), changes: toTLS},
	{id: "caddy-auto-https", on: toHTTPS, fits: all(runs("caddy"), emptyBody), look: whateverIsSaid},
	{id: "nginx-return-301", on: toHTTPS, fits: is("nginx", "openresty", "apache", "lighttpd"), look: whateverIsSaid},
	{id: "proxy-overwrites-proto", on: toHTTPS, inside: true, fits: not(byEdgeItself), changes: (*examination).toHops, accept: stillToHTTPS, proves: claimingBehind},
	{id: "proxy-overwrites-proto", on: toHTTPS, inside: true, fits: not(byEdgeItself), look: saysOwnSchemeHere, aside: true},
	{id: "servlet-requires-secure", on: toHTTPS, fits: either(isApp("tomcat", "spring"), toPort8443), look: whateverIsSaid},
	{id: "django-ssl-redirect", on: toHTTPS, fits: isApp("django"), look: whateverIsSaid},
	{id: "rails-force-ssl", on: toHTTPS, fits: either(isApp("rails"), rackSSL), look: whateverIsSaid},
	{id: "starlette-https-redirect", on: toHTTPS, fits: either(isApp("starlette", "fastapi"), uvicorn307), look: whateverIsSaid},
	{id: "aspnet-https-redirection", on: toHTTPS, fits: isApp("aspnet"), look: whateverIsSaid},
	{id: "express-https-redirect", on: toHTTPS, fits: isApp("express", "next", "go"), look: whateverIsSaid},
	{id: "haproxy-redirect-scheme", on: toHTTPS, fits: bareFound, look: whateverIsSaid},
	{id: "proto-header-not-trusted", on: toHTTPS, after: appToHTTPS, inside: true, fits: not(behindEdge), look: whateverIsSaid, changes: loopbackClaimingHTTPS},
	{id: "proto-header-not-trusted", on: toHTTPS, after: appToHTTPS, fits: not(behindEdge), look: whateverIsSaid, changes: one(secure)},

	{id: "wordpress-not-installed", on: []class{classRedirectSetup}, look: itself("Location")},
	{id: "login-redirect", on: []class{classRedirectLogin}, look: thisPathAlone},
	{id: "wordpress-canonical", on: []class{classRedirectHost, classRedirectSlash}, fits: runs("wordpress"), changes: wordpressForms},
	{id: "canonical-host-redirect", on: []class{classRedirectHost}, changes: toLocationHost},
	{
		id: "trailing-slash-redirect", on: []class{classRedirectSlash},
		changes: func(x *examination) []change { return []change{slash(x.current.probe)} },
	},
	{id: "locale-redirect", on: []class{classRedirectLocale}, look: followsLanguage, changes: toLocationPath},
	{id: "path-prefix", on: []class{classRedirect, classRedirectLocale}, fits: locationEndsAlike, changes: toLocationPath},
	{id: "bad-request-by-app", on: []class{classRedirect}, fits: toItself, changes: withItsCookies, only: true},
	{id: "wrong-path-404", on: []class{classRedirect}, changes: toLocationPath, only: true},
}

// beyondRedirect are ends at an address that the prober was redirected to.
var beyondRedirect = []class{classTLS, classRefused, classSilent, classEmpty, classConnectTimeout, classUnreachable}

var toHTTPS = []class{classRedirectHTTPS}

// appToHTTPS are redirects that an app writes, which should believe
// X-Forwarded-Proto.
var appToHTTPS = []string{
	"django-ssl-redirect", "rails-force-ssl", "starlette-https-redirect", "aspnet-https-redirection",
	"express-https-redirect", "phoenix-force-ssl", "servlet-requires-secure",
}

// behindEdge tells whether a web server stands before the app: it may be the
// one that does not pass the header on.
func behindEdge(x *examination) bool {
	return len(x.hops) == 0 && slices.ContainsFunc(x.site.software, func(name string) bool { return slices.Contains(edges, name) })
}

// isApp fits an app that wrote the redirect itself: a web server's own page
// says that the app was not asked.
func isApp(names ...string) func(*examination) bool { return all(runs(names...), not(byEdgeItself)) }

// toOtherHost fits a redirect that changes the host, too.
func toOtherHost(x *examination) bool {
	from := urlOf(x.current.probe)
	to, err := from.Parse(x.current.answer.Get("Location"))
	return err == nil && !strings.EqualFold(to.Hostname(), from.Hostname())
}

func emptyBody(x *examination) bool { return x.current.answer.BodySize == 0 }

func byEdgeItself(x *examination) bool { return byEdge(&x.current.answer) }

// followedIntoTLS fits a probe over plain HTTP that ended beyond a redirect to
// https.
func followedIntoTLS(x *examination) bool {
	followed := x.current.answer.Followed
	return len(followed) > 0 && !x.current.probe.Protocol.Secure() && strings.HasPrefix(followed[len(followed)-1].Get("Location"), "https:")
}

func whereItLed(_ context.Context, x *examination) []Evidence {
	return x.answered("the probe itself, and X-Forwarded-Proto does not matter")
}

// bareFound knows HAProxy's redirect: 302 or 301, no body, so no type of one, and
// no Server.
func bareFound(x *examination) bool {
	a := &x.current.answer
	return a.BodySize == 0 && a.Get("Server") == "" && a.Get("Date") == "" && a.Get("Content-Type") == "" && strings.EqualFold(a.Get("Content-Length"), "0")
}

// rackSSL knows ActionDispatch::SSL: an absolute 301 in text/html by a server
// that does not tell its name.
func rackSSL(x *examination) bool {
	a := &x.current.answer
	return a.Status == 301 && a.Get("Server") == "" && a.BodySize == 0 && strings.HasPrefix(a.Get("Content-Type"), "text/html") &&
		a.Get("Date") == "" && a.Get("X-Content-Type-Options") == "" && !bareFound(x) // that is Sinatra's, and others' of Rack
}

func uvicorn307(x *examination) bool { return x.current.answer.Status == 307 && runs("uvicorn")(x) }

func toPort8443(x *examination) bool {
	to, err := url.Parse(x.current.answer.Get("Location"))
	return err == nil && to.Port() == "8443"
}

// whateverIsSaid proves a redirect that no X-Forwarded-Proto turns.
func whateverIsSaid(ctx context.Context, x *examination) []Evidence {
	e := x.with(ctx, forwardedProto)
	if e.sign.class != classRedirectHTTPS && e.answer.Get("Location") != x.current.answer.Get("Location") {
		return nil
	}
	return []Evidence{x.unturned(forwardedProto, e)}
}

// toTLS speaks TLS with the site's name.
func toTLS(x *examination) []change {
	var all []change
	for _, name := range x.site.names() {
		all = append(all, change{"tls+sni", "https with the server name " + name, func(p probe.Probe) probe.Probe {
			p = secure.apply(p)
			p.ServerName, p.Host = hostOnly(name), name
			return p
		}})
	}
	return append(all, secure)
}

// loopbackClaimingHTTPS says it over the address that servers trust by default.
func loopbackClaimingHTTPS(x *examination) []change {
	lo := loopback(x.current.probe)
	return []change{{"lo+xfp", forwardedProto.text + ", from 127.0.0.1", func(p probe.Probe) probe.Probe {
		return lo.apply(forwardedProto.apply(p))
	}}}
}

// itself proves by a line of the answer's header.
func itself(field string) func(context.Context, *examination) []Evidence {
	return func(_ context.Context, x *examination) []Evidence {
		return []Evidence{{Change: field, Before: printable(x.current.answer.Get(field), 200)}}
	}
}

// thisPathAlone looks whether only the health check's path wants a login.
func thisPathAlone(ctx context.Context, x *examination) []Evidence {
	c := randomPath()
	e := x.with(ctx, c)
	return []Evidence{x.unturned(c, e)}
}

func wordpressForms(x *examination) []change {
	var all []change
	if c, ok := noPort(x.current.probe); ok {
		all = append(all, c)
	}
	return append(append(all, toDomain(x)...), slash(x.current.probe))
}

// toLocationHost asks for the host that the redirect names.
func toLocationHost(x *examination) []change {
	to, err := urlOf(x.current.probe).Parse(x.current.answer.Get("Location"))
	if err != nil || to.Host == "" {
		return toDomain(x)
	}
	all := toDomain(x)
	c := hostIs("host", to.Host)
	if slices.ContainsFunc(all, func(d change) bool { return d.text == c.text }) || isAddress(strings.TrimPrefix(to.Host, "www.")) {
		return all // "www." before the address is nobody's name
	}
	return append([]change{c}, all...)
}

// toLocationPath asks for the path that the redirect names.
func toLocationPath(x *examination) []change {
	from := urlOf(x.current.probe)
	to, err := from.Parse(x.current.answer.Get("Location"))
	if err != nil || to.Path == from.Path {
		return nil
	}
	return []change{pathIs("path", to.RequestURI())}
}

// toItself fits a redirect to what was asked for, for who brings the cookies then.
func toItself(x *examination) bool {
	from := urlOf(x.current.probe)
	to, err := from.Parse(x.current.answer.Get("Location"))
	return err == nil && to.Path == from.Path && to.RawQuery == from.RawQuery && len(values(&x.current.answer, "Set-Cookie")) > 0
}

// withItsCookies brings the cookies that the answer sets, as a browser does.
func withItsCookies(x *examination) []change {
	var cookies []string
	for _, line := range values(&x.current.answer, "Set-Cookie") {
		if cookie, err := http.ParseSetCookie(line); err == nil {
			cookies = append(cookies, cookie.Name+"="+cookie.Value)
		}
	}
	return []change{{"cookie", "the cookies that the answer sets", func(p probe.Probe) probe.Probe { return p.With("Cookie", strings.Join(cookies, "; ")) }}}
}

func locationEndsAlike(x *examination) bool {
	from := urlOf(x.current.probe)
	to, err := from.Parse(x.current.answer.Get("Location"))
	return err == nil && from.Path != "/" && to.Path != from.Path &&
		strings.HasSuffix(strings.TrimSuffix(to.Path, "/"), strings.TrimSuffix(from.Path, "/"))
}

// followsLanguage proves a redirect by language: another one leads elsewhere.
func followsLanguage(ctx context.Context, x *examination) []Evidence {
	e := x.with(ctx, french)
	if e.sign.location == x.current.sign.location {
		return nil
	}
	return []Evidence{x.unturned(french, e)}
}

// hostOnly cuts the port off.
func hostOnly(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}
