package migrations_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/checks/migrations"
	"hale/test/checktest"
	"hale/test/servers"
)

const example = "../../examples/django"

// site is a copy of the example site with a database of its own.
type site struct {
	t      *testing.T
	python string
	dir    string
	url    string // DATABASE_URL
	second string // OTHER_URL, if the settings of the state have such a database
	states bool   // the site's settings are mysite.states
}

// open makes a copy of the example site.
func open(t *testing.T, url string) *site {
	t.Helper()
	s := &site{t: t, python: servers.NeedDjango(t), dir: filepath.Join(t.TempDir(), "site"), url: url}
	s.must(os.CopyFS(s.dir, os.DirFS(example)))
	return s
}

// environ is what the site's settings need.
func (s *site) environ() []string {
	env := []string{
		"SECRET_KEY=only for tests", "DATABASE_URL=" + s.url, "OTHER_URL=" + s.second, "PYTHONDONTWRITEBYTECODE=1",
	}
	if s.states {
		env = append(env, "DJANGO_SETTINGS_MODULE=mysite.states")
	}
	return env
}

// try runs a command of manage.py.
func (s *site) try(args ...string) (output string, ok bool) {
	s.t.Helper()
	cmd := exec.Command(s.python, append([]string{"manage.py"}, args...)...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), s.environ()...)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// manage runs a command of manage.py that must end well.
func (s *site) manage(args ...string) {
	s.t.Helper()
	if out, ok := s.try(args...); !ok {
		s.t.Fatalf("manage.py %s:\n%s", strings.Join(args, " "), out)
	}
}

// write puts a file into the site.
func (s *site) write(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	s.must(os.MkdirAll(filepath.Dir(path), 0o755))
	s.must(os.WriteFile(path, []byte(content), 0o644))
}

func (s *site) remove(names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.must(os.RemoveAll(filepath.Join(s.dir, name)))
	}
}

// settings makes settings that go on where the example's end.
func (s *site) settings(lines ...string) {
	s.t.Helper()
	s.states = true
	s.write("mysite/states.py", "from .settings import *\nfrom .environment import database\n"+strings.Join(lines, "\n")+"\n")
}

// app makes an app without models.
func (s *site) app(name string) {
	s.t.Helper()
	s.write(name+"/__init__.py", "")
	s.write(name+"/migrations/__init__.py", "")
}

// migration writes a migration that does nothing.
func (s *site) migration(app, name, body string) {
	s.t.Helper()
	s.write(app+"/migrations/"+name+".py", "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    "+
		strings.ReplaceAll(body, "\n", "\n    ")+"\n    operations = []\n")
}

// follows is the body of a migration that depends on another.
func follows(app, name string) string { return fmt.Sprintf("dependencies = [(%q, %q)]", app, name) }

// squash writes the migration that stands for the first three of the guest book.
func (s *site) squash(replaces string) {
	s.t.Helper()
	s.migration("guestbook", "0001_squashed_0003_entry_newest_index", "initial = True\n"+replaces+"\ndependencies = []")
}

const squashed = `replaces = [
    ("guestbook", "0001_initial"),
    ("guestbook", "0002_entry_visible"),
    ("guestbook", "0003_entry_newest_index"),
]`

// squashDone removes what has been squashed.
func (s *site) squashDone(replaces string) {
	s.t.Helper()
	s.squash(replaces)
	s.remove("guestbook/migrations/0001_initial.py", "guestbook/migrations/0002_entry_visible.py", "guestbook/migrations/0003_entry_newest_index.py")
	s.migration("guestbook", "0004_first_entry", follows("guestbook", "0001_squashed_0003_entry_newest_index"))
}

// exec changes the database past Django.
func (s *site) exec(statements ...string) {
	s.t.Helper()
	execute(s.t, s.url, statements...)
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// check is the check of a site's database.
func (s *site) check(alias string) *migrations.Check {
	url := s.url
	if alias == "other" {
		url = s.second
	}
	return &migrations.Check{
		Tool: "django", ProjectDir: s.dir, Database: url, Python: s.python, Alias: alias, Environ: s.environ,
	}
}

// record is a statement that marks a migration as applied.
func record(app, name string) string {
	return fmt.Sprintf("insert into django_migrations (app, name, applied) values ('%s', '%s', '2026-01-02 03:04:05')", app, name)
}

// migrations writes a row of them into a package.
func (s *site) migrations(dir string, names ...string) {
	s.t.Helper()
	for i, name := range names {
		body := "dependencies = []"
		if i > 0 {
			body = follows("sessions", names[i-1])
		}
		s.write(dir+"/"+name+".py", "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    "+body+"\n    operations = []\n")
	}
}

// branches makes two branches, merges and applies them.
func (s *site) branches() {
	s.t.Helper()
	s.migration("guestbook", "0005_left", follows("guestbook", "0004_first_entry"))
	s.migration("guestbook", "0005_right", follows("guestbook", "0004_first_entry"))
	s.migration("guestbook", "0006_merge", `dependencies = [("guestbook", "0005_left"), ("guestbook", "0005_right")]`)
	s.manage("migrate")
}

// swap puts a user model of the site's own in the place of Django's.
func (s *site) swap() {
	s.t.Helper()
	s.app("people")
	s.write("people/models.py", "from django.contrib.auth.models import AbstractUser\n\n\nclass Person(AbstractUser):\n    pass\n")
	s.settings(`INSTALLED_APPS += ["people"]`, `AUTH_USER_MODEL = "people.Person"`)
	s.manage("makemigrations", "people")
	s.write("guestbook/migrations/0001_initial.py", strings.Replace(s.read("guestbook/migrations/0001_initial.py"), "dependencies = []",
		"from django.conf import settings\n\n    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]", 1))
}

func (s *site) read(name string) string {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	s.must(err)
	return string(content)
}

// full returns an SQLite database to which all migrations have been applied.
func full(t *testing.T) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "full.sqlite3")
	open(t, "sqlite:///"+file).manage("migrate")
	return file
}

