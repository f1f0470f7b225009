// Package proc reads what Linux tells of the machine, its processes and control
// groups under /proc and /sys (proc(5), cgroups(7)).
package proc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"hale/checks"
	"hale/internal/explain"
)

// FS is the file system in which /proc and /sys are. The zero value is the
// machine's own.
type FS struct {
	Root string // empty means "/"
}

// maxFile bounds what is read of one file, in bytes. /proc/stat of a large
// machine is some hundred KiB, /proc/net/tcp of a busy one some MiB.
const maxFile = 64 << 20

// Read returns the content of a file, named without a slash in front, as in
// "proc/loadavg". Its error says what is wrong in one line.
func (f FS) Read(name string) (string, error) {
	file, err := os.Open(f.path(name))
	if err != nil {
		return "", reason(err, name)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return "", reason(err, name)
	}
	return string(content), nil
}

func (f FS) path(name string) string { return filepath.Join("/", f.Root, name) }

func reason(err error, name string) error {
	text := explain.Innermost(err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		text = "no such file (this needs Linux with /proc and /sys mounted)"
	case errors.Is(err, fs.ErrPermission):
		text = "permission denied"
	}
	return &explain.Error{Text: fmt.Sprintf("%s: /%s", text, name), Err: err}
}

// Field returns the number behind a name in lines of "name number ..."; ok is
// false if there is none. Numbers beyond 63 bits are cut there.
func Field(content, name string) (n int64, ok bool) {
	for line := range strings.Lines(content) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == name {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return n, err == nil || errors.Is(err, strconv.ErrRange)
		}
	}
	return 0, false
}

// Groups returns the directories of this process's control group (v2) and of
// those above it, innermost first, ready for Read. There are none where cgroup
// v2 is not in use.
func (f FS) Groups() []string {
	content, err := f.Read("proc/self/cgroup")
	if err != nil {
		return nil
	}
	var dirs []string
	for line := range strings.Lines(content) {
		// The line of v2 is "0::/path" (cgroups(7)). Seen from another cgroup
		// namespace, the path begins with "/..".
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		for dir := path.Clean("/" + name); ; dir = path.Dir(dir) {
			dirs = append(dirs, path.Join("sys/fs/cgroup", dir))
			if dir == "/" {
				return dirs
			}
		}
	}
	return nil
}

// Pressure is the share of time in which some tasks, or all that were not idle,
// waited for a resource (PSI).
type Pressure struct {
	Some, Full checks.Percent // over the last minute
}

// Pressure reads how tasks wait for a resource from a file such as
// "proc/pressure/memory", or "memory.pressure" of a control group.
func (f FS) Pressure(name string) (Pressure, error) {
	content, err := f.Read(name)
	if err != nil {
		return Pressure{}, errors.New("the kernel does not tell the pressure (PSI, Linux 4.20 and newer; where it is off by default, boot with psi=1): /" + name)
	}
	pressure, ok := parsePressure(content)
	if !ok {
		return Pressure{}, errors.New("not in the form that is known: /" + name)
	}
	return pressure, nil
}

// parsePressure reads "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", and the
// same for "full", which older kernels leave out for the CPU.
func parsePressure(content string) (p Pressure, ok bool) {
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		number, found := strings.CutPrefix(fields[2], "avg60=")
		share, err := strconv.ParseFloat(number, 64)
		if !found || err != nil || !(share >= 0 && share <= 100) {
			return Pressure{}, false
		}
		switch fields[0] {
		case "some":
			p.Some, ok = checks.Percent(share), true
		case "full":
			p.Full = checks.Percent(share)
		}
	}
	return p, ok
}
