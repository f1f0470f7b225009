package doctor

import (
	"context"
	"slices"

	"hale/internal/machine/webserver"
)

// hostHypotheses are the causes that another Host turns: allow-lists of
// frameworks and the web server's choice of a virtual host. Whether the list
// wants names or refuses addresses alone is what the control, a name that
// nobody configured, tells apart.
var hostHypotheses = []hypothesis{
	{
		id: "nlb-host-is-node-ip", on: []class{classBadRequest, classForbidden, classNotFound},
		fits: asNLB, changes: ownAddress, proves: namesAlone,
	},
	{id: "imdsv2-required-401", on: []class{classBadRequest}, inside: true, fits: is("django"), look: withoutToken, aside: true},
	{id: "imds-hop-limit", on: []class{classBadRequest}, inside: true, fits: is("django"), look: tokenLost, aside: true},
	{id: "imds-timeout-too-small", on: []class{classBadRequest}, inside: true, fits: is("django"), look: tooLittleTime, aside: true},
	{
		id: "django-allowed-hosts-looks-fixed", on: []class{classBadRequest}, inside: true,
		fits: is("django"), look: looksFixed, changes: toDomain, proves: namesAlone,
	},
	{id: "django-allowed-hosts", on: []class{classBadRequest}, fits: is("django"), changes: toDomain, proves: namesAlone},
	{
		id: "django-host-from-local-proxy", on: []class{classBadRequest}, inside: true,
		fits: runs("django"), changes: (*examination).toHops, accept: speaksHTTP, proves: nameIsLost,
	},
	{id: "django-allowed-hosts", on: []class{classBadRequest}, fits: has(`<title>DisallowedHost\s+at `), look: theAnswer},
	{
		id: "django-allowed-hosts", on: []class{classBadRequest},
		fits: all(nameless, not(behindEdge), has(`(?s)^\s*(<!doctype html>.*)?<h1>Bad Request \(400\)</h1>`)), look: likeAnyPath,
	},
	{id: "django-allowed-hosts", on: []class{classBadRequest}, inside: true, look: logged(`Invalid HTTP_HOST header`)},
	{id: "rails-host-authorization", on: []class{classForbidden}, inside: true, fits: nameless, look: logged(`Blocked hosts?: `)},
	{id: "starlette-trusted-host", on: []class{classBadRequest}, fits: has(`^Invalid host header`), changes: toDomain, proves: namesAlone},
	{id: "flask-trusted-hosts", on: []class{classBadRequest}, fits: has(`Host .{0,200} is not trusted`), changes: toDomain, proves: namesAlone},
	{id: "symfony-trusted-hosts", on: []class{classBadRequest}, fits: is("symfony"), changes: toDomain, proves: notLaravel},
	{id: "starlette-trusted-host", on: []class{classBadRequest}, fits: all(nameless, has(`^Invalid host header$`)), look: theAnswer},
	{id: "flask-trusted-hosts", on: []class{classBadRequest}, fits: all(nameless, has(`Host .{0,200} is not trusted`)), look: theAnswer},
	{id: "symfony-trusted-hosts", on: []class{classBadRequest}, fits: all(nameless, has(`Untrusted Host (&quot;|")`)), look: theAnswer},
	{id: "rails-host-authorization", on: []class{classForbidden}, fits: all(nameless, has(`Blocked hosts?:`)), look: theAnswer},
	{id: "play-allowed-hosts", on: []class{classBadRequest}, fits: all(nameless, has(`^Host not allowed: `)), look: theAnswer},
	{id: "iis-app-pool-or-binding", on: []class{classBadRequest, classNotFound}, fits: runs("httpsys"), changes: toDomain, proves: namesAlone},
	{
		id: "aspnet-allowed-hosts", on: []class{classBadRequest},
		fits: has(`Invalid Hostname|request hostname is invalid`), changes: toDomain, proves: namesAlone,
	},
	{id: "play-allowed-hosts", on: []class{classBadRequest}, fits: has(`Host not allowed`), changes: toDomain, proves: namesAlone},
	{
		id: "laravel-trust-hosts", on: []class{classBadRequest, classNotFound},
		fits: runs("laravel"), changes: toDomain, proves: namesAlone,
	},
	{
		id: "rails-host-authorization", on: []class{classForbidden},
		fits: either(has(`Blocked hosts?:`), bareRails), changes: toDomain, proves: namesAlone,
	},
	{id: "waf-numeric-host", on: []class{classForbidden}, fits: numericHost, changes: toDomain, proves: anyName, also: one(acceptAll)},
	{id: "no-backend-for-host-503", on: []class{classUnavailable}, fits: all(is("haproxy"), either(domainGiven, not(hasUpstream))), changes: toDomain, proves: portIsNoMatter},
	{
		id: "host-port-mismatch", on: []class{classUnavailable, classNotFound, classBadRequest, classForbidden},
		changes: func(x *examination) []change {
			if c, ok := noPort(x.current.probe); ok {
				return []change{c}
			}
			return nil
		},
	},
	{id: "no-backend-for-host-503", on: []class{classUnavailable}, fits: all(is("haproxy"), either(domainGiven, not(hasUpstream))), changes: toDomain, proves: portMatters},
	{id: "envoy-no-upstream", on: []class{classNotFound, classUnavailable}, fits: runs("envoy"), changes: toDomain},
	{id: "flask-server-name-404", on: []class{classNotFound}, fits: is("flask"), changes: toDomain, proves: namesAlone},
	{
		id: "nginx-wrong-vhost", on: []class{classNotFound, classForbidden, classUnexpected},
		fits: is("nginx", "openresty", ""), changes: toDomain, proves: serves("nginx", "openresty"),
	},
	{
		id: "apache-default-vhost", on: []class{classNotFound, classForbidden},
		fits: is("apache", ""), changes: toDomain, proves: serves("apache"),
	},
	{id: "nginx-wrong-vhost", on: []class{classNotFound, classForbidden, classUnexpected}, fits: runs("nginx", "openresty"), changes: toDomain, proves: both("nginx", "openresty")},
	{id: "apache-default-vhost", on: []class{classNotFound, classForbidden}, fits: runs("apache"), changes: toDomain, proves: both("apache")},
	{id: "nginx-wrong-vhost", on: proxyErrors, fits: all(domainGiven, is("nginx", "openresty")), changes: toDomain, proves: namesAlone},
	{id: "apache-default-vhost", on: proxyErrors, fits: all(domainGiven, is("apache")), changes: toDomain, proves: namesAlone},
	{id: "app-level-host-guard", on: []class{classBadRequest, classForbidden}, changes: toDomain, proves: namesAlone},
	{
		id: "app-level-host-guard", on: []class{classUnauthorised, classServerError, classUnavailable},
		fits: all(domainKnown, not(byEdgeItself), either(not(behindEdge), not(is("")))), changes: toDomain, proves: namesAlone,
	},
	{id: "app-level-host-guard", on: []class{classNotFound}, fits: byApp, changes: toDomain, proves: namesAlone},
}

