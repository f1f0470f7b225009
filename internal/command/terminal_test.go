package command_test

import (
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// terminal is a shell command that runs on a terminal of 24 lines and 80 columns.
type terminal struct {
	t       *testing.T
	cmd     *exec.Cmd
	keys    io.WriteCloser
	written output
}

// startTerminal starts a shell command on a terminal.
func startTerminal(t *testing.T, shell string) *terminal {
	t.Helper()
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("no script to make a terminal with")
	}
	tty := &terminal{t: t, cmd: exec.CommandContext(t.Context(), script, "-qec", "stty rows 24 cols 80; "+shell, os.DevNull)}
	tty.cmd.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=")
	tty.cmd.Stdout, tty.cmd.Stderr = &tty.written, &tty.written
	if tty.keys, err = tty.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := tty.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return tty
}

// shows waits until something is right about what was written there so far.
func (tty *terminal) shows(what string, right func(written string) bool) {
	tty.t.Helper()
	defer func() {
		if tty.t.Failed() {
			tty.t.Logf("on the terminal: %q", tty.written.String())
		}
	}()
	await(tty.t, what, func() bool { return right(tty.written.String()) })
}

// says waits until what was written matches a regular expression.
func (tty *terminal) says(pattern string) {
	tty.t.Helper()
	tty.shows(pattern, regexp.MustCompile(pattern).MatchString)
}

// interrupt presses Ctrl-C.
func (tty *terminal) interrupt() {
	tty.t.Helper()
	if _, err := io.WriteString(tty.keys, "\x03"); err != nil {
		tty.t.Fatal(err)
	}
}

// end waits for the command's end, and returns all that was written there.
func (tty *terminal) end() (written string, err error) {
	err = tty.cmd.Wait()
	return tty.written.String(), err
}

// onTerminal runs a shell command on a terminal to its end.
func onTerminal(t *testing.T, shell string) (written string, err error) {
	t.Helper()
	return startTerminal(t, shell).end()
}

// output is what a program has written so far.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
