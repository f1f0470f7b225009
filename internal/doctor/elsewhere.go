package doctor

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hale/internal/machine"
	"hale/internal/machine/webserver"
	"hale/internal/probe"
)

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
			case to.Addr().IsUnspecified() && onV4Alone(x, s):
				to = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), to.Port())
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
	return s.after.sign.class != classNotFound && x.answersOtherwise(ctx, s, randomPath()) || x.knowsName(ctx, s)
}

// knowsName tells whether what answers after a step tells the site's name from any.
func (x *examination) knowsName(ctx context.Context, s step) bool {
	if x.Domain == "" {
		return false
	}
	for _, c := range toDomain(x) {
		if x.answersOtherwise(ctx, s, c) && !x.answersOtherwise(ctx, s, hostIs("host=R", randomHost)) {
			return true
		}
	}
	return false
}

// answersOtherwise tells whether one more change after a step gives another answer.
func (x *examination) answersOtherwise(ctx context.Context, s step, c change) bool {
	e := x.send(ctx, c.apply(s.after.probe))
	return x.going() && !e.sign.class.transport() && e.sign != s.after.sign
}

// theSite is the control of a program on another port. It is the site if it writes
// the log that the user has named, or knows the site's name; if nobody else here
// answers HTTP at all, and it passes, where no agent would listen, or has the path;
// among others, if it alone passes, by a path that only this site has.
func theSite(ctx context.Context, x *examination, s step) bool {
	if x.diedElsewhere(ctx, s) {
		return false
	}
	alone, owner := true, ownerAt(s.after.probe.Address)
	for _, c := range toSockets(passingPort)(x) {
		if c.text == s.change.text {
			continue
		}
		e := x.with(ctx, c)
		if !x.going() || e.sign.class == classHealthy {
			return false
		}
		other := ownerAt(e.probe.Address)
		alone = alone && (e.answer.Outcome != probe.Answered || other.PID != 0 && other.PID == owner.PID || isEdge(process(other.Program)))
	}
	path, _, _ := strings.Cut(s.after.probe.Path, "?")
	switch {
	case x.writesNamedLog(s), x.knowsName(ctx, s):
		return true
	case alone && s.after.sign.class == classHealthy && !ofAgents(s.after.probe.Address.Port()):
		return true
	case path == "/": // everybody has that
		return false
	case alone:
		return itsOwn(ctx, x, s)
	}
	return s.after.sign.class == classHealthy && !slices.Contains(usualPaths, path) && x.answersOtherwise(ctx, s, randomPath())
}

// writesNamedLog tells whether who answers after a step writes a log that the user
// has named.
func (x *examination) writesNamedLog(s step) bool {
	p, err := machine.Inspect(ownerAt(s.after.probe.Address).PID)
	return err == nil && slices.ContainsFunc(p.Output(), func(path string) bool { return slices.Contains(x.Logs, path) })
}

// ownerAt is who listens at an address; the zero Owner if that is not known.
func ownerAt(address netip.AddrPort) machine.Owner {
	at, err := machine.ListenerAt(address)
	if err != nil || len(at) == 0 {
		return machine.Owner{}
	}
	return at[0].Owner()
}

// diedElsewhere tells whether the site did not start, by the log that the user
// has named, and whoever answered is no program that writes it. That a proxy did
// not reach it says no more than the refused connection.
func (x *examination) diedElsewhere(ctx context.Context, s step) bool {
	if len(lastError(ctx, x, s.before.probe.Address.String())) == 0 {
		return false
	}
	return !x.writesNamedLog(s)
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
	if ip.IsUnspecified() {
		return samePort(x, s) && onV4Alone(x, s)
	}
	return samePort(x, s) && !usualLoopback(ip) && !onV6Alone(x, s)
}

// onV4Alone fits a socket that takes all of IPv4, where the load balancer comes over
// IPv6.
func onV4Alone(x *examination, s machine.Socket) bool {
	return s.Address.Addr().Is4() && x.current.probe.Address.Addr().Is6()
}

