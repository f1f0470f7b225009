package migrations

import (
	"context"
	"regexp"
)

var railsFile = regexp.MustCompile(`^([0-9]+)_[_a-z0-9]*\.?[_a-z0-9]*\.rb$`)

// loadRails reads db/migrate, or the migrations_paths of another database of the
// same app, as ActiveRecord::MigrationContext does.
func loadRails(ctx context.Context, s source) (code, error) {
	return loadNumbered(ctx, s, true, railsFile, "db/migrate")
}

var ectoFile = regexp.MustCompile(`^([0-9]+)_.*\.exs$`)

// loadEcto reads priv/repo/migrations, as Ecto.Migrator does.
func loadEcto(ctx context.Context, s source) (code, error) {
	return loadNumbered(ctx, s, true, ectoFile, "priv/repo/migrations")
}
