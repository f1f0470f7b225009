package machine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"hale/internal/proc"
)

func TestDisks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	absent := filepath.Join(dir, "absent", "deeper")
	disks, err := Disks(absent, dir, "/proc")
	if err != nil || len(disks) != 2 {
		t.Fatalf("%+v, %v", disks, err)
	}
	d := disks[0]
	if d.Path != dir || d.Mount == "" || d.Type == "" || d.Size <= 0 || d.Available < 0 || d.Available > d.Size || d.ReadOnly || d.Full() || d.OutOfFiles() {
		t.Errorf("%+v", d)
	}
	if d := disks[1]; d.Mount != "/proc" || d.Type != "proc" || d.Size != 0 || d.Full() || d.OutOfFiles() {
		t.Errorf("without a limit: %+v", d)
	}
	if disks, err := Disks(dir, dir+"/a\x00b"); len(disks) != 1 || err == nil || err.Error() != "look at the disk: invalid argument: "+dir+"/a\x00b" {
		t.Errorf("%+v, %v", disks, err)
	}
}

// A file system in memory, that a test may fill.
func TestDisksThatAreFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("hale", dir, "tmpfs", 0, "size=64k,nr_inodes=3"); err != nil {
		t.Skip("a file system can't be mounted here:", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	look := func() Disk {
		t.Helper()
		disks, err := Disks(dir)
		if err != nil || len(disks) != 1 || disks[0].Type != "tmpfs" {
			t.Fatalf("%+v, %v", disks, err)
		}
		return disks[0]
	}
	if d := look(); d.Size != 64<<10 || d.Full() || d.OutOfFiles() {
		t.Errorf("empty: %+v", d)
	}
	if err := os.WriteFile(dir+"/a", make([]byte, 60<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if d := look(); !d.Full() || d.OutOfFiles() {
		t.Errorf("full: %+v", d)
	}
	writeFile(t, dir+"/b", "")
	if d := look(); !d.OutOfFiles() {
		t.Errorf("no file more: %+v", d)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if d := look(); !d.ReadOnly {
		t.Errorf("read-only: %+v", d)
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		size, available int64
		want            bool
	}{
		{100 << 30, 0, true},
		{100 << 30, 1<<20 - 1, true},
		{100 << 30, 1 << 20, false},
		{10 << 20, 500 << 10, false},
		{10 << 20, 50 << 10, true},
		{64 << 10, 16 << 10, false},
		{64 << 10, 12 << 10, true},
		{0, 0, false},
	} {
		if got := (Disk{Size: test.size, Available: test.available}).Full(); got != test.want {
			t.Errorf("%d of %d bytes left: full is %v", test.available, test.size, got)
		}
	}
}

func TestMountOf(t *testing.T) {
	t.Parallel()
	mounts := []proc.Mount{{Point: "/", Type: "ext4"}, {Point: "/var", Type: "xfs"}, {Point: "/var", Type: "tmpfs"}, {Point: "/va", Type: "no"}}
	for path, want := range map[string]string{"/var/nowhere": "/var tmpfs", "/va": "/va no", "/srv": "/ ext4", "/": "/ ext4"} {
		if point, kind := mountOf(path, mounts); point+" "+kind != want {
			t.Errorf("%s: %s %s", path, point, kind)
		}
	}
}

func TestBytesOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		n, unit uint64
		want    int64
	}{{3, 4096, 12288}, {1 << 62, 4096, 1<<63 - 1}, {1 << 63, 1, 1<<63 - 1}, {0, 0, 0}} {
		if got := bytesOf(test.n, test.unit); got != test.want {
			t.Errorf("%d × %d = %d", test.n, test.unit, got)
		}
	}
}

func TestDiskPaths(t *testing.T) {
	t.Parallel()
	got := DiskPaths(Process{PID: os.Getpid(), Dir: "/srv/app"}, Log{Path: "/srv/log/app.log"}, Log{Path: "/var/log/x.log"}, Log{Unit: "a.service"})
	if want := []string{"/srv/app", "/srv/log", "/var/log", "/tmp", "/var/tmp", "/var/lib", "/run", "/dev/shm", "/"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if _, err := Disks(got...); err != nil && !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

func TestReadClock(t *testing.T) {
	t.Parallel()
	c, err := ReadClock()
	if err != nil {
		t.Skip("the kernel does not tell here:", err)
	}
	if c.Estimated < 0 || c.Worst < 0 || c.Offset.Hours() > 1 || c.Offset.Hours() < -1 {
		t.Errorf("%+v", c)
	}
	again, err := ReadClock()
	if err != nil || again.Synchronised != c.Synchronised {
		t.Errorf("%+v, then %+v, %v", c, again, err)
	}
}
