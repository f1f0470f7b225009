package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

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
	{id: "port-undefined-random", on: refused, inside: true, changes: toSockets(random), accept: speaksHTTP, proves: itsOwn},
	{id: "port-undefined-random", on: refused, inside: true, changes: toSockets(random), accept: speaksHTTP, proves: theOnly(random)},
	{id: "wrong-port", on: refused, inside: true, changes: toSockets(reachablePort), only: true, proves: noOtherPasses},
	{id: "wrong-port", on: refused, inside: true, changes: toSockets(reachablePort), only: true, proves: theOnly(reachablePort)},
	{id: "wrong-port", on: refused, inside: true, changes: toSockets(reachablePort), accept: knowsPath, proves: noOtherPasses},
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
	{id: "docker-published-app-on-loopback", on: []class{classEmpty}, inside: true, fits: byDockerProxy, look: sameWhatever},
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

// toSockets sends the same request to the sockets of this machine that fit.
func toSockets(fits func(*examination, machine.Socket) bool) func(*examination) []change {
	return func(x *examination) []change {
		var all []change
		for _, s := range x.surroundings.sockets {
			if s.Path != "" || !fits(x, s) || len(all) == mostSockets {
				continue
			}
			to := netip.AddrPortFrom(s.Address.Addr().Unmap(), s.Address.Port())
			switch {
			case to.Addr().IsUnspecified() && to.Addr().Is6() && s.V6Only:
				to = netip.AddrPortFrom(netip.IPv6Loopback(), to.Port())
			case to.Addr().IsUnspecified():
				to = netip.AddrPortFrom(x.current.probe.Address.Addr(), to.Port())
			}
			text := "connect to " + to.String()
			if owner := s.Owner(); owner.Program != "" {
				text += " (" + owner.Program + ")"
			}
			c := addressIs("addr", text, to)
			if !samePort(x, s) {
				c = x.hurried(c)
			}
			if to.Addr() == x.current.probe.Address.Addr() {
				source := x.current.probe.Source // the load balancer's way in
				bare := c.apply
				c.apply = func(p probe.Probe) probe.Probe {
					p = bare(p)
					p.Source = source
					return p
				}
			}
			all = append(all, c)
		}
		return all
	}
}

// Limits of asking the other programs of a machine.
const (
	mostSockets = 8
	socketWait  = 2 * time.Second // many never answer what they do not understand
	socketHaste = socketWait / 4  // once one has not
)

// hurried gives the answer to a change little time, and still less where another
// program of the machine has let it pass.
func (x *examination) hurried(c change) change {
	bare, wait := c.apply, socketWait
	for _, e := range x.tries {
		if e.sign.class == classSilent && e.probe.Timeout <= socketWait {
			wait = socketHaste
		}
	}
	c.apply = func(p probe.Probe) probe.Probe {
		p = bare(p)
		p.Timeout = min(p.Timeout, wait)
		return p
	}
	return c
}

// itsOwn is the control that what answers elsewhere on this machine is the site
// that was asked for, and no other program: it tells the path, or the site's
// name, from any.
func itsOwn(ctx context.Context, x *examination, s step) bool {
	differs := func(c change) bool {
		e := x.send(ctx, c.apply(s.after.probe))
		return x.going() && !e.sign.class.transport() && e.sign != s.after.sign
	}
	if s.after.sign.class != classNotFound && differs(randomPath()) {
		return true
	}
	for _, c := range toDomain(x) {
		if x.Domain != "" && differs(c) && !differs(hostIs("host=R", randomHost)) {
			return true
		}
	}
	return false
}

// noOtherPasses is itsOwn on a machine of several sites: where two of them pass,
// it is not known which of them is meant.
func noOtherPasses(ctx context.Context, x *examination, s step) bool {
	if !itsOwn(ctx, x, s) {
		return false
	}
	for _, c := range toSockets(reachablePort)(x) {
		if c.text != s.change.text && x.with(ctx, c).sign.class == classHealthy && x.going() {
			return false
		}
	}
	return x.going()
}

// theOnly is the control of a program that answers alike whatever it is asked:
// it must pass, and be the only one on this machine that may be meant.
func theOnly(fits func(*examination, machine.Socket) bool) func(context.Context, *examination, step) bool {
	return func(_ context.Context, x *examination, s step) bool {
		if s.after.sign.class != classHealthy {
			return false
		}
		var ports []uint16
		for _, s := range x.surroundings.sockets {
			if port := s.Address.Port(); s.Path == "" && fits(x, s) && !slices.Contains(ports, port) {
				ports = append(ports, port)
			}
		}
		return len(ports) == 1
	}
}

func samePort(x *examination, s machine.Socket) bool {
	return s.Address.Port() == x.current.probe.Address.Port()
}

