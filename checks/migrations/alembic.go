package migrations

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// alembic is the revisions of a project that uses Alembic. Its table holds only
// the latest that have been applied; all that they descend from, or depend on,
// have been as well.
type alembic struct {
	revisions map[string]*revision
	order     []string // every revision after those that it descends from
}

// revision is a migration of Alembic.
type revision struct {
	id     string
	down   []string // those that it follows
	needs  []string // depends_on
	labels []string // branch_labels
}

// loadAlembic reads the directories that alembic.ini names.
func loadAlembic(ctx context.Context, s source) (code, error) {
	dirs, deep, err := alembicDirectories(s)
	if err != nil {
		return nil, err
	}
	all, err := files(ctx, dirs, deep)
	if err != nil {
		return nil, err
	}
	a := &alembic{revisions: make(map[string]*revision)}
	for _, f := range all {
		if !strings.HasSuffix(f.name, ".py") || strings.HasPrefix(f.name, "__init__") || strings.HasPrefix(f.name, ".#") {
			continue
		}
		content, err := readFile(f.path)
		if err != nil {
			return nil, err
		}
		r := readRevision(content)
		if r.id == "" {
			continue // Alembic passes over it, too
		}
		if a.revisions[r.id] != nil {
			return nil, fmt.Errorf("two files have the revision %s, one of them is %s", brief(r.id), f.path)
		}
		a.revisions[r.id] = r
	}
	return a, a.sort()
}

// readRevision reads the variables of a revision's module.
func readRevision(content []byte) *revision {
	r := new(revision)
	for _, a := range readAssignments(content) {
		if a.class != "" {
			continue
		}
		switch a.name {
		case "revision":
			r.id = a.value.text
		case "down_revision":
			r.down = a.value.texts()
		case "depends_on":
			r.needs = a.value.texts()
		case "branch_labels":
			r.labels = a.value.texts()
		}
	}
	return r
}

// sort resolves what revisions are called in each other's files, and puts them
// in order.
func (a *alembic) sort() error {
	parents := make(map[string][]string)
	for _, id := range slices.Sorted(maps.Keys(a.revisions)) {
		r := a.revisions[id]
		for _, name := range slices.Concat(r.down, r.needs) {
			parent, err := a.resolve(name)
			if err != nil {
				return fmt.Errorf("revision %s: %w", brief(id), err)
			}
			parents[id] = append(parents[id], parent)
		}
		r.down, r.needs = parents[id], nil
	}
	order, cycle := inOrder(slices.Sorted(maps.Keys(a.revisions)), strings.Compare, func(id string) []string { return parents[id] })
	if len(cycle) > 0 {
		return fmt.Errorf("revisions depend on each other in a circle: %s", list(cycle))
	}
	a.order = order
	return nil
}

// resolve finds a revision by its id or by a branch's label.
func (a *alembic) resolve(name string) (string, error) {
	if a.revisions[name] != nil {
		return name, nil
	}
	for id, r := range a.revisions {
		if slices.Contains(r.labels, name) {
			return id, nil
		}
	}
	return "", fmt.Errorf("%s, which it follows or depends on, is not among the files", brief(name))
}

func (a *alembic) size() int    { return len(a.order) }
func (a *alembic) note() string { return "" }

func (a *alembic) compare(rows [][]driver.Value) (state, error) {
	var s state
	current, err := names(rows, nil)
	if err != nil {
		return state{}, err
	}
	applied := make(map[string]bool)
	for todo := current; len(todo) > 0; {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		switch r := a.revisions[id]; {
		case r == nil:
			s.ahead = append(s.ahead, id)
		case !applied[id]:
			applied[id] = true
			todo = append(todo, r.down...)
		}
	}
	if len(s.ahead) > 0 {
		// Only that revision's file says what came before it, so nothing is known
		// of the others.
		return s, nil
	}
	for _, id := range a.order {
		if !applied[id] {
			s.pending = append(s.pending, id)
		}
	}
	return s, nil
}

// alembicDirectories returns the directories with the revisions, and whether
// those in them count, too.
func alembicDirectories(s source) (dirs []string, deep bool, err error) {
	usual := []string{"alembic/versions", "migrations/versions"}
	if len(s.paths) > 0 {
		dirs, err = s.directories()
		return dirs, false, err
	}
	// The second is Flask-Migrate's.
	for _, ini := range []string{"alembic.ini", "migrations/alembic.ini"} {
		path := filepath.Join(s.dir, ini)
		if !isFile(path) {
			continue
		}
		content, err := readFile(path)
		if err != nil {
			return nil, false, err
		}
		options := iniSection(string(content), "alembic")
		for key, value := range options {
			options[key] = strings.ReplaceAll(value, "%(here)s", filepath.Dir(path))
		}
		deep = options["recursive_version_locations"] == "true"
		switch locations, script := options["version_locations"], options["script_location"]; {
		case locations != "":
			s.paths = splitLocations(locations, cmp.Or(options["path_separator"], options["version_path_separator"]))
		case script != "":
			s.paths = []string{filepath.Join(script, "versions")}
		case filepath.Dir(path) != s.dir:
			s.paths = []string{"migrations/versions"}
		}
		for _, p := range s.paths {
			if strings.Contains(p, ":") {
				return nil, false, fmt.Errorf("%s names a place within a Python package, %s: set paths", path, brief(p))
			}
		}
		break
	}
	dirs, err = s.directories(usual...)
	return dirs, deep, err
}

var spaceOrComma = regexp.MustCompile(`, *|(?: +)|\s+`)

func splitLocations(locations, separator string) []string {
	split := spaceOrComma
	separator, _, _ = strings.Cut(separator, " ") // Alembic's template has a remark behind it
	switch separator {
	case "os", ":":
		split = regexp.MustCompile(":")
	case ";":
		split = regexp.MustCompile(";")
	case "newline":
		split = regexp.MustCompile("\n")
	}
	var paths []string
	for _, path := range split.Split(locations, -1) {
		if path = strings.TrimSpace(path); path != "" {
			paths = append(paths, path)
		}
	}
	return paths
}

// iniSection reads one section of a file as Python's configparser does: a value
// goes on in lines that are indented.
func iniSection(text, section string) map[string]string {
	options := make(map[string]string)
	inside, key := false, ""
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
		case line[0] == ' ' || line[0] == '\t':
			if inside && key != "" {
				options[key] = strings.TrimSpace(options[key] + "\n" + trimmed)
			}
		case trimmed[0] == '[':
			inside, key = trimmed == "["+section+"]", ""
		case inside:
			i := strings.IndexAny(trimmed, "=:")
			if i < 0 {
				continue
			}
			key = strings.ToLower(strings.TrimSpace(trimmed[:i]))
			options[key] = strings.TrimSpace(trimmed[i+1:])
		}
	}
	return options
}
