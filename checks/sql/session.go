package sql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"hale/checks/internal/explain"
)

// database is what a URL names: how to connect to it, and how it puts its
// complaints.
type database struct {
	where   string // for messages: host:port/database, or a file
	connect func(context.Context) (driver.Conn, error)
	// complaint returns what the server itself, or the library in its place,
	// said in an error; empty if the error is not of its making.
	complaint func(error) string
	// wire has the network connections; nil if there is no network.
	wire *wire
	// passing tells that an error passes by itself within moments; may be nil.
	passing func(error) bool
	// keep tells that the connection is kept between runs.
	keep bool
}

// session holds the one connection to a database. It uses the driver without
// the pool of database/sql: that would decide by itself when to connect, when
// to close, and in which goroutine.
type session struct {
	db   *database
	conn driver.Conn // nil: none
}

// A run ends its query this long before its own deadline, so that the query can
// be cancelled on the server rather than left running there. It is the smaller
// of the two.
const (
	cancelTime  = 250 * time.Millisecond
	cancelShare = 4 // one part of so many of the time there is
)

// retryPause is the time between attempts while a database is locked.
const retryPause = 20 * time.Millisecond

// answer is the first column of a query's first row.
type answer struct {
	text string
	row  bool // whether there was a row at all
}

// ask asks a query. When it returns, nothing of it is under way any more, but
// for the request to cancel it.
func (s *session) ask(ctx context.Context, query string) (answer, error) {
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
	for {
		answer, err := s.attempt(ctx, query)
		if err == nil {
			return answer, nil
		}
		if s.db.passing == nil || !s.db.passing(err) {
			// What a driver makes of a query that was cut off differs.
			return answer, errors.Join(ctx.Err(), err)
		}
		select {
		case <-ctx.Done():
			return answer, err
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
func (s *session) attempt(ctx context.Context, query string) (answer, error) {
	reused := s.conn != nil
	a, err := s.askOnce(ctx, query)
	if err != nil && reused && s.conn == nil && ctx.Err() == nil {
		return s.askOnce(ctx, query)
	}
	return a, err
}

func (s *session) askOnce(ctx context.Context, query string) (answer, error) {
	if s.conn != nil && !usable(ctx, s.conn) {
		s.drop()
	}
	if s.conn == nil {
		conn, err := s.db.connect(ctx)
		if err != nil {
			s.drop()
			return answer{}, err
		}
		s.conn = conn
	}
	a, err := first(ctx, s.conn, query)
	// A complaint of the server leaves the connection good; all other errors
	// leave it in doubt.
	if !s.db.keep || err != nil && (s.db.complaint(err) == "" || ctx.Err() != nil) {
		s.drop()
	}
	return a, err
}

// usable asks the driver whether a connection can be used again.
func usable(ctx context.Context, conn driver.Conn) bool {
	if resetter, ok := conn.(driver.SessionResetter); ok && resetter.ResetSession(ctx) != nil {
		return false
	}
	validator, ok := conn.(driver.Validator)
	return !ok || validator.IsValid()
}

// first asks a query and reads the first row of its answer.
func first(ctx context.Context, conn driver.Conn, query string) (a answer, err error) {
	queryer, ok := conn.(driver.QueryerContext)
	if !ok {
		return answer{}, fmt.Errorf("driver %T cannot query", conn)
	}
	rows, err := queryer.QueryContext(ctx, query, nil)
	if err != nil {
		return answer{}, err
	}
	defer func() {
		if closeErr := rows.Close(); err == nil {
			err = closeErr
		}
	}()
	row := make([]driver.Value, len(rows.Columns()))
	switch err := rows.Next(row); {
	case errors.Is(err, io.EOF):
		return answer{}, nil
	case err != nil:
		return answer{}, err
	case len(row) == 0:
		return answer{row: true}, nil
	default:
		return answer{text(row[0]), true}, nil
	}
}

// text writes a value of database/sql/driver as people would.
func text(value driver.Value) string {
	switch v := value.(type) {
	case nil:
		return "NULL"
	case []byte:
		return string(v)
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
func (s *session) drop() {
	_ = s.close() // it may well be dead already
}

func (s *session) close() error {
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

// explain says what an error of ask means and where it comes from.
func (s *session) explain(ctx context.Context, start time.Time, err error) error {
	db := s.db
	if budget, ok := explain.Budget(ctx, start); ok && explain.IsTimeout(err) {
		waiting := "no answer"
		if db.wire != nil && !db.wire.connected() {
			waiting = "no connection"
		}
		return &explain.Error{Text: fmt.Sprintf("%s within %v: %s", waiting, budget, db.where), Err: err}
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
