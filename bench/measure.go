package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// bench is one run.
type bench struct {
	settings
	dir       string // temporary
	bin       string // the programs that were built
	host      string
	upstream  string // address
	measured  cpuSet
	measuring cpuSet
	log       *slog.Logger

	app    *process  // the upstream
	others []float64 // for each load, the share of the CPUs that others used
}

// scenario is one table of the results: the same requests to each peer.
type scenario struct {
	title     string
	what      string // that the reader should know
	path      string
	gateway   bool // the peers do a gateway's job, which is looked at first
	accessLog bool
	albLines  bool // the access log is as an Application Load Balancer's
	peers     []peer
	base      string // name of the peer that the others are compared with
}

// sample is one peer's figures in one round.
type sample struct {
	figures
	cpu time.Duration // of the program, per request
}

// row is one peer's figures over all rounds: medians, and medians of the ratios
// to the base's figures in the same round.
type row struct {
	name               string
	perSecond          float64
	p50, p99           time.Duration
	cpu                time.Duration
	perSecondOf, cpuOf float64
	p99Of              float64
}

// measure runs all peers at once, loads them in turn, and does so again for each
// round: what disturbs the machine for a while disturbs all peers alike.
func (b *bench) measure(ctx context.Context, s scenario) (rows []row, err error) {
	type running struct {
		peer
		*process
		url string
	}
	var all []running
	defer func() {
		for _, r := range all {
			r.stop()
		}
	}()
	for _, p := range s.peers {
		at, err := b.site(s.accessLog)
		if err != nil {
			return nil, err
		}
		at.ALBLines = s.albLines
		url := "http://" + at.Listen + s.path
		probe, err := b.request(ctx, url)
		if err != nil {
			return nil, err
		}
		proc, _, err := p.start(ctx, at, b.measured, probe)
		if err != nil {
			return nil, err
		}
		all = append(all, running{p, proc, url})
		if s.gateway {
			if err := b.inspect(ctx, url, p.cannot); err != nil {
				return nil, fmt.Errorf("%s does not do the same job: %w", p.name, err)
			}
		}
		if _, err := b.load(url, time.Second).run(ctx); err != nil { // warm up
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	samples := make(map[string][]sample)
	for round := range b.rounds {
		for i := range all {
			r := all[(i+round)%len(all)] // nobody is always first
			got, err := b.sample(ctx, r.process, b.load(r.url, b.duration))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.peer.name, err)
			}
			samples[r.peer.name] = append(samples[r.peer.name], got)
			b.log.Info("measured", "scenario", s.title, "round", round+1, "program", r.peer.name,
				"requests_per_second", int(got.perSecond), "p99", got.p99, "cpu_per_request", got.cpu)
		}
	}
	for _, r := range all {
		rows = append(rows, summary(r.peer.name, samples[r.peer.name], samples[s.base]))
	}
	return rows, nil
}

func (b *bench) load(url string, d time.Duration) load {
	return load{url: url, headers: b.headers(), connections: b.connections, duration: d, cpus: b.measuring}
}

func (b *bench) headers() []string {
	return []string{"Host: " + b.host, "X-Forwarded-Proto: https", "X-Forwarded-For: 198.51.100.7"}
}

func (b *bench) request(ctx context.Context, url string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Host = b.host
	r.Header.Set("X-Forwarded-Proto", "https")
	return r, nil
}

// sample loads a program once.
func (b *bench) sample(ctx context.Context, p *process, l load) (sample, error) {
	before, err := b.spent(p)
	if err != nil {
		return sample{}, err
	}
	f, err := l.run(ctx)
	if err != nil {
		return sample{}, errors.Join(err, p.ended())
	}
	after, err := b.spent(p)
	if err != nil {
		return sample{}, err
	}
	program := after.program - before.program
	used, all := after.machine.since(before.machine)
	others := used - program - (after.app - before.app) - f.cpu
	b.others = append(b.others, max(0, float64(others)/float64(all)))
	return sample{f, program / time.Duration(f.requests)}, nil
}

