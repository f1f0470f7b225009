package load

import (
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/health"
	"hale/internal/proc/proctest"
)

// Two looks at a machine with two processors, ten seconds apart.
const (
	loadavg = "0.50 3.00 9.00 3/456 7890\n"
	stat1   = "cpu  1000 0 500 8000 100 0 50 350 0 0\ncpu0 500 0 250 4000 50 0 25 175 0 0\ncpu1 500 0 250 4000 50 0 25 175 0 0\nintr 12345 0 0\nctxt 99\nbtime 1700000000\n"
	stat2   = "cpu  1500 0 700 9000 100 0 50 650 0 0\ncpu0 500 0 250 4000 50 0 25 175 0 0\ncpu1 500 0 250 4000 50 0 25 175 0 0\nintr 12345 0 0\nctxt 99\nbtime 1700000000\n" // 300 of 2000 stolen
	stat3   = "cpu  1510 0 700 9010 100 0 50 660 0 0\ncpu0 500 0 250 4000 50 0 25 175 0 0\ncpu1 500 0 250 4000 50 0 25 175 0 0\n"
	psi     = "some avg10=99.00 avg60=42.50 avg300=1.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
	groups  = "0::/app.slice/hale.service\n"
)

func TestRun(t *testing.T) {
	t.Parallel()
	unit, slice := "sys/fs/cgroup/app.slice/hale.service/cpu.stat", "sys/fs/cgroup/app.slice/cpu.stat"
	periods := func(all, throttled int) string {
		return fmt.Sprintf("usage_usec 1\nuser_usec 1\nsystem_usec 0\nnr_periods %d\nnr_throttled %d\nthrottled_usec 0\n", all, throttled)
	}
	const each = "load of 1.5 for each processor (3 on 2 over 5m)"
	for _, test := range []struct {
		name   string
		check  Check
		files  map[string]string // beside /proc/loadavg and /proc/stat
		then   map[string]string // of a second run; nil: there is one run
		status health.Status
		want   string
	}{
		{name: "first run", status: health.Pass, want: each + "; time stolen is told from the second run on"},
		{name: "over a minute", check: Check{Over: "1m"}, status: health.Pass, want: "load of 0.25 for each processor (0.5 on 2 over 1m); time stolen is told from the second run on"},
		{name: "over a quarter of an hour", check: Check{Over: "15m"}, status: health.Warn, want: "load of 4.5 for each processor (9 on 2 over 15m), more than 2"},
		{name: "much", check: Check{MaxLoad: 1.25}, status: health.Fail, want: each + ", more than 1.25"},
		{name: "much, and own warning", check: Check{WarnLoad: 1, MaxLoad: 8}, status: health.Warn, want: each + ", more than 1"},

		{name: "stolen", then: map[string]string{"proc/stat": stat2}, status: health.Warn, want: "15% of the processors' time stolen, more than 10%"},
		{name: "stolen is allowed", check: Check{WarnSteal: 20}, then: map[string]string{"proc/stat": stat2}, status: health.Pass, want: each + "; 15% of the processors' time stolen"},
		{name: "stolen too much", check: Check{MaxSteal: 5}, then: map[string]string{"proc/stat": stat2}, status: health.Fail, want: "15% of the processors' time stolen, more than 5%"},
		{name: "too soon to tell", then: map[string]string{"proc/stat": stat1}, status: health.Pass, want: each},
		{name: "on another machine meanwhile", then: map[string]string{"proc/stat": strings.Replace(stat2, "650", "0", 1)}, status: health.Pass, want: each},

		{
			name: "throttled", files: map[string]string{"proc/self/cgroup": groups, unit: periods(1000, 100), slice: periods(0, 0)},
			then:   map[string]string{"proc/stat": strings.Replace(stat2, "650", "350", 1), unit: periods(1100, 140)},
			status: health.Warn, want: "its control group held back by its CPU limit in 40% of its periods, more than 25%",
		},
		{
			name: "the slice above is throttled", files: map[string]string{"proc/self/cgroup": groups, unit: periods(1000, 100), slice: periods(10, 0)},
			then:  map[string]string{"proc/stat": strings.Replace(stat2, "650", "350", 1), unit: periods(1100, 140), slice: periods(20, 8)},
			check: Check{MaxThrottled: 50}, status: health.Fail, want: "its control group held back by its CPU limit in 80% of its periods, more than 50%",
		},
		{
			name: "not throttled", files: map[string]string{"proc/self/cgroup": groups, unit: periods(1000, 100)},
			then:   map[string]string{"proc/stat": strings.Replace(stat2, "650", "350", 1), unit: periods(1100, 100)},
			status: health.Pass, want: each + "; 0% of the processors' time stolen; its control group held back by its CPU limit in 0% of its periods",
		},

		{name: "pressure", check: Check{WarnPressure: 50}, files: map[string]string{"proc/pressure/cpu": psi}, status: health.Pass, want: each + "; time stolen is told from the second run on; tasks wait for a processor in 42.5% of the time"},
		{name: "much pressure", check: Check{WarnPressure: 30, MaxPressure: 40}, files: map[string]string{"proc/pressure/cpu": psi}, status: health.Fail, want: "tasks wait for a processor in 42.5% of the time, more than 40%"},
		{name: "pressure is not told", check: Check{WarnPressure: 30}, status: health.Fail, want: "the kernel does not tell the pressure (PSI, Linux 4.20 and newer; where it is off by default, boot with psi=1): /proc/pressure/cpu"},

		{name: "everything at once", check: Check{MaxLoad: 1, MaxPressure: 40}, files: map[string]string{"proc/pressure/cpu": psi}, then: map[string]string{"proc/stat": stat2}, status: health.Fail, want: each + ", more than 1; tasks wait for a processor in 42.5% of the time, more than 40%; 15% of the processors' time stolen, more than 10%"},
		{name: "no Linux", files: map[string]string{"proc/loadavg": ""}, status: health.Fail, want: "not in the form that is known: /proc/loadavg"},
		{name: "no processors", files: map[string]string{"proc/stat": "intr 0\n"}, status: health.Fail, want: "not in the form that is known: /proc/stat"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"proc/loadavg": loadavg, "proc/stat": stat1}
			maps.Copy(files, test.files)
			test.check.fs = proctest.FS(t, files)
			if err := test.check.Validate(); err != nil {
				t.Fatal(err)
			}
			result := run(t, &test.check)
			if test.then != nil {
				proctest.Write(t, test.check.fs, test.then)
				result = run(t, &test.check)
			}
			if result.Status != test.status || result.Output != test.want {
				t.Errorf("%v %q\nwant %v %q", result.Status, result.Output, test.status, test.want)
			}
		})
	}
}