// The check and Django's own command come to the same conclusion.
func TestDjangoStates(t *testing.T) {
	t.Parallel()
	servers.NeedDjango(t)
	template := full(t)
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "db.sqlite3")
			s := open(t, "sqlite:///"+file)
			s.second = "sqlite:///" + filepath.Join(dir, "other.sqlite3")
			if state.bare {
				// Django makes the file as soon as it connects.
				execute(t, s.url, "create table something_else (id integer)")
			} else {
				content, err := os.ReadFile(template)
				s.must(err)
				s.must(os.WriteFile(file, content, 0o644))
			}
			state.steps(s)

			check := s.check(state.alias)
			check.Apps = state.apps
			agree(t, s, check, state.want)

			check = s.check(state.alias)
			check.Apps, check.Python = state.apps, "none"
			want := state.files
			if want == "" {
				want = strings.Split(state.want, ":")[0]
			}
			outcome(t, check, want)
		})
	}
}

func TestDjangoOnPostgreSQL(t *testing.T) {
	t.Parallel()
	servers.NeedDjango(t)
	server := servers.Postgres(t)
	open(t, server.URL()).manage("migrate")
	everywhere(t, server.URL(), func(t *testing.T, name string, bare bool) {
		statement := "create database " + name
		if !bare {
			statement += " template " + servers.Database
		}
		execute(t, renamed(t, server.URL(), "postgres"), statement)
	})
}

func TestDjangoOnMariaDB(t *testing.T) {
	t.Parallel()
	servers.NeedDjango(t)
	servers.NeedPython(t, "MySQLdb", "python3-mysqldb")
	server := servers.MariaDB(t)
	open(t, server.URL()).manage("migrate")
	tables := texts(t, server.URL(), "select table_name from information_schema.tables where table_schema = database()")
	everywhere(t, server.URL(), func(t *testing.T, name string, bare bool) {
		execute(t, server.URL(), "create database "+name)
		if bare {
			return
		}
		for _, table := range tables { // a copy, but for its foreign keys
			execute(t, server.URL(), "create table "+name+"."+table+" like "+table, "insert into "+name+"."+table+" select * from "+table)
		}
	})
}

// everywhere tries those states that are to be tried on every kind of server.
func everywhere(t *testing.T, url string, create func(t *testing.T, name string, bare bool)) {
	t.Helper()
	for i, state := range states {
		if !state.everywhere {
			continue
		}
		t.Run(state.name, func(t *testing.T) {
			name := fmt.Sprintf("state%d", i)
			create(t, name, state.bare)
			s := open(t, renamed(t, url, name))
			if state.alias != "" {
				create(t, name+"b", true)
				s.second = renamed(t, url, name+"b")
			}
			state.steps(s)
			check := s.check(state.alias)
			check.Apps = state.apps
			agree(t, s, check, state.want)
		})
	}
}

// agree compares a check with Django's command, and with what is expected of
// both.
func agree(t *testing.T, s *site, check *migrations.Check, want string) {
	t.Helper()
	// The check goes first: Django's command may write.
	outcome(t, check, want)
	args := []string{"migrate", "--check", "--database", "default"}
	if check.Alias != "" {
		args[3] = check.Alias
	}
	args = append(args, check.Apps...)
	out, ok := s.try(args...)
	if fails := strings.HasPrefix(want, "fail"); ok == fails {
		t.Errorf("manage.py %s: ok is %v, but %s is expected\n%s", strings.Join(args, " "), ok, want, out)
	}
}

// outcome runs a check once, and compares its answer and the words of it.
func outcome(t *testing.T, check *migrations.Check, want string) {
	t.Helper()
	got := checktest.Outcome(t, check, time.Minute)
	status, words, _ := strings.Cut(want, ": ")
	if !strings.HasPrefix(got, status) || !strings.Contains(got, words) {
		t.Errorf("the check says\n%s, expected\n%s", got, want)
	}
	if err := check.Close(); err != nil {
		t.Error(err)
	}
}
