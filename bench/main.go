// Bench measures hale serve side by side with nginx, HAProxy, Caddy and a plain
// httputil.ReverseProxy, in one run on one machine, and writes what it found as
// a Markdown page. All traffic stays on the loopback interface.
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
	only        []string // names of peers, in lower case; empty: all
	out         string   // file for the results
	migrations  bool     // only the check of migrations
}

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
	if set.migrations {
		return runMigrations(ctx, set.out)
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
	if set.out == "" {
		return nil
	}
	return os.WriteFile(set.out, []byte(page), 0o644)
}

func parseFlags(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench/run", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "under a minute: one round of 1 s for each program")
	only := flags.String("only", "", "compare only these `programs`, comma separated parts of names; nginx is always among them")
	flags.IntVar(&s.rounds, "rounds", 5, "`number` of rounds; the median counts")
	flags.DurationVar(&s.duration, "duration", 2*time.Second, "`time` of one load, whole seconds")
	flags.IntVar(&s.connections, "connections", 64, "`number` of connections")
	flags.BoolVar(&s.migrations, "migrations", false, "only compare the check of migrations with Django's command; other results stay")
	flags.StringVar(&s.out, "out", "bench/RESULTS.md", "`file` for the results; empty: stdout only")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	if *quick {
		s.rounds, s.duration = 1, time.Second
	}
	if *only != "" {
		s.only = strings.Split(strings.ToLower(*only), ",")
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

// Paths that the upstream serves.
const (
	smallPath = "/1k"
	largePath = "/64k"
)

// prepare builds what has to be built and makes a place for everything.
func prepare(ctx context.Context, set settings, log *slog.Logger) (*bench, error) {
	for _, program := range []string{"wrk", "nginx", "taskset"} {
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
	argv := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", b.bin + "/", "./bench/plainproxy", "./bench/barehealth"}
	if b.wants(hale) {
		argv = append(argv, "./cmd/hale")
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
	if len(s.only) == 0 || name == nginx {
		return true
	}
	return slices.ContainsFunc(s.only, func(part string) bool {
		return strings.Contains(strings.ToLower(name), part)
	})
}

// run measures everything.
func (b *bench) run(ctx context.Context) (*report, error) {
	began := time.Now()
	r := &report{settings: b.settings, measured: b.measured, measuring: b.measuring}
	var err error
	if r.machine, err = thisMachine(); err != nil {
		return nil, err
	}
	var peers []peer
	for _, p := range gateways(b.bin) {
		switch program := p.missing(); {
		case !b.wants(p.name):
		case program != "":
			b.log.Warn("left out: program not found", "program", program)
			r.missing = append(r.missing, p.name)
		default:
			peers = append(peers, p)
		}
	}
	if r.versions, err = versions(ctx, peers); err != nil {
		return nil, err
	}
	stop, err := b.startUpstream(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	for _, s := range b.scenarios(peers) {
		rows, err := b.measure(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.title, err)
		}
		r.tables = append(r.tables, table{s, rows})
	}
	if r.startups, err = b.startups(ctx, peers); err != nil {
		return nil, err
	}
	if r.migrations, err = measureMigrations(ctx); errors.Is(err, errNoDjango) {
		b.log.Warn("left out: the check of migrations", "error", err)
	} else if err != nil {
		return nil, err
	}
	r.others, r.took = median(b.others), time.Since(began)
	if r.others > 0.1 {
		b.log.Warn("the machine was busy with other things, which spoils the figures", "share", r.others)
	}
	return r, nil
}

func (b *bench) scenarios(peers []peer) []scenario {
	all := []scenario{
		{
			title: "Gateway, 1 KiB answers, no access log",
			path:  smallPath, peers: peers, base: nginx, gateway: true,
		},
		{
			title: "Gateway, 1 KiB answers, access log",
			what:  "One JSON line a request, to a file.",
			path:  smallPath, peers: peers, base: nginx, gateway: true, accessLog: true,
		},
		{
			title: "Gateway, 64 KiB answers, no access log",
			path:  largePath, peers: peers, base: nginx, gateway: true,
		},
	}
	if i := slices.IndexFunc(peers, func(p peer) bool { return p.name == hale }); i >= 0 {
		all = append(all, scenario{
			title: "Health answers, no log",
			what:  "`GET /health` with two checks running in the background, against a handler that writes `ok`.",
			path:  "/health", peers: []peer{bareHealth(b.bin), peers[i]}, base: bare,
		}, scenario{
			title: "Health answers, Hale with its log of probes",
			what:  "The same, but Hale writes one JSON line a probe to a file, as it does by default; the bare handler writes none.",
			path:  "/health", peers: []peer{bareHealth(b.bin), peers[i]}, base: bare, accessLog: true,
		})
	}
	return all
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

func versions(ctx context.Context, peers []peer) (map[string]string, error) {
	all := make(map[string]string)
	for _, p := range peers {
		if p.version == nil {
			continue
		}
		line, err := output(ctx, p.version...)
		if err != nil {
			return nil, err
		}
		all[p.name] = line
	}
	return all, nil
}
