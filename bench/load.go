package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// load is what wrk is asked to do.
type load struct {
	url         string
	headers     []string
	connections int
	duration    time.Duration
	cpus        cpuSet
}

// figures are what wrk found.
type figures struct {
	requests  int
	perSecond float64
	p50, p99  time.Duration
	cpu       time.Duration // that wrk itself used
}

// run loads the URL. An answer that is no success, or a socket error, makes the
// figures worthless and is an error.
func (l load) run(ctx context.Context) (figures, error) {
	argv := []string{
		"-c", l.cpus.String(), "wrk",
		"--threads", strconv.Itoa(len(l.cpus)),
		"--connections", strconv.Itoa(l.connections),
		"--duration", fmt.Sprintf("%ds", max(1, int(l.duration.Seconds()))),
		"--timeout", "5s",
		"--latency",
	}
	for _, h := range l.headers {
		argv = append(argv, "--header", h)
	}
	cmd := exec.CommandContext(ctx, "taskset", append(argv, l.url)...)
	b, err := cmd.CombinedOutput()
	if err != nil {
		return figures{}, fmt.Errorf("wrk %s: %w\n%s", l.url, err, b)
	}
	f, err := parseWrk(string(b))
	if err != nil {
		return figures{}, fmt.Errorf("wrk %s: %w", l.url, err)
	}
	f.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return f, nil
}

// parseWrk reads the report of wrk --latency.
func parseWrk(report string) (figures, error) {
	var f figures
	var errs []error
	lines := bufio.NewScanner(strings.NewReader(report))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		var err error
		switch {
		case words[0] == "50%":
			f.p50, err = time.ParseDuration(words[1])
		case words[0] == "99%":
			f.p99, err = time.ParseDuration(words[1])
		case words[0] == "Requests/sec:":
			f.perSecond, err = strconv.ParseFloat(words[1], 64)
		case words[1] == "requests":
			f.requests, err = strconv.Atoi(words[0])
		case strings.HasPrefix(lines.Text(), "  Non-2xx"), strings.HasPrefix(lines.Text(), "  Socket errors"):
			err = errors.New(strings.TrimSpace(lines.Text()))
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return figures{}, err
	}
	if f.requests == 0 || f.perSecond == 0 || f.p50 == 0 || f.p99 == 0 {
		return figures{}, fmt.Errorf("no figures in the report:\n%s", report)
	}
	return f, nil
}
