package supervise

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// setParentDeath has the kernel send sig to the child when its parent dies.
func setParentDeath(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// awaitEnd returns when the process has ended, with how it did, and leaves it to
// be waited for: until then nobody else can get its number. What it returns is
// not ok where somebody else has waited for it.
func (p *process) awaitEnd() (status syscall.WaitStatus, ok bool) {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return waitStatus(&info), err == nil
	}
}

// groupMembers counts the living processes of a group.
func groupMembers(group int) int {
	n := 0
	for _, pid := range processes() {
		if s, ok := readStat(pid); ok && s.group == group && s.state != 'Z' && s.state != 'X' {
			n++
		}
	}
	return n
}

// processes lists all process ids.
func processes() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat is the part of /proc/PID/stat that matters here (proc(5)).
type stat struct {
	state         byte
	parent, group int
}

func readStat(pid int) (stat, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, false
	}
	return parseStat(text)
}

// parseStat reads "PID (NAME) STATE PARENT GROUP ...", where NAME is whatever
// the process calls itself, brackets and spaces included.
func parseStat(text []byte) (stat, bool) {
	i := bytes.LastIndexByte(text, ')')
	if i < 0 {
		return stat{}, false
	}
	fields := bytes.Fields(text[i+1:])
	if len(fields) < 3 || len(fields[0]) != 1 {
		return stat{}, false
	}
	parent, err1 := strconv.Atoi(string(fields[1]))
	group, err2 := strconv.Atoi(string(fields[2]))
	return stat{fields[0][0], parent, group}, err1 == nil && err2 == nil
}
