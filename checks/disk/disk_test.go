package disk

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hale/checks"
	"hale/health"
	"hale/internal/proc/proctest"
)

// disk is a file system of 4 KiB blocks.
func disk(blocks, free, available, files, freeFiles uint64, readOnly bool) figures {
	return figures{blocks, free, available, files, freeFiles, 4096, readOnly}
}

func TestRun(t *testing.T) {
	t.Parallel()
	mounted := map[string]figures{
		"/":            disk(1<<20, 1<<19, 1<<19, 1000, 500, false), // 50 % of 4 GiB
		"/86":          disk(100, 14, 14, 1000, 500, false),         // 86 %
		"/96":          disk(100, 4, 4, 1000, 500, false),           // 96 %
		"/full":        disk(100, 5, 0, 1000, 500, false),           // only root's reserve is left
		"/inodes":      disk(1<<20, 1<<19, 1<<19, 1000, 10, false),  // 99 % of the inodes
		"/few":         disk(1<<20, 1<<19, 1<<19, 1000, 140, false), // 86 % of the inodes
		"/btrfs":       disk(1<<20, 1<<19, 1<<19, 0, 0, false),      // counts no inodes
		"/ro":          disk(1<<20, 1<<19, 1<<19, 1000, 500, true),  // after an error of the disk
		"/turned":      disk(1<<20, 1<<19, 1<<19, 1000, 500, true),
		"/turned/data": disk(1<<20, 1<<19, 1<<19, 1000, 500, true),
		"/proc":        disk(0, 0, 0, 0, 0, false),
		"/cloud":       {blockSize: 1 << 20, blocks: math.MaxUint64, free: math.MaxUint64 / 2, available: math.MaxUint64 / 2},
	}
	statfs := func(path string) (figures, error) {
		st, ok := mounted[path]
		if !ok {
			return figures{}, syscall.ENOENT
		}
		return st, nil
	}
	machine := proctest.FS(t, map[string]string{"proc/self/mountinfo": `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
28 27 254:1 / /ro ro,relatime - ext4 /dev/vdb ro
29 27 254:2 / /turned rw,relatime - ext4 /dev/vdc ro,errors=remount-ro
`})
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
		{"has turned read-only", Check{Paths: []string{"/turned"}}, health.Warn, "/turned has turned read-only by itself, as after errors of the disk: see the kernel's log"},
		{"has turned read-only below", Check{Paths: []string{"/turned/data"}, Writable: true}, health.Fail, "/turned/data has turned read-only by itself, as after errors of the disk: see the kernel's log"},
		{"not there", Check{Paths: []string{"/absent"}}, health.Fail, "no such path: /absent"},
		{"the worst first", Check{Paths: []string{"/", "/86", "/96", "/absent"}}, health.Fail, "/96 uses 96.0%, more than 95%, 16KiB free; no such path: /absent; /86 uses 86.0%, more than 85%, 56KiB free"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.statfs, test.check.fs = statfs, machine
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

// Real file systems: one that is full, one that has no inodes left, one that is
// read-only. They take root, and the right to mount.
func TestRealFileSystems(t *testing.T) {
	t.Parallel()
	mount := func(options string) string {
		dir := t.TempDir()
		out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", options, "hale-test", dir).CombinedOutput()
		if err != nil {
			t.Skipf("mount: %v: %s", err, out)
		}
		t.Cleanup(func() {
			if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
				t.Errorf("umount: %v: %s", err, out)
			}
		})
		return dir
	}
	good, full, readOnly := mount("size=1m"), mount("size=64k"), mount("size=1m,ro")
	if err := os.WriteFile(filepath.Join(full, "file"), make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	crowded := mount("size=1m,nr_inodes=2")
	if err := os.WriteFile(filepath.Join(crowded, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	all := Check{WarnUsed: 100, MaxUsed: 100, WarnInodes: 100, MaxInodes: 100, Write: true}
	for _, test := range []struct {
		name, path string
		check      Check
		status     health.Status
		want       string
	}{
		{"good", good, all, health.Pass, "PATH uses 0.0%, 1MiB free"},
		{"full", full, all, health.Fail, "PATH cannot be written to: no space or inodes left"},
		{"full by figures", full, Check{}, health.Fail, "PATH uses 100.0%, more than 95%, 0B free"},
		{"no inodes", crowded, all, health.Fail, "PATH cannot be written to: no space or inodes left"},
		{"read-only", readOnly, all, health.Fail, "PATH is mounted read-only"},
		{"read-only, asked without writing", readOnly, Check{Writable: true}, health.Fail, "PATH is mounted read-only"},
		{"read-only is allowed", readOnly, Check{}, health.Pass, "PATH uses 0.0%, 1MiB free"},
		{"a file on it", filepath.Join(full, "file"), all, health.Fail, "PATH cannot be written to: no space or inodes left"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.check.Paths = []string{test.path}
			result := health.RunOnce(t.Context(), nil, health.Check{Name: "disk", Run: test.check.Run})[0]
			if want := strings.ReplaceAll(test.want, "PATH", test.path); result.Status != test.status || result.Output != want {
				t.Errorf("%v %q\nwant %v %q", result.Status, result.Output, test.status, want)
			}
		})
	}
	if left, err := os.ReadDir(good); err != nil || len(left) > 0 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

// Nothing is left of what was written, with and without files that have no name.
func TestWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 20 {
		if err := write(dir); err != nil {
			t.Fatal(err)
		}
		f, err := named(dir)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%d files are left, %v", len(left), err)
		}
		f.Close()
	}
	if err := write(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v", err)
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
