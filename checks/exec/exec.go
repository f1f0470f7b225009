// Package exec checks by running a program, with the exit codes of Nagios
// plugins, so that every plugin written for Nagios, Icinga or Sensu is a check.
package exec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hale/checks"
	"hale/checks/internal/child"
	"hale/health"
	"hale/internal/account"
	"hale/internal/explain"
)

// Exit codes after the Monitoring Plugins Development Guidelines,
// https://www.monitoring-plugins.org/doc/guidelines.html.
const (
	exitOK      = 0
	exitWarning = 1
	exitFailure = 2
	exitUnknown = 3
)

// pipePatience is how long, after the program's end, its output may be kept
// open by a descendant that left its process group.
const pipePatience = time.Second

// Check runs a program.
//
// Exit code 0 passes, 1 warns, 2 and all others fail, as does a death by
// signal; 3, a plugin's word for not knowing, only warns if Unknown says so. The
// first line of the program's output explains the result, without the
// performance data after its "|". The program runs without a shell, with
// /dev/null as input, in a process group of its own, which is killed when the
// run ends or its time is up: a check leaves no process behind, except one that
// left the group on purpose (setsid). It costs what the program costs, plus one
// fork; running it as another user needs root.
//
//	&exec.Check{Command: []string{"/usr/lib/nagios/plugins/check_load", "-w", "4", "-c", "8"}}
type Check struct {
	Command []string          `yaml:"command" jsonschema:"required" jsonschema_description:"The program and its arguments, as a list; no shell is involved."`
	WorkDir string            `yaml:"dir" jsonschema_description:"Its working directory; by default that of the configuration."`
	Env     map[string]string `yaml:"env" jsonschema_description:"Environment variables, in addition to those of this process."`
	User    string            `yaml:"user" jsonschema_description:"The user to run it as; needs root."`
	Unknown string            `yaml:"unknown" jsonschema:"enum=fail,enum=warn,default=fail" jsonschema_description:"What exit code 3 does, by which a plugin says that it could not find out."`

	// Dir is where a relative WorkDir starts; empty means the working
	// directory of this process.
	Dir string `yaml:"-"`
}

// Validate refuses a missing command, and variables that cannot be set. Whether
// the program exists is only found out by running it, so that a configuration
// can be validated on another machine.
func (c *Check) Validate() error {
	var errs []error
	switch {
	case len(c.Command) == 0 || c.Command[0] == "":
		errs = append(errs, checks.Optionf("command", `is missing: write the program and its arguments as a list, such as [check_load, -w, "4"]`))
	case len(c.Command) == 1 && strings.ContainsAny(c.Command[0], " |&;<>"):
		errs = append(errs, checks.Optionf("command", "%q looks like a line for a shell: write a list of arguments, or [sh, -c, \"...\"]", c.Command[0]))
	}
	for name := range c.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			errs = append(errs, checks.Optionf("env", "%q is not a variable's name", name))
		}
	}
	if c.Unknown != "" && c.Unknown != unknownFails && c.Unknown != unknownWarns {
		errs = append(errs, checks.Optionf("unknown", "%q is neither %s nor %s", c.Unknown, unknownFails, unknownWarns))
	}
	return errors.Join(errs...)
}

// Values of Check.Unknown.
const (
	unknownFails = "fail"
	unknownWarns = "warn"
)

// Run runs the program once.
func (c *Check) Run(ctx context.Context) (string, error) {
	start := time.Now()
	if len(c.Command) == 0 {
		return "", c.Validate()
	}
	cmd, err := c.command()
	if err != nil {
		return "", err
	}
	var stdout, stderr head
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		return "", c.startError(cmd, err)
	}
	if err := child.Wait(ctx, cmd); cmd.ProcessState == nil {
		return "", fmt.Errorf("%s: its end was missed: %w", c.Command[0], err)
	}
	return c.result(ctx, start, cmd.ProcessState, summary(stdout.String(), stderr.String()))
}

func (c *Check) command() (*exec.Cmd, error) {
	// Not CommandContext, whose Wait would kill the program alone.
	cmd := exec.Command(c.Command[0], c.Command[1:]...) //nolint:gosec,noctx // running what the configuration names is the point
	cmd.Dir = c.WorkDir
	if !filepath.IsAbs(cmd.Dir) {
		cmd.Dir = filepath.Join(c.Dir, cmd.Dir)
	}
	cmd.Env = os.Environ()
	for name, value := range c.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.WaitDelay = pipePatience
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.User == "" {
		return cmd, nil
	}
	user, err := account.Lookup(c.User)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", c.User, err)
	}
	cmd.SysProcAttr.Credential = user.Credential()
	cmd.Env = append(cmd.Env, user.Environment()...)
	return cmd, nil
}

// result turns the program's end into the check's.
func (c *Check) result(ctx context.Context, start time.Time, state *os.ProcessState, line string) (string, error) {
	if ctx.Err() != nil && state.ExitCode() < 0 {
		if budget, ok := explain.Budget(ctx, start); ok && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return "", &explain.Error{Text: fmt.Sprintf("%s did not end within %v and was killed", c.Command[0], budget), Err: ctx.Err()}
		}
		return "", &explain.Error{Text: c.Command[0] + " was interrupted", Err: ctx.Err()}
	}
	said := line
	if said == "" {
		said = c.Command[0] + " said nothing"
	}
	switch code := state.ExitCode(); code {
	case exitUnknown:
		if c.Unknown == unknownWarns {
			return "", health.Warnf("unknown: %s", said)
		}
		return "", fmt.Errorf("unknown: %s", said)
	case exitOK:
		return line, nil
	case exitWarning:
		return "", health.Warnf("%s", said)
	case exitFailure:
		return "", errors.New(said)
	case -1:
		return "", fmt.Errorf("%s was ended by a signal: %s", c.Command[0], strings.TrimSpace(signalName(state)+" "+line))
	default:
		return "", fmt.Errorf("exit code %d: %s", code, said)
	}
}

func signalName(state *os.ProcessState) string {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok {
		return state.String()
	}
	return unix.SignalName(status.Signal())
}

// startError says why the program could not be started.
func (c *Check) startError(cmd *exec.Cmd, err error) error {
	program := c.Command[0]
	text := fmt.Sprintf("%s: %s", program, explain.Innermost(err))
	switch {
	case cmd.Dir != "" && !isDir(cmd.Dir):
		text = "no such directory: " + cmd.Dir
	case errors.Is(err, exec.ErrNotFound):
		text = "program not found in PATH: " + program
	case errors.Is(err, fs.ErrNotExist):
		text = "no such program, or its interpreter is missing: " + program
	case errors.Is(err, syscall.EPERM):
		text = fmt.Sprintf("not permitted to run %s as user %s: needs root", program, c.User)
	case errors.Is(err, fs.ErrPermission):
		text = "permission denied: " + program
	case errors.Is(err, syscall.ENOEXEC):
		text = "not a program, or a script without #! line: " + program
	}
	return &explain.Error{Text: text, Err: err}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// head keeps the beginning of what is written to it, and takes the rest, so
// that the writer is never held up.
type head struct{ b []byte }

const maxHead = 8 << 10

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), maxHead-len(h.b))]...)
	return len(p), nil
}

func (h *head) String() string { return string(slices.Clip(h.b)) }
