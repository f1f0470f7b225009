package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/proc"
)

// Process is a process, as it was when it was looked at. What this process has no
// right to know is left out.
type Process struct {
	PID, Parent int
	Program     string   // as the kernel has it: at most 15 bytes
	Args        []string // none: a thread of the kernel, or hidden
	Executable  string   // its file
	Dir         string   // its working directory
	User        string   // its name, or number
	Start       time.Time
	// FDs is how many files it has open, of FDLimit that it may; -1: not known.
	FDs, FDLimit int
	// Threads is how many it has, Running how many of them ran or wanted to at
	// that moment; CPU is the time that all have used. A loop that is blocked by
	// computing runs each time one looks.
	Threads, Running int
	// Stopped tells that all of them were halted, by SIGSTOP or a debugger, and do
	// nothing until they are let go on.
	Stopped bool
	CPU     time.Duration
	// Children are the processes that it started and that still are, by number.
	Children []int
}

// Inspect looks at a process. The error is fs.ErrNotExist if there is none.
func Inspect(pid int) (Process, error) {
	if err := supported(); err != nil {
		return Process{}, err
	}
	var system proc.FS
	found, err := system.Process(pid)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Process{}, fmt.Errorf("there is no process %d: %w", pid, fs.ErrNotExist)
		}
		return Process{}, err
	}
	p := Process{
		PID: pid, Parent: found.Parent, Program: found.Name, CPU: found.CPU,
		Args: system.Command(pid), User: userOf(pid), FDs: -1, FDLimit: -1,
	}
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	p.Executable, _ = os.Readlink(dir + "exe")
	p.Dir, _ = os.Readlink(dir + "cwd")
	if uptime, err := system.Uptime(); err == nil {
		p.Start = time.Now().Add(-found.Age(uptime))
	}
	if n, err := system.OpenFiles(pid); err == nil {
		p.FDs = int(n)
	}
	if content, err := system.Read(dir[1:] + "limits"); err == nil {
		if limit, ok := parseFileLimit(content); ok {
			p.FDLimit = limit
		}
	}
	if threads, err := system.Threads(pid); err == nil {
		p.Threads, p.Stopped = len(threads), len(threads) > 0
		for _, thread := range threads {
			p.Stopped = p.Stopped && (thread.State == 'T' || thread.State == 't')
			if thread.State == 'R' {
				p.Running++
			}
		}
	}
	if all, err := system.Processes(); err == nil {
		for _, other := range all {
			if other.Parent == pid && !other.Ended() {
				p.Children = append(p.Children, other.PID)
			}
		}
	}
	return p, nil
}

// StartedSince returns the processes that were started after a time and have a
// command, the youngest first, without this one and those that it descends from.
func StartedSince(since time.Time) ([]Process, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	var system proc.FS
	all, err := system.Processes()
	if err != nil {
		return nil, err
	}
	uptime, err := system.Uptime()
	if err != nil {
		return nil, err
	}
	parents := make(map[int]int, len(all))
	for _, p := range all {
		parents[p.PID] = p.Parent
	}
	ours := map[int]bool{}
	for pid := os.Getpid(); pid > 0 && !ours[pid]; pid = parents[pid] {
		ours[pid] = true
	}
	var found []Process
	for _, p := range all {
		if ours[p.PID] || p.Ended() || time.Now().Add(-p.Age(uptime)).Before(since) {
			continue
		}
		if one, err := Inspect(p.PID); err == nil && len(one.Args) > 0 {
			found = append(found, one)
		}
	}
	slices.SortStableFunc(found, func(a, b Process) int { return b.Start.Compare(a.Start) })
	return found, nil
}

// userOf is the name of the user whose rights a process has, or the number of one
// without a name.
func userOf(pid int) string {
	uid, ok := proc.FS{}.User(pid)
	if !ok {
		return ""
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// Name is the program as people call it: "gunicorn" for Python that runs
// gunicorn, "puma" for what calls itself "puma 6.4.0 (tcp://...) [app]"; else
// the kernel's name of it.
func (p Process) Name() string {
	if len(p.Args) == 0 {
		return p.Program
	}
	first, _, _ := strings.Cut(p.Args[0], " ")
	first = filepath.Base(strings.TrimSuffix(first, ":"))
	if !interpreters[strings.TrimRight(first, "0123456789.")] {
		return first
	}
	for i := 1; i < len(p.Args); i++ {
		switch arg := p.Args[i]; {
		case arg == "-m" && i+1 < len(p.Args):
			return p.Args[i+1]
		case takesValue[arg]:
			i++
		case strings.HasPrefix(arg, "org.apache.catalina."):
			return "tomcat"
		case !strings.HasPrefix(arg, "-"):
			return filepath.Base(arg)
		}
	}
	return first
}

// takesValue are options of interpreters whose value is the next argument: Java's
// class path, what Node.js and Ruby load first.
var takesValue = map[string]bool{
	"-cp": true, "-classpath": true, "--class-path": true, "-p": true, "--module-path": true, "--add-modules": true,
	"-r": true, "--require": true, "--import": true, "-I": true, "-W": true, "-X": true,
}

// interpreters run programs of other names.
var interpreters = map[string]bool{"python": true, "ruby": true, "node": true, "perl": true, "java": true, "php": true, "bundle": true}

// Env tells whether a variable was set in the environment that the process was
// started with. Its value is nobody's business.
func (p Process) Env(name string) (set bool, err error) {
	content, err := proc.FS{}.Read("proc/" + strconv.Itoa(p.PID) + "/environ")
	if err != nil {
		return false, err
	}
	for variable := range strings.SplitSeq(content, "\x00") {
		if strings.HasPrefix(variable, name+"=") {
			return true, nil
		}
	}
	return false, nil
}

// Output returns the files to which its standard output and error go, where they
// are regular files that exist: by the names by which this process reads them.
func (p Process) Output() []string {
	root := rootOf(p.PID)
	var files []string
	for _, fd := range []string{"1", "2"} {
		link := procFile(p.PID, "fd/"+fd)
		name, err := os.Readlink(link)
		if err != nil {
			continue
		}
		name = visible(root, name)
		open, err := os.Stat(link)
		if err != nil || !open.Mode().IsRegular() || slices.Contains(files, name) {
			continue
		}
		if info, err := os.Stat(name); err == nil && os.SameFile(info, open) {
			files = append(files, name)
		}
	}
	return files
}

// Family returns the process and all that descend from it, by number.
func Family(pid int) []int {
	family := []int{pid}
	all, err := proc.FS{}.Processes()
	if err != nil {
		return family
	}
	for i := 0; i < len(family); i++ {
		for _, p := range all {
			if p.Parent == family[i] && !slices.Contains(family, p.PID) {
				family = append(family, p.PID)
			}
		}
	}
	slices.Sort(family)
	return family
}
