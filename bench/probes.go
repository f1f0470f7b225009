package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Of the comparison of probes.
const (
	probedTargets = 5000
	probedGroups  = 5
	probeInterval = time.Second
	probesTitle   = "Health checks of 5,000 targets"
)

// probing is one row of that comparison: all targets, of which some do not answer.
type probing struct {
	what       string
	slow, down int
}

var probings = []probing{
	{"all answer", 0, 0},
	{"1 % do not", probedTargets / 200, probedTargets / 200},
}

// probesSample is what one program's probes came to in one window.
type probesSample struct {
	probes        int
	cpu           time.Duration // for each probe
	p50, p99, max time.Duration // of the error of the interval
	memory        int64         // bytes
}

// probesRow is one program's figures over all rounds.
type probesRow struct {
	name, what          string
	perSecond           float64
	p50, p99, max       time.Duration
	cpu                 time.Duration
	memory              int64
	cpuOf, p99Of, memOf float64 // medians of the ratios to HAProxy's within a round
}

// probers are the programs that probe many targets.
func probers(bin string) []peer {
	return []peer{
		{
			name: haproxy, conf: "haproxy-probes.cfg", version: []string{"haproxy", "-v"},
			argv: func(conf string, _ site) []string { return []string{"haproxy", "-f", conf} },
		},
		{
			name: balancer, conf: "targets.txt",
			argv: func(conf string, s site) []string {
				return []string{
					bin + "/probingbalancer", "-listen", s.Listen, "-targets", conf,
					"-groups", fmt.Sprint(probedGroups), "-interval", probeInterval.String(),
				}
			},
		},
	}
}

// measureProbes lets each program probe the same targets, one program after the
// other, round by round.
func (b *bench) measureProbes(ctx context.Context, all []peer) (rows []probesRow, err error) {
	for _, w := range probings {
		samples := make(map[string][]probesSample)
		for round := range b.probeRounds {
			for i := range all {
				p := all[(i+round)%len(all)]
				s, err := b.probe(ctx, p, w)
				if err != nil {
					return nil, fmt.Errorf("%s probes: %w", p.name, err)
				}
				samples[p.name] = append(samples[p.name], s)
				b.log.Info("probed", "targets", w.what, "round", round+1, "program", p.name,
					"probes", s.probes, "cpu_per_probe", s.cpu, "error_p99", s.p99, "error_max", s.max)
			}
		}
		for _, p := range all {
			rows = append(rows, probesSummary(p.name, w.what, b.probeWindow, samples[p.name], samples[haproxy]))
		}
	}
	return rows, nil
}

// probe runs one program until its probes are steady, and then watches them for a
// while.
func (b *bench) probe(ctx context.Context, p peer, w probing) (s probesSample, err error) {
	at, err := b.site(false)
	if err != nil {
		return s, err
	}
	port, err := netip.ParseAddrPort(at.Admin) // a free one
	if err != nil {
		return s, err
	}
	addresses := targetAddresses(probedTargets, port.Port())
	at.Upstream = addresses[0].String()
	at.Groups = slices.Collect(slices.Chunk(addresses, probedTargets/probedGroups))
	asked, err := startTargets(addresses, w.slow, w.down, b.measuring)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, asked.stop()) }()
	conf, err := p.configure(at)
	if err != nil {
		return s, err
	}
	proc, err := start(p.name, b.measured.String(), "", p.argv(conf, at)...)
	if err != nil {
		return s, err
	}
	defer proc.stop()
	if err := b.settle(ctx, proc, asked, w); err != nil {
		return s, err
	}

	before, err := proc.cpu()
	if err != nil {
		return s, err
	}
	machine, err := readCPUTimes()
	if err != nil {
		return s, err
	}
	own, err := ownCPU()
	if err != nil {
		return s, err
	}
	asked.forget()
	if err := sleep(ctx, b.probeWindow); err != nil {
		return s, err
	}
	seen := asked.seen(probeInterval)
	after, err := proc.cpu()
	if err != nil {
		return s, errors.Join(err, proc.ended())
	}
	if s.memory, err = proc.memory(); err != nil {
		return s, err
	}
	if err := b.noteOthers(machine, own, after-before); err != nil {
		return s, err
	}
	if seen.silent != w.down {
		return s, fmt.Errorf("%d of %d targets were not asked in %v", seen.silent-w.down, len(addresses)-w.down, b.probeWindow)
	}
	s.probes = seen.asked
	s.cpu = (after - before) / time.Duration(seen.asked)
	s.p50, s.p99, s.max = quantile(seen.off, 0.5), quantile(seen.off, 0.99), quantile(seen.off, 1)
	return s, nil
}

// settle waits until all targets were asked, and for some rounds after that.
func (b *bench) settle(ctx context.Context, proc *process, asked *targets, w probing) error {
	const patience = 30 * time.Second
	for began := time.Now(); asked.seen(probeInterval).silent > w.down; {
		if err := proc.ended(); err != nil {
			return fmt.Errorf("%w\n%s", err, proc.out.Bytes())
		}
		if time.Since(began) > patience {
			return fmt.Errorf("%d targets were not asked in %v", asked.seen(probeInterval).silent-w.down, patience)
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return sleep(ctx, 5*probeInterval)
}

// noteOthers notes how much of the machine others used since; the targets are
// served by this process.
func (b *bench) noteOthers(since cpuTimes, own, program time.Duration) error {
	now, err := readCPUTimes()
	if err != nil {
		return err
	}
	ownNow, err := ownCPU()
	if err != nil {
		return err
	}
	used, all := now.since(since)
	b.others = append(b.others, max(0, float64(used-program-(ownNow-own))/float64(all)))
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func probesSummary(name, what string, window time.Duration, got, base []probesSample) probesRow {
	ratio := func(of func(probesSample) float64) float64 {
		var ratios []float64
		for i := range got {
			ratios = append(ratios, of(got[i])/of(base[i]))
		}
		return median(ratios)
	}
	of := func(value func(probesSample) time.Duration) time.Duration {
		var all []time.Duration
		for _, s := range got {
			all = append(all, value(s))
		}
		return median(all)
	}
	row := probesRow{
		name: name, what: what,
		p50:   of(func(s probesSample) time.Duration { return s.p50 }),
		p99:   of(func(s probesSample) time.Duration { return s.p99 }),
		max:   of(func(s probesSample) time.Duration { return s.max }),
		cpu:   of(func(s probesSample) time.Duration { return s.cpu }),
		cpuOf: ratio(func(s probesSample) float64 { return float64(s.cpu) }),
		p99Of: ratio(func(s probesSample) float64 { return float64(s.p99) }),
		memOf: ratio(func(s probesSample) float64 { return float64(s.memory) }),
	}
	row.perSecond = float64(of(func(s probesSample) time.Duration { return time.Duration(s.probes) })) / window.Seconds()
	row.memory = int64(of(func(s probesSample) time.Duration { return time.Duration(s.memory) }))
	return row
}