// usualLoopback tells the addresses on which nobody else can be served.
func usualLoopback(ip netip.Addr) bool {
	return ip == netip.IPv6Loopback() || ip == netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

func onLoopback(x *examination, s machine.Socket) bool {
	return samePort(x, s) && usualLoopback(s.Address.Addr().Unmap())
}

func onV6Alone(x *examination, s machine.Socket) bool {
	ip := s.Address.Addr()
	return samePort(x, s) && x.current.probe.Address.Addr().Is4() && ip.Is6() && !usualLoopback(ip) && (s.V6Only || !ip.IsUnspecified())
}

func onOther(x *examination, s machine.Socket) bool {
	ip := s.Address.Addr()
	return samePort(x, s) && !ip.IsUnspecified() && !usualLoopback(ip) && !onV6Alone(x, s)
}

// random fits a socket on a port that the kernel chose, of a program that was
// not told which to take: neither by PORT nor by any number that is that port.
func random(x *examination, s machine.Socket) bool {
	first, last, err := machine.LocalPorts()
	port := s.Address.Port()
	if err != nil || port < first || port > last || s.Owner().PID == 0 {
		return false
	}
	for _, other := range x.surroundings.sockets { // who has several was told of some
		if other.Path == "" && other.Owner().PID == s.Owner().PID && other.Address.Port() != port {
			return false
		}
	}
	pid := s.Owner().PID
	if _, known := x.untold[pid]; !known { // it is asked of each socket before each experiment
		x.untold[pid] = untold(pid, port)
	}
	return x.untold[pid]
}

// untold tells a program that was not told to take the port.
func untold(pid int, port uint16) bool {
	p, err := machine.Inspect(pid)
	if err != nil {
		return false
	}
	value, _, err := p.Lookup("PORT")
	return err == nil && value == "" && !slices.Contains(edges, p.Program) && !chosen(p, port)
}

// chosen tells whether a program was told to take a port: its command names
// it, or its code.
func chosen(p machine.Process, port uint16) bool {
	number := regexp.MustCompile(fmt.Sprintf(`\b%d\b`, port))
	if slices.ContainsFunc(p.Args, number.MatchString) {
		return true
	}
	for _, arg := range p.Args {
		if !filepath.IsAbs(arg) {
			arg = filepath.Join(p.Dir, arg)
		}
		if info, err := os.Stat(arg); err != nil || !info.Mode().IsRegular() || info.Size() > sourceBytes {
			continue
		}
		if content, err := os.ReadFile(arg); err == nil && number.Match(content) {
			return true
		}
	}
	return false
}

// otherPort fits a socket on another port, of what may be a web application.
func otherPort(x *examination, s machine.Socket) bool {
	switch s.Owner().Program {
	case "sshd", "systemd-resolve", "postgres", "mariadbd", "mysqld", "redis-server", "memcached", "chronyd", "dnsmasq", "exim4", "master", "epmd":
		return false
	}
	return !samePort(x, s) && s.Address.Port() != x.Probe.Address.Port()
}

// reachablePort fits one at which the load balancer, too, would reach somebody.
// What listens on loopback wants a proxy before it, not another port.
func reachablePort(x *examination, s machine.Socket) bool {
	return otherPort(x, s) && s.Accepts(x.Probe.Address.Addr())
}

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
	return slices.Concat(seen, lastError(ctx, x), behindNobody(x))
}

var errorWords = re(`(?i)\b\w*(error|exception|fatal|panic|denied|failed|cannot)\b`)

