package migrations_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/checks/migrations"
	"hale/test/checktest"
	"hale/test/servers"
)

// tree is files by name, with their content.
type tree map[string]string

// empty makes a tree of files without content.
func empty(names ...string) tree {
	files := make(tree)
	for _, name := range names {
		files[name] = ""
	}
	return files
}

func (files tree) write(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files.into(t, dir)
	return dir
}

// into writes the files into a directory that is there.
func (files tree) into(t *testing.T, dir string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// crc is Flyway's checksum of a file without line ends.
func crc(content string) string { return fmt.Sprint(int32(crc32.ChecksumIEEE([]byte(content)))) }

func sha(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// The tables as the tools' own documentation and sources define them, in types
// that all three kinds of database have.
const (
	railsTable      = "create table schema_migrations (version varchar(255) not null primary key)"
	ectoTable       = "create table schema_migrations (version bigint not null primary key, inserted_at timestamp null)"
	pointerTable    = "create table schema_migrations (version bigint not null primary key, dirty boolean not null)"
	gooseTable      = "create table goose_db_version (id integer not null primary key, version_id bigint not null, is_applied boolean not null, tstamp timestamp null)"
	prismaTable     = "create table _prisma_migrations (id varchar(36) primary key, checksum varchar(64) not null, finished_at timestamp null, migration_name varchar(255) not null, logs text, rolled_back_at timestamp null, started_at timestamp null, applied_steps_count integer not null default 0)"
	laravelTable    = "create table migrations (id integer not null primary key, migration varchar(255) not null, batch integer not null)"
	knexTable       = "create table knex_migrations (id integer not null primary key, name varchar(255), batch integer, migration_time timestamp null)"
	knexLockTable   = "create table knex_migrations_lock (%s integer not null primary key, is_locked integer)"
	flywayTable     = "create table flyway_schema_history (installed_rank integer not null primary key, version varchar(50), description varchar(200) not null, type varchar(20) not null, script varchar(1000) not null, checksum integer, installed_by varchar(100) not null, installed_on timestamp null, execution_time integer not null, success boolean not null)"
	liquibaseTable  = "create table DATABASECHANGELOG (ID varchar(255) not null, AUTHOR varchar(255) not null, FILENAME varchar(255) not null, DATEEXECUTED timestamp not null, ORDEREXECUTED integer not null, EXECTYPE varchar(10) not null, MD5SUM varchar(35), DESCRIPTION varchar(255), COMMENTS varchar(255), TAG varchar(255), LIQUIBASE varchar(20), CONTEXTS varchar(255), LABELS varchar(255), DEPLOYMENT_ID varchar(10))"
	sequelizeTable  = "create table %sSequelizeMeta%[1]s (name varchar(255) not null primary key)"
	whenItWas       = "'2026-01-02 03:04:05'"
	flywayMigration = "create table a (id int);\n"
)

func rails(versions ...string) []string {
	all := []string{railsTable}
	for _, v := range versions {
		all = append(all, "insert into schema_migrations values ('"+v+"')")
	}
	return all
}

func ecto(versions ...string) []string {
	all := []string{ectoTable}
	for _, v := range versions {
		all = append(all, "insert into schema_migrations values ("+v+", "+whenItWas+")")
	}
	return all
}

func pointer(version, dirty string) []string {
	return []string{pointerTable, "insert into schema_migrations values (" + version + ", " + dirty + ")"}
}

func goose(rows ...string) []string {
	all := []string{gooseTable, "insert into goose_db_version values (1, 0, true, " + whenItWas + ")"}
	for i, row := range rows {
		all = append(all, fmt.Sprintf("insert into goose_db_version values (%d, %s, %s)", i+2, row, whenItWas))
	}
	return all
}

// prisma's rows are "name checksum finished rolled-back", where - is NULL.
func prisma(rows ...string) []string {
	all := []string{prismaTable}
	for i, row := range rows {
		f := strings.Fields(row)
		at := func(field string) string {
			if field == "-" {
				return "null"
			}
			return whenItWas
		}
		all = append(all, fmt.Sprintf("insert into _prisma_migrations (id, checksum, finished_at, migration_name, rolled_back_at, started_at) values ('%d', '%s', %s, '%s', %s, '2026-01-02 03:04:%02d')",
			i, f[1], at(f[2]), f[0], at(f[3]), i))
	}
	return all
}

func laravel(names ...string) []string {
	all := []string{laravelTable}
	for i, name := range names {
		all = append(all, fmt.Sprintf("insert into migrations values (%d, '%s', 1)", i+1, name))
	}
	return all
}

// knex's lock is called index, which is a word of SQL: ? is the quote.
func knex(locked string, names ...string) []string {
	all := []string{knexTable, fmt.Sprintf(knexLockTable, "?index?"), "insert into knex_migrations_lock values (1, " + locked + ")"}
	for i, name := range names {
		all = append(all, fmt.Sprintf("insert into knex_migrations values (%d, '%s', 1, %s)", i+1, name, whenItWas))
	}
	return all
}

func sequelize(names ...string) []string {
	all := []string{fmt.Sprintf(sequelizeTable, "?")}
	for _, name := range names {
		all = append(all, "insert into ?SequelizeMeta? values ('"+name+"')")
	}
	return all
}

// flyway's rows are "version|description|type|checksum|success".
func flyway(rows ...string) []string {
	all := []string{flywayTable}
	for i, row := range rows {
		f := strings.Split(row, "|")
		version, checksum := "null", "null"
		if f[0] != "" {
			version = "'" + f[0] + "'"
		}
		if f[3] != "" {
			checksum = f[3]
		}
		all = append(all, fmt.Sprintf("insert into flyway_schema_history values (%d, %s, '%s', '%s', 'x.sql', %s, 'app', %s, 1, %s)", i+1, version, f[1], f[2], checksum, whenItWas, f[4]))
	}
	return all
}

// liquibase's rows are "file|id|author|type".
func liquibase(rows ...string) []string {
	all := []string{liquibaseTable}
	for i, row := range rows {
		f := strings.Split(row, "|")
		all = append(all, fmt.Sprintf("insert into DATABASECHANGELOG (ID, AUTHOR, FILENAME, DATEEXECUTED, ORDEREXECUTED, EXECTYPE) values ('%s', '%s', '%s', %s, %d, '%s')", f[1], f[2], f[0], whenItWas, i+1, f[3]))
	}
	return all
}

var (
	railsFiles    = empty("db/migrate/20260101000000_create_entries.rb", "db/migrate/shop/20260102000000_create_carts.shop.rb", "db/migrate/readme.md")
	ectoFiles     = empty("priv/repo/migrations/20260101000000_entries.exs", "priv/repo/migrations/b/20260102000000_carts.exs", "priv/repo/migrations/.formatter.exs")
	pointerFiles  = empty("migrations/000001_entries.up.sql", "migrations/000001_entries.down.sql", "migrations/000002_carts.up.sql", "migrations/000010_more.up.sql")
	gooseFiles    = empty("migrations/00001_entries.sql", "migrations/00002_carts.go", "migrations/00002_carts_test.go", "migrations/helpers.go")
	laravelFiles  = empty("database/migrations/2026_01_01_000000_create_entries_table.php", "database/migrations/2026_01_02_000000_create_carts_table.php")
	knexFiles     = empty("migrations/20260101_entries.js", "migrations/20260102_carts.ts", "migrations/types.d.ts", "migrations/notes.txt")
	prismaFiles   = tree{"prisma/migrations/20260101_entries/migration.sql": "a", "prisma/migrations/20260102_carts/migration.sql": "b", "prisma/migrations/migration_lock.toml": ""}
	flywayFiles   = tree{"sql/V1__entries.sql": flywayMigration, "sql/b/V1_1__carts.sql": "carts", "sql/V2__In_Java.java": "", "sql/R__view.sql": "view", "sql/R__grants.sql": "${user}", "sql/U1__entries.sql": "", "sql/beforeMigrate.sql": ""}
	flywayApplied = []string{"1|entries|SQL|" + crc("create table a (id int);") + "|true", "1.1|carts|SQL|" + crc("carts") + "|true", "2|In Java|JDBC||true", "|grants|SQL|7|true", "|view|SQL|" + crc("view") + "|true"}
)

var liquibaseFiles = tree{
	"src/main/resources/db/changelog/db.changelog-master.yaml": `
databaseChangeLog:
  - property: {name: schema, value: app}
  - changeSet: {id: 1, author: ann, changes: [{createTable: {tableName: a}}]}
  - include: {file: classpath:db/changelog/more.xml}
  - includeAll: {path: parts, relativeToChangelogFile: true, endsWithFilter: .sql}
  - include: {file: tests.json, relativeToChangelogFile: true, context: test}
`,
	"src/main/resources/db/changelog/more.xml": `<?xml version="1.1" encoding="UTF-8"?>
<databaseChangeLog xmlns="http://www.liquibase.org/xml/ns/dbchangelog">
  <changeSet id="2" author="bob"><createTable tableName="changeSet"><column name="x" type="int"/></createTable></changeSet>
  <changeSet id="2h" author="bob" dbms="h2"/>
  <changeSet id="3" author="bob" logicalFilePath="moved.xml" labels="v2, big"/>
</databaseChangeLog>`,
	"src/main/resources/db/changelog/parts/1.sql": "-- Liquibase formatted SQL\n--changeset Cy Dee:4 runOnChange:true\nselect 1;\n-- changeset cy:5 contextFilter:\"prod and !eu\"\nselect 2;\n--changeset cy:6\n--ignore:true\n",
	"src/main/resources/db/changelog/parts/2.sql": "create table raw (id int);",
	"src/main/resources/db/changelog/parts/3.txt": "nothing",
	"src/main/resources/db/changelog/tests.json":  `{"databaseChangeLog": [{"changeSet": {"id": "t1", "author": "ann"}}]}`,
}

const logDir = "db/changelog/"

var liquibaseApplied = []string{
	logDir + "db.changelog-master.yaml|1|ann|EXECUTED", "classpath:" + logDir + "more.xml|2|bob|MARK_RAN", "moved.xml|3|bob|RERAN",
	logDir + "parts/1.sql|4|Cy Dee|EXECUTED", logDir + "parts/1.sql|5|cy|EXECUTED", logDir + "parts/2.sql|raw|includeAll|EXECUTED", logDir + "tests.json|t1|ann|EXECUTED",
}

// with is the options of a check. The tool is what its state's name begins with,
// unless it is said.
type with struct {
	Tool, Table, Direction, Ahead, Labels string
	Paths, Contexts                       []string
}

// toolStates are what the code and the database can be to each other.
var toolStates = []struct {
	name  string
	files tree
	table []string
	check with
	want  string
}{
	{"rails, no table", railsFiles, nil, with{}, "fail: none of 2 migrations is applied: there is no table schema_migrations: "},
	{"rails, applied", railsFiles, rails("20260101000000", "20260102000000"), with{}, "pass: all 2 migrations are applied: "},
	{"rails, behind", railsFiles, rails("20260101000000"), with{}, "fail: 1 of 2 migrations is not applied: 20260102000000_create_carts.shop: "},
	{"rails, ahead", railsFiles, rails("20260101000000", "20260102000000", "20260103000000"), with{}, "warn: the database is ahead of this code, which does not know 20260103000000: "},
	{"rails, ahead, which fails", railsFiles, rails("20260101000000", "20260102000000", "20260103000000"), with{Ahead: "fail"}, "fail: the database is ahead of this code, which does not know 20260103000000: "},
	{"rails, ahead, looked for", railsFiles, rails("20260101000000", "20260102000000", "20260103000000"), with{Direction: "ahead"}, "warn: the database is ahead of this code, which does not know 20260103000000: "},
	{"rails, ahead and behind, ahead looked for", railsFiles, rails("20260101000000", "20260103000000"), with{Direction: "ahead", Ahead: "fail"}, "fail: the database is ahead of this code, which does not know 20260103000000: "},
	{"rails, behind, ahead looked for", railsFiles, rails("20260101000000"), with{Direction: "ahead"}, "pass: the database is not ahead of this code: "},
	{"rails, never migrated, ahead looked for", railsFiles, nil, with{Direction: "ahead"}, "pass: the database is not ahead of this code: "},
	{"rails, ahead, behind looked for", railsFiles, rails("20260101000000", "20260102000000", "20260103000000"), with{Direction: "behind"}, "pass: all 2 migrations are applied: "},
	{"rails, ahead, which is ignored", railsFiles, rails("20260101000000", "20260102000000", "20260103000000"), with{Ahead: "ignore"}, "pass: all 2 migrations are applied: "},
	{"rails, old ones removed", railsFiles, rails("20250101000000", "20260101000000", "20260102000000"), with{}, "pass: all 2 migrations are applied, and 1 that the code no longer has: "},
	{"rails, another database of the app", empty("db/animals_migrate/1_cats.rb"), rails("001"), with{Paths: []string{"db/animals_migrate"}}, "pass: the only migration is applied: "},
	{"rails, no migrations and no table", empty("db/migrate/.keep"), nil, with{}, "pass: the code brings no migrations: "},
	{"rails, no directory", empty("app/x.rb"), rails(), with{}, "fail: no migrations in DIR: there is no directory db/migrate; set paths"},
	{"rails, no directory in paths", railsFiles, rails(), with{Paths: []string{"db/migrate", "db/other"}}, "fail: no such directory: DIR/db/other"},
	{"rails, a number twice", empty("db/migrate/1_a.rb", "db/migrate/01_b.rb"), rails(), with{}, "fail: two migrations have the number 1: 01_b.rb and 1_a.rb"},
	{"rails, another table", railsFiles, []string{"create table versions (version varchar(20))"}, with{Table: "versions"}, "fail: 2 of 2 migrations are not applied: "},

	{"ecto, applied", ectoFiles, ecto("20260101000000", "20260102000000"), with{}, "pass: all 2 migrations are applied: "},
	{"ecto, behind", ectoFiles, ecto("20260102000000"), with{}, "fail: 1 of 2 migrations is not applied: 20260101000000_entries: "},
	{"ecto, ahead", ectoFiles, ecto("20260101000000", "20260102000000", "20260103000000"), with{}, "warn: the database is ahead"},

	{"golang-migrate, no table", pointerFiles, nil, with{}, "fail: none of 3 migrations is applied"},
	{"golang-migrate, applied", pointerFiles, pointer("10", "false"), with{}, "pass: all 3 migrations are applied: "},
	{"golang-migrate, behind", pointerFiles, pointer("2", "false"), with{}, "fail: 1 of 3 migrations is not applied: 000010_more: "},
	{"golang-migrate, dirty", pointerFiles, pointer("10", "true"), with{}, "fail: migration 10 is left half done (dirty): "},
	{"golang-migrate, dirty and behind", pointerFiles, pointer("1", "true"), with{}, "fail: migration 1 is left half done (dirty); 2 of 3 migrations are not applied: 000002_carts, 000010_more: "},
	{"golang-migrate, ahead", pointerFiles, pointer("11", "false"), with{}, "warn: the database is ahead of this code, which does not know 11: "},
	{"golang-migrate, at an unknown version", pointerFiles, pointer("5", "false"), with{}, "fail: the database is at version 5, of which there is no file; 1 of 3"},
	{"golang-migrate, all taken back", pointerFiles, pointer("-1", "false"), with{}, "fail: 3 of 3"},
	{"golang-migrate, an empty table", pointerFiles, []string{pointerTable}, with{}, "fail: 3 of 3"},

	{"goose, applied", gooseFiles, goose("1, true", "2, true"), with{}, "pass: all 2 migrations are applied: "},
	{"goose, rolled back", gooseFiles, goose("1, true", "2, true", "2, false"), with{}, "fail: 1 of 2 migrations is not applied: 00002_carts: "},
	{"goose, applied again", gooseFiles, goose("1, true", "2, true", "2, false", "2, true"), with{}, "pass"},
	{"goose, just begun", gooseFiles, goose(), with{}, "fail: 2 of 2 migrations are not applied: 00001_entries, 00002_carts: "},
	{"goose, ahead", gooseFiles, goose("1, true", "2, true", "3, true"), with{}, "warn: the database is ahead of this code, which does not know 3: "},

	{"laravel, applied", laravelFiles, laravel("2026_01_01_000000_create_entries_table", "2026_01_02_000000_create_carts_table"), with{}, "pass: all 2 migrations are applied: "},
	{"laravel, behind", laravelFiles, laravel("2026_01_01_000000_create_entries_table"), with{}, "fail: 1 of 2 migrations is not applied: 2026_01_02_000000_create_carts_table: "},
	{"laravel, squashed into a dump", laravelFiles, laravel("2014_x", "2026_01_01_000000_create_entries_table", "2026_01_02_000000_create_carts_table"), with{}, "pass: all 2 migrations are applied, and 1 that the code no longer has: "},

	{"knex, applied", knexFiles, knex("0", "20260101_entries.js", "20260102_carts.ts"), with{}, "pass: all 2 migrations are applied: "},
	{"knex, behind", knexFiles, knex("0", "20260101_entries.js"), with{}, "fail: 1 of 2 migrations is not applied: 20260102_carts.ts: "},
	{"knex, locked", knexFiles, knex("1", "20260101_entries.js", "20260102_carts.ts"), with{}, "warn: the lock is taken: migrations are being applied, or that was cut off (knex migrate:unlock): "},
	{"knex, ahead", knexFiles, knex("0", "20260101_entries.js", "20260102_carts.ts", "20260103_x.js"), with{}, "warn: the database is ahead of this code, which does not know 20260103_x.js: "},
	{"knex, no table", knexFiles, nil, with{}, "fail: none of 2 migrations is applied: there is no table knex_migrations: "},

	{"sequelize, applied", knexFiles, sequelize("20260101_entries.js", "20260102_carts.ts"), with{}, "pass: all 2 migrations are applied: "},
	{"sequelize, behind", knexFiles, sequelize("20260102_carts.ts"), with{}, "fail: 1 of 2 migrations is not applied: 20260101_entries.js: "},
	{"sequelize, no table", knexFiles, nil, with{}, "fail: none of 2 migrations is applied: there is no table SequelizeMeta: "},

	{"prisma, applied", prismaFiles, prisma("20260101_entries "+sha("a")+" + -", "20260102_carts "+sha("b")+" + -"), with{}, "pass: all 2 migrations are applied: "},
	{"prisma, behind", prismaFiles, prisma("20260101_entries " + sha("a") + " + -"), with{}, "fail: 1 of 2 migrations is not applied: 20260102_carts: "},
	{"prisma, failed", prismaFiles, prisma("20260101_entries "+sha("a")+" + -", "20260102_carts "+sha("b")+" - -"), with{}, "fail: migration 20260102_carts failed or is under way, and keeps others from being applied (prisma migrate resolve); 1 of 2"},
	{"prisma, failed and rolled back", prismaFiles, prisma("20260101_entries "+sha("a")+" + -", "20260102_carts "+sha("b")+" - +"), with{}, "fail: 1 of 2 migrations is not applied: 20260102_carts: "},
	{"prisma, failed, rolled back, applied", prismaFiles, prisma("20260101_entries "+sha("a")+" + -", "20260102_carts x - +", "20260102_carts "+sha("b")+" + -"), with{}, "pass"},
	{"prisma, changed", prismaFiles, prisma("20260101_entries "+sha("A")+" + -", "20260102_carts "+sha("b")+" + -"), with{}, "warn: changed after having been applied: 20260101_entries: "},
	{"prisma, ahead and changed", prismaFiles, prisma("20260101_entries "+sha("A")+" + -", "20260102_carts "+sha("b")+" + -", "20260103_x y + -"), with{}, "warn: the database is ahead of this code, which does not know 20260103_x; changed after having been applied: 20260101_entries: "},

	{"flyway, applied", flywayFiles, flyway(flywayApplied...), with{}, "pass: all 5 migrations are applied: "},
	{"flyway, behind", flywayFiles, flyway(flywayApplied[:1]...), with{}, "fail: 4 of 5 migrations are not applied: V1_1__carts, V2__In_Java, R__grants and 1 more: "},
	{"flyway, a repeatable one changed", flywayFiles, flyway(append([]string{"|view|SQL|" + crc("view") + "|true"}, append(flywayApplied[:4:4], "|view|SQL|5|true")...)...), with{}, "fail: 1 of 5 migrations is not applied: R__view: "},
	{"flyway, a versioned one changed", flywayFiles, flyway(append([]string{"1|entries|SQL|5|true"}, flywayApplied[1:]...)...), with{}, "warn: changed after having been applied: V1__entries: "},
	{"flyway, failed", flywayFiles, flyway(append(flywayApplied[:4:4], "|view|SQL|5|false")...), with{}, "fail: migration R view failed (flyway repair); 1 of 5"},
	{"flyway, failed versioned one", flywayFiles, flyway(append(flywayApplied[:5:5], "3|x|SQL|5|false")...), with{}, "fail: migration V3 failed (flyway repair): "},
	{"flyway, undone", flywayFiles, flyway(append(flywayApplied[:5:5], "2|In Java|UNDO_SQL||true")...), with{}, "fail: 1 of 5 migrations is not applied: V2__In_Java: "},
	{"flyway, undone and redone", flywayFiles, flyway(append(flywayApplied[:5:5], "2|In Java|UNDO_SQL||true", "2|In Java|JDBC||true")...), with{}, "pass"},
	{"flyway, deleted by repair", flywayFiles, flyway(append(flywayApplied[:5:5], "2.0|In Java|DELETE||true")...), with{}, "fail: 1 of 5 migrations is not applied: V2__In_Java: "},
	{"flyway, begun with a baseline", flywayFiles, flyway(append([]string{"|<< Flyway Schema Creation >>|SCHEMA||true", "1.1|<< Flyway Baseline >>|BASELINE||true"}, flywayApplied[2:]...)...), with{}, "pass: all 5 migrations are applied: "},
	{"flyway, ahead", flywayFiles, flyway(append(flywayApplied[:5:5], "2.1|x|SQL|5|true")...), with{}, "warn: the database is ahead of this code, which does not know 2.1: "},
	{"flyway, one missing", flywayFiles, flyway(append(flywayApplied[:5:5], "1.5|x|SQL|5|true")...), with{}, "pass: all 5 migrations are applied, and 1 that the code no longer has: "},
	{"flyway, a new database with a baseline migration", tree{"sql/B3__all.sql": "", "sql/V3__c.sql": "", "sql/V4__d.sql": ""}, flyway(), with{}, "fail: 2 of 2 migrations are not applied: B3__all, V4__d: "},
	{"flyway, begun with a baseline migration", tree{"sql/B3__all.sql": "", "sql/V3__c.sql": "", "sql/V4__d.sql": ""}, flyway("3|all|SQL_BASELINE||true", "4|d|SQL|0|true"), with{}, "pass"},
	{"flyway, an old database and a baseline migration", tree{"sql/B3__all.sql": "", "sql/V4__d.sql": ""}, flyway("1|a|SQL|1|true", "3|c|SQL|1|true", "4|d|SQL|0|true"), with{}, "pass: the only migration is applied, and 1 that the code no longer has: "},
	{"flyway, of Spring, with Java", empty("src/main/resources/db/migration/V1__a.sql", "src/main/java/db/migration/V2__B.java"), flyway("1|a|SQL|0|true"), with{}, "fail: 1 of 2 migrations is not applied: V2__B: "},

	{"liquibase, applied", liquibaseFiles, liquibase(liquibaseApplied...), with{}, "pass: all 7 migrations are applied: "},
	{"liquibase, no table", liquibaseFiles, nil, with{}, "fail: none of 7 migrations is applied: there is no table DATABASECHANGELOG: "},
	{"liquibase, behind", liquibaseFiles, liquibase(liquibaseApplied[:2]...), with{}, "fail: 5 of 7 migrations are not applied: moved.xml::3::bob, db/changelog/parts/1.sql::4::Cy Dee, db/changelog/parts/1.sql::5::cy and 2 more: "},
	{"liquibase, in a context", liquibaseFiles, liquibase(liquibaseApplied[:3]...), with{Contexts: []string{"prod", "eu"}}, "fail: 2 of 5 migrations are not applied: db/changelog/parts/1.sql::4::Cy Dee, db/changelog/parts/2.sql::raw::includeAll: "},
	{"liquibase, in contexts", liquibaseFiles, liquibase(append(liquibaseApplied[:4:4], liquibaseApplied[5])...), with{Contexts: []string{"PROD", "test"}}, "fail: 2 of 7 migrations are not applied: db/changelog/parts/1.sql::5::cy, db/changelog/tests.json::t1::ann: "},
	{"liquibase, with labels", liquibaseFiles, liquibase(append(liquibaseApplied[:2:2], liquibaseApplied[3:]...)...), with{Labels: "!v2"}, "pass: all 6 migrations are applied: "},
	{"liquibase, with other labels", liquibaseFiles, liquibase(append(liquibaseApplied[:2:2], liquibaseApplied[3:]...)...), with{Labels: "v2 and big"}, "fail: 1 of 7 migrations is not applied: moved.xml::3::bob: "},
	{"liquibase, failed", liquibaseFiles, liquibase(append(liquibaseApplied[1:], logDir+"db.changelog-master.yaml|1|ann|FAILED")...), with{}, "fail: changeset db/changelog/db.changelog-master.yaml::1::ann failed; 1 of 7"},
	{"liquibase, ahead", liquibaseFiles, liquibase(append(liquibaseApplied, "new.xml|9|ann|EXECUTED")...), with{}, "warn: the database is ahead of this code, which does not know new.xml::9::ann: "},
	{"liquibase, another root", tree{"log.sql": "--liquibase formatted sql logicalFilePath:l.sql\n--changeset a:1\n"}, liquibase("l.sql|1|a|EXECUTED"), with{Paths: []string{"log.sql"}}, "pass"},
	{"liquibase, no changelog", empty("x"), liquibase(), with{}, "fail: no changelog in DIR, such as db/changelog/db.changelog-master.yaml: set paths"},
	{"liquibase, a file that is missing", tree{"changelog.yaml": "databaseChangeLog: [{include: {file: more.yaml}}]"}, liquibase(), with{}, "fail: no such file or directory: DIR/more.yaml"},
	{"liquibase, a circle", tree{"changelog.yaml": "databaseChangeLog: [{include: {file: changelog.yaml}}]"}, liquibase(), with{}, "fail: changelog changelog.yaml includes itself"},
	{"liquibase, a changelog that is none", tree{"changelog.xml": "<html/>"}, liquibase(), with{}, "fail: changelog changelog.xml: is no databaseChangeLog"},
	{"liquibase, a property that is not known", tree{"changelog.yaml": "databaseChangeLog: [{include: {file: '${dir}/a.xml'}}]"}, liquibase(), with{}, `fail: changelog changelog.yaml: an include without a file that is known: "${dir}/a.xml"`},

	{"another table of that name", railsFiles, []string{"create table schema_migrations (version text, x int)", "insert into schema_migrations values ('1', 2)"}, with{Tool: "rails"}, "fail: 2 of 2"},
	{"a table without the columns", gooseFiles, []string{"create table goose_db_version (id int)"}, with{Tool: "goose"}, "fail: "},
}

func TestToolsOnSQLite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	eachTool(t, `"`, func(t *testing.T, name string) string {
		url := "sqlite:///" + filepath.Join(dir, name)
		execute(t, url, "create table something_else (id int)") // an empty file is no database
		return url
	})
}

func TestToolsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	server := servers.Postgres(t)
	eachTool(t, `"`, func(t *testing.T, name string) string {
		execute(t, server.URL(), "create schema "+name)
		return server.URL() + "&search_path=" + name
	})
}

