package memory

import (
	"path"
	"strconv"
	"strings"

	"hale/checks"
	"hale/internal/proc"
)

// machine is what /proc/meminfo tells of the machine.
type machine struct{ memory, swap usage }

// machine reads /proc/meminfo.
func (c *Check) machine() (machine, error) {
	content, err := c.fs.Read("proc/meminfo")
	if err != nil {
		return machine{}, err
	}
	total, ok := size(content, "MemTotal:")
	available, alsoOK := size(content, "MemAvailable:")
	if !ok || !alsoOK || total <= 0 || available < 0 {
		return machine{}, errNoMeminfo
	}
	swap, _ := size(content, "SwapTotal:")
	free, _ := size(content, "SwapFree:")
	return machine{
		memory: usage{"the machine", max(0, total-available), total},
		swap:   usage{"the machine", max(0, swap-free), swap},
	}, nil
}

// size reads a line of /proc/meminfo, where "kB" means KiB.
func size(content, name string) (checks.Size, bool) {
	n, ok := proc.Field(content, name)
	return checks.Size(min(n, 1<<52)) << 10, ok
}

// groups reads the limits of this process's control group and of those above
// it. Groups without a limit, and systems without cgroup v2, yield none.
func (c *Check) groups() []usage {
	var limited []usage
	for _, dir := range c.fs.Groups() {
		limit, err := c.number(dir, "memory.max")
		current, currentErr := c.number(dir, "memory.current")
		if err == nil && currentErr == nil && limit > 0 {
			limited = append(limited, usage{"its control group", max(0, current-c.reclaimable(dir)), limit})
		}
	}
	return limited
}

// reclaimable is the page cache of a group that the kernel drops first; the
// kubelet leaves the same out of a container's "working set".
func (c *Check) reclaimable(dir string) checks.Size {
	content, err := c.fs.Read(path.Join(dir, "memory.stat"))
	if err != nil {
		return 0
	}
	n, _ := proc.Field(content, "inactive_file")
	return checks.Size(max(0, n))
}

// number reads a file of a control group that holds a number, or "max", which
// is an error.
func (c *Check) number(dir, file string) (checks.Size, error) {
	content, err := c.fs.Read(path.Join(dir, file))
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(content), 10, 64)
	return checks.Size(n), err
}

// pressure returns how long some task waited for memory in the last minute, on
// the machine or in the control group, whichever is more.
func (c *Check) pressure() (whose string, share checks.Percent, err error) {
	machine, err := c.fs.Pressure("proc/pressure/memory")
	if err != nil {
		return "", 0, err
	}
	whose, share = "the machine", machine.Some
	for _, dir := range c.fs.Groups() {
		if group, err := c.fs.Pressure(path.Join(dir, "memory.pressure")); err == nil && group.Some > share {
			whose, share = "its control group", group.Some
		}
	}
	return whose, share, nil
}
