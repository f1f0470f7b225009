package site

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Migrations are files named NNNN_what.sql, numbered from 1 without a gap. The
// table "migrations" holds the number of each one that was applied.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

type migration struct {
	version int
	name    string // of its file
	sql     string
}

// migrations returns all, in order.
func migrations() ([]migration, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	all := make([]migration, 0, len(names))
	for _, path := range names {
		name := strings.TrimPrefix(path, "migrations/")
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != len(all)+1 {
			return nil, fmt.Errorf("migration %s: want number %d", name, len(all)+1)
		}
		text, err := fs.ReadFile(migrationFiles, path)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{version, name, string(text)})
	}
	return all, nil
}

// Schema is where the database's schema is and where the code needs it: the
// numbers of the last migrations.
type Schema struct {
	Have, Want int
}

// migrate applies what has not been applied, each migration in a transaction of
// its own, and makes the database if there is none.
func (b *book) migrate(ctx context.Context) (err error) {
	all, err := migrations()
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", b.dsn("rwc"))
	if err != nil {
		return fmt.Errorf("open database %s: %w", b.path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	const table = "create table if not exists migrations (version integer primary key, name text not null)"
	if _, err := db.ExecContext(ctx, table); err != nil {
		return fmt.Errorf("migrate %s: %w", b.path, err)
	}
	have, err := version(ctx, db)
	if err != nil {
		return err
	}
	for _, m := range all[min(have, len(all)):] {
		if err := m.apply(ctx, db); err != nil {
			return fmt.Errorf("apply migration %s: %w", m.name, err)
		}
	}
	return nil
}

func (m migration) apply(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do
	if _, err := tx.ExecContext(ctx, m.sql); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx,
		"insert into migrations (version, name) values (?, ?)", m.version, m.name); err != nil {
		return err
	}
	return tx.Commit()
}

// Schema returns the versions of the schema in the database and in the code.
func (s *Site) Schema(ctx context.Context) (Schema, error) {
	return s.book.schema(ctx)
}

func (b *book) schema(ctx context.Context) (Schema, error) {
	all, err := migrations()
	if err != nil {
		return Schema{}, err
	}
	have, err := version(ctx, b.db)
	return Schema{Have: have, Want: len(all)}, err
}

func version(ctx context.Context, db *sql.DB) (int, error) {
	var v int
	err := db.QueryRowContext(ctx, "select coalesce(max(version), 0) from migrations").Scan(&v)
	if err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	return v, nil
}
