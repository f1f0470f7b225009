// Package database holds one connection to a PostgreSQL, MySQL, MariaDB or
// SQLite database between the runs of a check, and leaves nothing behind when
// one is cut off.
package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"hale/internal/explain"
)

// database is what a URL names: how to connect to it, and how it puts its
// complaints.
type database struct {
	kind    Kind
	where   string // for messages: host:port/database, or a file
	connect func(context.Context) (driver.Conn, error)
	// complaint returns what the server itself, or the library in its place,
	// said in an error; empty if the error is not of its making.
	complaint func(error) string
	// noTable tells that the server, or the library, knows no table of the name
	// that was asked for.
	noTable func(error) bool
	// wire has the network connections; nil if there is no network.
	wire *wire
	// passing tells that an error passes by itself within moments; may be nil.
	passing func(error) bool
	// keep tells that the connection is kept between runs.
	keep bool
}

// Kind is a kind of database.
type Kind int

// The kinds that there are drivers for. MySQL is MariaDB, too.
const (
	PostgreSQL Kind = iota
	MySQL
	SQLite
)

// Session holds the one connection to a database. It uses the driver without
// the pool of database/sql: that would decide by itself when to connect, when
// to close, and in which goroutine. It is for one goroutine at a time.
type Session struct {
	db   *database
	conn driver.Conn // nil: none
}

// Open returns a session with the database that a URL names. It does not
// connect; the first query does. dir is where a relative SQLite file name
// starts; empty means the working directory. An error never contains the URL,
// which holds a password.
func Open(url, dir string) (*Session, error) {
	address, err := parseAddress(url)
	if err != nil {
		return nil, err
	}
	db, err := address.open(dir)
	if err != nil {
		return nil, err
	}
	return &Session{db: db}, nil
}

// Kind returns the kind of the database.
func (s *Session) Kind() Kind { return s.db.kind }

// Where says for messages where the database is: host:port, or a file.
func (s *Session) Where() string { return s.db.where }

// NoTable reports whether an error of Query says that there is no such table,
// or no schema that could hold it.
func (s *Session) NoTable(err error) bool { return s.db.noTable(err) }

// A run ends its query this long before its own deadline, so that the query can
// be cancelled on the server rather than left running there. It is the smaller
// of the two.
const (
	cancelTime  = 250 * time.Millisecond
	cancelShare = 4 // one part of so many of the time there is
)

// retryPause is the time between attempts while a database is locked.
const retryPause = 20 * time.Millisecond

// maxBytes bounds the rows that are kept of an answer.
const maxBytes = 16 << 20

// Query asks a query and returns the first rows of its answer, limit at most,
// with text as strings. When it returns, nothing of it is under way any more,
// but for the request to cancel it. Its error is for Explain.
func (s *Session) Query(ctx context.Context, query string, limit int) ([][]driver.Value, error) {
	if s.db.wire != nil {
		s.db.wire.begin()
		// Drivers wait for a server that hangs without a look at their context.
		// A closed connection they notice.
		cut := make(chan struct{})
		stop := context.AfterFunc(ctx, func() { s.db.wire.cut(); close(cut) })
		defer func() {
			if !stop() {
				<-cut // lest it cuts into the next run
			}
		}()
	}
	ctx, cancel := context.WithTimeout(ctx, queryTime(ctx))
	defer cancel()
	var passing error
	for {
		rows, err := s.attempt(ctx, query, limit)
		switch {
		case err == nil:
			return rows, nil
		case s.db.passing != nil && s.db.passing(err):
			passing = err
		case passing != nil && ctx.Err() != nil:
			return nil, passing // what kept all attempts, of which the last was cut off
		default:
			// What a driver makes of a query that was cut off differs.
			return nil, errors.Join(ctx.Err(), err)
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(retryPause):
		}
	}
}

// queryTime returns how long a query may take. A context without a deadline
// gets a generous one.
func queryTime(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Minute
	}
	left := time.Until(deadline)
	return left - min(cancelTime, left/cancelShare)
}

