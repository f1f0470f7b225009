package file_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/file"
)

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string, age time.Duration) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		written := time.Now().Add(-age)
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
	}
	write("fresh", "state=running\nport=80\n", 0)
	write("old", "state=running\n", 48*time.Hour)
	write("backup-1.dump", "first", 50*time.Hour)
	write("backup-2.dump", "second", 5*time.Hour)
	write("backup-3.dump", "third", 30*time.Hour)
	write("[odd]", "odd", 0)
	write("future", "", -48*time.Hour)
	write("large", strings.Repeat("x", 1<<20)+"needle", 0)
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		check file.Check
		want  string // the error; empty: it passes
	}{
		{"there", file.Check{Path: "fresh"}, ""},
		{"absolute", file.Check{Path: filepath.Join(dir, "fresh")}, ""},
		{"directory", file.Check{Path: "."}, ""},
		{"not there, as it should", file.Check{Path: "maintenance", Absent: true}, ""},
		{"contains", file.Check{Path: "fresh", Contains: "state=running"}, ""},
		{"matches", file.Check{Path: "fresh", Matches: checks.MustPattern(`(?m)^port=\d+$`)}, ""},
		{"large enough", file.Check{Path: "large", MinSize: 1 << 20}, ""},
		{"fresh enough", file.Check{Path: "fresh", MaxAge: time.Hour}, ""},
		{"from the future", file.Check{Path: "future", MaxAge: time.Hour}, ""},
		{"readable", file.Check{Path: "fresh", Readable: true}, ""},
		{"small enough", file.Check{Path: "fresh", MaxSize: 22}, ""},
		{"lacks what it should", file.Check{Path: "fresh", Excludes: "state=failed"}, ""},
		{"newest of several", file.Check{Path: "backup-*.dump", MaxAge: 24 * time.Hour, Contains: "second"}, ""},
		{"a file named as a pattern", file.Check{Path: "[odd]", Contains: "odd"}, ""},
		{"none of several", file.Check{Path: "*.lock", Absent: true}, ""},
		{"readable directory", file.Check{Path: ".", Readable: true}, ""},

		{"missing", file.Check{Path: "absent"}, "no such file: DIR/absent"},
		{"dangling link", file.Check{Path: "dangling"}, "no such file: DIR/dangling"},
		{"a file in place of a directory", file.Check{Path: "fresh/file"}, "not a directory: DIR/fresh/file"},
		{"there against the rule", file.Check{Path: "fresh", Absent: true}, "exists: DIR/fresh"},
		{"does not contain", file.Check{Path: "fresh", Contains: "state=failed"}, `does not contain "state=failed": DIR/fresh`},
		{"does not match", file.Check{Path: "fresh", Matches: checks.MustPattern("^port")}, `does not match "^port": DIR/fresh`},
		{"behind the first MiB", file.Check{Path: "large", Contains: "needle"}, `does not contain "needle": the first 1MiB of DIR/large`},
		{"contains what it should not", file.Check{Path: "fresh", Excludes: "state=running"}, `contains "state=running": DIR/fresh`},
		{"too large", file.Check{Path: "large", MaxSize: 1 << 20}, "1048582 bytes are more than 1048576: DIR/large"},
		{"newest of several is too old", file.Check{Path: "backup-*.dump", MaxAge: time.Hour}, "written 5h0m0s ago, more than 1h0m0s: DIR/backup-2.dump"},
		{"nothing matches", file.Check{Path: "backup-*.sql"}, "no such file: DIR/backup-*.sql"},
		{"some are there against the rule", file.Check{Path: "backup-*.dump", Absent: true}, "exists: DIR/backup-2.dump"},
		{"too small", file.Check{Path: "fresh", MinSize: 4 << 10}, "22B is less than 4KiB: DIR/fresh"},
		{"too old", file.Check{Path: "old", MaxAge: 24 * time.Hour}, "written 48h0m0s ago, more than 24h0m0s: DIR/old"},
		{"content of a FIFO", file.Check{Path: "fifo", Contains: "x"}, "not a regular file: DIR/fifo"},
		{"content of a directory", file.Check{Path: ".", Contains: "x"}, "not a regular file: DIR"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.Dir = dir
			if err := test.check.Validate(); err != nil {
				t.Fatal(err)
			}
			output, err := run(t, &test.check)
			want := strings.ReplaceAll(test.want, "DIR", dir)
			if want == "" && (err != nil || !strings.Contains(output, dir)) {
				t.Errorf("got %q, %v", output, err)
			}
			if want != "" && (err == nil || err.Error() != want) {
				t.Errorf("error = %v, want %s", err, want)
			}
		})
	}
}

// run gives up on a check that hangs, as opening a FIFO would.
func run(t *testing.T, c *file.Check) (output string, err error) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		output, err = c.Run(context.Background())
	}()
	select {
	case <-done:
		return output, err
	case <-time.After(time.Minute):
		t.Fatal("hangs")
		return "", nil
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		check file.Check
		want  string
	}{
		{file.Check{}, "path: is missing: write the path of the file"},
		{file.Check{Path: "x", MaxAge: -time.Hour}, "max_age: -1h0m0s is negative: write a duration such as 24h"},
		{file.Check{Path: "x", MinSize: 2, MaxSize: 1}, "min_size: 2B is more than max_size (1B)"},
		{file.Check{Path: "x[a"}, `path: "x[a" has a [ without its ]: for the character itself, write \[`},
		{file.Check{Path: "x", Absent: true, Contains: "y"}, "absent: asks that there is no file, and other options what is in it: remove one or the other"},
	} {
		if err := test.check.Validate(); err == nil || err.Error() != test.want {
			t.Errorf("error = %v, want %s", err, test.want)
		}
	}
}
