package storage_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hale/checks/storage"
	"hale/test/checktest"
)

func TestDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("file")
	if err := os.Mkdir(filepath.Join(dir, "media"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, url, mode, want string }{
		{"list", dir, "", "pass: can be listed: DIR"},
		{"list of an empty directory", "media", "", "pass: can be listed: DIR/media"},
		{"write", dir, "write", "pass: wrote, read and deleted an object: DIR"},
		{"relative", "media/", "write", "pass: wrote, read and deleted an object: DIR/media"},
		{"URL", "file://" + dir, "write", "pass: wrote, read and deleted an object: DIR"},
		{"not there", "absent", "", "fail: no such directory: DIR/absent"},
		{"not there to write to", "absent", "write", "fail: no such directory: DIR/absent"},
		{"a file", "file", "", "fail: not a directory: DIR/file"},
		{"a file to write to", "file", "write", "fail: not a directory: DIR/file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, &storage.Check{URL: test.url, Mode: test.mode, Dir: dir}, strings.ReplaceAll(test.want, "DIR", dir))
		})
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestDirectorySoak(t *testing.T) {
	dir := t.TempDir()
	checktest.Soak(t, &storage.Check{URL: dir, Mode: "write"}, func() int { return len(entries(t, dir)) })
	if left := entries(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func entries(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDirectoryWithoutPermission(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	ended := make(chan string)
	go func() {
		// The thread, which is not root for the file system any more, ends with the
		// goroutine.
		runtime.LockOSThread()
		const nobody = 65534
		if os.Geteuid() == 0 {
			if _, err := unix.SetfsuidRetUid(nobody); err != nil {
				ended <- err.Error()
				return
			}
		}
		_, err := (&storage.Check{URL: dir, Mode: "write"}).Run(t.Context())
		ended <- fmt.Sprint(err)
	}()
	want := fmt.Sprintf("cannot create a file: permission denied to user %d: %s", os.Geteuid(), dir)
	if got := <-ended; got != want {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
}

// tmpfs mounts a file system of 64 KiB.
func tmpfs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("mounting takes root: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t)
	c := &storage.Check{URL: dir, Mode: "write"}
	expect(t, c, "pass: wrote, read and deleted an object: "+dir)
	fill, err := os.Create(filepath.Join(dir, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = fill.Write(make([]byte, 4096))
	}
	if fill.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	for range 2 {
		expect(t, c, "fail: no space or no inode is left on the disk: "+dir)
	}
	if left := entries(t, dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	expect(t, &storage.Check{URL: dir}, "pass: can be listed: "+dir)
	if err := os.Remove(fill.Name()); err != nil {
		t.Fatal(err)
	}
	expect(t, c, "pass: wrote, read and deleted an object: "+dir)
}

func TestReadOnlyFileSystem(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	expect(t, &storage.Check{URL: dir, Mode: "write"}, "fail: the file system is mounted read-only: "+dir)
	expect(t, &storage.Check{URL: dir}, "pass: can be listed: "+dir)
}

func TestDirectoryLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{storage.Marker + "old": 2 * time.Hour, storage.Marker + "new": time.Minute, "photo.jpg": 2 * time.Hour} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, &storage.Check{URL: dir, Mode: "write"}, "pass: wrote, read and deleted an object: "+dir)
	if left := entries(t, dir); len(left) != 2 || left[0].Name() != storage.Marker+"new" || left[1].Name() != "photo.jpg" {
		t.Errorf("left: %v", left)
	}
}
