// Bench measures hale serve and hale balance side by side with nginx, HAProxy,
// Caddy, kamal-proxy and a plain httputil.ReverseProxy, in one run on one machine,
// and writes what it found as a Markdown page. All traffic stays on the loopback
// interface.
//
// It wants nginx, haproxy, caddy, wrk and taskset, which are Debian's packages
// nginx-light, haproxy, caddy, wrk and util-linux.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// settings are what the flags say.
type settings struct {
	rounds      int
	duration    time.Duration // of one load
	connections int
	probeRounds int           // of the comparison of probes
	probeWindow time.Duration // that probes are watched for in each
	only        []part        // empty: all
	programs    []string      // parts of names of peers, in lower case; empty: all
	out         string        // file for the results
}

// part is what a run can be limited to.
type part string

const (
	partGateway    part = "gateway"
	partHealth     part = "health"
	partStart      part = "start"
	partProbes     part = "probes"
	partMigrations part = "migrations"
)

var parts = []part{partGateway, partHealth, partStart, partProbes, partMigrations}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	set, err := parseFlags(args)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	b, err := prepare(ctx, set, log)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	r, err := b.run(ctx)
	if err != nil {
		return err
	}
	page := r.markdown()
	fmt.Print(page)
	return r.write(set.out)
}

func parseFlags(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench/run", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "a first look: one round of 1 s for each program")
	only := flags.String("only", "", "measure only these `parts`, comma separated: gateway, health, start, probes, migrations; other results stay")
	programs := flags.String("programs", "", "compare only these `programs`, comma separated parts of names; nginx is always among them")
	flags.IntVar(&s.rounds, "rounds", 5, "`number` of rounds; the median counts")
	flags.DurationVar(&s.duration, "duration", 2*time.Second, "`time` of one load, whole seconds")
	flags.IntVar(&s.connections, "connections", 64, "`number` of connections")
	flags.StringVar(&s.out, "out", "bench/RESULTS.md", "`file` for the results; empty: stdout only")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	s.probeRounds, s.probeWindow = 3, 10*time.Second
	if *quick {
		s.rounds, s.duration = 1, time.Second
		s.probeRounds, s.probeWindow = 1, 5*time.Second
	}
	if *programs != "" {
		s.programs = strings.Split(strings.ToLower(*programs), ",")
	}
	if *only != "" {
		for name := range strings.SplitSeq(*only, ",") {
			if !slices.Contains(parts, part(name)) {
				return settings{}, fmt.Errorf("-only: no part is called %q: there are %q", name, parts)
			}
			s.only = append(s.only, part(name))
		}
	}
	switch {
	case flags.NArg() > 0:
		return settings{}, fmt.Errorf("unexpected argument %q: flags alone are understood, see -h", flags.Arg(0))
	case s.rounds < 1:
		return settings{}, errors.New("-rounds must be 1 or more")
	case s.duration < time.Second:
		return settings{}, errors.New("-duration must be 1s or more")
	case s.connections < 1:
		return settings{}, errors.New("-connections must be 1 or more")
	}
	return s, nil
}

// measures says whether the flags ask for one of these parts.
func (s settings) measures(some ...part) bool {
	return len(s.only) == 0 || slices.ContainsFunc(some, func(p part) bool { return slices.Contains(s.only, p) })
}

// loads says whether the flags ask for something that is loaded with requests.
func (s settings) loads() bool { return s.measures(partGateway, partHealth, partStart) }

// Paths that the upstream serves.
const (
	smallPath = "/1k"
	largePath = "/64k"
)

// prepare builds what has to be built and makes a place for everything.
func prepare(ctx context.Context, set settings, log *slog.Logger) (*bench, error) {
	needed := []string{"taskset"}
	if set.loads() {
		needed = append(needed, "wrk", "nginx")
	}
	for _, program := range needed {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%s is needed (apt-get install nginx-light haproxy caddy wrk): %w", program, err)
		}
	}
	cpus, err := allowedCPUs()
	if err != nil {
		return nil, err
	}
	b := &bench{settings: set, host: "mysite.com", log: log}
	b.measured, b.measuring = cpus.split()
	if b.dir, err = os.MkdirTemp("", "hale-bench"); err != nil {
		return nil, err
	}
	b.bin = filepath.Join(b.dir, "bin")
	www := filepath.Join(b.dir, "www")
	err = errors.Join(
		os.Mkdir(www, 0o755),
		os.WriteFile(www+smallPath, slices.Repeat([]byte("0123456789abcde\n"), 64), 0o644),
		os.WriteFile(www+largePath, slices.Repeat([]byte("0123456789abcde\n"), 4096), 0o644),
		b.build(ctx),
	)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.dir))
	}
	return b, nil
}

