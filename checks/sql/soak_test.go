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
		{"postgresql", postgres.URL(), postgresSessions(t, postgres)},
		{"mariadb", mariadb.URL(), mariadbSessions(t, mariadb)},
		{"sqlite", "sqlite:///" + file, nil},
	} {
		t.Run(test.name, func(t *testing.T) { checktest.Soak(t, &sql.Check{URL: test.url}, test.connections) })
	}
}
