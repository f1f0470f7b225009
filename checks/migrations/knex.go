package migrations

import (
	"context"
	"database/sql/driver"
	"strings"
)

// Knex's default loadExtensions.
var knexEndings = []string{".co", ".coffee", ".eg", ".iced", ".js", ".cjs", ".litcoffee", ".ls", ".ts"}

// loadKnex reads migrations; the table has the files' whole names.
func loadKnex(ctx context.Context, s source) (code, error) {
	all, err := s.files(ctx, false, "migrations", "db/migrations")
	if err != nil {
		return nil, err
	}
	wanted := byName(all, func(name string) (string, bool) {
		return name, hasSuffix(name, knexEndings...) && !strings.HasSuffix(name, ".d.ts")
	})
	return &sequence{wanted, knexApplied}, nil
}

// knexApplied reads the rows of knex_migrations, and that of
// knex_migrations_lock, which the query puts first.
func knexApplied(rows [][]driver.Value, s *state) ([]string, error) {
	var keys []string
	for _, row := range rows {
		texts, err := cells(row, 3)
		if err != nil {
			return nil, err
		}
		place, name, locked := texts[0], texts[1], texts[2]
		switch {
		case place != "0":
			keys = append(keys, name)
		case isTrue(locked):
			s.odd = append(s.odd, "the lock is taken: migrations are being applied, or that was cut off (knex migrate:unlock)")
		}
	}
	return keys, nil
}

// loadSequelize reads migrations; the table has the files' whole names.
func loadSequelize(ctx context.Context, s source) (code, error) {
	all, err := s.files(ctx, false, "migrations", "db/migrations")
	if err != nil {
		return nil, err
	}
	wanted := byName(all, func(name string) (string, bool) {
		return name, hasSuffix(name, ".js", ".cjs", ".ts", ".cts") && !strings.HasSuffix(name, ".d.ts")
	})
	return &sequence{wanted, sorted}, nil
}
