// Package sql checks a database by asking it: PostgreSQL, MySQL, MariaDB or
// SQLite.
package sql

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"hale/checks"
	"hale/checks/internal/database"
	"hale/internal/explain"
)

// DefaultQuery is what an empty Query asks.
const DefaultQuery = "select 1"

// Check connects to a database and asks a query.
//
// It proves that the server can be reached, accepts the user and the password,
// has the database, and answers; with Query and Expect also whatever can be
// asked in SQL. For SQLite it proves that the file is there, is a database, and
// can be read. It costs the database one connection, which is kept between the
// runs, and one query a run; after a fault it connects anew by itself. An
// SQLite file is opened for each run, for reading only. Nothing is written, so
// that a user who may only connect is enough, and a read-only replica.
//
// A run that is cut off leaves nothing behind: the query is cancelled on the
// server, and the connection is closed.
//
//	c := &sql.Check{URL: "postgres://app:secret@db.internal/app"}
//	defer c.Close()
type Check struct {
	URL    string `yaml:"url" jsonschema:"required" jsonschema_description:"The database, as in DATABASE_URL: postgres://USER:PASSWORD@HOST/DATABASE, mysql://..., mariadb://..., sqlite:///FILE (relative) or sqlite:////FILE (absolute)."`
	Query  string `yaml:"query" jsonschema:"default=select 1" jsonschema_description:"The query to ask; it should read little and write nothing."`
	Expect string `yaml:"expect" jsonschema_description:"What the first column of the first row must be, as text; without it any answer passes, even none."`

	// Dir is where a relative SQLite file name starts; empty means the working
	// directory.
	Dir string `yaml:"-"`

	// mu guards everything that follows, and is held for a whole run: there is
	// one connection.
	mu      sync.Mutex
	session *database.Session
}

// Validate refuses a URL that does not name a database. The error never
// contains the URL: it holds a password.
func (c *Check) Validate() error {
	if _, err := database.Open(c.URL, c.Dir); err != nil {
		return &checks.OptionError{Key: "url", Err: err}
	}
	return nil
}

// Run asks the query once.
func (c *Check) Run(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil {
		session, err := database.Open(c.URL, c.Dir)
		if err != nil {
			return "", fmt.Errorf("url %w", err)
		}
		c.session = session
	}
	start := time.Now()
	rows, err := c.session.Query(ctx, cmp.Or(c.Query, DefaultQuery), 1)
	if err != nil {
		return "", c.session.Explain(ctx, start, err)
	}
	where := c.session.Where()
	if c.Expect == "" {
		return "answers: " + where, nil
	}
	if len(rows) == 0 {
		return "", fmt.Errorf("the query's answer has no row, expected %q: %s", c.Expect, where)
	}
	var answer string
	if row := rows[0]; len(row) > 0 {
		answer = database.Text(row[0])
	}
	if answer != c.Expect {
		return "", fmt.Errorf("the query's answer is %q, expected %q: %s", explain.Line(answer), c.Expect, where)
	}
	return fmt.Sprintf("answers %q: %s", explain.Line(answer), where), nil
}

// Close closes the connection. It waits for a run that is under way; a run after
// it opens a new connection.
func (c *Check) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil {
		return nil
	}
	err := c.session.Close()
	c.session = nil
	return err
}
