package doctor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"hale/internal/probe"
)

// pathHypotheses are causes in what is asked for: the path, the method, the
// input. They come after every other: another path may pass for another reason.
var pathHypotheses = []hypothesis{
	{id: "method-not-allowed", on: []class{classMethod}, fits: notGET, changes: one(method("GET"))},
	{id: "method-not-allowed", on: []class{classMethod}, look: allowed},
	{id: "method-not-allowed", on: []class{classNotFound, classBadRequest}, fits: notGET, changes: one(method("GET")), only: true},
	{
		id: "port-already-in-use", on: []class{classNotFound, classForbidden, classBadRequest, classUnauthorised, classUnexpected, classOther},
		inside: true, look: portWasTaken,
	},
	{id: "handler-exception", on: []class{classNotFound}, inside: true, fits: is("tomcat"), look: contextFailed},
	{id: "php-fpm-script-not-found", on: []class{classNotFound, classForbidden}, fits: is("phpfpm"), look: theAnswer},
	{
		id: "wrong-path-404", on: []class{classNotFound}, only: true, proves: notEveryPath,
		changes: func(x *examination) []change { return []change{slash(x.current.probe)} },
	},
	{id: "path-prefix", on: []class{classNotFound}, changes: prefixed, accept: reached, proves: notEveryPath},
	{id: "path-moved-to-management-port", on: []class{classNotFound}, inside: true, changes: otherPorts, only: true, proves: itsOwn},
	{id: "wrong-path-404", on: []class{classNotFound}, changes: otherPaths, only: true, proves: notEveryPath},
	{id: "bad-request-by-app", on: []class{classBadRequest, classOther}, fits: not(byEdgeItself), look: websocket},
	{id: "bad-request-by-app", on: []class{classBadRequest}, fits: not(byEdgeItself), look: otherPathsWork},
	{id: "wrong-path-404", on: []class{classNotFound}, fits: either(domainKnown, all(byApp, not(is("flask", "laravel")))), look: likeAnyPath},
}

func notGET(x *examination) bool { return x.current.probe.Method != "GET" }

func byApp(x *examination) bool {
	return author(&x.current.answer) != "" && !byEdgeItself(x)
}

func domainKnown(x *examination) bool { return x.site.best() != "" }

// allowed shows which methods the path has.
func allowed(_ context.Context, x *examination) []Evidence {
	methods := x.current.answer.Get("Allow")
	if methods == "" {
		methods = "none said"
	}
	return []Evidence{{Change: "method " + x.current.probe.Method + "; the answer allows: " + printable(methods, 80), Before: x.brief(x.current)}}
}

// contextFailed proves an app that Tomcat could not start: the log says so, and
// none of its pages is there.
func contextFailed(ctx context.Context, x *examination) []Evidence {
	root := pathIs("path", "/")
	e := x.with(ctx, root)
	if e.sign.class != classNotFound {
		return nil
	}
	said := loggedLast(`Context \[[^\]]*\] startup failed|Error deploying web application`)(ctx, x)
	if len(said) == 0 {
		return nil
	}
	return append(said, x.unturned(root, e))
}

// theAnswer proves by the answer's own text.
func theAnswer(_ context.Context, x *examination) []Evidence {
	return []Evidence{{Change: "the answer's text", Before: fmt.Sprintf("%s %q", x.brief(x.current), printable(title(x.current.answer.Body), 80))}}
}

// randomPath is a path that nobody can have meant.
func randomPath() change {
	return pathIs("rnd", fmt.Sprintf("/hc-control-%08x", rand.Uint32())) //nolint:gosec // a control, no secret
}

// usualPaths are where frameworks and their health libraries answer.
var usualPaths = []string{
	"/health", "/healthz", "/up", "/api/health", "/health/", "/actuator/health", "/ping", "/status", "/readyz",
	"/livez", "/health_check", "/-/healthy", "/_health", "/ht/", "/",
}

// usualPrefixes are what apps are mounted under most.
var usualPrefixes = []string{"/api", "/app", "/v1", "/api/v1"}

func otherPaths(x *examination) []change {
	var all []change
	for _, path := range slices.Concat(x.Paths, usualPaths) {
		if path != x.current.probe.Path && !slices.ContainsFunc(all, func(c change) bool { return c.text == "path "+path }) {
			all = append(all, pathIs("path", path))
		}
	}
	return all
}

// prefixed asks for the path below a prefix: those that the user named, those
// that answers have told, and the usual ones.
func prefixed(x *examination) []change {
	own, _, _ := strings.Cut(x.current.probe.Path, "?")
	var all []change
	add := func(path string) {
		if path != own && !slices.ContainsFunc(all, func(c change) bool { return c.text == "path "+path }) {
			all = append(all, pathIs("path", path))
		}
	}
	for _, path := range x.Paths {
		if own != "/" && strings.HasSuffix(strings.TrimSuffix(path, "/"), strings.TrimSuffix(own, "/")) {
			if strings.HasSuffix(own, "/") {
				path = strings.TrimSuffix(path, "/") + "/"
			}
			add(path)
		}
	}
	if own != "/" {
		for _, prefix := range slices.Concat(x.site.prefixes, usualPrefixes) {
			if !strings.HasPrefix(own, prefix+"/") {
				add(prefix + own)
			}
		}
	}
	return all
}

// notEveryPath is the control of a path that passes: a random one must not.
func notEveryPath(ctx context.Context, x *examination, s step) bool {
	control := x.with(ctx, randomPath())
	return control.sign.class != s.after.sign.class
}

// reached tells whether a path passes; of one that the user named, whether it
// is there.
func reached(x *examination, s step) bool {
	if slices.Contains(x.Paths, s.after.probe.Path) || slices.Contains(x.Paths, strings.TrimSuffix(s.after.probe.Path, "/")) {
		return s.after.answer.Outcome == probe.Answered && s.after.sign.class != classNotFound && s.after.sign.class != classMethod
	}
	return s.after.sign.class == classHealthy
}

// websocket proves a path for WebSockets alone: it answers 101 to who asks for one.
func websocket(ctx context.Context, x *examination) []Evidence {
	if s := x.current.sign.status; s != 400 && s != 426 {
		return nil
	}
	e := x.with(ctx, upgrade)
	if !x.going() || e.answer.Status != 101 {
		return nil
	}
	return []Evidence{x.unturned(upgrade, e)}
}

// otherPathsWork tells that the app answers other paths: this one wants something
// that the probe does not bring. A web server that sends other paths to https or
// to another host, or answers them itself, tells nothing of the app behind it,
// which may refuse the probe's Host wherever it is asked.
func otherPathsWork(ctx context.Context, x *examination) []Evidence {
	for _, c := range []change{randomPath(), pathIs("path", "/")} {
		e := x.with(ctx, c)
		if !x.going() || e.sign.class.transport() || byEdge(&e.answer) {
			continue
		}
		if !slices.Contains([]class{classBadRequest, classRedirectHTTPS, classRedirectHost}, e.sign.class) {
			return []Evidence{x.unturned(c, e)}
		}
	}
	return nil
}

// likeAnyPath proves that a path does not exist: one that cannot exist gets
// the same answer, and the Host was no matter.
func likeAnyPath(ctx context.Context, x *examination) []Evidence {
	c := randomPath()
	e := x.with(ctx, c)
	if e.sign.class != x.current.sign.class || e.sign.by != x.current.sign.by {
		return nil
	}
	return []Evidence{x.unturned(c, e)}
}
