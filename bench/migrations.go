package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"hale/checks/migrations"
)

// migrationsTitle heads the section of the results that this file writes.
const migrationsTitle = "Is a migration unapplied?"

// djangoPython is Debian's, which has Debian's Django.
const djangoPython = "/usr/bin/python3"

// How often each side is asked.
const (
	commandRuns = 15
	checkRuns   = 3000
)

// cost is what asking once takes, in wall clock and processor time.
type cost struct{ wall, cpu time.Duration }

// migrationsFigures compare the check of type migrations with Django's own
// command, on the example site with SQLite, which both ask in their own process:
// there is no server whose time would have to be counted, too.
type migrationsFigures struct {
	django         string // version
	command, check cost   // medians
	plan           time.Duration
}

// measureMigrations measures on a copy of the example site.
func measureMigrations(ctx context.Context) (*migrationsFigures, error) {
	dir, err := os.MkdirTemp("", "hale-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	m := migrationsBench{ctx: ctx, site: filepath.Join(dir, "site"), url: "sqlite:///" + filepath.Join(dir, "db.sqlite3")}
	if err := os.CopyFS(m.site, os.DirFS("examples/django")); err != nil {
		return nil, err
	}
	f := new(migrationsFigures)
	version, err := exec.CommandContext(ctx, djangoPython, "-m", "django", "--version").Output()
	if err != nil {
		return nil, errNoDjango
	}
	f.django = strings.TrimSpace(string(version))
	if _, err := m.manage("migrate", "--noinput"); err != nil {
		return nil, err
	}
	if f.command, err = m.measureCommand(); err != nil {
		return nil, err
	}
	f.check, f.plan, err = m.measureCheck()
	return f, err
}

var errNoDjango = errors.New("django is not installed for " + djangoPython + ": apt-get install python3-django")

// migrationsBench is a site whose migrations have all been applied.
type migrationsBench struct {
	ctx  context.Context //nolint:containedctx // lives for one measurement
	site string
	url  string
}

func (m migrationsBench) environ() []string {
	return []string{"SECRET_KEY=for this measurement", "DATABASE_URL=" + m.url}
}

// manage runs a command of manage.py.
func (m migrationsBench) manage(args ...string) (cost, error) {
	cmd := exec.CommandContext(m.ctx, djangoPython, append([]string{"manage.py"}, args...)...)
	cmd.Dir, cmd.Env = m.site, append(os.Environ(), m.environ()...)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return cost{}, fmt.Errorf("manage.py %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return cost{time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}

// measureCommand returns the medians of "manage.py migrate --check", after a run
// that has warmed up the caches of the disk and of Python's compiler.
func (m migrationsBench) measureCommand() (cost, error) {
	var walls, cpus []time.Duration
	for i := range commandRuns + 1 {
		c, err := m.manage("migrate", "--check")
		if err != nil {
			return cost{}, err
		}
		if i > 0 {
			walls, cpus = append(walls, c.wall), append(cpus, c.cpu)
		}
	}
	return cost{median(walls), median(cpus)}, nil
}

// measureCheck returns the median wall clock time of a run of the check, the
// mean of its processor time, which is too short to be measured run by run, and
// how long the first run took, which asks the interpreter for the plan.
func (m migrationsBench) measureCheck() (c cost, plan time.Duration, err error) {
	check := &migrations.Check{Tool: "django", ProjectDir: m.site, Database: m.url, Python: djangoPython, Environ: m.environ}
	defer check.Close()
	began := time.Now()
	if _, err := check.Run(m.ctx); err != nil {
		return cost{}, 0, err
	}
	plan = time.Since(began)
	before, err := ownCPU()
	if err != nil {
		return cost{}, 0, err
	}
	walls := make([]time.Duration, checkRuns)
	for i := range walls {
		// As the monitor does it: each run has a deadline.
		ctx, cancel := context.WithTimeout(m.ctx, 5*time.Second)
		began := time.Now()
		_, err := check.Run(ctx)
		walls[i] = time.Since(began)
		cancel()
		if err != nil {
			return cost{}, 0, err
		}
	}
	after, err := ownCPU()
	return cost{median(walls), (after - before) / checkRuns}, plan, err
}

// ownCPU is the processor time that this process has used, all of its threads
// and its collector among them.
func ownCPU() (time.Duration, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0, err
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), nil
}

// markdown is the section of the page.
func (f *migrationsFigures) markdown() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("One run of the check of type `migrations` against one of `manage.py migrate --check`, on the example site with all of its")
	p("migrations applied to SQLite, Django %s. Medians of %d and %d runs; the check's processor time is a mean.", f.django, checkRuns, commandRuns)
	p("The check's first run asks the project's interpreter for the migrations: once, in %.0f ms.\n", f.plan.Seconds()*1e3)
	p("| | time | CPU |")
	p("| --- | ---: | ---: |")
	p("| `manage.py migrate --check` | %s | %s |", milliseconds(f.command.wall), milliseconds(f.command.cpu))
	p("| check of type `migrations` | %s | %s |", milliseconds(f.check.wall), milliseconds(f.check.cpu))
	p("| times cheaper | **%.0f** | **%.0f** |", ratio(f.command.wall, f.check.wall), ratio(f.command.cpu, f.check.cpu))
	return b.String()
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }
