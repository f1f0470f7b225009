package migrations_test

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
