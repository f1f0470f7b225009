package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hale/internal/machine"
	"hale/internal/machine/webserver"
	"hale/internal/probe"
)

// surroundings are what the machine tells of the site, when the doctor may
// look at it.
type surroundings struct {
	// sockets are all that listen, at those that the probe comes to.
	sockets, at []machine.Socket
	// process is who listens there, family it and all that it started.
	process machine.Process
	family  []int
	// apps are who listens where a web server sends its requests; appAt is each by
	// its address.
	apps  []machine.Process
	appAt map[string]machine.Process
	// server is its configuration, where it is a web server that is known.
	server webserver.Config
	// front are the upstreams of the proxies that the examination went around.
	front []webserver.Upstream
	// logs are the error logs.
	logs []logFile
	// accessLogs are those of the web servers.
	accessLogs []string
	// settled is how many probes had been sent when a log was last waited for.
	settled int
	// counters are the kernel's of that time.
	counters machine.Counters
	// changed are files of configuration that are newer than the process.
	changed []machine.Changed
}

// lookAround looks at the machine before the first probe. What it may not see
// stays empty.
func (x *examination) lookAround() {
	s := &x.surroundings
	all, err := machine.Listeners()
	if err != nil {
		x.undecided = append(x.undecided, Undecided{"who listens on this machine: " + err.Error(), "run it as root"})
	}
	for _, socket := range all {
		if x.Owned == nil || x.Owned(socket) {
			s.sockets = append(s.sockets, socket)
		}
	}
	s.counters, _ = machine.ReadCounters()
	s.learn(x.Probe.Address, x.Probe)
	for _, name := range s.server.ServerNames() {
		x.site.guess(name, fromServer)
	}
	for _, path := range x.Logs {
		s.addLog(machine.Log{Path: path})
	}
	if len(s.everybody()) == 0 && x.Owned != nil {
		return
	}
	for _, log := range machine.Logs(s.everybody()...) {
		if log.From != machine.FromUsualPlace || time.Since(log.Changed) < recent {
			s.addLog(log)
		}
		for i := range s.logs {
			if l := &s.logs[i]; log.From != machine.FromUsualPlace && l.Path == log.Path && l.Unit == log.Unit {
				l.own = true
			}
		}
	}
	s.tellApart()
}

// tellApart finds out which logs are of one app alone, of several behind a web
// server.
func (s *surroundings) tellApart() {
	if len(s.appAt) < 2 {
		return
	}
	for address, app := range s.appAt {
		for _, log := range machine.Logs(machine.Family(app.PID)...) {
			for i := range s.logs {
				if l := &s.logs[i]; log.From != machine.FromUsualPlace && l.Path == log.Path && l.Unit == log.Unit {
					l.upstreams = append(l.upstreams, address)
				}
			}
		}
	}
}

// learn takes in who listens at an address, of which a probe asks; what belongs
// to that comes first.
func (s *surroundings) learn(address netip.AddrPort, asked probe.Probe) {
	at, err := machine.ListenerAt(address)
	if err != nil || len(at) == 0 {
		return
	}
	s.at = at
	owner := at[0].Owner()
	if owner.PID == 0 {
		return
	}
	if p, err := machine.Inspect(owner.PID); err == nil {
		s.process = p
	}
	s.family = machine.Family(owner.PID)
	s.front = append(s.front, s.server.Upstreams...)
	s.server = webserver.Config{}
	if server, err := machine.WebServerOf(owner.PID); err == nil {
		s.server = server.Config
		s.server.Upstreams = upstreamsOf(&server.Config, address.Port())
		s.accessLogs = append(s.accessLogs, server.AccessLogs...)
	}
	s.changed, _ = machine.ConfigChangedAfterStart(owner.PID)
	own := s.upstreamsFor(asked)
	for _, up := range own {
		s.learnApp(up)
	}
	for _, up := range s.server.Upstreams {
		if !slices.Contains(addresses(own), up.Address) {
			s.learnApp(up)
		}
	}
}

// learnApp takes in who listens at an upstream.
func (s *surroundings) learnApp(up webserver.Upstream) {
	network, address, ok := up.Dial()
	if !ok {
		return
	}
	i := -1
	if network == "unix" {
		i = slices.IndexFunc(s.sockets, func(socket machine.Socket) bool { return socket.Path == address })
	} else if to, err := resolveLocal(address); err == nil {
		i = slices.IndexFunc(s.sockets, func(socket machine.Socket) bool {
			return socket.Path == "" && socket.Address.Port() == to.Port() && socket.Accepts(to.Addr())
		})
	}
	if i < 0 {
		return
	}
	if p, err := machine.Inspect(s.sockets[i].Owner().PID); err == nil {
		s.apps = append(s.apps, p)
		if s.appAt == nil {
			s.appAt = map[string]machine.Process{}
		}
		s.appAt[up.Address] = p
	}
}

