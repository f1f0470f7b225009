package proc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path"
	"strconv"
	"strings"
	"time"

	"hale/checks"
	"hale/internal/explain"
)

// Query says which processes are meant: those for which all holds that is set.
type Query struct {
	Program string         // its name, without directories
	Command checks.Pattern // matches the arguments, joined by spaces
	PIDFile string         // a file that holds the process's number
	User    string         // name or number
}

// String names what is asked for, for messages.
func (q Query) String() string {
	var parts []string
	if q.Program != "" {
		parts = append(parts, q.Program)
	} else {
		parts = append(parts, "a process")
	}
	if !q.Command.IsZero() {
		parts = append(parts, fmt.Sprintf("with a command that matches %q", q.Command))
	}
	if q.User != "" {
		parts = append(parts, "of user "+q.User)
	}
	return strings.Join(parts, " ")
}

// Find returns the processes that are meant, zombies and stopped ones included.
// This process is none of them: its own command line often holds the name that
// is looked for. A stale pid file is an error, no match is none.
func (f FS) Find(q Query) ([]Process, error) {
	uid, err := lookUpUser(q.User)
	if err != nil {
		return nil, err
	}
	if q.PIDFile != "" {
		p, err := f.named(q, uid)
		if err != nil {
			return nil, err
		}
		return []Process{p}, nil
	}
	all, err := f.Processes()
	if err != nil {
		return nil, err
	}
	var found []Process
	for _, p := range all {
		if p.PID != os.Getpid() && f.matches(p, q, uid) {
			found = append(found, p)
		}
	}
	return found, nil
}

// lookUpUser returns the number of a user; -1 for no user in particular.
func lookUpUser(name string) (uid int, err error) {
	if name == "" {
		return -1, nil
	}
	if uid, err := strconv.Atoi(name); err == nil {
		return uid, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("no such user: %s", name)
	}
	return strconv.Atoi(u.Uid)
}

func (f FS) matches(p Process, q Query, uid int) bool {
	if uid >= 0 {
		if owner, ok := f.User(p.PID); !ok || owner != uid {
			return false
		}
	}
	if q.Program == "" && q.Command.IsZero() {
		return true
	}
	command := f.Command(p.PID)
	if q.Program != "" && !isProgram(p, command, q.Program) {
		return false
	}
	return q.Command.IsZero() || len(command) > 0 && q.Command.Match([]byte(strings.Join(command, " ")))
}

// isProgram compares with the kernel's name, which is cut off after 15 bytes,
// and with the first argument, which programs change: "nginx: worker process",
// "-bash".
func isProgram(p Process, command []string, name string) bool {
	const longest = 15
	if p.Name == name {
		return true
	}
	if len(command) == 0 {
		return false
	}
	first, _, _ := strings.Cut(command[0], " ")
	first = path.Base(strings.TrimPrefix(strings.TrimSuffix(first, ":"), "-"))
	return first == name || len(name) > longest && p.Name == name[:longest] && strings.HasPrefix(first, name)
}

// fileSlack is how much later than its pid file a process may seem to have
// begun: time stamps of files are coarse.
const fileSlack = 2 * time.Second

// named returns the process of a pid file.
func (f FS) named(q Query, uid int) (Process, error) {
	pid, written, err := readPIDFile(q.PIDFile)
	if err != nil {
		return Process{}, err
	}
	p, err := f.Process(pid)
	if errors.Is(err, fs.ErrNotExist) {
		return Process{}, fmt.Errorf("stale: there is no process %d (any more): %s", pid, q.PIDFile)
	}
	if err != nil {
		return Process{}, err
	}
	what := explain.Line(p.Name)
	if !f.matches(p, q, uid) {
		return Process{}, fmt.Errorf("stale: process %d is %s by now, not %s: %s", pid, what, q, q.PIDFile)
	}
	uptime, err := f.Uptime()
	if err != nil {
		return Process{}, err
	}
	// Who is known by name may be younger than the file: the clock may have been
	// set since.
	started := time.Now().Add(-p.Age(uptime))
	if q.Program == "" && q.Command.IsZero() && started.After(written.Add(fileSlack)) {
		return Process{}, fmt.Errorf("stale: process %d is another one by now, %s, which began %s after the file was written: %s",
			pid, what, checks.Span(started.Sub(written)).Coarse(), q.PIDFile)
	}
	return p, nil
}

// readPIDFile reads a process's number, and when it was written.
func readPIDFile(file string) (pid int, written time.Time, err error) {
	f, err := os.Open(file)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return 0, written, &explain.Error{Text: "no such file: " + file, Err: err}
		}
		return 0, written, &explain.Error{Text: explain.Innermost(err) + ": " + file, Err: err}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, written, err
	}
	content, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return 0, written, &explain.Error{Text: explain.Innermost(err) + ": " + file, Err: err}
	}
	pid, ok := parsePID(string(content))
	if !ok {
		return 0, written, fmt.Errorf("holds no process number: %s", file)
	}
	return pid, info.ModTime(), nil
}

// parsePID reads the first line of a pid file; PostgreSQL's has more.
func parsePID(content string) (int, bool) {
	line, _, _ := strings.Cut(strings.TrimSpace(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	return pid, err == nil && pid > 0
}

// Hidden tells whether /proc hides other users' processes from this one (mount
// option hidepid).
func (f FS) Hidden() bool {
	if os.Geteuid() == 0 && f.Root == "" {
		return false
	}
	mounts, _ := f.Mounts()
	for _, m := range mounts {
		if m.Point != "/proc" {
			continue
		}
		for option := range strings.SplitSeq(m.SuperOptions, ",") {
			if value, ok := strings.CutPrefix(option, "hidepid="); ok && value != "0" && value != "off" {
				return true
			}
		}
	}
	return false
}
