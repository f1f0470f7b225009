package proc

import (
	"strconv"
	"strings"
)

// Mount is a file system where it is mounted.
type Mount struct {
	Device       string // "major:minor"
	Point        string
	Options      string // of this mount
	SuperOptions string // of the file system
	Type         string
	Source       string
}

// Mounts reads what is mounted, in this process's view.
func (f FS) Mounts() ([]Mount, error) {
	content, err := f.Read("proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var mounts []Mount
	for line := range strings.Lines(content) {
		if m, ok := parseMount(line); ok {
			mounts = append(mounts, m)
		}
	}
	return mounts, nil
}

// parseMount reads a line of /proc/PID/mountinfo: "36 35 98:0 /mnt1 /mnt2
// rw,noatime master:1 - ext3 /dev/root rw,errors=continue" (proc(5)), with any
// number of fields before the dash.
func parseMount(line string) (Mount, bool) {
	before, after, ok := strings.Cut(line, " - ")
	head, tail := strings.Fields(before), strings.Fields(after)
	if !ok || len(head) < 6 || len(tail) < 3 {
		return Mount{}, false
	}
	return Mount{
		Device: head[2], Point: unescape(head[4]), Options: head[5],
		Type: tail[0], Source: unescape(tail[1]), SuperOptions: tail[2],
	}, true
}

// unescape reads the octal escapes of spaces, tabs, line feeds and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