// app is the process of the app: behind the web server, or the one that was
// probed.
func (s *surroundings) app() machine.Process {
	if len(s.apps) > 0 {
		return s.apps[0]
	}
	return s.process
}

// everybody are the processes of the site.
func (s *surroundings) everybody() []int {
	pids := slices.Clone(s.family)
	for _, p := range s.apps {
		pids = append(pids, machine.Family(p.PID)...)
	}
	return pids
}

// program is who listens at the probed address, "" if that is not known.
func (s *surroundings) program() string {
	if s.process.PID == 0 {
		return ""
	}
	return s.process.Name()
}

// nextHop goes on behind an answer that no change of the request can turn: the
// same request, sent to where the local proxy sends its own.
func (x *examination) nextHop(ctx context.Context) bool {
	if !x.Inside || !x.going() || x.explained == "" && !byEdge(&x.current.answer) && !x.current.sign.class.in(proxyErrors...) {
		return false
	}
	hops := x.toHops()
	if x.explained == "proxy-upstream-protocol" {
		for i := range hops {
			hops[i] = withOtherScheme(hops[i])
		}
		hops = append(hops, x.hopsBy(notHTTP...)...)
	}
	for _, c := range hops {
		e := x.with(ctx, c)
		if !x.going() {
			return false
		}
		if e.sign == x.current.sign && !proxyAt(e.probe.Address) || x.explained == "proxy-upstream-protocol" && e.answer.Outcome != probe.Answered {
			continue
		}
		x.behind = fmt.Sprintf("%s, at %s", x.gate(), e.probe.Address)
		x.reach(e.probe.Address)
		x.stack = append(x.stack, step{change: c, before: x.current, after: e})
		x.move(e)
		return true
	}
	return false
}

// withOtherScheme goes to a hop as the proxy should have.
func withOtherScheme(c change) change {
	bare := c.apply
	c.code += "+scheme"
	c.apply = func(p probeValue) probeValue {
		before := p.Protocol
		if p = bare(p); p.Protocol == before {
			return secure.apply(p)
		}
		return plain.apply(p)
	}
	return c
}

// stale looks for configuration that the process has not read yet: then a fault
// may have been mended already.
func (x *examination) stale() {
	if len(x.findings) == 0 || len(x.surroundings.changed) == 0 {
		return
	}
	changed := x.surroundings.changed[0]
	x.conclude("stale-process", x.first, []Evidence{{
		Change: "changed " + changed.Path, Before: changed.At.Format(time.DateTime), After: "read by the process " + changed.Loaded.Format(time.DateTime),
	}})
}

// reach takes in who listens at an address behind the one that was probed.
func (x *examination) reach(address netip.AddrPort) {
	x.hops = append(x.hops, address)
	if x.Inside {
		x.surroundings.learn(address, x.current.probe)
	}
}

// gate names what an examination went around.
func (x *examination) gate() string {
	if mode, ok := findMode(x.explained); ok {
		return fmt.Sprintf("%q", mode.Title)
	}
	return "the answer " + x.brief(x.current)
}

// toHops are the ways around the local proxy: straight to the app, as the
// proxy's configuration has its address.
func (x *examination) toHops() []change { return x.hopsBy(webserver.HTTP, webserver.HTTPS) }

// notHTTP is what web servers speak with apps besides HTTP.
var notHTTP = []webserver.Protocol{webserver.UWSGI, webserver.FastCGI, webserver.SCGI, webserver.AJP}

// hopsBy are the ways to those apps with which the proxy speaks one of some
// protocols; what is sent there is HTTP.
func (x *examination) hopsBy(protocols ...webserver.Protocol) []change {
	var all []change
	for _, up := range x.upstreams() {
		network, address, ok := up.Dial()
		if !ok || network != "tcp" || !slices.Contains(protocols, up.Protocol) {
			continue
		}
		to, err := resolveLocal(address)
		if err != nil || slices.Contains(x.hops, to) || to == x.current.probe.Address ||
			slices.ContainsFunc(all, func(c change) bool { return strings.HasSuffix(c.text, to.String()) }) {
			continue
		}
		c := addressIs("hop", "straight to the app at "+to.String(), to)
		if up.Protocol == webserver.HTTPS {
			bare := c.apply
			c.apply = func(p probeValue) probeValue { return secure.apply(bare(p)) }
		}
		all = append(all, c)
	}
	return all
}

// resolveLocal reads the address of an upstream; a name must be localhost.
func resolveLocal(address string) (netip.AddrPort, error) {
	if port, ok := strings.CutPrefix(address, "localhost:"); ok {
		address = "127.0.0.1:" + port
	}
	return netip.ParseAddrPort(address)
}
