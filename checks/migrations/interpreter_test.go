package migrations_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/checks/migrations"
	"hale/test/checktest"
	"hale/test/servers"
)

// What can go wrong with the project's interpreter, and what is said then.
func TestInterpreter(t *testing.T) {
	t.Parallel()
	servers.NeedDjango(t)
	file := full(t)
	// behave makes the site's settings run a few lines of Python.
	behave := func(lines ...string) func(*site, *migrations.Check) {
		return func(s *site, _ *migrations.Check) { s.settings(lines...) }
	}
	const could = " could not load the project: "
	for _, test := range []struct {
		name    string
		prepare func(*site, *migrations.Check)
		want    string // SITE is the site's directory, PYTHON its interpreter
	}{
		{"well", func(*site, *migrations.Check) {}, "pass: all 19 migrations are applied: "},
		{
			"found by itself", func(_ *site, c *migrations.Check) { c.Python = "" },
			"pass: all 19 migrations are applied: ",
		},
		{
			"of a virtual environment in the project", func(s *site, c *migrations.Check) {
				s.write(".venv/bin/python", "#!/bin/sh\nexec "+s.python+" \"$@\"\n")
				s.must(os.Chmod(filepath.Join(s.dir, ".venv/bin/python"), 0o755))
				s.settings("import os", "assert os.getppid() != 1", "raise SystemExit('the one in .venv')")
				c.Python = ""
			},
			"fail: SITE/.venv/bin/python could not load the project: the one in .venv",
		},
		{
			"of the virtual environment that is active", func(s *site, c *migrations.Check) {
				s.write("other/bin/python", "#!/bin/sh\necho no >&2\nexit 1\n")
				s.must(os.Chmod(filepath.Join(s.dir, "other/bin/python"), 0o755))
				c.Python = ""
				c.Lookup = func(name string) (string, bool) { return filepath.Join(s.dir, "other"), name == "VIRTUAL_ENV" }
			},
			"fail: SITE/other/bin/python could not load the project: no",
		},
		{
			"relative to the project", func(s *site, c *migrations.Check) {
				s.must(os.Symlink(s.python, filepath.Join(s.dir, "python")))
				c.Python = "./python"
			},
			"pass: all 19 migrations are applied: ",
		},
		{
			"of the project, whose directory is relative", func(s *site, c *migrations.Check) {
				s.write(".venv/bin/python", "#!/bin/sh\nexec "+s.python+" \"$@\"\n")
				s.must(os.Chmod(filepath.Join(s.dir, ".venv/bin/python"), 0o755))
				here, err := os.Getwd()
				s.must(err)
				c.Dir, err = filepath.Rel(here, filepath.Dir(s.dir))
				s.must(err)
				c.ProjectDir, c.Python = "site", ""
			},
			"pass: all 19 migrations are applied: ",
		},
		{"does not exist", func(_ *site, c *migrations.Check) { c.Python = "/nowhere/python" }, "fail: /nowhere/python: there is no such interpreter"},
		{
			"without Django", func(s *site, c *migrations.Check) {
				s.write("bare", "#!/bin/sh\nexec "+s.python+" -S \"$@\"\n")
				s.must(os.Chmod(filepath.Join(s.dir, "bare"), 0o755))
				c.Python = "./bare"
			},
			"fail: SITE/bare has no Django",
		},
		{
			"without Django, found by itself", func(s *site, c *migrations.Check) {
				s.write(".venv/bin/python", "#!/bin/sh\nexec "+s.python+" -S \"$@\"\n")
				s.must(os.Chmod(filepath.Join(s.dir, ".venv/bin/python"), 0o755))
				c.Python = ""
			},
			"pass: all 19 migrations are applied: ",
		},
		{"no such project", func(_ *site, c *migrations.Check) { c.ProjectDir = "/nowhere" }, "fail: no such directory: /nowhere"},
		{
			"no manage.py, settings in the environment", func(s *site, _ *migrations.Check) { s.settings(); s.remove("manage.py") },
			"pass: all 19 migrations are applied: ",
		},
		{
			"no manage.py, settings as an option", func(s *site, c *migrations.Check) { s.remove("manage.py"); c.Settings = "mysite.settings" },
			"pass: all 19 migrations are applied: ",
		},
		{
			"no manage.py, no settings", func(s *site, _ *migrations.Check) { s.remove("manage.py") },
			"fail: no manage.py in SITE, and DJANGO_SETTINGS_MODULE is not set: set dir or settings",
		},
		{
			"settings as an option", func(_ *site, c *migrations.Check) { c.Settings = "mysite.absent" },
			"fail: PYTHON" + could + "ModuleNotFoundError: No module named 'mysite.absent'",
		},
		{
			"a variable is missing", func(_ *site, c *migrations.Check) { c.Environ = nil },
			"fail: PYTHON" + could + "django.core.exceptions.ImproperlyConfigured: the environment variable SECRET_KEY is not set: add it to the env file (env.example shows every variable)",
		},
		{"a syntax error", behave("def"), "fail: PYTHON" + could + "SyntaxError: invalid syntax"},
		{
			"an exception of several lines", behave(`raise ValueError("first\n  second\nthird")`),
			"fail: PYTHON" + could + "third",
		},
		{
			"an exception with secrets", behave(`import os`, `raise ValueError("cannot use " + os.environ["SECRET_KEY"] + " with postgres://u:pa55word@h/d")`),
			"fail: PYTHON" + could + "ValueError: cannot use … with postgres://…@h/d",
		},
		{"an exception with control characters", behave(`raise ValueError("a\x1b[31mb\x00c")`), "fail: PYTHON" + could + "ValueError: abc"},
		{"ends early", behave("import os", "os._exit(0)"), "fail: PYTHON" + could + "exit status 0"},
		{"dies", behave("import os", "os.kill(os.getpid(), 9)"), "fail: PYTHON" + could + "signal: killed"},
		{
			"writes rubbish in the list's place", behave("import os", `os.write(3, b"\xff\x00 rubbish")`),
			"fail: PYTHON could not tell the project's migrations: its list of migrations cannot be read: invalid character",
		},
		{
			"writes another list before", behave("import os", `os.write(3, b'{"databases": ["default"], "vendor": "sqlite", "apps": {}, "migrations": []}')`),
			"fail: PYTHON could not tell the project's migrations: its list of migrations is followed by something else",
		},
		{
			"writes without end", behave("import os", "while True:", `    os.write(3, b"x" * 65536)`),
			"fail: PYTHON wrote a list of migrations larger than 16 MiB",
		},
		{
			"says much on its way", behave("import sys", `sys.stdout.write("x" * 1000000)`, `sys.stderr.write("x\n" * 1000000)`),
			"pass: all 19 migrations are applied: ",
		},
		{
			"leaves a process behind", behave("import os, subprocess", `subprocess.Popen(["sleep", "5"], close_fds=False, start_new_session=True)`),
			"pass: all 19 migrations are applied: ",
		},
		{
			"no such alias", func(_ *site, c *migrations.Check) { c.Alias = "replica" },
			`fail: the settings have no database "replica", but default: set alias`,
		},
		{
			"another kind of database", func(_ *site, c *migrations.Check) { c.Database = "postgres://u:secret@127.0.0.1:1/d" },
			`fail: the settings say that the database "default" is sqlite, but the check asks one that is postgresql`,
		},
		{
			"no such app", func(_ *site, c *migrations.Check) { c.Apps = []string{"shop"} },
			`fail: apps names "shop", which is not an app with migrations`,
		},
		{
			"files with two apps of a label", func(s *site, c *migrations.Check) {
				c.Python = "none"
				s.must(os.CopyFS(filepath.Join(s.dir, "copy/guestbook"), os.DirFS(filepath.Join(s.dir, "guestbook"))))
			},
			"fail: two apps have the label guestbook, one of them in SITE/guestbook: set paths",
		},
		{
			"files without a migration among them", func(s *site, c *migrations.Check) { c.Python = "none"; s.remove("guestbook") },
			"fail: no migrations below SITE (as its files say): set dir, paths or python",
		},
		{
			"files in paths", func(_ *site, c *migrations.Check) {
				c.Paths = []string{"guestbook", "/usr/lib/python3/dist-packages/django/contrib/auth"}
			},
			"pass: all 16 migrations are applied (as its files in paths say): ",
		},
		{
			"a file without a migration", func(s *site, c *migrations.Check) {
				c.Python = "none"
				s.write("guestbook/migrations/helper.py", "")
			},
			"fail: no class Migration in SITE/guestbook/migrations/helper.py",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, "sqlite:///"+file)
			check := s.check("")
			test.prepare(s, check)
			got := checktest.Outcome(t, check, time.Minute)
			want := strings.NewReplacer("SITE", s.dir, "PYTHON", s.python).Replace(test.want)
			if !strings.HasPrefix(got, want) {
				t.Errorf("the check says\n%s, expected\n%s", got, want)
			}
			if strings.Contains(got, "only for tests") || strings.Contains(got, "pa55word") {
				t.Error("a secret is in it")
			}
			if err := check.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A run that is too short for the interpreter says so, and does not doom those
// after it.
func TestInterpreterOutlivesTheRun(t *testing.T) {
	t.Parallel()
	servers.NeedDjango(t)
	s := open(t, "sqlite:///"+full(t))
	s.settings("import time", "time.sleep(1)")
	check := s.check("")
	want := regexp.MustCompile(`^fail: the code's migrations are still being read, for [\d.]+m?s so far$`)
	if got := checktest.Outcome(t, check, 100*time.Millisecond); !want.MatchString(got) {
		t.Errorf("got %s, want %s", got, want)
	}
	outcome(t, check, "pass: all 19 migrations are applied: ")
}

// Close ends an interpreter that hangs, with all that it has started; plan_timeout
// does the same.
func TestInterpreterThatHangs(t *testing.T) {
	servers.NeedDjango(t)
	s := open(t, "sqlite:///"+full(t))
	pids := filepath.Join(s.dir, "pids")
	s.settings("import os, subprocess, time",
		`child = subprocess.Popen(["sleep", "600"])`,
		fmt.Sprintf(`open(%q, "w").write(f"{os.getpid()} {child.pid}\n")`, pids),
		"time.sleep(600)")
	goroutines := runtime.NumGoroutine()
	gone := func() {
		t.Helper()
		for pid := range strings.FieldsSeq(s.read("pids")) {
			n, err := strconv.Atoi(pid)
			s.must(err)
			checktest.Eventually(t, "process "+pid+" is gone", func() bool { return ended(n) })
		}
		checktest.Eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	}

	closed := s.check("")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		checktest.Eventually(t, "the interpreter runs", func() bool {
			content, _ := os.ReadFile(pids)
			return strings.HasSuffix(string(content), "\n")
		})
		cancel()
	}()
	if _, err := closed.Run(ctx); err == nil || err.Error() != "interrupted while the code's migrations were read" {
		t.Errorf("error = %v", err)
	}
	s.must(closed.Close())
	gone()

	// A busy machine takes its time until it has come to where the settings hang.
	for limit := 2 * time.Second; ; limit *= 4 {
		s.remove("pids")
		late := s.check("")
		late.PlanTimeout = limit
		want := "fail: the code's migrations could not be read within " + limit.String() + ": " + s.python + " was interrupted"
		if got := checktest.Outcome(t, late, 2*time.Minute); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		s.must(late.Close())
		if _, err := os.Stat(pids); err == nil || limit > time.Minute {
			break
		}
	}
	gone()
}

// ended reports whether a process is gone, or but a zombie that its new parent
// has yet to notice.
func ended(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// The interpreter runs as the user that it is told to.
func TestInterpreterAsAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	servers.NeedDjango(t)
	s := open(t, "sqlite:///"+full(t))
	s.settings("import getpass, os", `raise ValueError("run by %s in %s" % (getpass.getuser(), os.environ["HOME"]))`)
	for dir := s.dir; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		s.must(os.Chmod(dir, 0o755))
	}
	check := s.check("")
	check.User = "nobody"
	outcome(t, check, "fail: ValueError: run by nobody in /nonexistent")
	check = s.check("")
	check.User = "surely-not-there"
	outcome(t, check, "fail: user surely-not-there: there is no such user on this machine")
}