// proxyErrors are of a virtual host whose app is gone: another may be well.
var proxyErrors = []class{classBadGateway, classUnavailable, classGatewayTimeout}

// domainGiven tells that the user said which site is meant, of several that one web
// server has.
func domainGiven(x *examination) bool { return x.Domain != "" }

// hasUpstream tells whether the web server's configuration has an upstream for
// the probe as it is.
func hasUpstream(x *examination) bool {
	return x.Inside && slices.ContainsFunc(x.upstreams(), func(up webserver.Upstream) bool { return len(up.ServerNames) == 0 })
}

// asNLB tells whether the probe carries the address of a load balancer's node.
func asNLB(x *examination) bool { return x.Probe.Prober.Name == "nlb" }

// ownAddress says the target's own address, as everybody but an NLB does.
func ownAddress(x *examination) []change {
	return []change{hostIs("host", x.current.probe.Address.String())}
}

// withHost gives a probe that has none a Host, of the public name.
func withHost(x *examination) []change {
	var all []change
	for _, name := range x.site.names() {
		c := hostIs("host", name)
		bare := c.apply
		c.text = "HTTP/1.1 with " + c.text
		c.apply = func(p probeValue) probeValue { return http11.apply(bare(p)) }
		all = append(all, c)
	}
	return all
}

// namesAlone is the control of an allow-list: a name that nobody configured is
// refused like the address is.
func namesAlone(ctx context.Context, x *examination, s step) bool {
	control := x.with(ctx, hostIs("host=R", randomHost))
	return control.sign.class == s.before.sign.class
}

// notLaravel is namesAlone for Symfony's pages, which Laravel has, too.
func notLaravel(ctx context.Context, x *examination, s step) bool {
	return !runs("laravel")(x) && namesAlone(ctx, x, s)
}

// anyName is the control of a rule against addresses: any name passes it.
func anyName(ctx context.Context, x *examination, s step) bool {
	control := x.with(ctx, hostIs("host=R", randomHost))
	return control.sign.class != s.before.sign.class && !control.sign.class.transport()
}

func numericHost(x *examination) bool { return isAddress(x.current.probe.SentHost()) }

// bareRails knows Rails's refusal in production: 403, no body, no Server.
func bareRails(x *examination) bool {
	a := &x.current.answer
	return len(a.Body) == 0 && a.Get("Server") == ""
}

// serves is for a web server's virtual hosts: it wrote the answer, or stands
// in front of what did.
func serves(names ...string) func(context.Context, *examination, step) bool {
	return func(_ context.Context, x *examination, s step) bool {
		return is(names...)(x) || author(&s.before.answer) == "" && runs(names...)(x)
	}
}

// both is for a web server's virtual hosts before which apps stand of their
// own: it passed both answers on, and has the other one for no other name.
func both(names ...string) func(context.Context, *examination, step) bool {
	passed := func(e exchange) bool {
		return slices.ContainsFunc(software(&e.answer), func(name string) bool { return slices.Contains(names, name) })
	}
	return func(ctx context.Context, x *examination, s step) bool {
		return passed(s.before) && passed(s.after) && namesAlone(ctx, x, s)
	}
}

// nameless tells that no name of the site is known, so that its Host cannot be
// tried.
func nameless(x *examination) bool { return x.site.best() == "" }

// withPort adds the target's port to the name that passes.
func withPort(ctx context.Context, x *examination, s step) exchange {
	return x.with(ctx, hostIs("host", s.after.probe.Host+":"+portOf(s.after.probe)))
}

func portIsNoMatter(ctx context.Context, x *examination, s step) bool {
	return withPort(ctx, x, s).sign.class != s.before.sign.class
}

func portMatters(ctx context.Context, x *examination, s step) bool {
	return withPort(ctx, x, s).sign.class == s.before.sign.class
}
