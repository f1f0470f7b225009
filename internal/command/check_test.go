package command_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"hale/internal/command"
)

// configured writes a hale.yaml with checks and returns its name.
func configured(t *testing.T, checks string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hale.yaml")
	if err := os.WriteFile(file, []byte("health:\n  checks:\n"+checks), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Fifteen checks, some of them members of groups, are asked at the same time: each
// is answered once all of them have asked.
func TestChecksAreAskedAtOnce(t *testing.T) {
	const number = 15
	var asked atomic.Int32
	all := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == number {
			close(all)
		}
		select {
		case <-all:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	var checks strings.Builder
	ask := func(indent, name string) {
		fmt.Fprintf(&checks, "%s- {name: %s, type: http, url: %q, timeout: 60s}\n", indent, name, server.URL)
	}
	for i := range number - 6 {
		ask("    ", fmt.Sprint("check ", i))
	}
	checks.WriteString("    - name: group\n      depends_on: check 1\n      all:\n")
	for i := range 6 {
		ask("        ", fmt.Sprint("member ", i))
	}
	file := configured(t, checks.String())
	var stdout, stderr bytes.Buffer
	s := command.Streams{Out: &stdout, Err: &stderr, Env: os.LookupEnv}
	code := command.Main(context.Background(), []string{"check", "-c", file}, s)
	if code != 0 || stderr.Len() > 0 || strings.Count(stdout.String(), "pass") < number+1 {
		t.Errorf("exit code %d, %s%s", code, &stderr, &stdout)
	}
}

func TestProgressOnATerminal(t *testing.T) {
	seen := filepath.Join(t.TempDir(), "seen")
	file := configured(t, fmt.Sprintf("    - {name: slow, type: exec, timeout: 60s, command: [sh, -c, 'until [ -e %s ]; do sleep 0.1; done']}\n    - {name: memory, type: memory, max_used: 100%%, warn_used: 100%%}\n", seen))
	tty := startTerminal(t, "hale check -c "+file)
	tty.says(`\r\x1b\[K1 of 2 checks done, \d+\.\ds; waiting for slow`)
	if err := os.WriteFile(seen, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	written, err := tty.end()
	if err != nil {
		t.Fatalf("%v: %s", err, written)
	}
	if !strings.Contains(written, "\x1b[32mpass\x1b[0m") {
		t.Errorf("%q has no green pass", written)
	}
	if _, table, ok := strings.Cut(written, " name "); !ok || strings.Contains(table, "waiting for") {
		t.Errorf("the line is still there below the table: %q", table)
	}
}

func TestWatchOnATerminal(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "down")
	file := configured(t, fmt.Sprintf(`    - {name: flag, type: file, path: %s, absent: true, interval: 100ms, timeout: 60s}
    - name: group
      any: [{name: member, type: file, path: /}]
`, flag))
	tty := startTerminal(t, "exec hale check --watch -c "+file)
	tty.says(`: \x1b\[32mpass\x1b\[0m for \d+s; Ctrl-C ends`)
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tty.says(`pass\x1b\[0m for (?s:.*): \x1b\[31mfail\x1b\[0m for \d+s; Ctrl-C ends`)
	tty.interrupt()
	written, err := tty.end()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 { //nolint:errorlint // as Cmd returns it
		t.Errorf("%v, want exit code 1: the last verdict is fail", err)
	}
	for _, want := range []string{"   member ", "\x1b[?25l", "\x1b[?25h"} {
		if !strings.Contains(written, want) {
			t.Errorf("%q has no %q", written, want)
		}
	}
	if up := strings.Count(written, "A\r\x1b[K"); up < 2 {
		t.Errorf("drawn again %d times: %q", up, written)
	}
}

// More checks than the terminal has lines are cut, so that the picture can be
// drawn over.
func TestWatchOnASmallTerminal(t *testing.T) {
	var checks strings.Builder
	for i := range 40 {
		fmt.Fprintf(&checks, "    - {name: %s %d, type: file, path: /}\n", strings.Repeat("long ", 15), i)
	}
	tty := startTerminal(t, "exec hale check --watch -c "+configured(t, checks.String()))
	const more = `\.\.\. \d+ lines more`
	tty.says(more)
	tty.interrupt()
	written, _ := tty.end()
	last := written[max(len(written)-500, 0):]
	if !regexp.MustCompile(more).MatchString(last) {
		t.Errorf("%q", last)
	}
	for line := range strings.Lines(written) {
		line = line[strings.LastIndex(line, "\x1b[K")+len("\x1b[K"):]
		if n := len([]rune(strings.TrimRight(line, "\r\n"))); strings.Contains(line, "long") && n > 80+len("\x1b[32m\x1b[0m") {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}

// A terminal that knows no escape sequences gets none.
func TestDumbTerminal(t *testing.T) {
	file := configured(t, "    - {name: slow, type: exec, timeout: 60s, command: [sleep, '0.5']}\n")
	for _, command := range []string{"hale check", "hale check --watch"} {
		tty := startTerminal(t, "TERM=dumb; export TERM; exec "+command+" -c "+file)
		tty.says("verdict.*pass")
		if strings.HasSuffix(command, "watch") {
			tty.interrupt()
		}
		if written, err := tty.end(); strings.Contains(written, "\x1b") || err != nil {
			t.Errorf("%s: %v: %q", command, err, written)
		}
	}
}

// However narrow the terminal, the table is not wider, and says all.
func TestTableFitsTheTerminal(t *testing.T) {
	file := configured(t, `    - {name: database, type: file, path: /nowhere, scope: shared}
    - {name: migrations of the shop, type: exec, impact: degraded, command: [sh, -c, "echo the queue is longer than it should be by any measure; exit 2"]}
    - {name: sessions, type: exec, depends_on: database, command: [sh, -c, "echo the table of sessions is gone; exit 2"]}
`)
	for _, columns := range []int{45, 60, 80, 140} {
		written, _ := onTerminal(t, fmt.Sprintf("stty cols %d; NO_COLOR=1 hale check -c %s 2>/dev/null", columns, file))
		for line := range strings.Lines(written) {
			if n := len([]rune(strings.TrimRight(line, "\r\n"))); n > columns {
				t.Errorf("%d columns: a line of %d: %q", columns, n, line)
			}
		}
		for _, word := range []string{"database", "migrations", "(degraded)", "longer", "measure", "verdict: fail"} {
			if !strings.Contains(written, word) {
				t.Errorf("%d columns: no %q in\n%s", columns, word, written)
			}
		}
	}
}

// What fails is seen on a terminal that is too small for all, consequences after
// their causes.
func TestWatchShowsWhatFailsFirst(t *testing.T) {
	var checks strings.Builder
	for i := range 30 {
		fmt.Fprintf(&checks, "    - {name: well %d, type: file, path: /}\n", i)
	}
	checks.WriteString(`    - {name: page, type: file, path: /nowhere, depends_on: database}
    - {name: disk, type: file, path: /nowhere, impact: degraded}
    - name: group
      all: [{name: member, type: file, path: /nowhere}]
    - {name: database, type: file, path: /nowhere}
`)
	tty := startTerminal(t, "stty rows 12; NO_COLOR=1; export NO_COLOR; exec hale check --watch -c "+configured(t, checks.String()))
	const want = "group member database disk page well 0"
	var got string
	tty.shows(want, func(written string) bool {
		_, last, _ := cutLast(written, " name ")
		var order []string
		for _, match := range regexp.MustCompile(`(?m)\x1b\[K +(disk|group|member|database|page|well 0) `).FindAllStringSubmatch(last, -1) {
			order = append(order, match[1])
		}
		got = strings.Join(order, " ")
		return got == want
	})
	tty.interrupt()
	_, _ = tty.end()
}

func TestExplainOnATerminal(t *testing.T) {
	written, err := onTerminal(t, "hale check --explain disk")
	if err != nil || !strings.Contains(written, "\x1b[1mdisk\x1b[0m") {
		t.Errorf("%v: %q", err, written)
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
