package migrations

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// loadPrisma reads prisma/migrations: a directory with a migration.sql each.
func loadPrisma(ctx context.Context, s source) (code, error) {
	dirs, err := s.directories("prisma/migrations", "migrations")
	if err != nil {
		return nil, err
	}
	all, err := files(ctx, dirs, true)
	if err != nil {
		return nil, err
	}
	p := prisma{sums: make(map[string]string)}
	var wanted []migration
	for _, f := range all {
		if f.name != "migration.sql" || !slices.Contains(dirs, filepath.Dir(filepath.Dir(f.path))) {
			continue
		}
		content, err := readFile(f.path)
		if err != nil {
			return nil, err
		}
		name, sum := filepath.Base(filepath.Dir(f.path)), sha256.Sum256(content)
		p.sums[name] = hex.EncodeToString(sum[:])
		wanted = append(wanted, migration{name, name})
	}
	slices.SortFunc(wanted, func(a, b migration) int { return strings.Compare(a.key, b.key) })
	return &sequence{wanted, p.applied}, nil
}

// prisma is what Prisma compares beside the names: the files' SHA-256.
type prisma struct{ sums map[string]string }

func (p prisma) applied(rows [][]driver.Value, s *state) ([]string, error) {
	var keys, changed []string
	failed := make(map[string]bool)
	for _, row := range rows {
		texts, err := cells(row, 4)
		if err != nil {
			return nil, err
		}
		name, sum, finished, rolledBack := texts[0], texts[1], isTrue(texts[2]), isTrue(texts[3])
		switch {
		case rolledBack: // as "migrate resolve --rolled-back" leaves a failed one
			delete(failed, name)
		case !finished:
			failed[name] = true
		default:
			delete(failed, name)
			keys = append(keys, name)
			if now, known := p.sums[name]; known && now != sum {
				changed = append(changed, name)
			}
		}
	}
	for _, m := range slices.Sorted(maps.Keys(failed)) {
		s.broken = append(s.broken, "migration "+brief(m)+" failed or is under way, and keeps others from being applied (prisma migrate resolve)")
	}
	if len(changed) > 0 {
		s.odd = append(s.odd, "changed after having been applied: "+list(changed))
	}
	slices.Sort(keys)
	return keys, nil
}
