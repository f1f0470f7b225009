package migrations

import (
	"context"
	"database/sql/driver"
	"regexp"
	"slices"
	"strings"
)

var gooseFile = regexp.MustCompile(`^0*([1-9][0-9]*)_.*\.(?:sql|go)$`)

// loadGoose reads the SQL and Go migrations of a directory.
func loadGoose(ctx context.Context, s source) (code, error) {
	all, err := s.files(ctx, false, "migrations", "db/migrations")
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(f file) bool { return strings.HasSuffix(f.name, "_test.go") })
	wanted, err := numbered(all, gooseFile)
	if err != nil {
		return nil, err
	}
	return &sequence{wanted, gooseApplied}, nil
}

// gooseApplied reads goose's history: of a version's rows the last one counts,
// which says whether it was applied or rolled back. Version 0 is the table's
// own beginning.
func gooseApplied(rows [][]driver.Value, _ *state) ([]string, error) {
	is := make(map[string]bool)
	for _, row := range rows {
		texts, err := cells(row, 2)
		if err != nil {
			return nil, err
		}
		is[number(texts[0])] = isTrue(texts[1])
	}
	delete(is, "0")
	var keys []string
	for key, applied := range is {
		if applied {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, byNumber)
	return keys, nil
}
