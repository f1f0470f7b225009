// Package process checks that a program runs.
package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hale/checks"
	"hale/health"
	"hale/internal/explain"
	"hale/internal/proc"
)

// Check looks for processes: those for which all of Program, Command, PIDFile
// and User hold that are set.
//
// It proves that as many run as should, and neither have ended without their
// parent's notice (zombies) nor are stopped by a signal. It does not prove that
// they do their work. It costs reading a small file or two of /proc for each
// process of the machine; with PIDFile, for the one. It needs no rights, unless
// /proc is mounted with hidepid. It is for Linux. Hale's own process is never
// found.
//
//	&process.Check{Program: "gunicorn", Min: 4}
//	&process.Check{PIDFile: "/run/nginx.pid", Program: "nginx"}
type Check struct {
	Program string         `yaml:"program" jsonschema_description:"The program's name, without directories."`
	Command checks.Pattern `yaml:"command" jsonschema_description:"A regular expression that must match somewhere in the command line, whose arguments are joined by spaces."`
	PIDFile string         `yaml:"pid_file" jsonschema_description:"A file that holds the number of the process, which must not be another one's by now; a relative path starts at the directory of the configuration."`
	User    string         `yaml:"user" jsonschema_description:"The user, name or number, whose rights the process has."`
	Min     int            `yaml:"min" jsonschema:"default=1" jsonschema_description:"The least number of such processes."`
	Max     int            `yaml:"max" jsonschema_description:"The largest number of such processes."`
	WarnAge time.Duration  `yaml:"warn_age" jsonschema_description:"Warn while even the oldest was started less than this ago, as after a crash."`

	// Dir is where a relative PIDFile starts; empty means the working directory.
	Dir string `yaml:"-"`

	fs proc.FS
}

// Validate refuses a check for any process, and numbers that no run can meet.
func (c *Check) Validate() error {
	var errs []error
	if c.Program == "" && c.Command.IsZero() && c.PIDFile == "" {
		errs = append(errs, checks.Optionf("program", "is missing: write a program's name, or say command or pid_file"))
	}
	if strings.Contains(c.Program, "/") {
		errs = append(errs, checks.Optionf("program", "%q has a directory: write %q", c.Program, filepath.Base(c.Program)))
	}
	if c.Min < 0 {
		errs = append(errs, checks.Optionf("min", "%d is negative", c.Min))
	}
	if c.Max < 0 || c.Max > 0 && c.Max < c.min() {
		errs = append(errs, checks.Optionf("max", "%d is less than min (%d)", c.Max, c.min()))
	}
	if c.PIDFile != "" && (c.Min > 1 || c.Max > 0) {
		errs = append(errs, checks.Optionf("pid_file", "names one process: remove min and max"))
	}
	if c.WarnAge < 0 {
		errs = append(errs, checks.Optionf("warn_age", "%v is negative: write a duration such as 5m", c.WarnAge))
	}
	return errors.Join(errs...)
}

func (c *Check) min() int { return cmp.Or(c.Min, 1) }

// Run looks for the processes.
func (c *Check) Run(context.Context) (string, error) {
	query := proc.Query{Program: c.Program, Command: c.Command, PIDFile: c.PIDFile, User: c.User}
	if c.PIDFile != "" && !filepath.IsAbs(c.PIDFile) {
		query.PIDFile = filepath.Join(c.Dir, c.PIDFile)
	}
	found, err := c.fs.Find(query)
	if err != nil {
		return "", err
	}
	uptime, err := c.fs.Uptime()
	if err != nil {
		return "", err
	}
	running, ended, stopped := sortOut(found)
	what := query.String()
	if c.PIDFile != "" {
		what = fmt.Sprintf("process %d, %s,", found[0].PID, explain.Line(found[0].Name))
	}
	if len(running) < c.min() {
		return "", errors.New(c.tooFew(what, running, ended, stopped))
	}
	if c.Max > 0 && len(running) > c.Max {
		return "", fmt.Errorf("%s runs %s, expected at most %d", what, times(len(running)), c.Max)
	}
	oldest := slices.MaxFunc(running, func(a, b proc.Process) int { return cmp.Compare(a.Age(uptime), b.Age(uptime)) })
	age := oldest.Age(uptime)
	if age < c.WarnAge {
		return "", health.Warnf("%s was started %s ago, less than %v", what, checks.Span(age).Coarse(), c.WarnAge)
	}
	if c.PIDFile != "" {
		return fmt.Sprintf("%s has run for %s", what, checks.Span(age).Coarse()), nil
	}
	return fmt.Sprintf("%s runs %s, the oldest for %s (process %d)", what, times(len(running)), checks.Span(age).Coarse(), oldest.PID), nil
}

// sortOut tells processes that run from those that only look so.
func sortOut(found []proc.Process) (running, ended, stopped []proc.Process) {
	for _, p := range found {
		switch {
		case p.Ended():
			ended = append(ended, p)
		case p.Stopped():
			stopped = append(stopped, p)
		default:
			running = append(running, p)
		}
	}
	return running, ended, stopped
}

// tooFew says how many run, and what became of others that were found.
func (c *Check) tooFew(what string, running, ended, stopped []proc.Process) string {
	text := what + " does not run"
	if c.min() > 1 {
		text = fmt.Sprintf("%s runs %s, expected at least %d", what, times(len(running)), c.min())
	}
	if len(ended) > 0 {
		text += fmt.Sprintf("; %s ended, but process %d has not noticed that of %d (zombie)", counted(len(ended), "has", "have"), ended[0].Parent, ended[0].PID)
	}
	if len(stopped) > 0 {
		text += fmt.Sprintf("; %s stopped by a signal: process %d", counted(len(stopped), "is", "are"), stopped[0].PID)
	}
	if len(ended)+len(stopped) == 0 && c.fs.Hidden() {
		text += " (or is hidden: /proc is mounted with hidepid)"
	}
	return text
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