// spent is how much processor time was used up to some moment.
type spent struct {
	program, app time.Duration
	machine      cpuTimes
}

func (b *bench) spent(p *process) (s spent, err error) {
	if s.program, err = p.cpu(); err != nil {
		return s, err
	}
	if s.app, err = b.app.cpu(); err != nil {
		return s, err
	}
	s.machine, err = readCPUTimes()
	return s, err
}

// site is where a peer runs.
func (b *bench) site(accessLog bool) (site, error) {
	dir, err := os.MkdirTemp(b.dir, "run")
	if err != nil {
		return site{}, err
	}
	s := site{
		Dir: dir, Host: b.host, Upstream: b.upstream, Root: os.Getuid() == 0,
		ProxyCPUs: len(b.measured), LoadCPUs: len(b.measuring),
	}
	if accessLog {
		s.Log = filepath.Join(dir, "access.log")
	}
	if s.Listen, err = freeAddress(); err != nil {
		return site{}, err
	}
	if s.Admin, err = freeAddress(); err != nil {
		return site{}, err
	}
	return s, nil
}

// startup is how fast a program serves, and what it takes while it idles.
type startup struct {
	name    string
	serving time.Duration
	memory  int64 // bytes
}

const starts = 5

// startups starts each peer a few times, in turn.
func (b *bench) startups(ctx context.Context, peers []peer) ([]startup, error) {
	times := make(map[string][]time.Duration)
	memory := make(map[string][]int64)
	for range starts {
		for _, p := range peers {
			took, rss, err := b.startup(ctx, p)
			if err != nil {
				return nil, err
			}
			times[p.name] = append(times[p.name], took)
			memory[p.name] = append(memory[p.name], rss)
		}
	}
	var all []startup
	for _, p := range peers {
		all = append(all, startup{p.name, median(times[p.name]), median(memory[p.name])})
		b.log.Info("started", "program", p.name, "serving_after", all[len(all)-1].serving, "memory", all[len(all)-1].memory)
	}
	return all, nil
}

func (b *bench) startup(ctx context.Context, p peer) (took time.Duration, rss int64, err error) {
	at, err := b.site(false)
	if err != nil {
		return 0, 0, err
	}
	probe, err := b.request(ctx, "http://"+at.Listen+smallPath)
	if err != nil {
		return 0, 0, err
	}
	proc, took, err := p.start(ctx, at, b.measured, probe)
	if err != nil {
		return 0, 0, err
	}
	defer proc.stop()
	if err := sleep(ctx, 200*time.Millisecond); err != nil { // let it settle
		return 0, 0, err
	}
	rss, err = proc.memory()
	return took, rss, err
}

func summary(name string, got, base []sample) row {
	ratio := func(of func(sample) float64) float64 {
		var ratios []float64
		for i := range got {
			ratios = append(ratios, of(got[i])/of(base[i]))
		}
		return median(ratios)
	}
	return row{
		name:        name,
		perSecond:   medianOf(got, func(s sample) float64 { return s.perSecond }),
		p50:         medianOf(got, func(s sample) time.Duration { return s.p50 }),
		p99:         medianOf(got, func(s sample) time.Duration { return s.p99 }),
		cpu:         medianOf(got, func(s sample) time.Duration { return s.cpu }),
		perSecondOf: ratio(func(s sample) float64 { return s.perSecond }),
		cpuOf:       ratio(func(s sample) float64 { return float64(s.cpu) }),
		p99Of:       ratio(func(s sample) float64 { return float64(s.p99) }),
	}
}

func medianOf[T cmp.Ordered](samples []sample, of func(sample) T) T {
	var values []T
	for _, s := range samples {
		values = append(values, of(s))
	}
	return median(values)
}

// median is the middle value; of an even number, the lower middle one.
func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}
