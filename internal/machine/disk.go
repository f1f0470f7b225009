package machine

import (
	"errors"
	"io/fs"
	"math"
	"math/bits"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"hale/internal/explain"
	"hale/internal/proc"
)

// Disk is a file system, as a path of it shows it.
type Disk struct {
	Path  string // that was asked for, the first of those on it
	Mount string // where it is mounted
	Type  string // such as "ext4" or "tmpfs"

	// Size and Available are bytes: the latter those that a process without
	// root's rights may still write. Files and FreeFiles count what may be, and
	// may still be, created (inodes). Size or Files is 0 where there is no limit.
	Size, Available  int64
	Files, FreeFiles int64
	ReadOnly         bool
}

// Full tells whether there is no room left: less than 16 KiB, or less than 1 MiB
// where that is less than a hundredth of the whole.
func (d Disk) Full() bool {
	return d.Size > 0 && (d.Available < 16<<10 || d.Available < 1<<20 && d.Available < d.Size/100)
}

// OutOfFiles tells whether no file can be created any more, though there may be
// room for what would be in it.
func (d Disk) OutOfFiles() bool { return d.Files > 0 && d.FreeFiles == 0 }

// Disks looks at the file systems on which some paths lie, each once. A path that
// does not exist stands for the directory that it would be in. Those that could
// not be looked at are left out, and are what the error says.
func Disks(paths ...string) ([]Disk, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	mounts, _ := proc.FS{}.Mounts() // without, the file system has no name
	var disks []Disk
	var errs []error
	seen := make(map[uint64]bool) // devices
	for _, path := range paths {
		path = filepath.Clean(path)
		device, err := deviceOf(path)
		for errors.Is(err, fs.ErrNotExist) && path != "/" && path != "." {
			path = filepath.Dir(path)
			device, err = deviceOf(path)
		}
		if err == nil && seen[device] {
			continue
		}
		var d Disk
		if err == nil {
			seen[device] = true
			d, err = statfs(path)
		}
		if err != nil {
			errs = append(errs, &explain.Error{Text: "look at the disk: " + explain.Innermost(err) + ": " + path, Err: err})
			continue
		}
		d.Mount, d.Type = mountOf(path, mounts)
		disks = append(disks, d)
	}
	return disks, errors.Join(errs...)
}

func deviceOf(path string) (uint64, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return 0, err
	}
	return uint64(st.Dev), nil //nolint:unconvert // an int32 on some systems
}

// mountOf is the mount that a path lies on: the one with the longest point, and
// of those the last, which covers the others.
func mountOf(path string, mounts []proc.Mount) (point, kind string) {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	for _, m := range mounts {
		below := m.Point == "/" || path == m.Point || strings.HasPrefix(path, m.Point+"/")
		if below && len(m.Point) >= len(point) {
			point, kind = m.Point, m.Type
		}
	}
	return point, kind
}

// bytesOf is n units, cut at what an int64 holds.
func bytesOf(n, unit uint64) int64 {
	high, low := bits.Mul64(n, unit)
	if high > 0 || low > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(low)
}

// DiskPaths returns the directories that a process writes to as far as one
// knows, ready for Disks: its own, those of its logs, and those for temporary
// files and logs that all programs have.
func DiskPaths(p Process, logs ...Log) []string {
	var paths []string
	add := func(path string) {
		if path != "" && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	root := rootOf(p.PID)
	if p.Dir != "" {
		add(visible(root, p.Dir))
	}
	for _, l := range logs {
		if l.Path != "" {
			add(filepath.Dir(l.Path))
		}
	}
	for _, dir := range []string{"/tmp", "/var/tmp", "/var/log", "/var/lib", "/run", "/dev/shm", "/"} {
		add(visible(root, dir))
	}
	return paths
}
