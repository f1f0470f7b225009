// Package files checks that files, and sockets, can still be opened: how many
// are open against the limits.
package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"hale/checks"
	"hale/checks/internal/report"
	"hale/internal/explain"
	"hale/internal/proc"
)

// Defaults of a Check's zero fields.
const (
	DefaultWarnUsed = checks.Percent(80)
	DefaultMaxUsed  = checks.Percent(95)
)

// Check counts open files: those of the machine against fs.file-max, and those
// of processes against each one's own limit (RLIMIT_NOFILE, ulimit -n). A
// connection is an open file, too: a process at its limit accepts none. Of
// several processes, the one with the least left counts.
//
// It costs reading a few small files of /proc, and one more for each process of
// the machine to find Program. It needs no rights for Hale's own process, and
// for others their user's, or root's. It is for Linux.
//
//	&files.Check{Program: "gunicorn"}
type Check struct {
	Program  string         `yaml:"program" jsonschema_description:"Name of the program whose processes to look at, without directories; the default is Hale's own process."`
	PIDFile  string         `yaml:"pid_file" jsonschema_description:"A file that holds the number of the process to look at; a relative path starts at the directory of the configuration."`
	WarnUsed checks.Percent `yaml:"warn_used" jsonschema:"default=80%" jsonschema_description:"Warn when more files than this share of a limit are open."`
	MaxUsed  checks.Percent `yaml:"max_used" jsonschema:"default=95%" jsonschema_description:"Fail when more files than this share of a limit are open."`

	// Dir is where a relative PIDFile starts; empty means the working directory.
	Dir string `yaml:"-"`

	fs proc.FS
}

// Validate refuses a warning that would come after the failure.
func (c *Check) Validate() error {
	var errs []error
	if strings.Contains(c.Program, "/") {
		errs = append(errs, checks.Optionf("program", "%q has a directory: write %q", c.Program, filepath.Base(c.Program)))
	}
	if most := cmp.Or(c.MaxUsed, DefaultMaxUsed); c.WarnUsed > most {
		errs = append(errs, checks.Optionf("warn_used", "%v is more than max_used (%v): the check would fail before it warns", c.WarnUsed, most))
	}
	return errors.Join(errs...)
}

// Run counts.
func (c *Check) Run(context.Context) (string, error) {
	system, err := c.system()
	if err != nil {
		return "", err
	}
	tightest, err := c.tightest()
	if err != nil {
		return "", err
	}
	var found report.Report
	c.judge(&found, tightest)
	c.judge(&found, system)
	return found.Result()
}

// usage is how many files are open of how many may be.
type usage struct {
	whose       string
	open, limit int64
}

func (u usage) percent() checks.Percent {
	return checks.Percent(float64(u.open) / float64(u.limit) * 100)
}

func (c *Check) judge(found *report.Report, u usage) {
	most := cmp.Or(c.MaxUsed, DefaultMaxUsed)
	warn := cmp.Or(c.WarnUsed, min(DefaultWarnUsed, most))
	if u.limit == math.MaxInt64 { // no limit, as Linux writes it
		found.Passf("%s has %d files open", u.whose, u.open)
		return
	}
	text := fmt.Sprintf("%s has %d files open of %d (%.1f%%)", u.whose, u.open, u.limit, float64(u.percent()))
	switch p := u.percent(); {
	case p > most:
		found.Failf("%s, more than %v", text, most)
	case p > warn:
		found.Warnf("%s, more than %v", text, warn)
	default:
		found.Passf("%s", text)
	}
}

// system reads /proc/sys/fs/file-nr: open, unused, limit.
func (c *Check) system() (usage, error) {
	const name = "proc/sys/fs/file-nr"
	content, err := c.fs.Read(name)
	if err != nil {
		return usage{}, err
	}
	fields := strings.Fields(content)
	if len(fields) != 3 {
		return usage{}, errors.New("not in the form that is known: /" + name)
	}
	open, err := strconv.ParseInt(fields[0], 10, 64)
	limit, limitErr := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || limitErr != nil || open < 0 || limit <= 0 {
		return usage{}, errors.New("not in the form that is known: /" + name)
	}
	return usage{"the machine", open, limit}, nil
}

// tightest returns the process with the least left in proportion.
func (c *Check) tightest() (usage, error) {
	if c.Program == "" && c.PIDFile == "" {
		return c.process(os.Getpid(), "this process")
	}
	query := proc.Query{Program: c.Program, PIDFile: c.PIDFile}
	if c.PIDFile != "" && !filepath.IsAbs(c.PIDFile) {
		query.PIDFile = filepath.Join(c.Dir, c.PIDFile)
	}
	processes, err := c.fs.Find(query)
	if err != nil {
		return usage{}, err
	}
	var tightest usage
	var failed error
	for _, p := range processes {
		if p.Ended() {
			continue
		}
		u, err := c.process(p.PID, fmt.Sprintf("%s (process %d)", explain.Line(p.Name), p.PID))
		if errors.Is(err, os.ErrNotExist) {
			continue // it has ended meanwhile
		}
		if err != nil {
			failed = err
			continue
		}
		if tightest.limit == 0 || u.percent() > tightest.percent() {
			tightest = u
		}
	}
	switch {
	case failed != nil:
		return usage{}, failed
	case tightest.limit == 0:
		return usage{}, fmt.Errorf("%s does not run", query)
	default:
		return tightest, nil
	}
}

// process counts the open files of a process.
func (c *Check) process(pid int, whose string) (usage, error) {
	limits, err := c.fs.Read(fmt.Sprintf("proc/%d/limits", pid))
	if err != nil {
		return usage{}, err
	}
	limit, ok := openFilesLimit(limits)
	if !ok {
		return usage{}, fmt.Errorf("not in the form that is known: /proc/%d/limits", pid)
	}
	open, err := c.fs.OpenFiles(pid)
	if err != nil {
		return usage{}, err
	}
	return usage{whose, open, limit}, nil
}

// openFilesLimit reads /proc/PID/limits: "Max open files  1024  4096  files",
// of which the first number, the soft limit, is the one that holds.
func openFilesLimit(content string) (limit int64, ok bool) {
	for line := range strings.Lines(content) {
		rest, found := strings.CutPrefix(line, "Max open files")
		fields := strings.Fields(rest)
		if !found || len(fields) < 2 {
			continue
		}
		if fields[0] == "unlimited" {
			return math.MaxInt64, true
		}
		limit, err := strconv.ParseInt(fields[0], 10, 64)
		return limit, err == nil && limit > 0
	}
	return 0, false
}
