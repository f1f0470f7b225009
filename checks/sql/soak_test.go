package sql_test

import (
	"path/filepath"
	"testing"

	"hale/checks/sql"
	"hale/test/checktest"
	"hale/test/servers"
)

// The servers themselves count the check's connections.
func TestSoak(t *testing.T) {
	postgres, mariadb := servers.Postgres(t), servers.MariaDB(t)
	file := filepath.Join(t.TempDir(), "db.sqlite3")
	execute("create table entry (text)")(t, file)
	for _, test := range []struct {
		name, url   string
		connections func() int
	}{
		{"postgresql", postgres.URL(), sessions(t, "postgres", postgres.URL(), "select count(*) from pg_stat_activity where application_name = 'hale'")},
		{"mariadb", mariadb.URL(), sessions(t, "mysql", dsn(t, mariadb.URL()), "select count(*) from information_schema.processlist where id <> connection_id()")},
		{"sqlite", "sqlite:///" + file, nil},
	} {
		t.Run(test.name, func(t *testing.T) { checktest.Soak(t, &sql.Check{URL: test.url}, test.connections) })
	}
}
