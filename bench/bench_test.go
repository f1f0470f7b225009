package main

import (
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

const wrkReport = `Running 3s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.85ms    1.02ms  25.51ms   87.35%
    Req/Sec    34.84k     1.65k   37.51k    70.00%
  Latency Distribution
     50%  917.00us
     75%    2.27ms
     90%    2.82ms
     99%    1.02s
  104033 requests in 3.00s, 124.02MB read
Requests/sec:  34643.46
Transfer/sec:     41.30MB
`

func TestParseWrk(t *testing.T) {
	for _, tt := range []struct {
		name, report string
		want         figures
		err          string
	}{
		{"report", wrkReport, figures{104033, 34643.46, 917 * time.Microsecond, 1020 * time.Millisecond, 0}, ""},
		{"failed answers", wrkReport + "  Non-2xx or 3xx responses: 5\n", figures{}, "Non-2xx or 3xx responses: 5"},
		{
			"broken connections", wrkReport + "  Socket errors: connect 0, read 1, write 0, timeout 0\n",
			figures{},
			"Socket errors: connect 0, read 1",
		},
		{"nothing", "unable to connect\n", figures{}, "no figures"},
		{"odd number", strings.Replace(wrkReport, "917.00us", "917 apples", 1) + "    50%  many", figures{}, `"many"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseWrk(tt.report)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("%+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestParseStat(t *testing.T) {
	const fields = " S 17 4 4 0 -1 4194560 1400 8 0 0 150 50 7 3 20 0 1 0 5000 230000000 4200 18446744073709551615 1 1 0"
	want := procStat{parent: 17, ticks: 210, pages: 4200}
	for _, name := range []string{"(nginx)", "(a b)", "(odd) name)", "(S 1 2 3)"} {
		if got, err := parseStat("4711 " + name + fields); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
	for _, line := range []string{"", "4711 (cut short) S 17", "4711 (x)" + strings.Replace(fields, "150", "many", 1)} {
		if got, err := parseStat(line); err == nil {
			t.Errorf("%q: %+v, want an error", line, got)
		}
	}
}

// A child's time counts as its parent's: nginx's workers do nginx's work.
func TestProcessCountsItsChildren(t *testing.T) {
	cpus, err := allowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	p, err := start("shell", cpus.String(), "", "sh", "-c", "while :; do :; done & wait")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	deadline := time.Now().Add(20 * time.Second)
	for {
		cpu, err := p.cpu()
		if err != nil {
			t.Fatal(err)
		}
		if cpu >= 50*time.Millisecond {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v of processor time after 20 s, want that of the busy child", cpu)
		}
		time.Sleep(10 * time.Millisecond) // a real program takes real time
	}
	if bytes, err := p.memory(); err != nil || bytes < 100<<10 {
		t.Errorf("memory %d, %v; want two shells' worth", bytes, err)
	}
}

func TestParseCPUs(t *testing.T) {
	for _, tt := range []struct {
		list, all, measured, measuring string
	}{
		{"0", "0", "0", "0"},
		{"0-1", "0,1", "0", "1"},
		{"0-2", "0,1,2", "0", "1,2"},
		{"4-5,8,10-11", "4,5,8,10,11", "4,5", "8,10,11"},
	} {
		got, err := parseCPUs(tt.list)
		if err != nil || got.String() != tt.all {
			t.Errorf("%s: %s, %v; want %s", tt.list, got, err, tt.all)
		}
		if a, b := got.split(); a.String() != tt.measured || b.String() != tt.measuring {
			t.Errorf("%s: split into %s and %s, want %s and %s", tt.list, a, b, tt.measured, tt.measuring)
		}
	}
	for _, list := range []string{"", "a", "1-", "1,,2"} {
		if got, err := parseCPUs(list); err == nil {
			t.Errorf("%q: %s, want an error", list, got)
		}
	}
}

func TestCPUTimes(t *testing.T) {
	const rest = "\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 5\n"
	before, err := parseCPUTimes("cpu  100 0 50 1000 10 0 5 0 0 0" + rest)
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseCPUTimes("cpu  115 0 60 1060 20 0 5 5 0 0" + rest)
	if err != nil {
		t.Fatal(err)
	}
	if used, all := after.since(before); used != 300*time.Millisecond || all != time.Second {
		t.Errorf("used %v of %v, want 30 of 100 ticks", used, all)
	}
	for _, stat := range []string{"", "cpu 1 2", "intr 1 2 3 4 5 6 7 8", "cpu a 0 0 0 0 0 0 0 0"} {
		if _, err := parseCPUTimes(stat); err == nil {
			t.Errorf("%q: no error", stat)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []int
		want   int
	}{
		{[]int{7}, 7},
		{[]int{9, 1}, 1},
		{[]int{9, 1, 5}, 5},
		{[]int{100, 2, 3, 1}, 2},
	} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("median of %v: %d, want %d", tt.values, got, tt.want)
		}
	}
}

// Ratios are taken round by round: a machine that is slow for one round is slow
// for everybody in it.
func TestSummaryComparesWithinARound(t *testing.T) {
	at := func(perSecond float64, cpu time.Duration) sample {
		return sample{figures{1, perSecond, time.Millisecond, 2 * time.Millisecond, 0}, cpu}
	}
	base := []sample{at(1000, 10), at(100, 100), at(1000, 10)}
	got := summary("half as fast", []sample{at(500, 20), at(50, 200), at(500, 20)}, base)
	if got.perSecondOf != 0.5 || got.cpuOf != 2 || got.perSecond != 500 || got.cpu != 20 || got.p99Of != 1 {
		t.Errorf("%+v", got)
	}
}

func TestMarkdown(t *testing.T) {
	r := &report{
		settings: settings{rounds: 1, duration: 2 * time.Second, connections: 64},
		machine:  machine{processor: "A processor", memory: "8.0 GiB", kernel: "Linux 6.1"},
		measured: cpuSet{0}, measuring: cpuSet{1},
		versions: map[string]string{nginx: "nginx/1.22.1"},
		missing:  []string{"Caddy"},
		tables: []table{{scenario{title: "Gateway", what: "What it is.", base: nginx}, []row{{
			name: nginx, perSecond: 61272.4, p50: 970 * time.Microsecond, p99: 1560 * time.Microsecond,
			cpu: 16 * time.Microsecond, perSecondOf: 1, cpuOf: 1, p99Of: 1,
		}}}},
		others:   []float64{0.034},
		startups: []startup{{nginx, 8 * time.Millisecond, 14 << 20}},
	}
	page := r.markdown()
	for _, want := range []string{
		"- Machine: A processor, 2 CPUs, 8.0 GiB, Linux 6.1\n",
		"- 64 connections, 1 round of 2s for each program",
		"- nginx: `nginx/1.22.1`\n",
		"- Not measured, as the program could not be had: Caddy\n",
		"everything else on the machine used 3 % of its CPUs",
		"\n## Gateway\n\nWhat it is.\n\n| program |",
		"| nginx | 61272 | 1.00 | 0.97 ms | 1.56 ms | 1.00 | 16.0 µs | **1.00** |\n",
		"| nginx | 8 ms | 14.0 MiB |\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}

func TestParseFlags(t *testing.T) {
	for _, tt := range []struct {
		args string
		err  string
	}{
		{"", ""},
		{"-quick -programs nginx,caddy -out=", ""},
		{"-only probes,start", ""},
		{"-only probe", `no part is called "probe"`},
		{"-rounds 0", "-rounds"},
		{"-duration 10ms", "-duration"},
		{"-connections 0", "-connections"},
		{"quick", `unexpected argument "quick"`},
	} {
		_, err := parseFlags(strings.Fields(tt.args))
		if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: %v, want %q", tt.args, err, tt.err)
		}
	}
}

func TestWants(t *testing.T) {
	s := settings{programs: []string{"caddy"}}
	for name, want := range map[string]bool{nginx: true, "Caddy": true, hale: false} {
		if s.wants(name) != want {
			t.Errorf("wants(%q) = %v", name, !want)
		}
	}
	if !(settings{}).wants(hale) {
		t.Error("without -programs, hale is left out")
	}
}

func TestMeasures(t *testing.T) {
	s := settings{only: []part{partProbes}}
	if s.loads() || s.measures(partMigrations) || !s.measures(partProbes) || !(settings{}).loads() {
		t.Error("not what -only says")
	}
}

func TestWithSection(t *testing.T) {
	const section = "\n## B\n\nnew\n"
	for _, tt := range []struct{ name, page, want string }{
		{"no page", "", section},
		{"at the end", "# T\n\n## A\n\na\n", "# T\n\n## A\n\na\n" + section},
		{"the last", "# T\n\n## A\n\na\n\n## B\n\nold\n", "# T\n\n## A\n\na\n" + section},
		{"in the middle", "# T\n\n## B\n\nold\n\n## C\n\nc\n", "# T\n" + section + "\n## C\n\nc\n"},
	} {
		if got := withSection(tt.page, "B", "new\n"); strings.TrimLeft(got, "\n") != strings.TrimLeft(tt.want, "\n") {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A run of one part leaves the others' figures as they are.
func TestWriteOfOnePart(t *testing.T) {
	file := t.TempDir() + "/RESULTS.md"
	all := &report{tables: []table{{scenario{title: "Gateway", base: nginx}, nil}}, probes: []probesRow{{name: haproxy}}}
	if err := all.write(file); err != nil {
		t.Fatal(err)
	}
	one := &report{settings: settings{only: []part{partProbes}}, probes: []probesRow{{name: balancer}}}
	if err := one.write(file); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n## Gateway\n", balancer} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Contains(string(page), "|  | "+haproxy) {
		t.Errorf("the part's former figures are left in\n%s", page)
	}
}

// Each target says when it was asked, however many are asked at once.
func TestTargets(t *testing.T) {
	free, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(free).Port()
	cpus, err := allowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	addresses := targetAddresses(300, port)
	asked, err := startTargets(addresses, 1, 1, cpus)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	for range 2 {
		for _, address := range addresses[1:] {
			res, err := client.Get("http://" + address.String())
			if last := address == addresses[299]; last != (err != nil) {
				t.Fatalf("%v: %v; the last one alone is down", address, err)
			} else if last {
				continue
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != 200 || string(body) != "ok\n" || err != nil {
				t.Fatalf("%v: %s, %q, %v", address, res.Status, body, err)
			}
		}
	}
	client.Timeout = 10 * time.Millisecond
	if res, err := client.Get("http://" + addresses[0].String()); err == nil {
		res.Body.Close()
		t.Error("the slow one answers")
	}
	deadline := time.Now().Add(20 * time.Second)
	for asked.seen(0).silent != 1 && time.Now().Before(deadline) { // the slow one's connection may be taken later
		time.Sleep(time.Millisecond)
	}
	got := asked.seen(0)
	if got.asked != 2*298+1 || got.silent != 1 || len(got.off) != 298 {
		t.Errorf("%d probes, %d silent, %d gaps", got.asked, got.silent, len(got.off))
	}
	asked.forget()
	if got := asked.seen(0); got.asked != 0 || got.silent != 300 {
		t.Errorf("after forget: %+v", got)
	}
	if err := asked.stop(); err != nil {
		t.Error(err)
	}
}

func TestQuantile(t *testing.T) {
	for _, tt := range []struct {
		values []time.Duration
		q      float64
		want   time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{1, 2, 3, 4}, 0.5, 2},
		{[]time.Duration{1, 2, 3, 4}, 0.99, 4},
		{[]time.Duration{1, 2, 3, 4}, 1, 4},
	} {
		if got := quantile(tt.values, tt.q); got != tt.want {
			t.Errorf("%v of %v: %v, want %v", tt.q, tt.values, got, tt.want)
		}
	}
}

func TestProbesSummary(t *testing.T) {
	at := func(cpu, p99 time.Duration) probesSample {
		return probesSample{probes: 50000, cpu: cpu, p99: p99, memory: 2 << 20}
	}
	base := []probesSample{at(10, 100), at(100, 1000), at(10, 100)}
	got := probesSummary("twice", "all answer", 10*time.Second, []probesSample{at(20, 50), at(200, 500), at(20, 50)}, base)
	if got.cpu != 20 || got.cpuOf != 2 || got.p99Of != 0.5 || got.memOf != 1 || got.perSecond != 5000 {
		t.Errorf("%+v", got)
	}
}
