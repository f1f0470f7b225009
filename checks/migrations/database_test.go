package migrations_test

import (
	stdsql "database/sql"
	"net/url"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/lib/pq"
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

// database opens the database of a URL past the check.
func database(t *testing.T, raw string) *stdsql.DB {
	t.Helper()
	driver, dsn := "postgres", raw
	if file, ok := strings.CutPrefix(raw, "sqlite:///"); ok {
		driver, dsn = "sqlite", file
	} else if strings.HasPrefix(raw, "mysql") {
		driver, dsn = "mysql", mysqlDSN(t, raw)
	}
	db, err := stdsql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// execute runs statements in the database of a URL.
func execute(t *testing.T, raw string, statements ...string) {
	t.Helper()
	db := database(t, raw)
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// count asks the database of a URL for a number.
func count(t *testing.T, raw, query string) int {
	t.Helper()
	db := database(t, raw)
	defer db.Close()
	var n int
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// texts asks the database of a URL for a column.
func texts(t *testing.T, raw, query string) (all []string) {
	t.Helper()
	db := database(t, raw)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