func TestToolsOnMariaDB(t *testing.T) {
	t.Parallel()
	server := servers.MariaDB(t)
	eachTool(t, "`", func(t *testing.T, name string) string {
		execute(t, server.URL(), "create database "+name)
		return renamed(t, server.URL(), name)
	})
}

func eachTool(t *testing.T, quote string, create func(t *testing.T, name string) (url string)) {
	t.Helper()
	for i, state := range toolStates {
		t.Run(state.name, func(t *testing.T) {
			url := create(t, fmt.Sprintf("state%d", i))
			for _, statement := range state.table {
				execute(t, url, strings.ReplaceAll(statement, "?", quote))
			}
			o := state.check
			if o.Tool == "" {
				o.Tool, _, _ = strings.Cut(state.name, ",")
			}
			check := migrations.Check{
				Tool: o.Tool, ProjectDir: state.files.write(t), Database: url,
				Paths: o.Paths, Table: o.Table, Direction: o.Direction, Ahead: o.Ahead, Contexts: o.Contexts, Labels: o.Labels,
			}
			outcome(t, &check, strings.ReplaceAll(state.want, "DIR", check.ProjectDir))
		})
	}
}

// A table in another schema is found where the check is told so.
func TestSchema(t *testing.T) {
	t.Parallel()
	server := servers.Postgres(t)
	execute(t, server.URL(), "create schema ledger", `create table ledger."SequelizeMeta" (name text)`, `insert into ledger."SequelizeMeta" values ('1.js')`)
	check := func(schema string) *migrations.Check {
		return &migrations.Check{Tool: "sequelize", ProjectDir: empty("migrations/1.js").write(t), Database: server.URL(), Schema: schema}
	}
	outcome(t, check("ledger"), "pass: the only migration is applied: ")
	outcome(t, check("absent"), "fail: the only migration is not applied: there is no table SequelizeMeta: ")
	outcome(t, check(""), "fail: the only migration is not applied: there is no table SequelizeMeta: ")
}

// What changes in the database between two runs is seen by the second.
func TestSeesChanges(t *testing.T) {
	t.Parallel()
	url := "sqlite:///" + filepath.Join(t.TempDir(), "db")
	execute(t, url, rails("20260101000000")...)
	check := &migrations.Check{Tool: "rails", ProjectDir: railsFiles.write(t), Database: url}
	defer check.Close()
	run := func(want string) {
		t.Helper()
		for range 2 { // anew, and from the comparison before
			if got := checktest.Outcome(t, check, time.Minute); !strings.HasPrefix(got, want) {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
	run("fail: 1 of 2")
	execute(t, url, "insert into schema_migrations values ('20260102000000')")
	run("pass")
	execute(t, url, "insert into schema_migrations values ('20260103000000')")
	run("warn")
	execute(t, url, "drop table schema_migrations")
	run("fail: none of 2 migrations is applied")
}
