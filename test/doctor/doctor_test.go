// Package doctor_test runs the doctor over the corpus of faulty and healthy
// sites: each fault must be found, by its name and in its order, and nothing
// else. What it found is the table in docs/doctor.md.
package doctor_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hale/internal/doctor"
	"hale/internal/machine"
	"hale/internal/probe"
	"hale/internal/targetgroup"
	"hale/test/sites"
)

var update = flag.Bool("update", false, "write the table into docs/doctor.md")

// found collects the reports by the cases' names.
type found struct {
	mu      sync.Mutex
	reports map[string]doctor.Report
	groups  map[string]doctor.GroupReport
}

func (f *found) add(name string, r doctor.Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports[name] = r
}

func (f *found) addGroup(name string, r doctor.GroupReport) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.groups[name] = r
}

func TestMain(m *testing.M) {
	flag.Parse()
	// No site is on EC2, but those that say where their metadata service is.
	if err := os.Setenv("AWS_EC2_METADATA_DISABLED", "true"); err != nil {
		panic(err)
	}
	// Most of a case is waiting: for programs to start, for time-outs.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestCorpus(t *testing.T) {
	results := &found{reports: make(map[string]doctor.Report), groups: make(map[string]doctor.GroupReport)}
	t.Run("groups", func(t *testing.T) {
		for _, c := range sites.Groups() {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				judgeGroupAlone(t, c, results)
			})
		}
	})
	t.Run("outside", func(t *testing.T) {
		for _, c := range sites.All() {
			if c.Inside || c.Alone {
				continue
			}
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				examine(t, c, results)
			})
		}
	})
	// What the machine shows is shared: each case has a network of its own, or
	// where that is not allowed its turn.
	networks := sites.Networks()
	t.Run("inside", func(t *testing.T) {
		for _, c := range sites.All() {
			if !c.Inside && !c.Alone {
				continue
			}
			t.Run(c.Name, func(t *testing.T) {
				if networks {
					t.Parallel()
				}
				if networks || c.Alone {
					examineAlone(t, c, results)
				} else {
					examine(t, c, results)
				}
			})
		}
	})
	if *update || !t.Failed() && len(results.reports) > len(sites.All())/2 { // not for a few of them
		checkTable(t, results)
	}
}

// examineAlone examines a site in a network of its own.
func examineAlone(t *testing.T, c sites.Case, results *found) {
	r, outside := inOwnNetwork(t, func() doctor.Report {
		examine(t, c, results)
		return results.reports[c.Name]
	})
	if outside {
		results.add(c.Name, r)
	}
}

