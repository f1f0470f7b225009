package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"hale/internal/explain"
)

// openSQLite reads the file name as dj-database-url does: three slashes are
// followed by a relative path, four by an absolute one. sqlite:FILE is as it
// reads.
func openSQLite(a *address, dir string) (*database, error) {
	name := a.path
	if a.host != "" || a.user != "" || a.password != "" {
		return nil, errors.New("has a host, which SQLite does not: write sqlite:///FILE (relative) or sqlite:////FILE (absolute)")
	}
	if name == "" || name == ":memory:" {
		return nil, errors.New("names no file: write sqlite:///FILE (relative) or sqlite:////FILE (absolute)")
	}
	if _, err := a.take(nil, []string{"mode", "cache"}); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	file, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	// Read-only: a check must neither create the file nor write to it.
	shared, err := sqlite.NewConnector(fileURI(file, "mode=ro"))
	if err != nil {
		return nil, err
	}
	quiet, err := sqlite.NewConnector(fileURI(file, "mode=ro&immutable=1"))
	if err != nil {
		return nil, err
	}
	return &database{
		kind:  SQLite,
		where: file,
		connect: func(ctx context.Context) (driver.Conn, error) {
			return connectSQLite(ctx, file, shared, quiet)
		},
		complaint: sqliteComplaint,
		noTable:   sqliteNoTable,
		passing:   isLocked,
		// A file that was replaced would go on being read through a connection
		// that was opened before.
		keep: false,
	}, nil
}

func fileURI(file, query string) string {
	u := url.URL{Scheme: "file", Path: file, RawQuery: query}
	return u.String()
}

// connectSQLite opens the file.
//
// A database in WAL mode that nobody has open has no -wal file. Even a reader
// would make one then, and its -shm file, as a user who may not be the app's,
// so that the app could no longer write. Such a database is read as one that
// does not change, for which SQLite makes no files.
func connectSQLite(ctx context.Context, file string, shared, quiet driver.Connector) (driver.Conn, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errIsDirectory
	case info.Size() == 0:
		// SQLite takes it for an empty database; the app would find no table.
		return nil, errEmptyFile
	}
	connector := shared
	if _, err := os.Stat(file + "-wal"); errors.Is(err, fs.ErrNotExist) && usesWAL(file) {
		connector = quiet
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	// Opening alone does not look at the file, and neither does "select 1".
	if _, err := read(ctx, conn, "pragma schema_version", 1); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// usesWAL reads from a file's header whether writing to it takes a -wal file:
// bytes 18 and 19 are 2 then (https://www.sqlite.org/fileformat2.html, 1.3).
//
// Closing a file drops the locks that this process has on it. A program that
// embeds this check and writes to the same file itself should therefore turn on
// modernc.org/sqlite's OFDLocking.
func usesWAL(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false // SQLite will say why
	}
	defer f.Close()
	header := make([]byte, 20)
	_, err = f.ReadAt(header, 0)
	return err == nil && header[18] == 2 && header[19] == 2
}

var (
	errIsDirectory = errors.New("is a directory")
	errEmptyFile   = errors.New("file is empty")
)

// isLocked reports whether another process is writing at this moment.
func isLocked(err error) bool {
	code, ok := errors.AsType[*sqlite.Error](err)
	return ok && (primary(code) == sqlite3.SQLITE_BUSY || primary(code) == sqlite3.SQLITE_LOCKED)
}

// primary is a result code without its extension
// (https://www.sqlite.org/rescode.html).
func primary(err *sqlite.Error) int { return err.Code() & 0xff }

// sqliteComplaint says what is wrong with the file or the query.
func sqliteComplaint(err error) string {
	if failed, ok := errors.AsType[*sqlite.Error](err); ok {
		switch primary(failed) {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return "database is locked by another process"
		case sqlite3.SQLITE_NOTADB:
			return "file is not a database"
		case sqlite3.SQLITE_CORRUPT:
			return "database is corrupted"
		case sqlite3.SQLITE_CANTOPEN:
			return fmt.Sprintf("cannot be opened by user id %d: needs the right to read it, and to write to its directory if it uses WAL", os.Getuid())
		default:
			return failed.Error()
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	case errors.Is(err, errIsDirectory), errors.Is(err, errEmptyFile):
		return explain.Innermost(err)
	}
	return ""
}

// sqliteNoTable reads the message: the code is that of every faulty statement.
func sqliteNoTable(err error) bool {
	failed, ok := errors.AsType[*sqlite.Error](err)
	return ok && primary(failed) == sqlite3.SQLITE_ERROR && strings.Contains(failed.Error(), "no such table: ")
}
