package migrations

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// readDjango finds the migrations in a project's files: those of the apps in the
// project's directory, or in paths. What else is installed it cannot know.
func readDjango(ctx context.Context, s source) (*django, error) {
	dirs := []string{s.dir}
	if len(s.paths) > 0 {
		var err error
		if dirs, err = s.directories(); err != nil {
			return nil, err
		}
	}
	r := djangoReader{
		project: &django{migrations: make(map[djangoKey]*djangoMigration), apps: make(map[string]bool)},
		files:   make(map[string][]file),
		root:    s.dir,
	}
	for _, dir := range dirs {
		err := walk(ctx, dir, r.visit, func(name string, _ int) bool { return isCode(name) })
		if err != nil {
			return nil, err
		}
	}
	var apps []string // directories
	for _, dir := range slices.Sorted(maps.Keys(r.files)) {
		// Without this file Django does not see it, either.
		if slices.ContainsFunc(r.files[dir], func(f file) bool { return f.name == "__init__.py" }) {
			apps = append(apps, filepath.Dir(dir))
		}
	}
	if len(s.paths) == 0 {
		variable, _ := s.variable(settingsVariable)
		if name := cmp.Or(s.django.settings, variable); name != "" {
			r.settings = append(r.settings, filepath.Join(s.dir, strings.ReplaceAll(name, ".", "/")+".py"))
		}
		apps = r.installed(apps)
	}
	for _, app := range apps {
		if err := r.read(app); err != nil {
			return nil, err
		}
	}
	return r.project, nil
}

// isCode reports whether a directory may hold the project's own code.
func isCode(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	return !slices.Contains([]string{"__pycache__", "node_modules", "site-packages", "dist-packages", "venv", "env", "virtualenv"}, name)
}

// djangoReader collects the files of migrations packages.
type djangoReader struct {
	project  *django
	root     string
	files    map[string][]file // by the package's directory
	settings []string          // files that may be settings
}

func (r *djangoReader) visit(f file) {
	dir := filepath.Dir(f.path)
	switch {
	case filepath.Base(dir) == "migrations" && strings.HasSuffix(f.name, ".py"):
		r.files[dir] = append(r.files[dir], f)
	case strings.HasPrefix(f.name, "settings") && strings.HasSuffix(f.name, ".py"), filepath.Base(dir) == "settings" && strings.HasSuffix(f.name, ".py"):
		r.settings = append(r.settings, f.path)
	}
}

// installed returns those of the apps that the settings name in a list called
// something with APPS. If that is none, the settings are made in another way,
// and all may be.
func (r *djangoReader) installed(apps []string) []string {
	var entries []string
	for _, path := range r.settings {
		content, err := readFile(path)
		if err != nil {
			continue
		}
		for _, a := range readAssignments(content) {
			if strings.Contains(a.name, "APPS") {
				entries = append(entries, a.value.texts()...)
			}
		}
	}
	var found []string
	for _, app := range apps {
		relative, err := filepath.Rel(r.root, app)
		if err == nil && slices.ContainsFunc(entries, func(entry string) bool { return isEntryOf(entry, relative) }) {
			found = append(found, app)
		}
	}
	if len(found) == 0 {
		return apps
	}
	return found
}

// isEntryOf reports whether an entry of INSTALLED_APPS, a package or a class in
// one, is an app in a directory. Where sys.path begins is not known, so the
// package may be the end of the directory's path.
func isEntryOf(entry, dir string) bool {
	name := "." + strings.ReplaceAll(dir, string(filepath.Separator), ".")
	packages := []string{entry}
	if parts := strings.Split(entry, "."); len(parts) > 1 {
		if class := parts[len(parts)-1]; class != "" && class[0] >= 'A' && class[0] <= 'Z' {
			packages = append(packages, strings.Join(parts[:len(parts)-1], "."), strings.Join(parts[:len(parts)-2], "."))
		}
	}
	return slices.ContainsFunc(packages, func(p string) bool { return p != "" && strings.HasSuffix(name, "."+p) })
}

// read reads the migrations of an app.
func (r *djangoReader) read(app string) error {
	label := djangoLabel(app)
	if _, twice := r.project.apps[label]; twice {
		return fmt.Errorf("two apps have the label %s, one of them in %s: set paths", brief(label), app)
	}
	r.project.apps[label] = true
	for _, f := range r.files[filepath.Join(app, "migrations")] {
		if strings.HasPrefix(f.name, "_") || strings.HasPrefix(f.name, "~") {
			continue
		}
		content, err := readFile(f.path)
		if err != nil {
			return err
		}
		key := djangoKey{label, strings.TrimSuffix(f.name, ".py")}
		m := &djangoMigration{key: key}
		found := false
		for _, a := range readAssignments(content) {
			if a.class != "Migration" {
				continue
			}
			found = true
			switch a.name {
			case "dependencies":
				m.follows = append(m.follows, pairs(a.value)...)
			case "run_before":
				m.before = append(m.before, pairs(a.value)...)
			case "replaces":
				m.replaces = append(m.replaces, pairs(a.value)...)
			}
		}
		if !found {
			return fmt.Errorf("no class Migration in %s", f.path)
		}
		r.project.migrations[key] = m
	}
	return nil
}

// djangoLabel returns an app's label: what its configuration says, else the
// directory's name.
func djangoLabel(app string) string {
	if content, err := readFile(filepath.Join(app, "apps.py")); err == nil {
		for _, a := range readAssignments(content) {
			if a.class != "" && a.name == "label" && a.value.kind == textLiteral {
				return a.value.text
			}
		}
	}
	return filepath.Base(app)
}

// pairs reads a list of ("app", "name"). What is computed, such as
// migrations.swappable_dependency(settings.AUTH_USER_MODEL), is left out: it is
// another app's.
func pairs(list literal) []djangoKey {
	// Parentheses around one pair are no list.
	if len(list.items) == 2 && list.items[0].kind == textLiteral && list.items[1].kind == textLiteral {
		return []djangoKey{{list.items[0].text, list.items[1].text}}
	}
	var all []djangoKey
	for _, item := range list.items {
		if texts := item.texts(); item.kind == listLiteral && len(item.items) == 2 && len(texts) == 2 {
			all = append(all, djangoKey{texts[0], texts[1]})
		}
	}
	return all
}