// inOwnNetwork runs the test t again in a network of its own, where judge is called,
// and brings the report from there; outside tells that this has been done, by the
// process outside.
func inOwnNetwork[R any](t *testing.T, judge func() R) (r R, outside bool) {
	t.Helper()
	shared, within := sites.OwnNetwork(t)
	if within {
		content, err := json.Marshal(judge())
		if err == nil {
			err = os.WriteFile(shared, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return r, false
	}
	content, err := os.ReadFile(shared)
	if err == nil {
		err = json.Unmarshal(content, &r)
	}
	if err != nil {
		t.Errorf("no report from within: %v", err)
	}
	return r, err == nil
}

// tries is how often a site is started and examined until all is right. A
// machine that is slow itself is no fault of the site's.
const tries = 2

func examine(t *testing.T, c sites.Case, results *found) {
	for try := 1; ; try++ {
		r, steps, site := examineOnce(t, c)
		wrong := faults(c, r)
		if len(wrong) == 0 || try == tries {
			results.add(c.Name, r)
		}
		if len(wrong) == 0 {
			prove(t, c, site)
			return
		}
		report, err := json.MarshalIndent(shortened(r), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("try %d: %s\nsteps:\n  %s\nreport: %s", try, strings.Join(wrong, "; "), strings.Join(steps, "\n  "), report)
		if try == tries {
			t.Error(text)
			return
		}
		t.Log(text)
	}
}

// prove holds a site to its fault, for which its program was started anyway. What
// an examination uses up, a limit of requests for one, takes another start.
func prove(t *testing.T, c sites.Case, s sites.Site) {
	t.Helper()
	var wrong []string
	if !c.Fresh {
		wrong = sites.Prove(t, c, s)
	}
	if c.Fresh || len(wrong) > 0 {
		wrong = sites.Prove(t, c, c.Start(t))
	}
	for _, text := range wrong {
		t.Errorf("it has not the fault that it is there for: %s", text)
	}
}

func examineOnce(t *testing.T, c sites.Case) (r doctor.Report, steps []string, s sites.Site) {
	t.Helper()
	s = c.Start(t)
	o := options(t, c, s)
	o.Progress = func(step string) { steps = append(steps, step) }
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	r, err := doctor.Examine(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return r, steps, s
}

// faults are what is wrong with a report.
func faults(c sites.Case, r doctor.Report) (wrong []string) {
	if ids := findings(r); !slices.Equal(ids, c.Findings) {
		wrong = append(wrong, fmt.Sprintf("found %v, want %v", ids, c.Findings))
	}
	if healthy := c.Row == "healthy" || passes(c); r.Healthy != healthy {
		wrong = append(wrong, fmt.Sprintf("healthy: %v, want %v: %s", r.Healthy, healthy, r.Answer))
	}
	if r.Requests > doctor.MostRequests {
		wrong = append(wrong, fmt.Sprintf("%d requests, more than %d", r.Requests, doctor.MostRequests))
	}
	if len(c.Findings) == 0 && len(r.Proven) == 0 {
		wrong = append(wrong, "says nothing of what was proven")
	}
	return wrong
}

// passing are the failure modes of checks that pass.
var passing = []string{
	"false-positive-200", "caddy-empty-200", "big-health-body", "compressed-body", "probe-load", "container-healthcheck-localhost-v6", "keepalive-shorter-than-lb-idle",
	"container-healthcheck-tool-missing", "asg-cold-start-vs-grace", "ecs-kill-loop", "shutdown-order-502", "cloud-probe-ranges-blocked",
}

func passes(c sites.Case) bool {
	return !slices.ContainsFunc(c.Findings, func(id string) bool { return !slices.Contains(passing, id) })
}

// options are what a user would say of a site.
func options(t *testing.T, c sites.Case, s sites.Site) doctor.Options {
	t.Helper()
	as := s.As
	if as == "" {
		as = "alb"
	}
	prober, ok := probe.Find(as)
	if !ok {
		t.Fatalf("no prober %q", as)
	}
	scheme := s.Scheme
	if scheme == "" {
		scheme = "http"
	}
	url := scheme + "://" + s.Address + s.Path
	var source netip.Addr
	if strings.HasPrefix(s.Address, sites.Private) {
		source = netip.MustParseAddr(sites.Prober)
	}
	p, err := probe.New(t.Context(), prober, url, probe.Options{Source: source})
	var told *targetgroup.Group
	if s.Settings != "" {
		group, settingsErr := targetgroup.Settings(strings.NewReader(s.Settings), "settings", "")
		if settingsErr != nil {
			t.Fatal(settingsErr)
		}
		p, err = group.ProbeURL(t.Context(), s.Address)
		p.Source = source
		told = &group
	}
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case c.Timeout != 0:
		p.Timeout = c.Timeout
	case c.Slow:
		p.Timeout = sites.Patience
	default:
		p.Timeout = 20 * time.Second // for machines that are slow themselves
	}
	if told != nil { // so that no answer is too slow for it
		told.HealthCheck.Timeout = p.Timeout
	}
	o := doctor.Options{Group: told, Probe: p, Target: url, Domain: s.Domain, Paths: c.Path, Inside: c.Inside, Logs: s.Log, IdleWait: c.IdleWait}
	if c.Nameless {
		o.Domain = ""
	}
	if users, err := netip.ParseAddrPort(s.Users); err == nil {
		o.UsersPort = users.Port()
	}
	if len(c.Findings) > 0 && !slices.Contains(c.Findings, "keepalive-shorter-than-lb-idle") {
		o.IdleWait = -1 // is another site's fault
	}
	o.Owned = owned(c.Inside)
	return o
}

// owned tells the sockets of this test's programs from those of others'.
func owned(inside bool) func(machine.Socket) bool {
	if !inside {
		return nil
	}
	family := machine.Family(os.Getpid())
	return func(socket machine.Socket) bool {
		return slices.ContainsFunc(socket.Owners, func(owner machine.Owner) bool { return slices.Contains(family, owner.PID) })
	}
}

func findings(r doctor.Report) []string { return ids(r.Findings) }

func ids(all []doctor.Finding) []string {
	var ids []string
	for _, f := range all {
		ids = append(ids, f.ID)
	}
	return ids
}

// shortened is a report without the texts of fixes.
func shortened(r doctor.Report) doctor.Report {
	r.Findings = slices.Clone(r.Findings)
	for i := range r.Findings {
		r.Findings[i].Fixes = nil
	}
	return r
}

const (
	tablePage  = "../../docs/doctor.md"
	tableStart = "<!-- table: made by test/doctor -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

// checkTable compares the table in the documentation with what was found, or
// writes it. A case that was skipped keeps its line.
func checkTable(t *testing.T, results *found) {
	t.Helper()
	content, err := os.ReadFile(tablePage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), tableStart)
	old, after, foundEnd := strings.Cut(rest, tableEnd)
	if !found || !foundEnd {
		t.Fatalf("%s has no table", tablePage)
	}
	lines := map[string]string{}
	for line := range strings.Lines(old) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " |"); ok {
			lines[name] = line
		}
	}
	var b strings.Builder
	b.WriteString("| site | as an example of | found, in this order | all, and nothing else |\n|---|---|---|---|\n")
	for _, c := range sites.All() {
		r, ok := results.reports[c.Name]
		if !ok {
			b.WriteString(lines[c.Name])
			continue
		}
		verdict := "yes"
		if !slices.Equal(findings(r), c.Findings) {
			verdict = "no"
		}
		what := strings.Join(findings(r), ", ")
		if what == "" {
			what = "nothing"
		}
		row := c.Row
		if c.Imitated {
			row += " (imitated)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.Name, row, what, verdict)
	}
	for _, c := range sites.Groups() {
		if r, ok := results.groups[c.Name]; ok {
			b.WriteString(groupLine(c, r))
		} else {
			b.WriteString(lines[c.Name])
		}
	}
	switch table := b.String(); {
	case *update:
		if err := os.WriteFile(tablePage, []byte(before+tableStart+table+tableEnd+after), 0o600); err != nil {
			t.Fatal(err)
		}
	case table != old:
		t.Errorf("the table in %s is not what was found; write it with: go test ./test/doctor -update", tablePage)
	}
}
