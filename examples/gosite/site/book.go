package site

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// book is the database of entries.
type book struct {
	path   string
	shared string // what path links to; empty: path is the database itself
	db     *sql.DB
}

type entry struct {
	Author  string
	Text    string
	Written time.Time
}

type month struct {
	First   time.Time
	Entries int
}

const shown = 20 // entries on the home page

// openBook opens the database, makes it if it is absent, and migrates it. Of one
// that is shared, path becomes a link to it, and another instance sees to all that.
func openBook(ctx context.Context, path, shared string) (*book, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	b := &book{path: path}
	if shared == "" {
		err = b.migrate(ctx)
	} else if b.shared, err = filepath.Abs(shared); err == nil {
		err = b.link()
	}
	if err != nil {
		return nil, err
	}
	// From here on a missing file is an error, not a reason to make an empty one.
	if b.db, err = sql.Open("sqlite", b.dsn("rw")); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	// Opening a file is cheap, and a connection that is kept would go on with a
	// file that was moved away or replaced until the next restart.
	b.db.SetMaxIdleConns(0)
	return b, nil
}

func (b *book) dsn(mode string) string {
	file := url.URL{Scheme: "file", Path: b.path, RawQuery: url.Values{
		"mode":    {mode},
		"_pragma": {"busy_timeout(2000)"},
	}.Encode()}
	return file.String()
}

func (b *book) close() error {
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// ping reads one value. A file that was moved away fails here, and so does one
// that is no database.
func (b *book) ping(ctx context.Context) error {
	var n int
	if err := b.db.QueryRowContext(ctx, "select count(*) from sqlite_schema").Scan(&n); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(b.path), err)
	}
	return nil
}

// newest returns the newest entries and the number of all.
func (b *book) newest(ctx context.Context) (entries []entry, total int, err error) {
	rows, err := b.db.QueryContext(ctx, `
		select author, text, written, count(*) over ()
		from entries order by written desc, id desc limit ?`, shown)
	if err != nil {
		return nil, 0, fmt.Errorf("list entries: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e entry
		var unix int64
		if err := rows.Scan(&e.Author, &e.Text, &unix, &total); err != nil {
			return nil, 0, fmt.Errorf("list entries: %w", err)
		}
		e.Written = time.Unix(unix, 0).UTC()
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("list entries: %w", err)
	}
	return entries, total, nil
}

func (b *book) add(ctx context.Context, author, text string, now time.Time) error {
	_, err := b.db.ExecContext(ctx,
		"insert into entries (author, text, written) values (?, ?, ?)", author, text, now.Unix())
	if err != nil {
		return fmt.Errorf("add entry: %w", err)
	}
	return nil
}

// months returns how many entries were written in each month, newest first.
func (b *book) months(ctx context.Context) (months []month, err error) {
	rows, err := b.db.QueryContext(ctx, "select first, entries from months order by first desc")
	if err != nil {
		return nil, fmt.Errorf("list months: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var m month
		var unix int64
		if err := rows.Scan(&unix, &m.Entries); err != nil {
			return nil, fmt.Errorf("list months: %w", err)
		}
		m.First = time.Unix(unix, 0).UTC()
		months = append(months, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list months: %w", err)
	}
	return months, nil
}
