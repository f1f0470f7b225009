package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cpuSet is a list of CPUs.
type cpuSet []int

// String is the list as taskset reads it.
func (c cpuSet) String() string {
	words := make([]string, len(c))
	for i, n := range c {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ",")
}

// split gives one half of the CPUs to what is measured and the other to what
// measures, so that the two do not take time from one another.
func (c cpuSet) split() (measured, measuring cpuSet) {
	if len(c) < 2 {
		return c, c
	}
	return c[:len(c)/2], c[len(c)/2:]
}

// allowedCPUs is where this process may run.
func allowedCPUs() (cpuSet, error) {
	list, ok := procValue("/proc/self/status", "Cpus_allowed_list")
	if !ok {
		return nil, errors.New("/proc/self/status has no Cpus_allowed_list")
	}
	return parseCPUs(list)
}

// parseCPUs reads a list such as "0-3,8".
func parseCPUs(list string) (cpuSet, error) {
	var set cpuSet
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("list of CPUs %q: %w", list, err)
		}
		for n := first; n <= last; n++ {
			set = append(set, n)
		}
	}
	return set, nil
}

// machine says what the figures were measured on, without its name.
type machine struct {
	processor string
	memory    string
	kernel    string
}

func thisMachine() (machine, error) {
	m := machine{processor: "unknown processor", memory: "unknown memory"}
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return m, fmt.Errorf("uname: %w", err)
	}
	m.kernel = charsToString(u.Sysname[:]) + " " + charsToString(u.Release[:]) + " " + charsToString(u.Machine[:])
	if v, ok := procValue("/proc/cpuinfo", "model name"); ok {
		m.processor = v
	}
	if v, ok := procValue("/proc/meminfo", "MemTotal"); ok {
		if kib, err := strconv.ParseFloat(strings.TrimSuffix(v, " kB"), 64); err == nil {
			m.memory = fmt.Sprintf("%.1f GiB", kib/(1<<20))
		}
	}
	return m, nil
}

// cpuTimes are the first fields of the line "cpu" in /proc/stat, see
// proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal.
type cpuTimes [8]uint64

func readCPUTimes() (cpuTimes, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTimes{}, err
	}
	return parseCPUTimes(string(b))
}

func parseCPUTimes(stat string) (t cpuTimes, err error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) <= len(t) || fields[0] != "cpu" {
		return t, fmt.Errorf("/proc/stat: unexpected line %q", line)
	}
	for i := range t {
		if t[i], err = strconv.ParseUint(fields[1+i], 10, 64); err != nil {
			return t, fmt.Errorf("/proc/stat: %w", err)
		}
	}
	return t, nil
}

// since returns how much of the CPUs' time was used, by whomever, and how much
// there was.
func (t cpuTimes) since(before cpuTimes) (used, all time.Duration) {
	const idle, iowait = 3, 4
	for i := range t {
		d := time.Duration(t[i]-before[i]) * (time.Second / ticksPerSecond)
		all += d
		if i != idle && i != iowait {
			used += d
		}
	}
	return used, all
}

// procValue is the value of the first line "key : value" of a file in /proc.
func procValue(path, key string) (string, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", false
	}
	for line := range bytes.Lines(b) {
		k, v, ok := strings.Cut(string(line), ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

func charsToString[T int8 | uint8](chars []T) string {
	var b strings.Builder
	for _, c := range chars {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	return b.String()
}
