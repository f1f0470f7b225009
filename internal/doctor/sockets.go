package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"hale/internal/machine"
	"hale/internal/probe"
)

// socketHypotheses are causes before the first byte: nobody listens, or not
// there; something on the way drops or refuses; nobody takes the connection.
// Most can be told apart on the machine alone.
var socketHypotheses = []hypothesis{
	{id: "container-healthcheck-localhost-v6", on: refused, fits: localhostV6, changes: one(loopbackV4), accept: connects},
	{id: "bound-to-loopback", on: refused, inside: true, changes: toSockets(onLoopback), accept: connects},
	{id: "ipv6-only-bind", on: refused, inside: true, changes: toSockets(onV6Alone), accept: connects},
	{id: "bound-to-other-address", on: refused, inside: true, changes: toSockets(onOther), accept: connects},
	{id: "firewall-reject", on: []class{classRefused, classUnreachable}, inside: true, look: rejected},
	{id: "proxy-unresolvable-upstream", on: refused, inside: true, look: loggedLast(`host not found in upstream`)},
	{id: "port-already-in-use", on: refused, inside: true, look: loggedLast(portInUse)},
	{id: "privileged-port-denied", on: refused, inside: true, look: loggedLast(portDenied)},
	{id: "missing-env-var", on: refused, inside: true, look: lacksVariable},
	{id: "port-undefined-random", on: refused, inside: true, look: lacksPort, changes: toRandomPort, accept: connects},
	{id: "wrong-port", on: refused, inside: true, changes: toSockets(reachablePort), only: true, proves: theSite},
	{id: "wrong-port", on: refused, inside: true, changes: toSockets(reachablePort), accept: knowsPath, proves: theSite},
	{id: "docker-port-not-published", on: refused, inside: true, look: notPublished},
	{id: "nothing-listening", on: refused, look: nobodyListens},

	{id: "listen-backlog-full", on: []class{classConnectTimeout}, inside: true, look: overflowing, changes: wait},
	{id: "nacl-return-path", on: []class{classConnectTimeout}, inside: true, look: halfOpen},
	{id: "firewall-drop", on: []class{classConnectTimeout}, inside: true, look: dropped},

	{id: "fd-exhaustion", on: []class{classSilent}, inside: true, look: outOfFiles},
	{id: "dependency-down-500", on: []class{classSilent}, inside: true, look: connectsInVain},
	{id: "event-loop-blocked", on: []class{classSilent}, inside: true, look: loopBlocked, changes: wait},
	{id: "idle-connection-holds-sync-worker", on: []class{classSilent}, inside: true, look: heldByIdle, changes: wait},
	{id: "worker-exhaustion", on: []class{classSilent}, inside: true, look: queued, changes: wait},
	{id: "docker-published-app-on-loopback", on: []class{classEmpty}, inside: true, fits: byDockerProxy, look: onContainersLoopback},
	{id: "mesh-mtls-strict", on: []class{classEmpty}, inside: true, fits: byEnvoy, changes: toLoopback},
}

var refused = []class{classRefused}

// What programs log that could not take their port.
const (
	portInUse  = `[Aa]ddress already in use|EADDRINUSE|Connection in use: |Only one usage of each socket address`
	portDenied = `EACCES: permission denied|bind\(\).* \(13: Permission denied\)|\(13\)Permission denied: .*could not bind|PermissionError: \[Errno 13\]|bind: permission denied|[Cc]an't (connect|bind) to .*[Pp]ermission`
)

func localhostV6(x *examination) bool {
	return x.current.probe.Name == "localhost" && x.current.probe.Address.Addr().Is6()
}

var loopbackV4 = change{"addr", "127.0.0.1 instead of localhost", func(p probe.Probe) probe.Probe {
	p.Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), p.Address.Port())
	return p
}}

func connects(_ *examination, s step) bool {
	return !s.after.sign.class.in(classRefused, classUnreachable, classConnectTimeout)
}

func speaksHTTP(_ *examination, s step) bool { return s.after.answer.Outcome == probe.Answered }

// knowsPath tells an answer of an app that has the health check's path.
func knowsPath(_ *examination, s step) bool {
	return s.after.answer.Outcome == probe.Answered && s.after.answer.Status != 404 && s.after.sign.class != classTLSPort
}

// nobodyListens proves that no socket is there. From elsewhere a refusal may
// come from a firewall, or another address may be served.
func nobodyListens(ctx context.Context, x *examination) []Evidence {
	to := x.current.probe.Address
	if !x.Inside {
		if !usualLoopback(to.Addr().Unmap()) {
			return nil
		}
		return x.answered("connect to " + to.String())
	}
	if at, err := machine.ListenersOn(to.Port()); err != nil || len(at) > 0 {
		return nil
	}
	seen := append(x.answered("connect to "+to.String()), Evidence{
		Change: "the sockets of this machine", Before: fmt.Sprintf("none listens on port %d", to.Port()),
	})
	return slices.Concat(seen, lastError(ctx, x, ""), behindNobody(x))
}

