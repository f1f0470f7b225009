package doctor

import (
	"context"
	"strings"
)

// refusalHypotheses are gates: passwords, address lists, limits, blockers.
var refusalHypotheses = []hypothesis{
	{id: "rate-limited", on: []class{classLimited}, look: limit},
	{id: "tls-sni-required", on: []class{classForbidden}, fits: has(`Server Name Indication`), changes: toServerName},
	{id: "ua-blocked", on: []class{classForbidden, classOther, classRedirect, classNotFound, classUnauthorised}, fits: fromRobot, changes: one(userAgent)},
	{id: "waf-numeric-host", on: []class{classForbidden}, changes: one(acceptAll), proves: namesToo},
	{id: "bad-request-by-app", on: []class{classForbidden, classBadRequest, classOther}, fits: not(byEdgeItself), changes: withUsualFields, only: true},
	{id: "spring-actuator-secured", on: []class{classUnauthorised, classRedirectLogin}, fits: actuator, look: refusedEverywhere},
	{id: "basic-auth", on: []class{classUnauthorised}, fits: asksFor("basic"), look: refusedEverywhere},
	{id: "app-auth-middleware", on: []class{classUnauthorised}, look: refusedEverywhere},
	{id: "ip-allowlist", on: []class{classForbidden, classNotFound}, inside: true, changes: fromLoopback, accept: opened},
	{id: "ip-allowlist", on: []class{classForbidden}, inside: true, fits: denies, look: denial},
	{id: "docroot-permission-403", on: []class{classForbidden}, inside: true, look: logged(`AH01630|AH00035|AH00132|\(13: Permission denied\)`)},
	{id: "apache-empty-docroot-403", on: []class{classForbidden}, fits: directory, look: indexMissing},
	{id: "app-auth-middleware", on: []class{classForbidden}, fits: all(not(byEdgeItself), wantsCredentials), look: refusedEverywhere},
}

// fromRobot tells whether the probe still carries its own User-Agent.
func fromRobot(x *examination) bool { return x.current.probe.Get("User-Agent") != browser }

// namesToo is the control of rules that add up points: any name passes as Accept
// does. One who wants Accept alone wants it for itself.
func namesToo(ctx context.Context, x *examination, s step) bool {
	return numericHost(x) && anyName(ctx, x, s)
}

func asksFor(scheme string) func(*examination) bool {
	return func(x *examination) bool {
		return strings.HasPrefix(strings.ToLower(x.current.answer.Get("WWW-Authenticate")), scheme)
	}
}

func actuator(x *examination) bool {
	return strings.Contains(x.current.probe.Path, "actuator") || runs("spring")(x)
}

// wantsCredentials fits a refusal that says what it misses: one that does not
// may be by address, or by name.
func wantsCredentials(x *examination) bool {
	a := &x.current.answer
	return a.Status == 403 && (a.Get("WWW-Authenticate") != "" || has(missesTexts)(x))
}

// missesTexts are what such refusals say.
const missesTexts = `(?i)token|api[-_ ]?key|credential|authenti|unauthori[sz]ed|authori[sz]ation|log ?in|sign ?in|signature|jwt|csrf|session|not allowed to access|permission`

// limit is proven by the status, and by what the target says of the time.
func limit(_ context.Context, x *examination) []Evidence {
	seen := x.answered("the probe itself")
	if after := x.current.answer.Get("Retry-After"); after != "" {
		seen = append(seen, Evidence{Change: "Retry-After", Before: printable(after, 60)})
	}
	return seen
}

// refusedEverywhere shows what is asked for, and whether a path that does not
// exist is refused alike: then the gate stands before the routes.
func refusedEverywhere(ctx context.Context, x *examination) []Evidence {
	c := randomPath()
	e := x.with(ctx, c)
	seen := x.answered("the probe itself")
	if asks := x.current.answer.Get("WWW-Authenticate"); asks != "" {
		seen = append(seen, Evidence{Change: "WWW-Authenticate", Before: printable(asks, 120)})
	} else if x.current.sign.class == classForbidden && e.sign.class != classForbidden {
		return nil // a 403 for this path alone may be anything
	}
	return append(seen, x.unturned(c, e))
}

// fromLoopback says the same from 127.0.0.1.
func fromLoopback(x *examination) []change {
	c := loopback(x.current.probe)
	c.text += ", from there"
	return []change{c}
}

// opened tells whether a gate let the probe through.
func opened(_ *examination, s step) bool {
	return !s.after.sign.class.transport() && s.after.sign.class != s.before.sign.class
}

// directory fits a path that a web server would serve a directory for.
func directory(x *examination) bool {
	path, _, _ := strings.Cut(x.current.probe.Path, "?")
	return strings.HasSuffix(path, "/") && (byEdgeItself(x) || has(`Test Page|Directory index forbidden`)(x))
}

// indexMissing tells a directory without an index from a forbidden site: a
// name that is not there is not found, instead of forbidden.
func indexMissing(ctx context.Context, x *examination) []Evidence {
	c := randomPath()
	e := x.with(ctx, c)
	if e.sign.class != classNotFound {
		return nil
	}
	return []Evidence{x.unturned(c, e)}
}

// toServerName says the site's name in the handshake, and in Host.
func toServerName(x *examination) []change {
	var all []change
	for _, name := range x.site.names() {
		all = append(all, serverName(hostOnly(name)))
	}
	return all
}
