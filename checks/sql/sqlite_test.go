package sql_test

import (
	stdsql "database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/checks/sql"
)

func TestSQLiteFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, file string)
		url     string // FILE is the absolute path
		query   string
		expect  string
		timeout time.Duration
		want    string // part of the error; empty: it passes
	}{
		{name: "absolute", url: "sqlite:///FILE"},
		{name: "relative", url: "sqlite:///site%20one.db"},
		{name: "plain", url: "sqlite:site one.db"},
		{name: "expected value", query: "select count(*) from entry", expect: "1"},
		{name: "in WAL mode", prepare: execute("pragma journal_mode = wal"), query: "select count(*) from entry", expect: "1"},

		{name: "missing", prepare: remove, want: "no such file: FILE"},
		{name: "directory", prepare: func(t *testing.T, file string) { remove(t, file); must(t, os.Mkdir(file, 0o700)) }, want: "is a directory: FILE"},
		{name: "empty", prepare: overwrite(""), want: "file is empty: FILE"},
		{name: "not a database", prepare: overwrite(strings.Repeat("nothing at all ", 1000)), want: "file is not a database: FILE"},
		{name: "corrupted", prepare: corrupt, query: "select count(*) from entry", want: "database is corrupted: FILE"},
		{name: "locked", prepare: lock, timeout: 10 * time.Second, want: "database is locked by another process: FILE"},
		{name: "locked for a moment", prepare: lockFor(100 * time.Millisecond)},
		{name: "no such table", query: "select 1 from absent", want: "no such table: absent"},
		{name: "writing", query: "delete from entry", want: "attempt to write a readonly database"},
		{name: "another value", query: "select count(*) from entry", expect: "7", want: `the query's answer is "1", expected "7": FILE`},
		{name: "endless query", query: endless, timeout: time.Second, want: "no answer within "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "site one.db")
			execute("create table entry (text)", "insert into entry values ('hello')")(t, file)
			if test.prepare != nil {
				test.prepare(t, file)
			}
			if test.url == "" {
				test.url = "sqlite:///FILE"
			}
			c := &sql.Check{
				URL:    strings.ReplaceAll(test.url, "FILE", file),
				Query:  test.query,
				Expect: test.expect,
				Dir:    dir,
			}
			before, _ := os.ReadDir(dir)
			expect(t, c, test.timeout, strings.ReplaceAll(test.want, "FILE", file))
			if after, _ := os.ReadDir(dir); len(after) > len(before) {
				t.Errorf("the check has left files: %v", after)
			}
		})
	}
}

const endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"

// A file that is replaced or removed while the check runs is noticed.
func TestSQLiteComesAndGoes(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "db.sqlite3")
	c := &sql.Check{URL: "sqlite:///" + file, Query: "select count(*) from entry", Expect: "0"}
	defer c.Close()
	for _, step := range []struct {
		name string
		do   func(t *testing.T, file string)
		want string
	}{
		{"before there is a file", func(*testing.T, string) {}, "no such file"},
		{"created", execute("create table entry (text)"), ""},
		{"written to", execute("insert into entry values ('hello')"), `is "1", expected "0"`},
		{"removed", remove, "no such file"},
		{"created again", execute("create table entry (text)"), ""},
	} {
		step.do(t, file)
		_, err := run(t, c, 10*time.Second)
		if step.want == "" && err != nil || step.want != "" && (err == nil || !strings.Contains(err.Error(), step.want)) {
			t.Errorf("%s: error = %v, want %q", step.name, err, step.want)
		}
	}
}

func TestSQLiteLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "db.sqlite3")
	execute("create table entry (text)")(t, file)
	check := &sql.Check{URL: "sqlite:///" + file}
	slow := &sql.Check{URL: "sqlite:///" + file, Query: endless}
	for i := range 1000 {
		c, timeout := check, time.Minute
		if i%100 == 0 {
			c, timeout = slow, 50*time.Millisecond
		}
		if _, err := run(t, c, timeout); (err != nil) != (c == slow) {
			t.Fatalf("run %d: %v", i, err)
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	for _, fd := range fds {
		if target, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(target, file) {
			t.Errorf("open after the last run: %s", target)
		}
	}
}

func execute(statements ...string) func(t *testing.T, file string) {
	return func(t *testing.T, file string) {
		t.Helper()
		db, err := stdsql.Open("sqlite", file)
		must(t, err)
		defer db.Close()
		for _, statement := range statements {
			_, err := db.ExecContext(t.Context(), statement)
			must(t, err)
		}
	}
}

func remove(t *testing.T, file string) {
	t.Helper()
	must(t, os.Remove(file))
}

func overwrite(content string) func(t *testing.T, file string) {
	return func(t *testing.T, file string) {
		t.Helper()
		must(t, os.WriteFile(file, []byte(content), 0o600))
	}
}

// corrupt leaves the header, which is the first 100 bytes, and spoils the tree
// of the table.
func corrupt(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	must(t, err)
	for i := 4096; i < len(content); i++ {
		content[i] = 0xff
	}
	must(t, os.WriteFile(file, content, 0o600))
}

// lock keeps others from reading until the test ends.
func lock(t *testing.T, file string) {
	t.Helper()
	t.Cleanup(takeLock(t, file))
}

func lockFor(d time.Duration) func(t *testing.T, file string) {
	return func(t *testing.T, file string) {
		t.Helper()
		unlock := takeLock(t, file)
		timer := time.AfterFunc(d, unlock)
		t.Cleanup(func() {
			if timer.Stop() {
				unlock()
			}
		})
	}
}

func takeLock(t *testing.T, file string) (unlock func()) {
	t.Helper()
	db, err := stdsql.Open("sqlite", file)
	must(t, err)
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(t.Context(), "begin exclusive")
	must(t, err)
	return func() { db.Close() }
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
