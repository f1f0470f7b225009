package migrations

import (
	"context"
	"database/sql/driver"
	"regexp"
	"strings"
)

var golangMigrateFile = regexp.MustCompile(`^([0-9]+)_.*\.up\..*$`)

// loadGolangMigrate reads the .up files of a directory.
func loadGolangMigrate(ctx context.Context, s source) (code, error) {
	wanted, err := s.numbered(ctx, false, golangMigrateFile, "migrations", "db/migrations", "db/migration")
	if err != nil {
		return nil, err
	}
	return &pointer{wanted}, nil
}

// pointer is the migrations of a tool whose table says only how far it has come.
type pointer struct{ wanted []migration }

func (p *pointer) size() int    { return len(p.wanted) }
func (p *pointer) note() string { return "" }

func (p *pointer) compare(rows [][]driver.Value) (state, error) {
	var s state
	version := ""
	for _, row := range rows {
		texts, err := cells(row, 2)
		if err != nil {
			return state{}, err
		}
		if strings.HasPrefix(texts[0], "-") {
			continue // -1: all have been taken back
		}
		version = number(texts[0])
		if isTrue(texts[1]) {
			s.broken = append(s.broken, "migration "+version+" is left half done (dirty)")
		}
	}
	found := version == ""
	for _, m := range p.wanted {
		found = found || m.key == version
		if version == "" || byNumber(m.key, version) > 0 {
			s.pending = append(s.pending, m.name)
		}
	}
	switch {
	case found:
	case len(s.pending) == 0:
		s.ahead = []string{version}
	default:
		s.broken = append(s.broken, "the database is at version "+version+", of which there is no file")
	}
	return s, nil
}