// Runs in quick succession add up to one measurement.
func TestQuickRuns(t *testing.T) {
	t.Parallel()
	check := Check{WarnSteal: 100}
	check.fs = proctest.FS(t, map[string]string{"proc/loadavg": loadavg, "proc/stat": stat2})
	run(t, &check)
	proctest.Write(t, check.fs, map[string]string{"proc/stat": stat3}) // 30 ticks later
	if result := run(t, &check); strings.Contains(result.Output, "stolen") {
		t.Errorf("after 0.3 s: %q", result.Output)
	}
	proctest.Write(t, check.fs, map[string]string{"proc/stat": strings.Replace(stat3, "1510", "1580", 1)}) // 100 ticks later
	if result := run(t, &check); !strings.Contains(result.Output, "10% of the processors' time stolen") {
		t.Errorf("after 1 s: %q", result.Output)
	}
}

func run(t *testing.T, check *Check) health.Result {
	t.Helper()
	return health.RunOnce(t.Context(), nil, health.Check{Name: "load", Run: check.Run})[0]
}

// On this machine, the load is that of uptime(1), and time stolen is told from
// the second run on.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	check := Check{Over: "15m", WarnLoad: 1e6, WarnSteal: 100, WarnThrottled: 100}
	before := uptime(t)
	output, err := check.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after := uptime(t)
	_, rest, _ := strings.Cut(output, "(")
	said, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil || said < min(before, after)-0.2 || said > max(before, after)+0.2 {
		t.Errorf("%q, uptime says %v and then %v", output, before, after)
	}
	time.Sleep(1200 * time.Millisecond)
	if output, err = check.Run(t.Context()); err != nil || !strings.Contains(output, "stolen") || strings.Contains(output, "second run") {
		t.Errorf("%q, %v", output, err)
	}
	t.Log(output)
}

// uptime is the load of the last quarter of an hour by uptime(1).
func uptime(t *testing.T) float64 {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "uptime").Output()
	if err != nil {
		t.Skip("uptime: ", err)
	}
	fields := strings.Fields(string(out))
	load, err := strconv.ParseFloat(fields[len(fields)-1], 64)
	if err != nil {
		t.Fatalf("uptime said %q", out)
	}
	return load
}

func TestNoProc(t *testing.T) {
	t.Parallel()
	check := Check{fs: proctest.FS(t, nil)}
	const want = "no such file (this needs Linux with /proc and /sys mounted): /proc/loadavg"
	if _, err := check.Run(t.Context()); err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		check Check
		want  string
	}{
		{Check{Over: "10m"}, `over: "10m" is none of the load averages: write 1m, 5m or 15m`},
		{Check{WarnLoad: 3, MaxLoad: 2}, "warn_load: 3 is more than max_load (2): the check would fail before it warns"},
		{Check{WarnLoad: -1}, "warn_load: -1 is negative"},
		{Check{MaxLoad: -1}, "max_load: -1 is negative"},
		{Check{WarnSteal: 30, MaxSteal: 20}, "warn_steal: 30 is more than max_steal (20): the check would fail before it warns"},
	} {
		err := test.check.Validate()
		if err == nil || err.Error() != test.want {
			t.Errorf("error = %v, want %s", err, test.want)
		}
		if _, ok := errors.AsType[*checks.OptionError](err); !ok {
			t.Errorf("not an OptionError: %#v", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(loadavg, stat1)
	f.Add("nan inf -1", "cpu 1 2 3")
	f.Fuzz(func(t *testing.T, loadavg, stat string) {
		if load, ok := parseLoad(loadavg); ok {
			for _, n := range load {
				if !(n >= 0) {
					t.Errorf("load %v", load)
				}
			}
		}
		if cpus, total, _, ok := parseStat(stat); ok && (cpus <= 0 || total == 0) {
			t.Errorf("%d processors, %d ticks", cpus, total)
		}
	})
}
