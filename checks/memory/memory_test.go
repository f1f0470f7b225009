package memory

import (
	"testing"

	"hale/health"
	"hale/internal/proc/proctest"
)

const meminfo = "MemTotal:        8388608 kB\nMemFree:          100000 kB\nMemAvailable:    "

func TestRun(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		files  map[string]string
		check  Check
		status health.Status
		want   string
	}{
		{
			name:  "machine without cgroup v2",
			files: map[string]string{"proc/meminfo": meminfo + "4194304 kB\n"},
			want:  "the machine uses 50.0% of 8GiB", status: health.Pass,
		}, {
			name: "cgroup v1",
			files: map[string]string{
				"proc/meminfo": meminfo + "4194304 kB\n", "proc/self/cgroup": "9:memory:/x\n1:name=systemd:/y\n",
			},
			want: "the machine uses 50.0% of 8GiB", status: health.Pass,
		}, {
			name:  "machine nearly full",
			files: map[string]string{"proc/meminfo": meminfo + "700000 kB\n"},
			want:  "the machine uses 91.7% of 8GiB, more than 90%", status: health.Warn,
		}, {
			name:  "machine full",
			files: map[string]string{"proc/meminfo": meminfo + "100000 kB\n"},
			want:  "the machine uses 98.8% of 8GiB, more than 97%", status: health.Fail,
		}, {
			name:  "own limits",
			files: map[string]string{"proc/meminfo": meminfo + "4194304 kB\n"},
			check: Check{WarnUsed: 20, MaxUsed: 40},
			want:  "the machine uses 50.0% of 8GiB, more than 40%", status: health.Fail,
		}, {
			name: "container",
			files: map[string]string{
				"proc/meminfo": meminfo + "4194304 kB\n", "proc/self/cgroup": "0::/\n",
				"sys/fs/cgroup/memory.max": "536870912\n", "sys/fs/cgroup/memory.current": "530000000\n",
				"sys/fs/cgroup/memory.stat": "anon 500000000\ninactive_file 10000000\n",
			},
			want: "its control group uses 96.9% of 512MiB, more than 90%", status: health.Warn,
		}, {
			name: "container with much page cache",
			files: map[string]string{
				"proc/meminfo": meminfo + "4194304 kB\n", "proc/self/cgroup": "0::/\n",
				"sys/fs/cgroup/memory.max": "536870912\n", "sys/fs/cgroup/memory.current": "536870912\n",
				"sys/fs/cgroup/memory.stat": "anon 100000000\ninactive_file 400000000\n",
			},
			want: "the machine uses 50.0% of 8GiB", status: health.Pass,
		}, {
			name: "limit of a group above",
			files: map[string]string{
				"proc/meminfo": meminfo + "4194304 kB\n", "proc/self/cgroup": "0::/system.slice/hale.service\n",
				"sys/fs/cgroup/system.slice/hale.service/memory.max": "max\n", "sys/fs/cgroup/system.slice/hale.service/memory.current": "1000\n",
				"sys/fs/cgroup/system.slice/memory.max": "1073741824\n", "sys/fs/cgroup/system.slice/memory.current": "1063004405\n",
			},
			want: "its control group uses 99.0% of 1GiB, more than 97%", status: health.Fail,
		}, {
			name: "another cgroup namespace",
			files: map[string]string{
				"proc/meminfo": meminfo + "4194304 kB\n", "proc/self/cgroup": "0::/../../x\n",
				"sys/fs/cgroup/x/memory.max": "1000\n", "sys/fs/cgroup/x/memory.current": "800\n",
			},
			want: "its control group uses 80.0% of 1000B", status: health.Pass,
		}, {
			name:  "swap",
			files: map[string]string{"proc/meminfo": meminfo + "4194304 kB\nSwapTotal: 2097152 kB\nSwapFree: 524288 kB\n"},
			check: Check{WarnSwap: 80},
			want:  "the machine uses 50.0% of 8GiB; the machine uses 75.0% of 2GiB of swap", status: health.Pass,
		}, {
			name:  "much swap",
			files: map[string]string{"proc/meminfo": meminfo + "4194304 kB\nSwapTotal: 2097152 kB\nSwapFree: 524288 kB\n"},
			check: Check{WarnSwap: 50},
			want:  "the machine uses 75.0% of 2GiB of swap, more than 50%", status: health.Warn,
		}, {
			name:  "too much swap, and memory",
			files: map[string]string{"proc/meminfo": meminfo + "700000 kB\nSwapTotal: 2097152 kB\nSwapFree: 524288 kB\n"},
			check: Check{MaxSwap: 70},
			want:  "the machine uses 75.0% of 2GiB of swap, more than 70%; the machine uses 91.7% of 8GiB, more than 90%", status: health.Fail,
		}, {
			name:  "no swap",
			files: map[string]string{"proc/meminfo": meminfo + "4194304 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"},
			check: Check{MaxSwap: 70},
			want:  "the machine uses 50.0% of 8GiB; the machine has no swap", status: health.Pass,
		}, {
			name: "pressure",
			files: map[string]string{
				"proc/meminfo": meminfo + "4194304 kB\n", "proc/self/cgroup": "0::/x\n",
				"proc/pressure/memory":            "some avg10=90.00 avg60=12.50 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
				"sys/fs/cgroup/x/memory.pressure": "some avg10=90.00 avg60=2.50 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
			},
			check: Check{WarnPressure: 10},
			want:  "the machine has tasks waiting for memory in 12.5% of the time, more than 10%", status: health.Warn,
		}, {
			name: "pressure in the group",
			files: map[string]string{
				"proc/meminfo": meminfo + "4194304 kB\n", "proc/self/cgroup": "0::/x\n",
				"proc/pressure/memory":            "some avg10=90.00 avg60=12.50 avg300=0.00 total=1\n",
				"sys/fs/cgroup/x/memory.pressure": "some avg10=90.00 avg60=52.50 avg300=0.00 total=1\n",
			},
			check: Check{WarnPressure: 10, MaxPressure: 40},
			want:  "its control group has tasks waiting for memory in 52.5% of the time, more than 40%", status: health.Fail,
		}, {
			name:  "pressure is not told",
			files: map[string]string{"proc/meminfo": meminfo + "4194304 kB\n"},
			check: Check{MaxPressure: 40},
			want:  "the kernel does not tell the pressure (PSI, Linux 4.20 and newer; where it is off by default, boot with psi=1): /proc/pressure/memory", status: health.Fail,
		}, {
			name:  "old kernel",
			files: map[string]string{"proc/meminfo": "MemTotal: 8388608 kB\n"},
			want:  errNoMeminfo.Error(), status: health.Fail,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.fs = proctest.FS(t, test.files)
			result := health.RunOnce(t.Context(), nil, health.Check{Name: "memory", Run: test.check.Run})[0]
			if result.Status != test.status || result.Output != test.want {
				t.Errorf("%v %q\nwant %v %q", result.Status, result.Output, test.status, test.want)
			}
		})
	}
}

// The machine that runs the tests has some memory.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	check := Check{WarnUsed: 100, MaxUsed: 100, MaxSwap: 100}
	if output, err := check.Run(t.Context()); err != nil || output == "" {
		t.Errorf("got %q, %v", output, err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := (&Check{WarnUsed: 60, MaxUsed: 90}).Validate(); err != nil {
		t.Error(err)
	}
	const swap = "warn_swap: 50% is more than max_swap (40%): the check would fail before it warns"
	if err := (&Check{WarnSwap: 50, MaxSwap: 40}).Validate(); err == nil || err.Error() != swap {
		t.Errorf("error = %v, want %s", err, swap)
	}
	const want = "warn_used: 98% is more than max_used (97%): the check would fail before it warns"
	if err := (&Check{WarnUsed: 98}).Validate(); err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}
