package migrations_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hale/checks/migrations"
	"hale/test/servers"
)

// revision is the file of a revision that makes a table of its own.
func revision(id, down, more string) string {
	return fmt.Sprintf("\"\"\"A revision\n\nRevision ID: %[1]s\n\"\"\"\nfrom alembic import op\nimport sqlalchemy as sa\n\n\nrevision = '%[1]s'\ndown_revision = %[2]s\n%[3]s\n\n"+
		"def upgrade():\n    op.create_table('t_%[1]s', sa.Column('id', sa.Integer))\n\n\ndef downgrade():\n    op.drop_table('t_%[1]s')\n", id, down, more)
}

const alembicEnv = `import os
from alembic import context
import sqlalchemy

engine = sqlalchemy.create_engine(os.environ["URL"])
with engine.connect() as connection:
    context.configure(connection=connection, version_table=os.environ.get("TABLE") or "alembic_version")
    with context.begin_transaction():
        context.run_migrations()
`

// alembicSite is a project of Alembic with two revisions.
func alembicSite(ini string) tree {
	return tree{
		"alembic.ini":           ini,
		"scripts/env.py":        alembicEnv,
		"scripts/versions/a.py": revision("aaaa1111", "None", ""),
		"scripts/versions/b.py": revision("bbbb2222", "'aaaa1111'", ""),
	}
}

