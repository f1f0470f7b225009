package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// report is everything that was found.
type report struct {
	settings
	machine             machine
	measured, measuring cpuSet
	versions            map[string]string
	missing             []string // peers that are not installed
	tables              []table
	startups            []startup
	migrations          *migrationsFigures // nil: not measured
	others              float64            // share of the CPUs that went to other programs during the loads
	took                time.Duration
}

type table struct {
	scenario
	rows []row
}

// markdown is the page that people read.
func (r *report) markdown() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	p("# Figures\n")
	p("Written by `bench/run`; [README.md](README.md) says what is measured and how to read it.\n")
	p("- Machine: %s, %s, %s, %s", r.machine.processor, count(len(r.measured)+len(r.measuring), "CPU"), r.machine.memory, r.machine.kernel)
	p("- What is measured runs on CPU %s; the load generator (wrk) and the app behind the proxies (nginx, a file) on CPU %s",
		r.measured, r.measuring)
	p("- %d connections, %s of %v for each program in turn, medians; took %v in all",
		r.connections, count(r.rounds, "round"), r.duration, r.took.Round(time.Second))
	p("- Meanwhile everything else on the machine used %.0f %% of its CPUs (median of all loads)", r.others*100)
	p("- Built with %s", runtime.Version())
	for _, name := range []string{hale, nginx, "HAProxy", "Caddy"} {
		if v := r.versions[name]; v != "" {
			p("- %s: `%s`", name, v)
		}
	}
	if len(r.missing) > 0 {
		p("- Not installed: %s", strings.Join(r.missing, ", "))
	}
	for _, t := range r.tables {
		t.write(p)
	}
	p("\n## Start and idle memory\n")
	p("Time from exec to the first proxied 200, and resident memory 0.2 s later, summed over the program's processes; medians of %d starts.\n", starts)
	p("| program | serving after | memory |")
	p("| --- | ---: | ---: |")
	for _, s := range r.startups {
		p("| %s | %.0f ms | %.1f MiB |", s.name, s.serving.Seconds()*1e3, float64(s.memory)/(1<<20))
	}
	if r.migrations != nil {
		b.WriteString(r.migrations.markdown())
	}
	return b.String()
}

func (t table) write(p func(string, ...any)) {
	p("\n## %s\n", t.title)
	if t.what != "" {
		p("%s\n", t.what)
	}
	p("| program | requests/s | × %[1]s | p50 | p99 | × %[1]s | CPU per request | × %[1]s |", t.base)
	p("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, r := range t.rows {
		p("| %s | %.0f | %.2f | %s | %s | %.2f | %.1f µs | **%.2f** |",
			r.name, r.perSecond, r.perSecondOf, milliseconds(r.p50), milliseconds(r.p99), r.p99Of,
			float64(r.cpu)/float64(time.Microsecond), r.cpuOf)
	}
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