var errorWords = re(`(?i)\b\w*(error|exception|fatal|panic|denied|failed|cannot)\b`)

// lastError shows the last line that looks like an error of a log that the user
// has named: those that are found may be of other programs. Lines with a text that
// is not empty are passed over.
func lastError(ctx context.Context, x *examination, without string) []Evidence {
	for i := range x.surroundings.logs {
		log := &x.surroundings.logs[i]
		if !slices.Contains(x.Logs, log.Path) {
			continue
		}
		for _, line := range slices.Backward(log.tail(ctx, false)) {
			if at := errorWords.FindStringIndex(line); at != nil && (without == "" || !strings.Contains(line, without)) {
				return []Evidence{{Change: "log " + log.String(), Before: excerpt(line, at[0])}}
			}
		}
	}
	return nil
}

// mostBehind is how many programs are told that may be the app.
const mostBehind = 3

// behindNobody shows who listens on loopback alone: an app that waits for the
// requests of a proxy that does not run.
func behindNobody(x *examination) []Evidence {
	var seen []Evidence
	for _, s := range x.surroundings.sockets {
		if s.Path == "" && s.Address.Addr().Unmap().IsLoopback() && !usualLoopback(x.Probe.Address.Addr().Unmap()) && otherPort(x, s) && len(seen) < mostBehind {
			seen = append(seen, Evidence{Change: "on loopback alone, for a proxy perhaps", Before: listening(s)})
		}
	}
	return seen
}

// rejected proves a rule that refuses: somebody listens, and the connection is
// refused all the same.
func rejected(ctx context.Context, x *examination) []Evidence {
	at, err := machine.ListenerAt(x.current.probe.Address)
	if err != nil || len(at) == 0 {
		return nil
	}
	seen := append(x.answered("connect to "+x.current.probe.Address.String()), Evidence{Change: "the sockets of this machine", Before: listening(at[0])})
	rules := firewall(ctx, x, machine.Reject)
	if err := x.current.answer.Err; len(rules) == 0 && err != nil && errors.Is(err, syscall.ECONNRESET) {
		return nil // who accepts may reset the connection as well
	}
	return append(seen, rules...)
}

// dropped proves a rule of this machine that drops.
func dropped(ctx context.Context, x *examination) []Evidence { return firewall(ctx, x, machine.Drop) }

func firewall(ctx context.Context, x *examination, action machine.FirewallAction) []Evidence {
	wall, err := machine.FirewallFor(ctx, x.current.probe.Address.Port())
	if err != nil {
		return nil
	}
	for _, rule := range wall.Rules {
		if rule.Action == action && !rule.Outgoing && (!rule.Conditional || rule.NamesPort) {
			return []Evidence{{Change: "a rule of " + strings.Join(wall.Tools, " and "), Before: printable(rule.Chain+": "+rule.Text, 160)}}
		}
	}
	return nil
}

func listening(s machine.Socket) string {
	text := s.String() + " listens"
	if owner := s.Owner(); owner.PID != 0 {
		text += fmt.Sprintf(", %s (process %d)", owner.Program, owner.PID)
	}
	return text
}

// overflowing proves a full queue: the kernel drops who comes now.
func overflowing(_ context.Context, x *examination) []Evidence {
	at, err := machine.ListenerAt(x.current.probe.Address)
	if err != nil {
		return nil
	}
	for _, s := range at {
		if s.Full() {
			return []Evidence{{Change: "the queue of " + listening(s), Before: fmt.Sprintf("%d wait, %d may", s.Waiting, s.Backlog)}}
		}
	}
	now, err := machine.ReadCounters()
	if err == nil && len(at) > 0 && now.Overflows > x.surroundings.counters.Overflows {
		return []Evidence{{
			Change: "the kernel's count of overflows (ListenOverflows) since the first probe",
			Before: fmt.Sprint(x.surroundings.counters.Overflows), After: fmt.Sprint(now.Overflows),
		}}
	}
	return nil
}

func byDockerProxy(x *examination) bool {
	return x.surroundings.process.Program == "docker-proxy"
}

// byEnvoy fits a machine on which Envoy stands beside the app: it takes what
// comes to the app's port, though the app has the socket.
func byEnvoy(x *examination) bool {
	return slices.ContainsFunc(x.surroundings.sockets, func(s machine.Socket) bool { return s.Owner().Program == "envoy" })
}

func sameWhatever(ctx context.Context, x *examination) []Evidence {
	seen := x.answered("the probe itself")
	for _, c := range []change{secure, proxyLine} {
		e := x.with(ctx, c)
		if !e.sign.class.transport() {
			return nil
		}
		seen = append(seen, x.unturned(c, e))
	}
	return seen
}

func toLoopback(x *examination) []change { return []change{loopback(x.current.probe)} }
