package servers

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// tree returns the program's process id and those of its descendants, parents
// first. A process group would not do: PostgreSQL's children leave it.
func (p *Process) tree() []int {
	if !p.Running() {
		return nil
	}
	children := childrenOfAll()
	pids := []int{p.cmd.Process.Pid}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	return pids
}

// childrenOfAll reads from /proc who is whose child.
func childrenOfAll() map[int][]int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := make(map[int][]int)
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if _, parent, ok := stat(pid); ok {
			children[parent] = append(children[parent], pid)
		}
	}
	return children
}

// alive reports whether a process has not ended; one that nobody has reaped
// yet has.
func alive(pid int) bool {
	state, _, ok := stat(pid)
	return ok && state != "Z" && state != "X"
}

// moving reports whether some thread of a process is neither stopped nor ended.
func moving(pid int) bool {
	threads, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
	return slices.ContainsFunc(threads, func(file string) bool {
		state, _, ok := readStat(file)
		return ok && !strings.Contains("TtZX", state)
	})
}

// stat reads the state and the parent of a process from /proc.
func stat(pid int) (state string, parent int, ok bool) {
	return readStat("/proc/" + strconv.Itoa(pid) + "/stat")
}

func readStat(file string) (state string, parent int, ok bool) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", 0, false // it has ended
	}
	// proc(5): pid (comm) state ppid ...; comm may hold anything, so count from
	// its closing parenthesis.
	fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
	if len(fields) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return fields[0], parent, err == nil
}

// credential is what makes a child of root run as another user: nil for nobody
// in particular, or if the test does not run as root.
func credential(t testing.TB, name string) *syscall.Credential {
	t.Helper()
	if name == "" || os.Geteuid() != 0 {
		return nil
	}
	uid, gid := ids(t, name)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func ids(t testing.TB, name string) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		missing(t, err.Error())
	}
	if uid, err = strconv.Atoi(u.Uid); err == nil {
		gid, err = strconv.Atoi(u.Gid)
	}
	if err != nil {
		t.Fatalf("user %s: %v", name, err)
	}
	return uid, gid
}

// directoryOf makes a temporary directory that belongs to a user. It is not one
// of t.TempDir, whose parent only the test's own user may enter.
func directoryOf(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hale-"+name+"-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	own(t, name, dir)
	return dir
}

// own gives a file to a user if the test runs as root.
func own(t testing.TB, name, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	uid, gid := ids(t, name)
	if err := os.Chown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
}
