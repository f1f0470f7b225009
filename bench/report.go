package main

import (
	"fmt"
	"os"
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
	probes              []probesRow
	migrations          *migrationsFigures // nil: not measured
	others              []float64          // shares of the CPUs that went to other programs during the loads
	took                time.Duration
}

type table struct {
	scenario
	rows []row
}

// section is a part of the page that stands by itself.
type section struct{ title, text string }

// markdown is the page that people read.
func (r *report) markdown() string {
	page := r.head()
	for _, s := range r.sections() {
		page = withSection(page, s.title, s.text)
	}
	return page
}

// write puts the page into a file. Of a run of some parts alone it takes their
// sections, and leaves the file's others as they are.
func (r *report) write(file string) error {
	if file == "" {
		return nil
	}
	page := r.markdown()
	if before, err := os.ReadFile(file); len(r.only) > 0 && err == nil {
		page = string(before)
		for _, s := range r.sections() {
			page = withSection(page, s.title, s.text)
		}
	}
	return os.WriteFile(file, []byte(page), 0o644)
}

func (r *report) head() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# Figures\n")
	p("Written by `bench/run`; [README.md](README.md) says what is measured and how to read it.\n")
	p("- Machine: %s, %s, %s, %s", r.machine.processor, count(len(r.measured)+len(r.measuring), "CPU"), r.machine.memory, r.machine.kernel)
	p("- What is measured runs on CPU %s; the load generator (wrk) and the app behind the proxies (nginx, a file) on CPU %s",
		r.measured, r.measuring)
	p("- %d connections, %s of %v for each program in turn, medians; took %v in all",
		r.connections, count(r.rounds, "round"), r.duration, r.took.Round(time.Second))
	if len(r.others) > 0 {
		p("- Meanwhile everything else on the machine used %.0f %% of its CPUs (median of all loads)", median(r.others)*100)
	}
	p("- Built with %s", runtime.Version())
	for _, name := range []string{hale, nginx, haproxy, caddy, kamal} {
		if v := r.versions[name]; v != "" {
			p("- %s: `%s`", name, v)
		}
	}
	if len(r.missing) > 0 {
		p("- Not measured, as the program could not be had: %s", strings.Join(r.missing, ", "))
	}
	return b.String()
}

func (r *report) sections() []section {
	var all []section
	for _, t := range r.tables {
		all = append(all, section{t.title, t.markdown()})
	}
	if len(r.startups) > 0 {
		all = append(all, section{"Start and idle memory", startupsMarkdown(r.startups)})
	}
	if len(r.probes) > 0 {
		all = append(all, section{probesTitle, r.probesMarkdown()})
	}
	if r.migrations != nil {
		all = append(all, section{migrationsTitle, r.migrations.markdown()})
	}
	return all
}

// withSection puts a section in the place of the one with its title, or at the
// end of a page.
func withSection(page, title, text string) string {
	heading := "\n## " + title + "\n"
	section := heading + "\n" + strings.TrimSpace(text) + "\n"
	begin := strings.Index(page, heading)
	if begin < 0 {
		return strings.TrimRight(page, "\n") + "\n" + section
	}
	end := strings.Index(page[begin+len(heading):], "\n## ")
	if end < 0 {
		return page[:begin] + section
	}
	return page[:begin] + section + page[begin+len(heading)+end:]
}

func (t table) markdown() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if t.what != "" {
		p("%s\n", t.what)
	}
	p("| program | requests/s | × %[1]s | p50 | p99 | × %[1]s | CPU per request | × %[1]s |", t.base)
	p("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, r := range t.rows {
		p("| %s | %.0f | %.2f | %s | %s | %.2f | %.1f µs | **%.2f** |",
			r.name, r.perSecond, r.perSecondOf, milliseconds(r.p50), milliseconds(r.p99), r.p99Of, microseconds(r.cpu), r.cpuOf)
	}
	return b.String()
}

func startupsMarkdown(all []startup) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("Time from exec to the first proxied 200, and resident memory 0.2 s later, summed over the program's processes; medians of %d starts.\n", starts)
	p("| program | serving after | memory |")
	p("| --- | ---: | ---: |")
	for _, s := range all {
		p("| %s | %.0f ms | %.1f MiB |", s.name, s.serving.Seconds()*1e3, mebibytes(s.memory))
	}
	return b.String()
}

func (r *report) probesMarkdown() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("%d addresses of 127.0.0.0/8 in %d groups, each asked with `GET /` every %v; %s of %v, medians.",
		probedTargets, probedGroups, probeInterval, count(r.probeRounds, "round"), r.probeWindow)
	p("The error is how far from %v two probes of the same target were apart, by the target's clock; `1 %% do not`: as many", probeInterval)
	p("refuse the connection as take it and stay silent. Ratios are to HAProxy's figures.\n")
	p("| targets | program | probes/s | error p50 | p99 | × | max | CPU per probe | × | memory | × |")
	p("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, row := range r.probes {
		p("| %s | %s | %.0f | %s | %s | %.2f | %s | %.1f µs | **%.2f** | %.1f MiB | %.2f |",
			row.what, row.name, row.perSecond, milliseconds(row.p50), milliseconds(row.p99), row.p99Of, milliseconds(row.max),
			microseconds(row.cpu), row.cpuOf, mebibytes(row.memory), row.memOf)
	}
	return b.String()
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
