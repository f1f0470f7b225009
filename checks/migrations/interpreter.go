package migrations

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"hale/checks/internal/child"
	"hale/internal/explain"
)

// interpreter runs Python once for a document that it writes to file descriptor
// 3: what a project's settings print does no harm.
type interpreter struct {
	path       string
	args       []string
	dir        string
	env        []string
	credential *syscall.Credential
	hidden     []string // what no message may hold
}

// patience is how long, after the interpreter's end, its pipes may be kept open
// by a process that it leaves behind.
const patience = time.Second

// run returns the document. The process, in a group of its own, has ended when
// it returns.
func (p interpreter) run(ctx context.Context) ([]byte, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var stderr tail
	cmd := exec.Command(p.path, p.args...) //nolint:gosec,noctx // the project's own interpreter; its group is killed below
	cmd.Dir, cmd.Env = p.dir, p.env
	cmd.Stderr, cmd.ExtraFiles = &stderr, []*os.File{writer}
	cmd.WaitDelay = patience
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.credential}
	err = cmd.Start()
	_ = writer.Close()
	if err != nil {
		return nil, p.startError(err)
	}
	running, kill := context.WithCancel(ctx)
	defer kill()
	read := make(chan []byte, 1)
	go func() {
		// An error means that it was cut off, which its reader finds out.
		document, _ := io.ReadAll(io.LimitReader(reader, maxPlan+1))
		if len(document) > maxPlan {
			kill() // it would wait for somebody to read on
		}
		read <- document
	}()
	waitErr := child.Wait(running, cmd)
	_ = reader.SetReadDeadline(time.Now().Add(patience)) // for one that left the group
	document := <-read
	switch {
	case ctx.Err() != nil:
		return nil, &explain.Error{Text: p.path + " was interrupted", Err: ctx.Err()}
	case cmd.ProcessState == nil:
		return nil, fmt.Errorf("%s: its end was missed: %w", p.path, waitErr)
	case len(document) > maxPlan:
		return nil, fmt.Errorf("%s wrote a list of migrations larger than %d MiB", p.path, maxPlan>>20)
	case !cmd.ProcessState.Success() || len(document) == 0:
		return nil, p.failure(cmd.ProcessState, stderr.String())
	}
	return document, nil
}

func (p interpreter) startError(err error) error {
	text := explain.Innermost(err)
	switch {
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist):
		text = "there is no such interpreter"
	case errors.Is(err, syscall.EPERM):
		text = "not permitted to run it as another user: needs root"
	}
	return &explain.Error{Text: fmt.Sprintf("%s: %s", p.path, text), Err: err}
}

// noModule is what Python, or Django's manage.py, says if there is no Django.
var noModule = regexp.MustCompile(`No module named '?django'?$|^ImportError: Couldn't import Django`)

// failure says why there is no document: by the last line of what the
// interpreter wrote, which is the exception.
func (p interpreter) failure(state *os.ProcessState, stderr string) error {
	line := ""
	for l := range strings.Lines(stderr) {
		// Lines of a traceback, and of a long message, are indented.
		if trimmed := strings.TrimSpace(l); trimmed != "" && (line == "" || l[0] != ' ') {
			line = trimmed
		}
	}
	if noModule.MatchString(line) || noModule.MatchString(lastException(stderr)) {
		return fmt.Errorf("%s %w", p.path, errNoDjango)
	}
	if line = explain.Line(hide(line, p.hidden)); line == "" {
		line = state.String()
	}
	return fmt.Errorf("%s could not load the project: %s", p.path, line)
}

// lastException finds the last line that begins as an exception does.
func lastException(stderr string) string {
	found := ""
	for l := range strings.Lines(stderr) {
		if strings.HasPrefix(l, "ImportError: ") || strings.HasPrefix(l, "ModuleNotFoundError: ") {
			found = strings.TrimSpace(l)
		}
	}
	return found
}

// credentials are the user and password in a URL.
var credentials = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s/'"]*@`)

// hide removes secrets from a text.
func hide(text string, secrets []string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "…")
	}
	return credentials.ReplaceAllString(text, "${1}…@")
}

// secretName is a part of the names of variables whose values are secret.
var secretName = regexp.MustCompile(`(?i)key|secret|pass|token|url|uri|dsn|credential|auth|private|salt|cookie|connection`)

// secrets returns what an exception of the project may hold and nobody may see:
// all values of the app's own variables, and those of this process's that look
// like secrets; the longest first, since one may be part of another.
func (s source) secrets() []string {
	process := os.Environ()
	var values []string
	for _, variable := range slices.Concat(process, s.environment()) {
		name, value, _ := strings.Cut(variable, "=")
		if len(value) > 3 && (secretName.MatchString(name) || !slices.Contains(process, variable)) {
			values = append(values, value)
		}
	}
	for _, raw := range append([]string{s.django.url}, values...) {
		if u, err := url.Parse(raw); err == nil && u.User != nil {
			if password, ok := u.User.Password(); ok && password != "" {
				values = append(values, password, url.QueryEscape(password))
			}
		}
	}
	values = append(values, s.django.url)
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	return values
}

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

const maxTail = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p[max(0, len(p)-maxTail):]...)
	t.b = t.b[max(0, len(t.b)-maxTail):]
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }
