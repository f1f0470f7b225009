package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hale/internal/machine"
	"hale/internal/probe"
	"hale/internal/targetgroup"
)

// waiting is what the machine shows while a probe waits for its answer.
type waiting struct {
	samples, running int
	halfOpen         []netip.Addr
	socket           machine.Socket // as it was with the longest queue
	process          machine.Process
	outOfFiles       machine.Process
	halted           machine.Process // one that has the socket, and is stopped
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
				if w.halted = (machine.Process{}); p.Stopped {
					w.halted = p
				}
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

// halfOpen proves that connections come in, and our side of them does not get
// out.
func halfOpen(ctx context.Context, x *examination) []Evidence {
	from := x.watchWaiting(ctx).halfOpen
	if len(from) == 0 {
		return nil
	}
	return []Evidence{{Change: "half-open connections (SYN-RECV) while the probe waits", Before: fmt.Sprintf("%d, the first from %s", len(from), from[0])}}
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
	w := x.watchWaiting(ctx)
	s := w.socket
	if w.halted.PID != 0 {
		x.halted(w.halted)
		return nil
	}
	if s.Waiting == 0 {
		return nil
	}
	return []Evidence{{Change: "the queue of " + listening(s), Before: fmt.Sprintf("%d wait to be taken, %d may", s.Waiting, s.Backlog)}}
}

// halted tells, once, of a process that nobody lets work: no failure mode is named
// after it.
func (x *examination) halted(p machine.Process) {
	note := targetgroup.Note{
		What: fmt.Sprintf("%s (process %d), which has the port, is stopped: it answers nobody until it is let go on", p.Name(), p.PID),
		Seen: "all of its threads are in state T, by SIGSTOP or a debugger", Way: fmt.Sprintf("kill -CONT %d, or end the debugger", p.PID),
	}
	if !slices.ContainsFunc(x.seen, func(n targetgroup.Note) bool { return n.What == note.What }) {
		x.seen = append(x.seen, note)
	}
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
