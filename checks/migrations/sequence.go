package migrations

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"hale/checks/internal/database"
)

// migration is one of a sequence: the key by which the tool's table knows it,
// and what people call it.
type migration struct{ key, name string }

// sequence is the migrations of a tool that applies them one after the other,
// and records each.
type sequence struct {
	wanted []migration // in the tool's order
	// applied reads the keys of those that are, in the order of their
	// application or in the tool's own, and adds to the state what it meets.
	applied func(rows [][]driver.Value, s *state) ([]string, error)
}

func (q *sequence) size() int    { return len(q.wanted) }
func (q *sequence) note() string { return "" }

func (q *sequence) compare(rows [][]driver.Value) (state, error) {
	var s state
	applied, err := q.applied(rows, &s)
	if err != nil {
		return state{}, err
	}
	is := make(map[string]bool, len(applied))
	for _, key := range applied {
		is[key] = true
	}
	known := make(map[string]bool, len(q.wanted))
	for _, m := range q.wanted {
		known[m.key] = true
		if !is[m.key] {
			s.pending = append(s.pending, m.name)
		}
	}
	s.strangers(applied, func(key string) bool { return known[key] })
	return s, nil
}

// strangers tells those of the applied migrations that the code does not know
// apart. Those after the last that it knows were brought by a newer version of
// the code, those before it have been removed from the code since.
func (s *state) strangers(applied []string, known func(string) bool) {
	last := -1
	for i, key := range applied {
		if known(key) {
			last = i
		}
	}
	for i, key := range applied {
		switch {
		case known(key):
		case i > last:
			s.ahead = append(s.ahead, key)
		default:
			s.gone++
		}
	}
}

// cells checks that a row has so many columns, and returns them as text.
func cells(row []driver.Value, n int) ([]string, error) {
	if len(row) != n {
		return nil, fmt.Errorf("%d columns, expected %d", len(row), n)
	}
	texts := make([]string, n)
	for i, value := range row {
		texts[i] = database.Text(value)
	}
	return texts, nil
}

// isTrue reads a boolean, which databases without such a type have as a number.
func isTrue(cell string) bool { return cell == "true" || cell == "1" }

// names reads a table with one migration's name a row.
func names(rows [][]driver.Value, _ *state) ([]string, error) {
	keys := make([]string, 0, len(rows))
	for _, row := range rows {
		texts, err := cells(row, 1)
		if err != nil {
			return nil, err
		}
		keys = append(keys, texts[0])
	}
	return keys, nil
}

// sorted reads a table with one name a row whose order is that of the names.
func sorted(rows [][]driver.Value, s *state) ([]string, error) {
	keys, err := names(rows, s)
	slices.Sort(keys)
	return keys, err
}

// versions reads a table with one number a row.
func versions(rows [][]driver.Value, s *state) ([]string, error) {
	keys, err := names(rows, s)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		keys[i] = number(key)
	}
	slices.SortFunc(keys, byNumber)
	return keys, nil
}

// number writes the number that a text begins with without zeros in front, so
// that 007 is 7; numbers may be larger than any integer type.
func number(text string) string {
	digits := text[:len(text)-len(strings.TrimLeft(text, "0123456789"))]
	return cmp.Or(strings.TrimLeft(digits, "0"), "0")
}

func byNumber(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) }

// numbered finds the migrations among files by a pattern whose first group is
// their number, and puts them into its order. A number that two files have is
// an error for every tool.
func numbered(all []file, pattern *regexp.Regexp) ([]migration, error) {
	var found []migration
	seen := make(map[string]string)
	for _, f := range all {
		match := pattern.FindStringSubmatch(f.name)
		if match == nil {
			continue
		}
		name := strings.TrimSuffix(f.name, filepath.Ext(f.name))
		m := migration{number(match[1]), strings.TrimSuffix(name, ".up")}
		if other, twice := seen[m.key]; twice {
			return nil, fmt.Errorf("two migrations have the number %s: %s and %s", m.key, brief(other), brief(f.name))
		}
		seen[m.key] = f.name
		found = append(found, m)
	}
	slices.SortFunc(found, func(a, b migration) int { return byNumber(a.key, b.key) })
	return found, nil
}

// byName finds the migrations among files by what key makes of their names,
// and puts them into the order of that.
func byName(all []file, key func(name string) (string, bool)) []migration {
	var found []migration
	for _, f := range all {
		if k, ok := key(f.name); ok {
			found = append(found, migration{k, k})
		}
	}
	slices.SortFunc(found, func(a, b migration) int { return strings.Compare(a.key, b.key) })
	return found
}

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

func loadNumbered(ctx context.Context, s source, deep bool, pattern *regexp.Regexp, usual ...string) (code, error) {
	wanted, err := s.numbered(ctx, deep, pattern, usual...)
	if err != nil {
		return nil, err
	}
	return &sequence{wanted, versions}, nil
}

func (s source) numbered(ctx context.Context, deep bool, pattern *regexp.Regexp, usual ...string) ([]migration, error) {
	all, err := s.files(ctx, deep, usual...)
	if err != nil {
		return nil, err
	}
	return numbered(all, pattern)
}

// files returns the files in the directories with the migrations.
func (s source) files(ctx context.Context, deep bool, usual ...string) ([]file, error) {
	dirs, err := s.directories(usual...)
	if err != nil {
		return nil, err
	}
	return files(ctx, dirs, deep)
}

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