// attendants are programs that machines have beside an app: some answer HTTP, and
// whatever they are asked, but none is the site.
var attendants = []string{
	"sshd", "systemd-resolve", "postgres", "mariadbd", "mysqld", "redis-server", "memcached", "chronyd", "dnsmasq", "exim4", "master", "epmd",
	"amazon-cloudwatch-agent", "amazon-ssm-agent", "ssm-agent-worker", "xray", "datadog-agent", "trace-agent", "newrelic-infra",
	"dockerd", "containerd", "kubelet", "kube-proxy", "consul", "nomad", "etcd", "cockpit-tls", "cockpit-ws",
	"netdata", "telegraf", "statsd", "fluent-bit", "fluentd", "filebeat", "metricbeat", "grafana-agent", "otelcol", "cadvisor",
	"node_exporter", "prometheus-node-exporter", "postgres_exporter", "redis_exporter", "nginx-prometheus-exporter", "process-exporter",
}

// attends tells one of them by the name that the kernel has of it.
func attends(program string) bool {
	const most = 15 // bytes of such a name, proc_pid_comm(5)
	return slices.ContainsFunc(attendants, func(name string) bool { return program == name[:min(len(name), most)] })
}

// ofAgents tells the ports on which programs report figures of a machine to
// Prometheus, many of them to whatever is asked (Prometheus's wiki, "Default port
// allocations").
func ofAgents(port uint16) bool { return port >= 9100 && port < 10000 }

// otherPort fits a socket on another port, of what may be a web application.
func otherPort(x *examination, s machine.Socket) bool {
	return !attends(s.Owner().Program) && !samePort(x, s) && s.Address.Port() != x.Probe.Address.Port()
}

// passingPort fits one at which who asks would reach somebody, the load balancer
// or the proxy before the app. For a load balancer, what listens on loopback wants
// a proxy before it, not another port.
func passingPort(x *examination, s machine.Socket) bool {
	return otherPort(x, s) && s.Accepts(x.current.probe.Address.Addr())
}

// reachablePort fits such a one that somebody chose. Whether a port that the
// kernel may have given is the site's, no answer tells.
func reachablePort(x *examination, s machine.Socket) bool {
	return passingPort(x, s) && !ofOtherRequests(x, s) && (!byKernel(s.Address.Port()) || s.Owner().PID != 0 && x.portOf(s).named)
}

// ofOtherRequests fits an app to which the proxy that was gone round sends what is
// asked of another site, or below another path.
func ofOtherRequests(x *examination, s machine.Socket) bool {
	sent := slices.Concat(x.surroundings.front, x.surroundings.server.Upstreams)
	own := append(addresses(x.upstreams()), x.current.probe.Address.String())
	return slices.ContainsFunc(sent, func(up webserver.Upstream) bool {
		to, err := resolveLocal(up.Address)
		return err == nil && !slices.Contains(own, up.Address) && to.Port() == s.Address.Port() && s.Accepts(to.Addr())
	})
}

// tellOthers lists who would pass where nobody listens that was asked, and is not
// known to be the site.
func (x *examination) tellOthers(ctx context.Context) {
	for _, c := range toSockets(passingPort)(x) {
		if e := x.with(ctx, c); x.going() && e.sign.class == classHealthy {
			so := "then the health check, or the proxy before the app, asks another port than the app's"
			if byKernel(e.probe.Address.Port()) {
				so = "then the kernel may have chosen its port, as it does for a program that is told none: is PORT set for it?"
			}
			x.undecided = append(x.undecided, Undecided{
				"whether " + strings.TrimPrefix(c.text, "connect to ") + ", where the same request is answered with " + x.brief(e) + ", is this site's app",
				"look at the program's directory and unit; if it is, " + so,
			})
		}
	}
}
