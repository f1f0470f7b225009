package migrations_test

import (
	stdsql "database/sql"
	"net/url"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// renamed returns the URL of another database of the same server.
func renamed(t *testing.T, raw, name string) string {
	t.Helper()
	u := parsed(t, raw)
	u.Path = "/" + name
	return u.String()
}

// moved returns the URL of the same database at another address.
func moved(t *testing.T, raw, address string) string {
	t.Helper()
	u := parsed(t, raw)
	u.Host = address
	return u.String()
}

func parsed(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// mysqlDSN writes a URL in the form of the driver.
func mysqlDSN(t *testing.T, raw string) string {
	t.Helper()
	u := parsed(t, raw)
	c := mysql.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.Net, c.Addr, c.DBName = "tcp", u.Host, u.Path[1:]
	return c.FormatDSN()
}

// count asks an SQLite database for a number.
func count(t *testing.T, file, query string) int {
	t.Helper()
	db, err := stdsql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
