package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"hale/internal/machine"
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
	return func(ctx context.Context, x *examination, s step) bool {
		if s.after.sign.class != classHealthy || len(lastError(ctx, x)) > 0 { // by its log the site did not start
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
	if ip := s.Address.Addr().Unmap(); !usualLoopback(ip) && !s.Accepts(x.Probe.Address.Addr()) {
		return false // of no use to anybody who probes the site
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
