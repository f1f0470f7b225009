package migrations

import (
	"context"
	"database/sql/driver"
	"hash/crc32"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// flyway is the migrations of a project that uses Flyway.
type flyway struct {
	versioned  []flywayFile // V, by version
	baselines  []flywayFile // B, by version
	repeatable []flywayFile // R, by description
}

// flywayFile is a migration's file. A migration in Java has no checksum.
type flywayFile struct {
	name        string
	version     string // canonical; empty for a repeatable one
	description string
	checksum    string // empty: not comparable
}

var (
	flywayVersioned  = regexp.MustCompile(`^([VB])([0-9]+(?:[._][0-9]+)*)(?:__([^$]*))?\.(?:sql|java|kt|groovy|scala|class)$`)
	flywayRepeatable = regexp.MustCompile(`^R__([^$]*)\.(?:sql|java|kt|groovy|scala|class)$`)
)

// loadFlyway reads the locations, with all directories in them
// (https://documentation.red-gate.com/fd/migrations-271585107.html).
func loadFlyway(ctx context.Context, s source) (code, error) {
	const resources = "src/main/resources/db/migration"
	dirs, err := s.directories(resources, "db/migration", "sql", "migrations")
	if err != nil {
		return nil, err
	}
	if dirs[0] == filepath.Join(s.dir, resources) && len(s.paths) == 0 {
		for _, language := range []string{"java", "kotlin", "groovy", "scala"} {
			if dir := filepath.Join(s.dir, "src/main", language, "db/migration"); isDir(dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	all, err := files(ctx, dirs, true)
	if err != nil {
		return nil, err
	}
	var f flyway
	for _, file := range all {
		if err := f.add(file); err != nil {
			return nil, err
		}
	}
	byVersion := func(a, b flywayFile) int { return compareVersions(a.version, b.version) }
	slices.SortFunc(f.versioned, byVersion)
	slices.SortFunc(f.baselines, byVersion)
	slices.SortFunc(f.repeatable, func(a, b flywayFile) int { return strings.Compare(a.description, b.description) })
	return &f, nil
}

func (f *flyway) add(file file) error {
	m := flywayFile{name: strings.TrimSuffix(file.name, filepath.Ext(file.name))}
	into := &f.versioned
	if match := flywayVersioned.FindStringSubmatch(file.name); match != nil {
		m.version, m.description = canonical(match[2]), match[3]
		if match[1] == "B" {
			into = &f.baselines
		}
	} else if match := flywayRepeatable.FindStringSubmatch(file.name); match != nil {
		m.description = match[1]
		into = &f.repeatable
	} else {
		return nil
	}
	m.description = abbreviate(strings.ReplaceAll(m.description, "_", " "))
	if strings.HasSuffix(file.name, ".sql") {
		content, err := readFile(file.path)
		if err != nil {
			return err
		}
		m.checksum = flywayChecksum(content)
		// What a placeholder stands for goes into a repeatable one's checksum.
		if m.version == "" && strings.Contains(string(content), "${") {
			m.checksum = ""
		}
	}
	*into = append(*into, m)
	return nil
}

// flywayChecksum is Flyway's: the CRC-32 of all lines without their ends and
// without a byte order mark, as a signed number. Flyway reads files in other
// encodings than UTF-8 if it is told which.
func flywayChecksum(content []byte) string {
	if !utf8.Valid(content) {
		return ""
	}
	text := strings.TrimPrefix(string(content), "\uFEFF")
	sum := crc32.ChecksumIEEE([]byte(strings.NewReplacer("\r", "", "\n", "").Replace(text)))
	return strconv.Itoa(int(int32(sum))) //nolint:gosec // the same bits, as Java has them
}

// abbreviate cuts a description to the length of its column.
func abbreviate(description string) string {
	if runes := []rune(description); len(runes) > 200 {
		return string(runes[:197]) + "..."
	}
	return description
}

// canonical writes a version as Flyway compares it: parts are numbers, _ is a
// dot, and zeros at the end mean nothing.
func canonical(version string) string {
	parts := strings.Split(strings.ReplaceAll(version, "_", "."), ".")
	for i, part := range parts {
		parts[i] = number(part)
	}
	for len(parts) > 1 && parts[len(parts)-1] == "0" {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, ".")
}

// compareVersions compares two canonical versions.
func compareVersions(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), byNumber)
}

func (f *flyway) size() int    { return len(f.versioned) + len(f.repeatable) }
func (f *flyway) note() string { return "" }

func (f *flyway) compare(rows [][]driver.Value) (state, error) {
	var s state
	h := flywayHistory{versions: make(map[string]string), descriptions: make(map[string]string)}
	for _, row := range rows {
		texts, err := cells(row, 5)
		if err != nil {
			return state{}, err
		}
		h.add(&s, texts[0], texts[1], texts[2], texts[3], isTrue(texts[4]))
	}
	// A database without a history begins with the last baseline migration.
	if len(h.versions) == 0 && h.baseline == "" && len(f.baselines) > 0 {
		begin := f.baselines[len(f.baselines)-1]
		s.pending = append(s.pending, begin.name)
		h.baseline = begin.version
	}
	var changed []string
	known := make(map[string]bool)
	for _, m := range f.baselines {
		known[m.version] = true
	}
	for _, m := range f.versioned {
		known[m.version] = true
		switch sum, applied := h.versions[m.version]; {
		case applied && differ(sum, m.checksum):
			changed = append(changed, m.name)
		case !applied && (h.baseline == "" || compareVersions(m.version, h.baseline) > 0):
			s.pending = append(s.pending, m.name)
		}
	}
	for _, m := range f.repeatable {
		if sum, applied := h.descriptions[m.description]; !applied || differ(sum, m.checksum) {
			s.pending = append(s.pending, m.name)
		}
	}
	if len(changed) > 0 {
		s.odd = append(s.odd, "changed after having been applied: "+list(changed))
	}
	var applied []string
	for version := range h.versions {
		applied = append(applied, version)
	}
	slices.SortFunc(applied, compareVersions)
	s.strangers(applied, func(version string) bool { return known[version] })
	return s, nil
}

// differ reports whether two checksums are there and are not the same.
func differ(recorded, now string) bool {
	return now != "" && recorded != "NULL" && recorded != now
}

// flywayHistory is what flyway_schema_history says, from its first row to its
// last.
type flywayHistory struct {
	baseline     string            // the version that the history begins with
	versions     map[string]string // applied, with checksum
	descriptions map[string]string // of repeatable ones, with the checksum of the last time
}

func (h *flywayHistory) add(s *state, version, description, kind, checksum string, success bool) {
	repeatable := version == "NULL"
	version = canonical(version)
	switch {
	case kind == "SCHEMA":
		return // Flyway has made the schema itself
	case !success:
		name := "V" + version
		if repeatable {
			name = "R " + brief(description)
		}
		s.broken = append(s.broken, "migration "+name+" failed (flyway repair)")
	case strings.HasSuffix(kind, "BASELINE"):
		h.baseline = version
	case strings.HasPrefix(kind, "UNDO_") || kind == "DELETE":
		if repeatable {
			delete(h.descriptions, description)
		} else {
			delete(h.versions, version)
		}
	case repeatable:
		h.descriptions[description] = checksum
	default:
		h.versions[version] = checksum
	}
}