// attempt asks on the connection that is there, and once more on a new one if
// that turns out to be dead, because the server was restarted for one.
func (s *Session) attempt(ctx context.Context, query string, limit int) ([][]driver.Value, error) {
	reused := s.conn != nil
	rows, err := s.askOnce(ctx, query, limit)
	if err != nil && reused && s.conn == nil && ctx.Err() == nil {
		return s.askOnce(ctx, query, limit)
	}
	return rows, err
}

func (s *Session) askOnce(ctx context.Context, query string, limit int) ([][]driver.Value, error) {
	if s.conn != nil && !usable(ctx, s.conn) {
		s.drop()
	}
	if s.conn == nil {
		conn, err := s.db.connect(ctx)
		if err != nil {
			s.drop()
			return nil, err
		}
		s.conn = conn
	}
	rows, err := read(ctx, s.conn, query, limit)
	// A complaint of the server leaves the connection good; all other errors
	// leave it in doubt.
	if !s.db.keep || err != nil && (s.db.complaint(err) == "" || ctx.Err() != nil) {
		s.drop()
	}
	return rows, err
}

// usable asks the driver whether a connection can be used again.
func usable(ctx context.Context, conn driver.Conn) bool {
	if resetter, ok := conn.(driver.SessionResetter); ok && resetter.ResetSession(ctx) != nil {
		return false
	}
	validator, ok := conn.(driver.Validator)
	return !ok || validator.IsValid()
}

// read asks a query and reads the first rows of its answer.
func read(ctx context.Context, conn driver.Conn, query string, limit int) (all [][]driver.Value, err error) {
	queryer, ok := conn.(driver.QueryerContext)
	if !ok {
		return nil, fmt.Errorf("driver %T cannot query", conn)
	}
	rows, err := queryer.QueryContext(ctx, query, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := rows.Close(); err == nil {
			err = closeErr
		}
	}()
	for size := 0; len(all) < limit; {
		row := make([]driver.Value, len(rows.Columns()))
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		for i := range row {
			if b, ok := row[i].([]byte); ok {
				row[i] = string(b) // it is the driver's, and only until the next row
			}
			if text, ok := row[i].(string); ok {
				size += len(text)
			}
		}
		if all = append(all, row); size > maxBytes {
			return nil, fmt.Errorf("the answer is larger than %d MiB", maxBytes>>20)
		}
	}
	return all, nil
}

// Text writes a value of an answer as people would.
func Text(value driver.Value) string {
	switch v := value.(type) {
	case nil:
		return "NULL"
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case float32:
		return strconv.FormatFloat(float64(v), 'f', -1, 32)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	default:
		return fmt.Sprint(v)
	}
}

// drop closes a connection that is given up.
func (s *Session) drop() {
	_ = s.Close() // it may well be dead already
}

// Close closes the connection, if there is one. A query after it connects anew.
func (s *Session) Close() error {
	var err error
	if s.conn != nil {
		err = s.conn.Close()
		s.conn = nil
	}
	if s.db.wire != nil {
		s.db.wire.hangUp()
	}
	return err
}

// Explain says what an error of Query means and where it comes from, for a run
// that began at start.
func (s *Session) Explain(ctx context.Context, start time.Time, err error) error {
	db := s.db
	if explain.IsTimeout(err) || errors.Is(ctx.Err(), context.Canceled) {
		waiting := "no answer"
		if db.wire != nil && !db.wire.connected() {
			waiting = "no connection"
		}
		return explain.Waiting(ctx, start, waiting, db.where, err)
	}
	if said := db.complaint(err); said != "" {
		return &explain.Error{Text: fmt.Sprintf("%s: %s", explain.Line(said), db.where), Err: err}
	}
	if db.wire != nil {
		// Drivers report a broken connection without its cause.
		err = errors.Join(db.wire.cause(), err)
	}
	return explain.Network(err, db.where)
}
