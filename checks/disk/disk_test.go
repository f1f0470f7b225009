package disk

import (
	"errors"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hale/checks"
	"hale/health"
)

// disk is a file system of 4 KiB blocks.
func disk(blocks, free, available, files, freeFiles uint64, flags int64) unix.Statfs_t {
	return unix.Statfs_t{Frsize: 4096, Blocks: blocks, Bfree: free, Bavail: available, Files: files, Ffree: freeFiles, Flags: flags}
}

func TestRun(t *testing.T) {
	t.Parallel()
	mounted := map[string]unix.Statfs_t{
		"/":       disk(1<<20, 1<<19, 1<<19, 1000, 500, 0),              // 50 % of 4 GiB
		"/86":     disk(100, 14, 14, 1000, 500, 0),                      // 86 %
		"/96":     disk(100, 4, 4, 1000, 500, 0),                        // 96 %
		"/full":   disk(100, 5, 0, 1000, 500, 0),                        // only root's reserve is left
		"/inodes": disk(1<<20, 1<<19, 1<<19, 1000, 10, 0),               // 99 % of the inodes
		"/few":    disk(1<<20, 1<<19, 1<<19, 1000, 140, 0),              // 86 % of the inodes
		"/btrfs":  disk(1<<20, 1<<19, 1<<19, 0, 0, 0),                   // counts no inodes
		"/ro":     disk(1<<20, 1<<19, 1<<19, 1000, 500, unix.ST_RDONLY), // after an error of the disk
		"/proc":   disk(0, 0, 0, 0, 0, 0),
		"/cloud":  {Frsize: 1 << 20, Blocks: math.MaxUint64, Bfree: math.MaxUint64 / 2, Bavail: math.MaxUint64 / 2},
	}
	statfs := func(path string, buf *unix.Statfs_t) error {
		st, ok := mounted[path]
		if !ok {
			return unix.ENOENT
		}
		*buf = st
		return nil
	}
	for _, test := range []struct {
		name   string
		check  Check
		status health.Status
		want   string
	}{
		{"default", Check{}, health.Pass, "/ uses 50.0%, 2GiB free"},
		{"several", Check{Paths: []string{"/", "/btrfs"}}, health.Pass, "/ uses 50.0%, 2GiB free; /btrfs uses 50.0%, 2GiB free"},
		{"nearly full", Check{Paths: []string{"/86"}}, health.Warn, "/86 uses 86.0%, more than 85%, 56KiB free"},
		{"nearly full is allowed", Check{Paths: []string{"/86"}, WarnUsed: 90}, health.Pass, "/86 uses 86.0%, 56KiB free"},
		{"fuller", Check{Paths: []string{"/96"}}, health.Fail, "/96 uses 96.0%, more than 95%, 16KiB free"},
		{"fuller is allowed", Check{Paths: []string{"/96"}, WarnUsed: 100, MaxUsed: 100}, health.Pass, "/96 uses 96.0%, 16KiB free"},
		{"a failure before the default warning", Check{MaxUsed: 40}, health.Fail, "/ uses 50.0%, more than 40%, 2GiB free"},
		{"root's reserve", Check{Paths: []string{"/full"}}, health.Fail, "/full uses 100.0%, more than 95%, 0B free"},
		{"too little free", Check{MinFree: 3 << 30}, health.Fail, "/ has 2GiB free, less than 3GiB"},
		{"out of inodes", Check{Paths: []string{"/inodes"}}, health.Fail, "/inodes uses 99.0% of its inodes, more than 95%"},
		{"few inodes", Check{Paths: []string{"/few"}}, health.Warn, "/few uses 86.0% of its inodes, more than 85%"},
		{"few inodes are allowed", Check{Paths: []string{"/few"}, WarnInodes: 90}, health.Pass, "/few uses 50.0%, 2GiB free"},
		{"limit of inodes", Check{Paths: []string{"/few"}, MaxInodes: 80}, health.Fail, "/few uses 86.0% of its inodes, more than 80%"},
		{"counts nothing", Check{Paths: []string{"/proc"}}, health.Pass, "/proc uses 0.0%, 0B free"},
		{"counts fantastically", Check{Paths: []string{"/cloud"}}, health.Pass, "/cloud uses 50.0%, 8192PiB free"},
		{"read-only is allowed", Check{Paths: []string{"/ro"}}, health.Pass, "/ro uses 50.0%, 2GiB free"},
		{"read-only", Check{Paths: []string{"/ro"}, Writable: true}, health.Fail, "/ro is mounted read-only"},
		{"not there", Check{Paths: []string{"/absent"}}, health.Fail, "no such path: /absent"},
		{"the worst first", Check{Paths: []string{"/", "/86", "/96", "/absent"}}, health.Fail, "/96 uses 96.0%, more than 95%, 16KiB free; no such path: /absent; /86 uses 86.0%, more than 85%, 56KiB free"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.statfs = statfs
			if err := test.check.Validate(); err != nil {
				t.Fatal(err)
			}
			result := health.RunOnce(t.Context(), nil, health.Check{Name: "disk", Run: test.check.Run})[0]
			if result.Status != test.status || result.Output != test.want {
				t.Errorf("%v %q\nwant %v %q", result.Status, result.Output, test.status, test.want)
			}
		})
	}
}

// The figures are those of df(1), to the percent that it shows.
func TestAgreesWithDF(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "df", "--output=pcent", "/").Output()
	if err != nil {
		t.Skip("df: ", err)
	}
	want, err := strconv.Atoi(strings.Trim(strings.TrimPrefix(strings.TrimSpace(string(out)), "Use%"), " \n%"))
	if err != nil {
		t.Fatalf("df said %q", out)
	}
	output, err := (&Check{WarnUsed: 100, MaxUsed: 100, WarnInodes: 100, MaxInodes: 100}).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := strconv.ParseFloat(strings.TrimSuffix(strings.Fields(output)[2], "%,"), 64)
	if err != nil || math.Ceil(got) < float64(want)-1 || math.Ceil(got) > float64(want)+1 {
		t.Errorf("%q, df says %d%%", output, want)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		check     Check
		key, want string
	}{
		{Check{WarnUsed: 96}, "warn_used", "warn_used: 96% is more than max_used (95%): the check would fail before it warns"},
		{Check{WarnInodes: 50, MaxInodes: 40}, "warn_inodes", "warn_inodes: 50% is more than max_inodes (40%): the check would fail before it warns"},
		{Check{Paths: []string{""}}, "paths", "paths: holds an empty path"},
		{Check{MinFree: -1}, "min_free", "min_free: -1 is negative"},
	} {
		err := test.check.Validate()
		if err == nil || err.Error() != test.want {
			t.Errorf("error = %v, want %s", err, test.want)
		}
		if option, ok := errors.AsType[*checks.OptionError](err); !ok || option.Key != test.key {
			t.Errorf("not an OptionError for %s: %#v", test.key, err)
		}
	}
}
