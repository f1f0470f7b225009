package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program under measurement, with all the processes it starts.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended
	out  bytes.Buffer  // stderr, and stdout unless it goes to a file; to be read once done is closed
}

// start runs a program on the given CPUs, in a process group of its own.
func start(name, cpus, stdout string, argv ...string) (*process, error) {
	p := &process{name: name, done: make(chan struct{})}
	// taskset replaces itself with the program: the process id is the program's.
	p.cmd = exec.Command("taskset", append([]string{"-c", cpus}, argv...)...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if stdout != "" {
		f, err := os.OpenFile(stdout, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
		defer f.Close()
		p.cmd.Stdout = f
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // ended reads the outcome from ProcessState
	}()
	return p, nil
}

// stop ends the program, gently at first, and returns when it is gone.
func (p *process) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // whatever is left of its group
	<-p.done
}

// ended is an error if the program has ended by itself.
func (p *process) ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended: %s", p.name, p.cmd.ProcessState)
	default:
		return nil
	}
}

// cpu is the processor time that the program and its children have used so far.
func (p *process) cpu() (time.Duration, error) {
	var ticks uint64
	err := p.each(func(stat procStat) { ticks += stat.ticks })
	return time.Duration(ticks) * (time.Second / ticksPerSecond), err
}

// memory is the resident set of the program and its children, in bytes. Pages
// that they share count once for each.
func (p *process) memory() (int64, error) {
	var pages int64
	err := p.each(func(stat procStat) { pages += stat.pages })
	return pages * int64(os.Getpagesize()), err
}

// each calls f for the program and every process below it.
func (p *process) each(f func(procStat)) error {
	all, err := processes()
	if err != nil {
		return err
	}
	children := make(map[int][]int)
	for pid, stat := range all {
		children[stat.parent] = append(children[stat.parent], pid)
	}
	for todo := []int{p.cmd.Process.Pid}; len(todo) > 0; todo = todo[1:] {
		stat, ok := all[todo[0]]
		if !ok {
			return fmt.Errorf("%s: process %d is gone", p.name, todo[0])
		}
		f(stat)
		todo = append(todo, children[todo[0]]...)
	}
	return nil
}

// ticksPerSecond is the unit of the times in /proc/PID/stat, USER_HZ, which is
// 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// procStat is what is read from /proc/PID/stat, see proc_pid_stat(5).
type procStat struct {
	parent int
	ticks  uint64 // utime + stime, and those of children that have ended
	pages  int64  // resident
}

func processes() (map[int]procStat, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := make(map[int]procStat, len(paths))
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		if all[pid], err = parseStat(string(b)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return all, nil
}

func parseStat(line string) (procStat, error) {
	// The second field is the program's name in parentheses, and may hold
	// spaces and parentheses itself. The third is then fields[0].
	_, rest, ok := cutLast(line, ")")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 22 {
		return procStat{}, fmt.Errorf("unexpected form %q", line)
	}
	var s procStat
	var err error
	number := func(i int) uint64 {
		n, e := strconv.ParseUint(fields[i-3], 10, 64)
		err = errors.Join(err, e)
		return n
	}
	s.parent = int(number(4))
	s.ticks = number(14) + number(15) + number(16) + number(17)
	s.pages = int64(number(24))
	return s, err
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// output runs a program to its end and returns the first line that it prints.
func output(ctx context.Context, argv ...string) (string, error) {
	b, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, bytes.TrimSpace(b))
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return line, nil
}