// The check says that something is unapplied where "alembic upgrade heads" would
// apply something, or refuses to.
func TestAlembicStates(t *testing.T) {
	t.Parallel()
	alembic := servers.Need(t, "alembic")
	const ini = "[alembic]\nscript_location = %(here)s/scripts\n\n[loggers]\nkeys = root\n"
	for _, state := range []struct {
		name  string
		ini   string
		more  tree // beside the two
		steps func(run func(...string), files func(tree))
		want  string
		table string
	}{
		{name: "fresh", want: "fail: none of 2 migrations is applied: there is no table alembic_version: "},
		{
			name:  "applied",
			steps: func(run func(...string), _ func(tree)) { run("upgrade", "head") },
			want:  "pass: all 2 migrations are applied: ",
		},
		{
			name:  "behind",
			steps: func(run func(...string), _ func(tree)) { run("upgrade", "aaaa1111") },
			want:  "fail: 1 of 2 migrations is not applied: bbbb2222: ",
		},
		{
			name:  "taken back",
			steps: func(run func(...string), _ func(tree)) { run("upgrade", "head"); run("downgrade", "base") },
			want:  "fail: 2 of 2 migrations are not applied: aaaa1111, bbbb2222: ",
		},
		{
			name:  "stamped",
			steps: func(run func(...string), _ func(tree)) { run("stamp", "head") },
			want:  "pass",
		},
		{
			name: "a new revision",
			steps: func(run func(...string), files func(tree)) {
				run("upgrade", "head")
				files(tree{"scripts/versions/c.py": revision("cccc3333", "'bbbb2222'", "")})
			},
			want: "fail: 1 of 3 migrations is not applied: cccc3333: ",
		},
		{
			name:  "two heads, one applied",
			more:  tree{"scripts/versions/c.py": revision("cccc3333", "\"aaaa1111\"", "")},
			steps: func(run func(...string), _ func(tree)) { run("upgrade", "bbbb2222") },
			want:  "fail: 1 of 3 migrations is not applied: cccc3333: ",
		},
		{
			name:  "two heads, both applied",
			more:  tree{"scripts/versions/c.py": revision("cccc3333", "\"aaaa1111\"", "")},
			steps: func(run func(...string), _ func(tree)) { run("upgrade", "heads") },
			want:  "pass: all 3 migrations are applied: ",
		},
		{
			name: "merged, the merge not applied",
			more: tree{"scripts/versions/c.py": revision("cccc3333", "\"aaaa1111\"", ""), "scripts/versions/d.py": revision("dddd4444", "('bbbb2222', 'cccc3333')", "")},
			steps: func(run func(...string), _ func(tree)) {
				run("upgrade", "bbbb2222")
				run("upgrade", "cccc3333")
			},
			want: "fail: 1 of 4 migrations is not applied: dddd4444: ",
		},
		{
			name:  "merged",
			more:  tree{"scripts/versions/c.py": revision("cccc3333", "\"aaaa1111\"", ""), "scripts/versions/d.py": revision("dddd4444", "('bbbb2222', 'cccc3333')", "")},
			steps: func(run func(...string), _ func(tree)) { run("upgrade", "head") },
			want:  "pass: all 4 migrations are applied: ",
		},
		{
			name:  "another base with a label, not applied",
			more:  tree{"scripts/versions/n.py": revision("nnnn5555", "None", "branch_labels = ('network',)\n")},
			steps: func(run func(...string), _ func(tree)) { run("upgrade", "bbbb2222") },
			want:  "fail: 1 of 3 migrations is not applied: nnnn5555: ",
		},
		{
			name: "depends on another branch, by its label",
			more: tree{
				"scripts/versions/n.py": revision("nnnn5555", "None", "branch_labels = ('network',)\n"),
				"scripts/versions/c.py": revision("cccc3333", "'bbbb2222'", "depends_on = 'network'\n"),
			},
			steps: func(run func(...string), _ func(tree)) { run("upgrade", "cccc3333") },
			want:  "pass: all 4 migrations are applied: ",
		},
		{
			name: "depends on another branch that has gone on",
			more: tree{
				"scripts/versions/n.py": revision("nnnn5555", "None", "branch_labels = ('network',)\n"),
				"scripts/versions/m.py": revision("mmmm6666", "'nnnn5555'", "depends_on = ['bbbb2222']\n"),
			},
			steps: func(run func(...string), files func(tree)) {
				run("upgrade", "heads")
				files(tree{"scripts/versions/c.py": revision("cccc3333", "'bbbb2222'", "")})
			},
			want: "fail: 1 of 5 migrations is not applied: cccc3333: ",
		},
		{
			name: "with types, as newer templates write them",
			more: tree{"scripts/versions/c.py": strings.NewReplacer("revision = ", "revision: str = ", "down_revision: str = ", "down_revision: \"Union[str, None]\" = ").
				Replace(revision("cccc3333", "'bbbb2222'", "")), "scripts/versions/__init__.py": ""},
			steps: func(run func(...string), _ func(tree)) { run("upgrade", "bbbb2222") },
			want:  "fail: 1 of 3 migrations is not applied: cccc3333: ",
		},
		{
			name:  "several places",
			ini:   "[alembic]\nscript_location = scripts\nversion_locations = %(here)s/scripts/versions %(here)s/elsewhere\n",
			more:  tree{"elsewhere/c.py": revision("cccc3333", "'bbbb2222'", "")},
			steps: func(run func(...string), _ func(tree)) { run("upgrade", "bbbb2222") },
			want:  "fail: 1 of 3 migrations is not applied: cccc3333: ",
		},
		{
			name: "another table", table: "revisions",
			steps: func(run func(...string), _ func(tree)) { run("upgrade", "head") },
			want:  "pass",
		},
	} {
		t.Run(state.name, func(t *testing.T) {
			t.Parallel()
			text := state.ini
			if text == "" {
				text = ini
			}
			project := alembicSite(text)
			maps.Copy(project, state.more)
			dir := project.write(t)
			file := filepath.Join(t.TempDir(), "db")
			run := func(args ...string) (string, error) {
				cmd := exec.Command(alembic, args...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "URL=sqlite:///"+file, "TABLE="+state.table, "PYTHONDONTWRITEBYTECODE=1")
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			execute(t, "sqlite:///"+file, "create table something_else (id int)")
			if state.steps != nil {
				state.steps(func(args ...string) {
					if out, err := run(args...); err != nil {
						t.Fatalf("alembic %v: %s", args, out)
					}
				}, func(files tree) { files.into(t, dir) })
			}
			check := &migrations.Check{Tool: "alembic", ProjectDir: dir, Database: "sqlite:///" + file, Table: state.table}
			outcome(t, check, state.want)
			before := tables(t, file)
			out, err := run("upgrade", "heads")
			if err != nil {
				t.Fatalf("alembic upgrade heads: %s", out)
			}
			if unapplied := tables(t, file) != before; unapplied != strings.HasPrefix(state.want, "fail") {
				t.Errorf("upgrade heads applied something: %v, the check is expected to %s", unapplied, state.want)
			}
		})
	}
}

// tables counts the tables that revisions have made.
func tables(t *testing.T, file string) int {
	return count(t, "sqlite:///"+file, "select count(*) from sqlite_master where name like 't\\_%' escape '\\'")
}

// A revision that the code does not know, as after a rollback of the code, is
// one that Alembic refuses to go on from.
func TestAlembicAhead(t *testing.T) {
	t.Parallel()
	alembic := servers.Need(t, "alembic")
	dir := alembicSite("[alembic]\nscript_location = scripts\n").write(t)
	url := "sqlite:///" + filepath.Join(t.TempDir(), "db")
	execute(t, url, "create table alembic_version (version_num varchar(32) not null primary key)", "insert into alembic_version values ('ffff9999')")
	cmd := exec.Command(alembic, "upgrade", "head")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "URL="+url, "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "Can't locate revision identified by 'ffff9999'") {
		t.Errorf("alembic: %v\n%s", err, out)
	}
	check := &migrations.Check{Tool: "alembic", ProjectDir: dir, Database: url}
	outcome(t, check, "warn: the database is ahead of this code, which does not know ffff9999: ")
	check.Ahead = "fail"
	outcome(t, check, "fail: the database is ahead of this code, which does not know ffff9999: ")
}