// lastError shows the last line that looks like an error of a log that the user
// has named: those that are found may be of other programs.
func lastError(ctx context.Context, x *examination) []Evidence {
	for i := range x.surroundings.logs {
		log := &x.surroundings.logs[i]
		if !slices.Contains(x.Logs, log.Path) {
			continue
		}
		for _, line := range slices.Backward(log.tail(ctx, false)) {
			if at := errorWords.FindStringIndex(line); at != nil {
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
	return append(seen, firewall(ctx, x, machine.Reject)...)
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

// halfOpen proves that connections come in, and our side of them does not get
// out.
func halfOpen(ctx context.Context, x *examination) []Evidence {
	from := x.watchWaiting(ctx).halfOpen
	if len(from) == 0 {
		return nil
	}
	return []Evidence{{Change: "half-open connections (SYN-RECV) while the probe waits", Before: fmt.Sprintf("%d, the first from %s", len(from), from[0])}}
}

// waiting is what the machine shows while a probe waits for its answer.
type waiting struct {
	samples, running int
	halfOpen         []netip.Addr
	socket           machine.Socket // as it was with the longest queue
	process          machine.Process
	outOfFiles       machine.Process
	idle             int
	connecting       map[netip.AddrPort]int // looks at which a connection to a server had no answer yet
	busy             time.Duration          // CPU time of the family
	lasted           time.Duration
}

// sampling is the time between two looks at the machine.
const sampling = 100 * time.Millisecond

// watchWaiting sends the probe with more patience, or where it does not connect
// once more, and looks at the machine meanwhile. It does so once a round.
func (x *examination) watchWaiting(ctx context.Context) waiting {
	const key = "while waiting"
	if _, ok := x.tries[key]; ok {
		return x.waiting
	}
	x.tries[key] = exchange{}
	done := make(chan struct{})
	seen := make(chan waiting, 1)
	address, site := x.current.probe.Address, x.surroundings.everybody()
	go func() { seen <- sample(address, site, done) }()
	again := patience(x.current.probe)
	if x.current.sign.class == classConnectTimeout {
		again = change{"again", "the same once more", func(p probe.Probe) probe.Probe { return p }}
	}
	x.with(ctx, again)
	close(done)
	x.waiting = <-seen
	return x.waiting
}

// sample looks at who listens at an address, and at what the site's processes
// connect to, until it is done.
func sample(address netip.AddrPort, site []int, done <-chan struct{}) waiting {
	w := waiting{connecting: map[netip.AddrPort]int{}}
	start := time.Now()
	var first time.Duration
	tick := time.NewTicker(sampling)
	defer tick.Stop()
	for {
		select {
		case <-done:
			w.lasted = time.Since(start)
			return w
		case <-tick.C:
		}
		if from, err := machine.HalfOpen(address.Port()); err == nil && len(from) > len(w.halfOpen) {
			w.halfOpen = from
		}
		at, err := machine.ListenerAt(address)
		if err != nil || len(at) == 0 {
			continue
		}
		for _, s := range at {
			if w.socket.Inode == 0 || s.Waiting > w.socket.Waiting {
				w.socket = s
			}
		}
		owner := at[0].Owner()
		if owner.PID == 0 {
			continue
		}
		family := machine.Family(owner.PID)
		running, busy := false, time.Duration(0)
		for _, pid := range family {
			p, err := machine.Inspect(pid)
			if err != nil {
				continue
			}
			if pid == owner.PID {
				w.process = p
			}
			if p.FDLimit > 0 && p.FDs >= p.FDLimit {
				w.outOfFiles = p
			}
			running = running || p.Running > 0
			busy += p.CPU
		}
		if w.samples == 0 {
			first = busy
		}
		w.busy = busy - first
		w.samples++
		if running {
			w.running++
		}
		if c, err := machine.ConnectionsOf(family...); err == nil && c.IdleKnown {
			w.idle = max(w.idle, c.Idle)
		}
		if c, err := machine.ConnectionsOf(append(family, site...)...); err == nil {
			for _, to := range c.Outgoing {
				if to.Connecting > 0 {
					w.connecting[to.Remote]++
				}
			}
		}
	}
}

func outOfFiles(ctx context.Context, x *examination) []Evidence {
	p := x.watchWaiting(ctx).outOfFiles
	if p.PID == 0 {
		return nil
	}
	return []Evidence{{Change: fmt.Sprintf("open files of %s (process %d)", p.Name(), p.PID), Before: fmt.Sprintf("%d of %d", p.FDs, p.FDLimit)}}
}

// connectsInVain proves that the handler waits for a server that something on the
// way drops: while the probe waits, a connection to it stays without an answer,
// and another page needs none.
func connectsInVain(ctx context.Context, x *examination) []Evidence {
	w := x.watchWaiting(ctx)
	for to, looks := range w.connecting {
		if looks < 3 || looks*2 < w.samples {
			continue
		}
		seen := othersWork(ctx, x)
		if len(seen) == 0 {
			return nil
		}
		return append([]Evidence{{Change: "a connection of the app's while the probe waits", Before: fmt.Sprintf("to %s, without an answer (SYN-SENT) at %d of %d looks", to, looks, w.samples)}}, seen...)
	}
	return nil
}

// eventLoops are programs that do everything on one thread.
var eventLoops = []string{"node", "nodejs", "deno", "bun", "uvicorn", "hypercorn", "daphne"}

// loopBlocked proves that the one thread computes while nobody is served.
func loopBlocked(ctx context.Context, x *examination) []Evidence {
	w := x.watchWaiting(ctx)
	if w.samples < 3 || !slices.Contains(eventLoops, w.process.Program) && !slices.Contains(eventLoops, strings.ToLower(w.process.Name())) || w.running*10 < w.samples*7 {
		return nil
	}
	return []Evidence{{
		Change: fmt.Sprintf("%s (process %d) while the probe waits", w.process.Name(), w.process.PID),
		Before: fmt.Sprintf("computing at %d of %d looks, %v of CPU time in %v", w.running, w.samples, w.busy.Round(10*time.Millisecond), w.lasted.Round(10*time.Millisecond)),
	}}
}

// queued proves that connections wait for a worker.
func queued(ctx context.Context, x *examination) []Evidence {
	s := x.watchWaiting(ctx).socket
	if s.Waiting == 0 {
		return nil
	}
	return []Evidence{{Change: "the queue of " + listening(s), Before: fmt.Sprintf("%d wait to be taken, %d may", s.Waiting, s.Backlog)}}
}

// heldByIdle proves that connections without a request hold the workers.
func heldByIdle(ctx context.Context, x *examination) []Evidence {
	w := x.watchWaiting(ctx)
	seen := queued(ctx, x)
	if len(seen) == 0 || w.idle == 0 {
		return nil
	}
	return append(seen, Evidence{Change: "connections that were taken and have sent nothing", Before: fmt.Sprint(w.idle)})
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
