package sites

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// fullDisk is a Django site whose database is on a disk with no room left.
func fullDisk(t testing.TB) Site {
	disk := smallDisk(t)
	p := djangoIn(t, filepath.Join(disk, "django"), "")
	p.manage(t, "migrate", "shop", "--verbosity", "0")
	fillUp(t, filepath.Join(disk, "django", "access.log"))
	address := private(t)
	s := site(address, p.gunicorn(t, address))
	s.Path = "/order"
	return s
}

// smallDisk mounts a disk of little room, which takes root's rights.
func smallDisk(t testing.TB) (disk string) {
	t.Helper()
	disk = t.TempDir()
	switch err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=512k"); {
	case errors.Is(err, syscall.EPERM):
		t.Skip("only root may mount a disk, to fill it")
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// fillUp writes to a file until the disk is full.
func fillUp(t testing.TB, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 16; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
