package migrations

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
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

// files returns the files in the directories with the migrations.
func (s source) files(ctx context.Context, deep bool, usual ...string) ([]file, error) {
	dirs, err := s.directories(usual...)
	if err != nil {
		return nil, err
	}
	return files(ctx, dirs, deep)
}

// loadNumbered reads a sequence whose table has one number a row.
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