func (b *bench) build(ctx context.Context) error {
	argv := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", b.bin + "/"}
	if b.loads() {
		argv = append(argv, "./bench/plainproxy", "./bench/barehealth", "./cmd/hale")
	}
	if b.measures(partProbes) {
		argv = append(argv, "./bench/probingbalancer")
	}
	if len(argv) == 5 {
		return nil
	}
	b.log.Info("building")
	cmd := exec.CommandContext(ctx, "go", argv...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// wants says whether the flags ask for the peer.
func (s settings) wants(name string) bool {
	if len(s.programs) == 0 || name == nginx {
		return true
	}
	return slices.ContainsFunc(s.programs, func(word string) bool {
		return strings.Contains(strings.ToLower(name), word)
	})
}

// run measures everything that the flags ask for.
func (b *bench) run(ctx context.Context) (r *report, err error) {
	began := time.Now()
	r = &report{settings: b.settings, measured: b.measured, measuring: b.measuring, versions: make(map[string]string)}
	if r.machine, err = thisMachine(); err != nil {
		return nil, err
	}
	if b.loads() {
		if err := b.runLoads(ctx, r); err != nil {
			return nil, err
		}
	}
	if b.measures(partProbes) {
		if err := b.runProbes(ctx, r); err != nil {
			return nil, err
		}
	}
	if b.measures(partMigrations) {
		if r.migrations, err = measureMigrations(ctx); errors.Is(err, errNoDjango) {
			b.log.Warn("left out: the check of migrations", "error", err)
		} else if err != nil {
			return nil, err
		}
	}
	r.took, r.others = time.Since(began), b.others
	if len(b.others) > 0 && median(b.others) > 0.1 {
		b.log.Warn("the machine was busy with other things, which spoils the figures", "share", median(b.others))
	}
	return r, nil
}

// runLoads measures what is loaded with requests.
func (b *bench) runLoads(ctx context.Context, r *report) error {
	peers := b.present(ctx, gateways(b.bin), r)
	if err := noteVersions(ctx, peers, r); err != nil {
		return err
	}
	stop, err := b.startUpstream(ctx)
	if err != nil {
		return err
	}
	defer stop()
	for _, s := range b.scenarios(peers) {
		rows, err := b.measure(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		r.tables = append(r.tables, table{s, rows})
	}
	if b.measures(partStart) {
		r.startups, err = b.startups(ctx, peers)
	}
	return err
}

// runProbes compares how many targets are probed.
func (b *bench) runProbes(ctx context.Context, r *report) error {
	peers := b.present(ctx, probers(b.bin), r)
	if len(peers) < 2 {
		return nil // nothing to compare with
	}
	if err := noteVersions(ctx, peers, r); err != nil {
		return err
	}
	var err error
	r.probes, err = b.measureProbes(ctx, peers)
	return err
}

// present returns the peers that are wanted and can be had.
func (b *bench) present(ctx context.Context, all []peer, r *report) []peer {
	var peers []peer
	for _, p := range all {
		if !b.wants(p.name) {
			continue
		}
		if err := p.obtain(ctx, b.log); err != nil {
			b.log.Warn("left out", "program", p.name, "error", err)
			if !slices.Contains(r.missing, p.name) {
				r.missing = append(r.missing, p.name)
			}
			continue
		}
		peers = append(peers, p)
	}
	return peers
}

func (b *bench) scenarios(peers []peer) []scenario {
	var all []scenario
	if b.measures(partGateway) {
		all = gatewayScenarios(peers)
	}
	if b.measures(partHealth) {
		all = append(all, healthScenarios(peers, b.bin)...)
	}
	return all
}

func gatewayScenarios(peers []peer) []scenario {
	var writeALBLines []peer
	for _, p := range peers {
		if slices.Contains([]string{nginx, haproxy, balancer}, p.name) {
			writeALBLines = append(writeALBLines, p)
		}
	}
	return []scenario{
		{
			title: "Gateway, 1 KiB answers, no access log",
			path:  smallPath, peers: peers, base: nginx, gateway: true,
		},
		{
			title: "Gateway, 1 KiB answers, access log",
			what:  "One line a request, to a file: JSON, but of `hale balance` ALB's, which is twice as long.",
			path:  smallPath, peers: peers, base: nginx, gateway: true, accessLog: true,
		},
		{
			title: "Gateway, 1 KiB answers, ALB's access log",
			what:  "The same fields, in the form of an Application Load Balancer's log, of those that can write it.",
			path:  smallPath, peers: writeALBLines, base: nginx, gateway: true, accessLog: true, albLines: true,
		},
		{
			title: "Gateway, 64 KiB answers, no access log",
			path:  largePath, peers: peers, base: nginx, gateway: true,
		},
	}
}

func healthScenarios(peers []peer, bin string) []scenario {
	i := slices.IndexFunc(peers, func(p peer) bool { return p.name == hale })
	if i < 0 {
		return nil
	}
	return []scenario{
		{
			title: "Health answers, no log",
			what:  "`GET /health` with two checks running in the background, against a handler that writes `ok`.",
			path:  "/health", peers: []peer{bareHealth(bin), peers[i]}, base: bare,
		},
		{
			title: "Health answers, Hale with its log of probes",
			what:  "The same, but Hale writes one JSON line a probe to a file, as it does by default; the bare handler writes none.",
			path:  "/health", peers: []peer{bareHealth(bin), peers[i]}, base: bare, accessLog: true,
		},
	}
}

// startUpstream starts the app behind the proxies.
func (b *bench) startUpstream(ctx context.Context) (stop func(), err error) {
	if b.upstream, err = freeAddress(); err != nil {
		return nil, err
	}
	at := site{Dir: b.dir, Upstream: b.upstream, Listen: b.upstream, Root: os.Getuid() == 0, LoadCPUs: len(b.measuring)}
	probe, err := b.request(ctx, "http://"+b.upstream+smallPath)
	if err != nil {
		return nil, err
	}
	if b.app, _, err = upstream().start(ctx, at, b.measuring, probe); err != nil {
		return nil, err
	}
	return b.app.stop, nil
}

func noteVersions(ctx context.Context, peers []peer, r *report) error {
	for _, p := range peers {
		if p.source.built() {
			r.versions[p.name] = p.source.version + ", built from source"
			continue
		}
		if p.version == nil {
			continue
		}
		line, err := output(ctx, p.version...)
		if err != nil {
			return err
		}
		r.versions[p.name] = line
	}
	return nil
}
