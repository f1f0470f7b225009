package migrations_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hale/checks/migrations"
	"hale/test/servers"
)

// activeRecord does to a database, its first argument, what the second says, with
// the migrations in the directories that follow.
const activeRecord = `
require "active_record"
ActiveRecord::Migration.verbose = false
file, command, *paths = ARGV
ActiveRecord::Base.establish_connection(adapter: "sqlite3", database: file)
context = ActiveRecord::MigrationContext.new(paths, ActiveRecord::SchemaMigration)
case command
when "needs" then puts context.needs_migration?
when "up" then context.up
when "down" then context.down(20260101000000)
when /\Aup:(\d+)\z/ then context.up($1.to_i)
end
`

// entry is a migration of Active Record that makes a table.
func entry(class string) string {
	return fmt.Sprintf("class %s < ActiveRecord::Migration[6.1]\n  def change\n    create_table :%s\n  end\nend\n", class, strings.ToLower(class))
}

// The check says that something is unapplied where Active Record's own
// needs_migration? does.
func TestRailsStates(t *testing.T) {
	t.Parallel()
	ruby := servers.NeedRuby(t, "active_record", "ruby-activerecord")
	servers.NeedRuby(t, "sqlite3", "ruby-sqlite3")
	base := tree{
		"db/migrate/20260101000000_entries.rb":         entry("Entries"),
		"db/migrate/20260102000000_carts.rb":           entry("Carts"),
		"db/migrate/engine/20260103000000_bills.b2.rb": entry("Bills"),
		"db/animals_migrate/1_cats.rb":                 entry("Cats"),
		"db/migrate/notes.rb":                          "raise 'nobody reads this'",
	}
	for _, state := range []struct {
		name  string
		do    []string // commands, or statements of SQL
		add   tree     // after that
		paths []string
		want  string
	}{
		{name: "fresh", want: "fail: none of 3 migrations is applied: there is no table schema_migrations: "},
		{name: "applied", do: []string{"up"}, want: "pass: all 3 migrations are applied: "},
		{name: "behind", do: []string{"up:20260102000000"}, want: "fail: 1 of 3 migrations is not applied: 20260103000000_bills.b2: "},
		{name: "taken back", do: []string{"up", "down"}, want: "fail: 2 of 3 migrations are not applied: "},
		{name: "one left out", do: []string{"up", "delete from schema_migrations where version = '20260102000000'"}, want: "fail: 1 of 3 migrations is not applied: 20260102000000_carts: "},
		{name: "an older one added", do: []string{"up"}, add: tree{"db/migrate/20251231000000_old.rb": entry("Old")}, want: "fail: 1 of 4 migrations is not applied: 20251231000000_old: "},
		{name: "ahead", do: []string{"up", "insert into schema_migrations values ('20260104000000')"}, want: "warn: the database is ahead of this code, which does not know 20260104000000: "},
		{name: "an old one removed", do: []string{"up", "insert into schema_migrations values ('20250104000000')"}, want: "pass: all 3 migrations are applied, and 1 that the code no longer has: "},
		{name: "another database, behind", paths: []string{"db/animals_migrate"}, do: []string{"create table something_else (id int)"}, want: "fail: the only migration is not applied: there is no table"},
		{name: "another database", paths: []string{"db/animals_migrate"}, do: []string{"up"}, want: "pass: the only migration is applied: "},
		{name: "several directories", paths: []string{"db/migrate", "db/animals_migrate"}, do: []string{"up:20260102000000"}, want: "fail: 1 of 4 migrations is not applied: 20260103000000_bills.b2: "},
	} {
		t.Run(state.name, func(t *testing.T) {
			t.Parallel()
			dir := base.write(t)
			file := filepath.Join(t.TempDir(), "db")
			paths := state.paths
			if len(paths) == 0 {
				paths = []string{"db/migrate"}
			}
			run := func(command string) string {
				cmd := exec.Command(ruby, append([]string{"-e", activeRecord, file, command}, paths...)...)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%s: %v\n%s", command, err, out)
				}
				return strings.TrimSpace(string(out))
			}
			execute(t, "sqlite:///"+file, "create table anything (id int)")
			for _, step := range state.do {
				if strings.Contains(step, " ") {
					execute(t, "sqlite:///"+file, step)
				} else {
					run(step)
				}
			}
			state.add.into(t, dir)
			check := &migrations.Check{Tool: "rails", ProjectDir: dir, Database: "sqlite:///" + file, Paths: state.paths}
			outcome(t, check, state.want)
			if needs := run("needs"); needs != fmt.Sprint(strings.HasPrefix(state.want, "fail")) {
				t.Errorf("needs_migration? is %s, the check is expected to say %s", needs, state.want)
			}
		})
	}
}
