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

// states are what a site and its database can be to each other. Each begins with
// a database to which all migrations have been applied, unless it is bare.
var states = []struct {
	name  string
	bare  bool
	steps func(*site)
	alias string // of the database to look at
	apps  []string
	want  string // "pass", or words of a "warn: " or "fail: " message

	// files is what the check says without an interpreter; empty: the same.
	files string
	// everywhere says that the state is tried on the database servers, too.
	everywhere bool
}{
	{
		name: "fresh", bare: true, everywhere: true,
		steps: func(*site) {},
		want:  "fail: none of 19 migrations is applied: there is no table django_migrations", files: "fail: none of 4 migrations is applied",
	},
	{
		name: "fully applied", everywhere: true,
		steps: func(*site) {},
		want:  "pass: all 19 migrations are applied: ", files: "pass: all 4 migrations are applied (as its files say): ",
	},
	{
		name: "one app behind", everywhere: true,
		steps: func(s *site) { s.manage("migrate", "guestbook", "0002") },
		want:  "fail: 2 of 19 migrations are not applied: guestbook.0003_entry_newest_index, guestbook.0004_first_entry: ",
		files: "fail: 2 of 4 migrations are not applied: guestbook.0003_entry_newest_index, guestbook.0004_first_entry (as its files say): ",
	},
	{
		name: "a contrib app behind", everywhere: true,
		steps: func(s *site) { s.manage("migrate", "auth", "0011") },
		want:  "fail: 1 of 19 migrations is not applied: auth.0012_alter_user_first_name_max_length: ", files: "pass",
	},
	{
		name:  "a contrib app behind, another asked for",
		steps: func(s *site) { s.manage("migrate", "auth", "0011") },
		apps:  []string{"guestbook"},
		want:  "pass: all 4 migrations are applied: ",
	},
	{
		name: "an app behind that another depends on",
		steps: func(s *site) {
			s.exec("delete from django_migrations where app in ('contenttypes', 'auth', 'guestbook')")
		},
		apps:  []string{"auth"},
		want:  "fail: 14 of 14 migrations are not applied: contenttypes.0001_initial, auth.0001_initial, auth.0002_alter_permission_name_max_length and 11 more: ",
		files: "fail: apps names \"auth\"",
	},
	{
		name:  "an app unapplied",
		steps: func(s *site) { s.manage("migrate", "guestbook", "zero") },
		want:  "fail: 4 of 19 migrations are not applied: guestbook.0001_initial, guestbook.0002_entry_visible, guestbook.0003_entry_newest_index and 1 more: ",
		files: "fail: 4 of 4",
	},
	{
		name: "faked", everywhere: true,
		steps: func(s *site) {
			s.manage("migrate", "guestbook", "0002")
			s.manage("migrate", "guestbook", "--fake")
		},
		want: "pass",
	},
	{
		name: "the table is empty", everywhere: true,
		steps: func(s *site) { s.exec("delete from django_migrations") },
		want:  "fail: 19 of 19 migrations are not applied: ", files: "fail: 4 of 4",
	},
	{
		name: "the table is missing", everywhere: true,
		steps: func(s *site) { s.exec("drop table django_migrations") },
		want:  "fail: none of 19 migrations is applied: there is no table django_migrations: ", files: "fail: none of 4 migrations is applied",
	},
	{
		name:  "applied before what it depends on",
		steps: func(s *site) { s.exec("delete from django_migrations where name = '0002_entry_visible'") },
		want:  "fail: 1 of 19 migrations is not applied: guestbook.0002_entry_visible: ", files: "fail: 1 of 4",
	},
	{
		name: "ahead",
		steps: func(s *site) {
			s.exec(record("guestbook", "0005_entry_likes"), record("guestbook", "0006_entry_likes_index"))
		},
		want:  "warn: the database is ahead of this code, which does not know guestbook.0005_entry_likes, guestbook.0006_entry_likes_index: ",
		files: "warn: the database is ahead of this code, which does not know guestbook.0005_entry_likes, guestbook.0006_entry_likes_index (as its files say): ",
	},
	{
		name:  "ahead by an app",
		steps: func(s *site) { s.exec(record("shop", "0001_initial")) },
		want:  "warn: the database is ahead of this code, which does not know shop.0001_initial: ", files: "pass",
	},
	{
		name: "ahead in one app, behind in another", everywhere: true,
		steps: func(s *site) {
			s.manage("migrate", "auth", "0011")
			s.exec(record("guestbook", "0005_entry_likes"))
		},
		want: "fail: 1 of 19 migrations is not applied: auth.0012", files: "warn: guestbook.0005_entry_likes",
	},
	{
		name: "squashed after all had been applied", everywhere: true,
		steps: func(s *site) { s.squash(squashed) },
		want:  "pass: all 17 migrations are applied: ", files: "pass",
	},
	{
		name: "squashed before any had been applied",
		steps: func(s *site) {
			s.manage("migrate", "guestbook", "zero")
			s.squash(squashed)
		},
		want:  "fail: 2 of 17 migrations are not applied: guestbook.0001_squashed_0003_entry_newest_index, guestbook.0004_first_entry: ",
		files: "fail: 2 of 2",
	},
	{
		name: "squashed after a part had been applied", everywhere: true,
		steps: func(s *site) {
			s.manage("migrate", "guestbook", "0002")
			s.squash(squashed)
		},
		want:  "fail: 2 of 17 migrations are not applied: guestbook.0003_entry_newest_index, guestbook.0004_first_entry: ",
		files: "fail: 2 of 2",
	},
	{
		name: "squashed and applied squashed",
		steps: func(s *site) {
			s.manage("migrate", "guestbook", "zero")
			s.squash(squashed)
			s.manage("migrate", "guestbook", "--fake")
		},
		want: "pass",
	},
	{
		name: "squashed, what it replaces removed, recorded",
		steps: func(s *site) {
			s.squash(squashed)
			s.manage("migrate") // records it
			s.squashDone(squashed)
		},
		want: "pass",
	},
	{
		name: "squashed, what it replaces removed with its replaces, recorded", everywhere: true,
		steps: func(s *site) {
			s.squash(squashed)
			s.manage("migrate")
			s.squashDone("")
		},
		want: "pass: all 17 migrations are applied, and 3 that the code no longer has: ",
	},
	{
		name:  "squashed, what it replaces removed with its replaces, not recorded",
		steps: func(s *site) { s.squashDone("") },
		want:  "fail: 1 of 17 migrations is not applied: guestbook.0001_squashed_0003_entry_newest_index: ", files: "fail: 1 of 2",
	},
	{
		name: "squashed, a part applied, what it replaces removed",
		steps: func(s *site) {
			s.manage("migrate", "guestbook", "0002")
			s.squashDone(squashed)
		},
		want: "fail: 1 of 17 migrations is not applied: guestbook.0004_first_entry: ", files: "fail: 1 of 2",
	},
	{
		name: "squashed twice",
		steps: func(s *site) {
			s.squash(squashed)
			s.manage("migrate")
			s.squashDone("")
			s.migration("guestbook", "0001_squashed_again", "initial = True\nreplaces = [\n    (\"guestbook\", \"0001_squashed_0003_entry_newest_index\"),\n    (\"guestbook\", \"0004_first_entry\"),\n]\ndependencies = []")
		},
		want: "pass",
	},
	{
		name: "an app without migrations",
		steps: func(s *site) {
			s.write("plain/__init__.py", "")
			s.settings(`INSTALLED_APPS += ["plain"]`)
		},
		want: "pass: all 19 migrations are applied: ",
	},
	{
		name: "an app whose migrations are no package",
		steps: func(s *site) {
			s.app("plain")
			s.remove("plain/migrations/__init__.py")
			s.write("plain/migrations/0001_initial.py", "raise SystemExit('nobody reads this')\n")
			s.settings(`INSTALLED_APPS += ["plain"]`)
		},
		want: "pass: all 19 migrations are applied: ",
	},
	{
		name: "an app removed",
		steps: func(s *site) {
			s.settings(`INSTALLED_APPS.remove("guestbook")`)
			s.write("mysite/urls.py", "urlpatterns = []\n")
			s.exec(record("auth", "0013_none"), "delete from django_migrations where app = 'auth' and name = '0013_none'")
		},
		want: "pass", files: "pass",
	},
	{
		name: "MIGRATION_MODULES, not applied",
		steps: func(s *site) {
			s.write("elsewhere/__init__.py", "")
			s.migrations("elsewhere", "0001_initial", "0002_more")
			s.settings(`MIGRATION_MODULES = {"sessions": "elsewhere"}`)
		},
		want: "fail: 1 of 20 migrations is not applied: sessions.0002_more: ", files: "pass",
	},
	{
		name: "MIGRATION_MODULES, applied",
		steps: func(s *site) {
			s.write("elsewhere/__init__.py", "")
			s.migrations("elsewhere", "0001_initial", "0002_more")
			s.settings(`MIGRATION_MODULES = {"sessions": "elsewhere"}`)
			s.manage("migrate")
		},
		want: "pass: all 20 migrations are applied: ",
	},
	{
		name:  "MIGRATION_MODULES, none",
		steps: func(s *site) { s.settings(`MIGRATION_MODULES = {"guestbook": None}`) },
		want:  "pass: all 15 migrations are applied, and 4 that the code no longer has: ", files: "pass",
	},
	{
		name: "branches that conflict",
		steps: func(s *site) {
			s.migration("guestbook", "0005_left", follows("guestbook", "0004_first_entry"))
			s.manage("migrate")
			s.migration("guestbook", "0005_right", follows("guestbook", "0004_first_entry"))
			s.exec(record("guestbook", "0005_right"))
		},
		want: "fail: app guestbook has conflicting migrations, guestbook.0005_left, guestbook.0005_right (makemigrations --merge): ",
	},
	{
		name: "branches merged, not applied",
		steps: func(s *site) {
			s.branches()
			s.exec("delete from django_migrations where name in ('0005_right', '0006_merge')")
		},
		want:  "fail: 2 of 22 migrations are not applied: guestbook.0005_right, guestbook.0006_merge: ",
		files: "fail: 2 of 7",
	},
	{
		name:  "branches merged",
		steps: (*site).branches,
		want:  "pass: all 22 migrations are applied: ",
	},
	{
		name:  "depends on what is missing",
		steps: func(s *site) { s.migration("guestbook", "0005_orphan", follows("guestbook", "0004_other")) },
		want:  "fail: migration guestbook.0005_orphan depends on guestbook.0004_other, which the code does not have: ",
	},
	{
		name: "depends on itself",
		steps: func(s *site) {
			s.migration("guestbook", "0005_hen", follows("guestbook", "0006_egg"))
			s.migration("guestbook", "0006_egg", follows("guestbook", "0005_hen"))
		},
		want: "fail: migrations depend on each other in a circle: guestbook.0005_hen, guestbook.0006_egg",
	},
	{
		name: "run_before, an app of another label, the first and the latest of an app",
		steps: func(s *site) {
			s.app("extra")
			s.write("extra/apps.py", "from django.apps import AppConfig\n\n\nclass ExtraConfig(AppConfig):\n    name = \"extra\"\n    label = \"bonus\"\n")
			s.migration("extra", "0001_initial", "run_before = [(\"guestbook\", \"0002_entry_visible\")]\ndependencies = [(\"guestbook\", \"__first__\"), (\"sessions\", \"__latest__\")]")
			s.settings(`INSTALLED_APPS += ["extra.apps.ExtraConfig"]`)
		},
		want: "fail: 1 of 20 migrations is not applied: bonus.0001_initial: ", files: "fail: 1 of 5 migrations is not applied: bonus.0001_initial",
	},
	{
		name: "a user model of its own, not applied", bare: true,
		steps: (*site).swap,
		want:  "fail: none of 20 migrations is applied", files: "fail: none of 5 migrations is applied",
	},
	{
		name: "a user model of its own", bare: true,
		steps: func(s *site) { s.swap(); s.manage("migrate") },
		want:  "pass: all 20 migrations are applied: ",
	},
	{
		name: "a second database", alias: "other", everywhere: true,
		steps: func(s *site) {
			s.settings(`DATABASES["other"] = database("OTHER_URL", BASE_DIR)`)
			s.manage("migrate", "--database", "other")
		},
		want: "pass: all 19 migrations are applied: ",
	},
	{
		name: "a second database behind", alias: "other",
		steps: func(s *site) {
			s.settings(`DATABASES["other"] = database("OTHER_URL", BASE_DIR)`)
			s.manage("migrate", "guestbook", "0003", "--database", "other")
			s.manage("migrate", "auth", "--database", "other")
		},
		want:  "fail: 2 of 19 migrations are not applied: guestbook.0004_first_entry, sessions.0001_initial: ",
		files: "fail: 1 of 4 migrations is not applied: guestbook.0004_first_entry",
	},
	{
		name: "the first database, while the second is behind",
		steps: func(s *site) {
			s.settings(`DATABASES["other"] = database("OTHER_URL", BASE_DIR)`)
			s.manage("migrate", "guestbook", "0003", "--database", "other")
		},
		want: "pass: all 19 migrations are applied: ",
	},
	{
		name: "a second database that a router keeps an app out of", alias: "other",
		steps: func(s *site) {
			s.write("mysite/routers.py", "class Router:\n    def allow_migrate(self, db, app_label, **hints):\n        return db == \"default\" or app_label != \"guestbook\"\n")
			s.settings(`DATABASES["other"] = database("OTHER_URL", BASE_DIR)`, `DATABASE_ROUTERS = ["mysite.routers.Router"]`)
			s.migration("guestbook", "0004_first_entry", follows("guestbook", "0003_entry_newest_index"))
			s.manage("migrate", "--database", "other")
		},
		want: "pass: all 19 migrations are applied: ",
	},
	{
		name: "settings that print",
		steps: func(s *site) {
			s.settings(`import os, sys`, `print('{"apps": {}}')`, `print("warning", file=sys.stderr)`, `os.write(1, b"\x00\xff")`)
			s.manage("migrate", "sessions", "zero")
		},
		want: "fail: 1 of 19 migrations is not applied: sessions.0001_initial: ", files: "pass",
	},
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