// Projects that Alembic itself refuses, and what the check says of them.
func TestAlembicProjects(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		files tree
		want  string
	}{
		{"Flask-Migrate", tree{"migrations/alembic.ini": "[alembic]\n# nothing\n", "migrations/versions/a.py": revision("a", "None", "")}, "fail: the only migration is not applied: there is no table"},
		{"no alembic.ini", tree{"alembic/versions/a.py": revision("a", "None", "")}, "fail: the only migration is not applied: there is no table"},
		{"no directory", tree{"alembic.ini": "[alembic]\nscript_location = x\n"}, "fail: no such directory: DIR/x/versions"},
		{"nothing at all", tree{"x": ""}, "fail: no migrations in DIR: there is no directory alembic/versions, migrations/versions; set paths"},
		{"in a package", tree{"alembic.ini": "[alembic]\nscript_location = app:migrations\n"}, "fail: DIR/alembic.ini names a place within a Python package, app:migrations/versions: set paths"},
		{"one follows nobody", tree{"alembic/versions/b.py": revision("bbbb", "'aaaa'", "")}, "fail: revision bbbb: aaaa, which it follows or depends on, is not among the files"},
		{"twice", tree{"alembic/versions/a.py": revision("aaaa", "None", ""), "alembic/versions/b.py": revision("aaaa", "None", "")}, "fail: two files have the revision aaaa, one of them is DIR/alembic/versions/b.py"},
		{"a circle", tree{"alembic/versions/a.py": revision("aaaa", "'bbbb'", ""), "alembic/versions/b.py": revision("bbbb", "'aaaa'", "")}, "fail: revisions depend on each other in a circle: aaaa, bbbb"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := test.files.write(t)
			url := "sqlite:///" + filepath.Join(t.TempDir(), "db")
			execute(t, url, "create table something_else (id int)")
			check := &migrations.Check{Tool: "alembic", ProjectDir: dir, Database: url}
			outcome(t, check, strings.ReplaceAll(test.want, "DIR", dir))
		})
	}
}
