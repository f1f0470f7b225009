package proc

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Process is one process.
type Process struct {
	PID, Parent int
	Name        string        // as the kernel has it: at most 15 bytes
	State       byte          // 'R', 'S', 'D', 'Z', 'T', ...
	CPU         time.Duration // that it has used so far, its children's not included
	Session     int           // the number of the process that leads its session
	Started     uint64        // since boot, in ticks of 10 ms; with PID, it tells a process from all others of this boot
}

// ticks in a second that /proc counts in: USER_HZ, 100 wherever Go runs.
const ticks = 100

// Ended tells whether the process has ended, and is only there until its parent
// has heard of that (a zombie).
func (p Process) Ended() bool { return p.State == 'Z' || p.State == 'X' }

// Stopped tells whether the process was stopped by a signal, or a debugger.
func (p Process) Stopped() bool { return p.State == 'T' || p.State == 't' }

// Process reads one process. Its error is fs.ErrNotExist if there is none.
func (f FS) Process(pid int) (Process, error) {
	content, err := f.Read("proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Process{}, err
	}
	p, ok := parseStat(content)
	if !ok {
		return Process{}, errors.New("not in the form that is known: /proc/" + strconv.Itoa(pid) + "/stat")
	}
	return p, nil
}

// parseStat reads /proc/PID/stat: "pid (name) state ppid ...", the start being
// field 22. A name may hold anything, so that its end is the last parenthesis.
func parseStat(content string) (Process, bool) {
	open, end := strings.IndexByte(content, '('), strings.LastIndexByte(content, ')')
	if open < 0 || end < open {
		return Process{}, false
	}
	fields := strings.Fields(content[end+1:])
	if len(fields) < 20 || len(fields[0]) != 1 {
		return Process{}, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(content[:open]))
	parent, parentErr := strconv.Atoi(fields[1])
	session, sessionErr := strconv.Atoi(fields[3])
	user, userErr := strconv.ParseUint(fields[11], 10, 64)
	system, systemErr := strconv.ParseUint(fields[12], 10, 64)
	started, startErr := strconv.ParseUint(fields[19], 10, 64)
	if err := cmp.Or(err, parentErr, sessionErr, userErr, systemErr, startErr); err != nil {
		return Process{}, false
	}
	cpu := inTicks(user) + inTicks(system)
	return Process{PID: pid, Parent: parent, Name: content[open+1 : end], State: fields[0][0], CPU: cpu, Session: session, Started: started}, true
}

// inTicks is a time that the kernel tells in ticks; what no machine lives to see
// is cut off.
func inTicks(n uint64) time.Duration {
	return time.Duration(min(n, uint64(1e9)*ticks)) * (time.Second / ticks)
}

// Threads reads the threads of a process, each as a Process with its own number,
// state and time of the CPU. One that ends meanwhile is left out.
func (f FS) Threads(pid int) ([]Process, error) {
	name := "proc/" + strconv.Itoa(pid) + "/task"
	entries, err := os.ReadDir(f.path(name))
	if err != nil {
		return nil, reason(err, name)
	}
	var all []Process
	for _, entry := range entries {
		content, err := f.Read(name + "/" + entry.Name() + "/stat")
		if err != nil {
			continue
		}
		if p, ok := parseStat(content); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

// Processes reads all processes that can be seen, by their numbers. One that
// ends meanwhile is left out.
func (f FS) Processes() ([]Process, error) {
	dir, err := os.Open(f.path("proc"))
	if err != nil {
		return nil, reason(err, "proc")
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, reason(err, "proc")
	}
	var all []Process
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, err := f.Process(pid); err == nil {
				all = append(all, p)
			}
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no processes in /proc (this needs Linux with /proc mounted)")
	}
	slices.SortFunc(all, func(a, b Process) int { return a.PID - b.PID })
	return all, nil
}

// Command returns the arguments that a process was started with; none for a
// thread of the kernel, a zombie, or a process that has ended.
func (f FS) Command(pid int) []string {
	content, err := f.Read("proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || content == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(content, "\x00"), "\x00")
}

// Environment returns the variables that a process was started with, for which it
// takes the rights of its user; none if they cannot be had.
func (f FS) Environment(pid int) []string {
	content, err := f.Read("proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil || content == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(content, "\x00"), "\x00")
}

// Boot returns the id of the machine's run since it was booted.
func (f FS) Boot() (string, error) {
	content, err := f.Read("proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(content), err
}

// User returns the number of the user whose rights a process has; ok is false
// if it has ended.
func (f FS) User(pid int) (uid int, ok bool) {
	content, err := f.Read("proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(content) {
		// Real, effective, saved and file system's.
		if fields := strings.Fields(line); len(fields) == 5 && fields[0] == "Uid:" {
			uid, err := strconv.Atoi(fields[2])
			return uid, err == nil
		}
	}
	return 0, false
}

// OpenFiles counts the open files of a process, for which it takes the rights of
// its user.
func (f FS) OpenFiles(pid int) (int64, error) {
	name := "proc/" + strconv.Itoa(pid) + "/fd"
	dir, err := os.Open(f.path(name))
	if err != nil {
		return 0, reason(err, name)
	}
	defer dir.Close()
	// Since 6.2, Linux gives their number as the directory's size.
	if info, err := dir.Stat(); err == nil && info.Size() > 0 && f.Root == "" {
		return info.Size(), nil
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return 0, reason(err, name)
	}
	return int64(len(names)), nil
}

// Uptime returns how long ago the machine, or the container, was started.
func (f FS) Uptime() (time.Duration, error) {
	content, err := f.Read("proc/uptime")
	if err != nil {
		return 0, err
	}
	number, _, _ := strings.Cut(content, " ")
	seconds, err := strconv.ParseFloat(number, 64)
	if err != nil || !(seconds >= 0 && seconds < 1e10) {
		return 0, errors.New("not in the form that is known: /proc/uptime")
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// Age returns how long ago a process was started, given the uptime.
func (p Process) Age(uptime time.Duration) time.Duration {
	return max(0, uptime-inTicks(p.Started))
}

// Sockets returns the inodes of the sockets that a process has open, for which
// it takes the rights of its user.
func (f FS) Sockets(pid int) (map[uint64]bool, error) {
	name := "proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(f.path(name))
	if err != nil {
		return nil, reason(err, name)
	}
	inodes := make(map[uint64]bool)
	for _, entry := range entries {
		target, err := os.Readlink(f.path(name + "/" + entry.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		// "socket:[12345]"
		if number, ok := strings.CutPrefix(strings.TrimSuffix(target, "]"), "socket:["); ok {
			if inode, err := strconv.ParseUint(number, 10, 64); err == nil {
				inodes[inode] = true
			}
		}
	}
	return inodes, nil
}
