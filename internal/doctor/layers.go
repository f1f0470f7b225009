package doctor

import (
	"context"
	"slices"
	"strings"
)

// layersBehind looks whether the app redirects to https, too, where one header
// turned the web server's redirect: it hides that of the app, which is met as soon
// as the web server's is mended in another way.
func (x *examination) layersBehind(ctx context.Context) {
	at := slices.IndexFunc(x.stack, func(s step) bool {
		return s.change.code == forwardedProto.code && s.before.sign.class == classRedirectHTTPS && layerOf(s.finding) == LayerEdgeRedirect
	})
	if at < 0 || !x.going() || x.current.sign.class != classHealthy || slices.ContainsFunc(appToHTTPS, x.found) {
		return
	}
	if !x.Inside {
		x.undecided = append(x.undecided, Undecided{
			"whether an app behind the web server redirects to https by itself, too: the same header would turn that",
			"run this on the instance itself with --from-inside, or again once the web server's redirect is mended",
		})
		return
	}
	bare := x.Probe
	for i, s := range x.stack {
		if i != at {
			bare = s.change.apply(bare)
		}
	}
	stack, current, behind := x.stack, x.current, x.behind
	for _, c := range x.toHops() {
		e := x.send(ctx, c.apply(bare))
		if !x.going() {
			return
		}
		if e.sign.class != classRedirectHTTPS {
			continue
		}
		x.behind = "the web server's redirect, at " + e.probe.Address.String()
		x.reach(e.probe.Address)
		x.site.learn(e)
		x.tries = tried{}
		x.move(e)
		for i := range redirectHypotheses {
			h := &redirectHypotheses[i]
			if h.changes != nil && !strings.HasPrefix(h.id, "proxy-") && h.eligible(x) && x.test(ctx, h) || !x.going() {
				break
			}
		}
		x.stack, x.behind = stack, behind
		x.move(current)
		return
	}
}
