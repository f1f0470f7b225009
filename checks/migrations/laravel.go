package migrations

import (
	"context"
	"strings"
)

// loadLaravel reads database/migrations; packages that bring migrations of their
// own are to be listed in paths.
func loadLaravel(ctx context.Context, s source) (code, error) {
	all, err := s.files(ctx, false, "database/migrations")
	if err != nil {
		return nil, err
	}
	wanted := byName(all, func(name string) (string, bool) {
		key, ok := strings.CutSuffix(name, ".php")
		return key, ok && strings.Contains(key, "_")
	})
	return &sequence{wanted, names}, nil
}
