package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
)

func TestLogsOfAProcess(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "read.log"), "not its own\n")
	writeFile(t, filepath.Join(dir, "log/production.log"), "Rails\n")
	writeFile(t, filepath.Join(dir, "named.log"), "by an option\n")
	out, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	// Its child has what it has not itself.
	cmd := exec.Command("sh", "-c", "(exec 3>>app.log 4>>access.log 5<read.log 6>>data.db; exec sleep 600) & wait", "--error-logfile", "named.log", "--log-file=absent.log")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	pid := start(t, cmd)
	t.Cleanup(func() {
		for _, child := range Family(pid) {
			_ = syscall.Kill(child, syscall.SIGKILL)
		}
	})
	await(t, func() string {
		var got []string
		for _, l := range Logs(pid) {
			if l.From != FromJournal { // where the test runs as a service
				got = append(got, fmt.Sprintf("%s: %s of %s", l.From, strings.TrimPrefix(l.Path, dir+"/"), l.Program))
			}
			if l.From != FromJournal && (l.Changed.IsZero() || l.Changed.After(time.Now().Add(time.Minute))) {
				t.Errorf("%s was changed at %v", l, l.Changed)
			}
		}
		want := []string{"configuration: named.log of sh", "output: output of sh", "open file: app.log of sh", "usual place: log/production.log of sh"}
		if !slices.Equal(got, want) {
			return fmt.Sprintf("%q, want %q", got, want)
		}
		return ""
	})
}

func TestLogOptions(t *testing.T) {
	t.Parallel()
	for command, want := range map[string][]string{
		"gunicorn --error-logfile /var/log/g.log app":       {"/var/log/g.log"},
		"gunicorn --log-file=- app":                         nil,
		"uwsgi --logto /var/log/u.log --logger file:/tmp/l": {"/var/log/u.log", "/tmp/l"},
		"uwsgi --daemonize=u.log --logger syslog:x":         {"u.log"},
		"gunicorn --error-logfile":                          nil,
	} {
		if got := logOptions(strings.Fields(command)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

func TestLooksLikeLog(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"/var/log/nginx/error.log":   true,
		"/var/log/nginx/access.log":  false,
		"/var/log/httpd/error_log":   true,
		"/srv/app/logs/today":        true,
		"/srv/app/stderr.out":        true,
		"/srv/app/db.sqlite3":        false,
		"/dev/log":                   false,
		"socket:[12345]":             false,
		"/srv/catalog/data":          false,
		"/srv/app/app.log (deleted)": false,
	} {
		if got := looksLikeLog(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, content string
		maxBytes      int
		want          []string
	}{
		{"a traceback", "Traceback:\n  File \"a.py\"\n\tx = 1\r\n\nKeyError: 'A'", 0, []string{"Traceback:", `  File "a.py"`, " x = 1", "KeyError: 'A'"}},
		{"the last lines", "first\nsecond\nthird\n", 8, []string{"third"}},
		{"a line that just fits", "first\nsecond\nthird\n", 6, []string{"third"}},
		{"a line that does not quite", "first\nsecond\nthird\nx\n", 7, []string{"x"}},
		{"one line that is longer", "aaaaaaaaaa", 4, []string{"aaaa"}},
		{"what is not text", "\x1b[31mred\x1b[0m \x1b]0;title\x07 bell\xff\x00\n", 0, []string{"red ]0;title bell\uFFFD"}},
		{"a long line", strings.Repeat("x", 2*maxLine) + "\n", 0, []string{strings.Repeat("x", maxLine) + "..."}},
		{"nothing", "", 0, nil},
	} {
		path := filepath.Join(t.TempDir(), "log")
		writeFile(t, path, test.content)
		if got, err := Tail(path, test.maxBytes); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
		if got, err := (Log{Path: path}).Tail(t.Context(), test.maxBytes); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s, of a Log: %q, %v", test.name, got, err)
		}
	}
}

func TestTailOfWhatIsNoLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		pipe:            "read the log: not a regular file: " + pipe,
		dir:             "read the log: not a regular file: " + dir,
		dir + "/absent": "read the log: no such file or directory: " + dir + "/absent",
	} {
		if _, err := Tail(path, 0); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := Tail(dir+"/absent", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add([]byte("\x1b[31mred\x1b[0m\tline\xff\r\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		text := printable(line)
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || len(text) > 3*maxLine+10 {
			t.Errorf("%q", text)
		}
		unitIn(string(line))
		environmentFiles(string(line))
	})
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// realDir is a temporary directory by the name that /proc has for it.
func realDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
