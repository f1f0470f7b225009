package memory

import (
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"hale/checks"
)

// machine reads /proc/meminfo.
func (c *Check) machine() (usage, error) {
	content, err := c.read("proc/meminfo")
	if err != nil {
		return usage{}, err
	}
	total, available := field(content, "MemTotal:"), field(content, "MemAvailable:")
	if total <= 0 || available < 0 {
		return usage{}, errNoMeminfo
	}
	const unit = 1024 // "kB" there means KiB
	return usage{"the machine", unit * max(0, total-available), unit * total}, nil
}

// groups reads the limits of this process's control group and of those above
// it. Groups without a limit, and systems without cgroup v2, yield none.
func (c *Check) groups() []usage {
	var limited []usage
	for dir := c.group(); dir != ""; dir = path.Dir(dir) {
		limit, err := c.number(dir, "memory.max")
		current, currentErr := c.number(dir, "memory.current")
		if err == nil && currentErr == nil && limit > 0 {
			limited = append(limited, usage{"its control group", max(0, current-c.reclaimable(dir)), limit})
		}
		if dir == "/" {
			break
		}
	}
	return limited
}

// group returns the path of this process's cgroup v2, which is the line
// "0::/path" of /proc/self/cgroup (cgroups(7)); empty if there is none.
func (c *Check) group() string {
	content, err := c.read("proc/self/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(content) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			// Seen from another cgroup namespace, the path starts with "/..".
			return path.Clean("/" + name)
		}
	}
	return ""
}

// reclaimable is the page cache of a group that the kernel drops first; the
// kubelet leaves the same out of a container's "working set".
func (c *Check) reclaimable(dir string) checks.Size {
	content, err := c.read(filepath.Join("sys/fs/cgroup", dir, "memory.stat"))
	if err != nil {
		return 0
	}
	return max(0, field(content, "inactive_file"))
}

// number reads a file of a control group that holds a number, or "max", which
// is an error.
func (c *Check) number(dir, file string) (checks.Size, error) {
	content, err := c.read(filepath.Join("sys/fs/cgroup", dir, file))
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(content), 10, 64)
	return checks.Size(n), err
}

func (c *Check) read(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join("/", c.root, name))
	return string(content), err
}

// field returns the number behind a name in lines of "name number ...", -1 if
// there is none.
func field(content, name string) checks.Size {
	for line := range strings.Lines(content) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == name {
			if n, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				return checks.Size(n)
			}
		}
	}
	return -1
}
