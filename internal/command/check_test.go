package command_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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

// Fifteen checks, some of them members of groups, take the time of the slowest.
func TestChecksTakeTheTimeOfTheSlowest(t *testing.T) {
	const slowest, sum = 800 * time.Millisecond, 12 * time.Second
	var checks strings.Builder
	sleep := func(indent, name string) {
		fmt.Fprintf(&checks, "%s- {name: %s, type: exec, command: [sleep, '0.8']}\n", indent, name)
	}
	for i := range 9 {
		sleep("    ", fmt.Sprint("check ", i))
	}
	checks.WriteString("    - name: group\n      depends_on: check 1\n      all:\n")
	for i := range 6 {
		sleep("        ", fmt.Sprint("member ", i))
	}
	file := configured(t, checks.String())
	var stdout, stderr bytes.Buffer
	s := command.Streams{Out: &stdout, Err: &stderr, Env: os.LookupEnv}
	begun := time.Now()
	code := command.Main(context.Background(), []string{"check", "-c", file}, s)
	took := time.Since(begun)
	if code != 0 || stderr.Len() > 0 || strings.Count(stdout.String(), "pass") < 16 {
		t.Errorf("exit code %d, %s%s", code, &stderr, &stdout)
	}
	if took < slowest || took > slowest+sum/4 {
		t.Errorf("took %v; the slowest takes %v, one after the other %v", took, slowest, sum)
	}
}

// onTerminal runs a shell command on a terminal of 24 lines and 80 columns, and
// returns all that it wrote there.
func onTerminal(t *testing.T, shell string) (written string, err error) {
	t.Helper()
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("no script to make a terminal with")
	}
	cmd := exec.CommandContext(t.Context(), script, "-qec", "stty rows 24 cols 80; "+shell, os.DevNull)
	cmd.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestProgressOnATerminal(t *testing.T) {
	file := configured(t, "    - {name: slow, type: exec, command: [sleep, '0.5']}\n    - {name: memory, type: memory, max_used: 100%, warn_used: 100%}\n")
	written, err := onTerminal(t, "hale check -c "+file)
	if err != nil {
		t.Fatalf("%v: %s", err, written)
	}
	for _, want := range []string{"\r\x1b[K1 of 2 checks done, 0.", "s; waiting for slow", "\x1b[32mpass\x1b[0m"} {
		if !strings.Contains(written, want) {
			t.Errorf("%q has no %q", written, want)
		}
	}
	if _, table, ok := strings.Cut(written, " name "); !ok || strings.Contains(table, "waiting for") {
		t.Errorf("the line is still there below the table: %q", table)
	}
}

func TestWatchOnATerminal(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "down")
	file := configured(t, fmt.Sprintf(`    - {name: flag, type: file, path: %s, absent: true, interval: 100ms, timeout: 1s}
    - name: group
      any: [{name: member, type: file, path: /}]
`, flag))
	written, err := onTerminal(t, fmt.Sprintf("(sleep 1; touch %s) & timeout --foreground --preserve-status -s INT 2 hale check --watch -c %s", flag, file))
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 { //nolint:errorlint // as Cmd returns it
		t.Errorf("%v, want exit code 1: the last verdict is fail", err)
	}
	plain := strings.NewReplacer("\x1b[32m", "", "\x1b[31m", "", "\x1b[33m", "", "\x1b[2m", "", "\x1b[0m", "").Replace(written)
	for _, want := range []string{": pass for 0s; Ctrl-C ends", "   member ", ": fail for 0s; Ctrl-C ends", "\x1b[?25l", "\x1b[?25h"} {
		if !strings.Contains(plain, want) {
			t.Errorf("%q has no %q", plain, want)
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
	written, _ := onTerminal(t, "timeout --foreground -s INT 1 hale check --watch -c "+configured(t, checks.String()))
	last := written[max(len(written)-500, 0):]
	if !regexp.MustCompile(`\.\.\. \d+ lines more`).MatchString(last) {
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
	file := configured(t, "    - {name: slow, type: exec, interval: 1s, timeout: 1s, command: [sleep, '0.5']}\n")
	for _, command := range []string{"hale check", "timeout --foreground -s INT 1 hale check --watch"} {
		written, err := onTerminal(t, "TERM=dumb "+command+" -c "+file)
		if strings.Contains(written, "\x1b") || !strings.Contains(written, "pass") {
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
	written, _ := onTerminal(t, "stty rows 12; NO_COLOR=1 timeout --foreground -s INT 1 hale check --watch -c "+configured(t, checks.String()))
	_, last, found := cutLast(written, " name ")
	if !found {
		t.Fatalf("%q", written)
	}
	order := regexp.MustCompile(`(?m)\x1b\[K +(disk|group|member|database|page|well 0) `).FindAllStringSubmatch(last, -1)
	var got []string
	for _, match := range order {
		got = append(got, match[1])
	}
	if want := "group member database disk page well 0"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q first:\n%s", got, want, last)
	}
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
