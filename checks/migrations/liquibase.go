package migrations

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"hale/checks/internal/database"
)

// liquibase is the changesets of a project that uses Liquibase, in the order of
// its changelogs.
type liquibase struct {
	wanted []changesetKey
	// foreign are changesets that are not for this database, these contexts or
	// these labels, but that the code knows.
	foreign map[changesetKey]bool
}

// changesetKey is what a changeset is known by.
type changesetKey struct{ file, author, id string }

func (k changesetKey) String() string { return k.file + "::" + k.id + "::" + k.author }

// changeset is one with what decides whether it is run.
type changeset struct {
	key      changesetKey
	contexts []string // expressions, all of which must hold: its own and those of the includes
	labels   []string
	dbms     string
	ignore   bool
}

// Where the root changelog is unless paths says so: Spring Boot's default, and
// that of Liquibase's own templates.
var usualChangelogs = []string{
	"db/changelog/db.changelog-master.yaml", "db/changelog/db.changelog-master.yml", "db/changelog/db.changelog-master.xml",
	"db/changelog/db.changelog-master.json", "db/changelog/db.changelog-master.sql",
	"changelog.xml", "changelog.yaml", "changelog.yml", "changelog.json", "changelog.sql",
	"dbchangelog.xml", "db/changelog.xml", "db/changelog.yaml", "db/changelog.sql",
}

// loadLiquibase reads the root changelog and all that it includes.
func loadLiquibase(ctx context.Context, s source) (code, error) {
	// The first is Liquibase's search path, the other what Java's class path
	// begins with.
	roots := []string{s.dir, filepath.Join(s.dir, "src/main/resources")}
	names := s.paths
	if len(names) == 0 {
		names = usualChangelogs
	}
	r := &changelogReader{ctx: ctx, properties: make(map[string]string)}
	found := 0
	for _, name := range names {
		i := slices.IndexFunc(roots, func(root string) bool { return isFile(filepath.Join(root, name)) })
		if i < 0 {
			if len(s.paths) > 0 {
				return nil, fmt.Errorf("no such file: %s", filepath.Join(roots[0], name))
			}
			continue
		}
		found++
		r.root = roots[i]
		if err := r.include(changelogPath(name), inherited{}); err != nil {
			return nil, err
		}
		if len(s.paths) == 0 {
			break
		}
	}
	if found == 0 {
		return nil, fmt.Errorf("no changelog in %s, such as %s: set paths", s.dir, usualChangelogs[0])
	}
	return s.chooseChangesets(r.changesets)
}

// chooseChangesets tells those that are to be run in this database apart.
func (s source) chooseChangesets(all []changeset) (code, error) {
	filter, err := parseExpression(s.labels)
	if err != nil {
		return nil, err
	}
	l := &liquibase{foreign: make(map[changesetKey]bool)}
	for _, c := range all {
		runs := !c.ignore && isFor(c.dbms, s.kind) && (len(c.labels) == 0 || filter.match(c.labels))
		for _, text := range c.contexts {
			condition, err := parseExpression(text)
			if err != nil {
				return nil, fmt.Errorf("the context of changeset %s %w", brief(c.key.String()), err)
			}
			// Without contexts at run time Liquibase runs changesets of all.
			runs = runs && (len(s.contexts) == 0 || condition.match(s.contexts))
		}
		if runs {
			l.wanted = append(l.wanted, c.key)
		} else {
			l.foreign[c.key] = true
		}
	}
	return l, nil
}

// isFor reports whether a changeset's dbms names the kind of database: a list of
// names, or of names with ! before them that it is not for.
func isFor(dbms string, kind database.Kind) bool {
	names := map[database.Kind][]string{
		database.PostgreSQL: {"postgresql"}, database.MySQL: {"mysql", "mariadb"}, database.SQLite: {"sqlite"},
	}[kind]
	listed, chosen := false, false
	for name := range strings.SplitSeq(dbms, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if not, ok := strings.CutPrefix(name, "!"); ok {
			if slices.Contains(names, strings.TrimSpace(not)) {
				return false
			}
			continue
		}
		listed = listed || name != ""
		chosen = chosen || name == "all" || slices.Contains(names, name)
	}
	return chosen || !listed
}

func (l *liquibase) size() int    { return len(l.wanted) }
func (l *liquibase) note() string { return "" }

func (l *liquibase) compare(rows [][]driver.Value) (state, error) {
	var s state
	is := make(map[changesetKey]bool, len(rows))
	order := make([]string, 0, len(rows))
	for _, row := range rows {
		texts, err := cells(row, 4)
		if err != nil {
			return state{}, err
		}
		key := changesetKey{file: changelogPath(texts[2]), author: texts[1], id: texts[0]}
		order = append(order, key.String())
		if texts[3] == "FAILED" {
			s.broken = append(s.broken, "changeset "+brief(key.String())+" failed")
			continue
		}
		is[key] = true // EXECUTED, RERAN, SKIPPED or MARK_RAN
	}
	known := make(map[string]bool, len(l.wanted)+len(l.foreign))
	for key := range l.foreign {
		known[key.String()] = true
	}
	for _, key := range l.wanted {
		known[key.String()] = true
		if !is[key] {
			s.pending = append(s.pending, key.String())
		}
	}
	s.strangers(order, func(key string) bool { return known[key] })
	return s, nil
}

// changelogPath writes a path as Liquibase 4 compares them: Liquibase 3 recorded
// them as they were given.
func changelogPath(p string) string {
	p = strings.ReplaceAll(p, `\`, "/")
	p = strings.TrimPrefix(strings.TrimPrefix(p, "classpath*:"), "classpath:")
	return strings.TrimPrefix(path.Clean("/"+p), "/")
}

// changelogReader reads changelogs from a root directory.
type changelogReader struct {
	ctx        context.Context //nolint:containedctx // lives for one loading
	root       string
	properties map[string]string
	under      []string // changelogs that are being read, one including the next
	files      int
	changesets []changeset
}

// inherited is what a changelog has from the one that includes it.
type inherited struct {
	contexts []string
	labels   []string
}

// include reads a changelog, in the form that its name says.
func (r *changelogReader) include(name string, from inherited) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if slices.Contains(r.under, name) {
		return fmt.Errorf("changelog %s includes itself", name)
	}
	if r.files++; r.files > maxFiles || len(r.under) > maxNesting {
		return errors.New("the changelogs include too many others")
	}
	content, err := readFile(filepath.Join(r.root, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	r.under = append(r.under, name)
	defer func() { r.under = r.under[:len(r.under)-1] }()

	var entries changelog
	switch strings.ToLower(path.Ext(name)) {
	case ".xml":
		entries, err = parseXMLChangelog(content)
	case ".yaml", ".yml", ".json":
		entries, err = parseYAMLChangelog(content)
	case ".sql":
		entries = parseSQLChangelog(string(content))
	default:
		return fmt.Errorf("changelog %s is in none of the forms XML, YAML, JSON and SQL", name)
	}
	if err != nil {
		return fmt.Errorf("changelog %s: %w", name, err)
	}
	return r.follow(name, entries, from)
}

// follow adds the changesets of a changelog, and those that it includes.
func (r *changelogReader) follow(name string, log changelog, from inherited) error {
	file := name
	if log.logicalPath != "" {
		file = changelogPath(log.logicalPath)
	}
	for _, e := range log.entries {
		inner := inherited{contexts: slices.Clip(from.contexts), labels: slices.Clip(from.labels)}
		if context := e.get("contextFilter", "context"); context != "" {
			inner.contexts = append(inner.contexts, context)
		}
		inner.labels = append(inner.labels, words(e.get("labels"))...)
		var err error
		switch e.kind {
		case "property":
			if key := e.get("name"); key != "" && r.properties[key] == "" { // the first one counts
				r.properties[key] = e.get("value")
			}
		case "changeSet":
			r.add(e, file, inner)
		case "include":
			var path string
			if path, err = r.resolve(e, "file", name); err == nil {
				err = r.include(path, inner)
			}
		case "includeAll":
			err = r.includeAll(e, name, inner)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *changelogReader) add(e changelogEntry, file string, from inherited) {
	if logical := e.get("logicalFilePath"); logical != "" {
		file = changelogPath(logical)
	}
	r.changesets = append(r.changesets, changeset{
		key:      changesetKey{file: file, author: r.expand(e.get("author")), id: r.expand(e.get("id"))},
		contexts: from.contexts, labels: from.labels,
		dbms: r.expand(e.get("dbms")), ignore: e.get("ignore") == "true",
	})
}

// resolve finds the path that an entry names.
func (r *changelogReader) resolve(e changelogEntry, key, from string) (string, error) {
	name := r.expand(e.get(key))
	if name == "" || strings.Contains(name, "${") {
		return "", fmt.Errorf("changelog %s: an %s without a %s that is known: %q", from, e.kind, key, brief(name))
	}
	if e.get("relativeToChangelogFile") == "true" {
		name = path.Join(path.Dir(from), name)
	}
	return changelogPath(name), nil
}

// includeAll includes all changelogs of a directory, and of those in it.
func (r *changelogReader) includeAll(e changelogEntry, from string, inner inherited) error {
	name, err := r.resolve(e, "path", from)
	if err != nil {
		return err
	}
	dir := filepath.Join(r.root, filepath.FromSlash(name))
	if !isDir(dir) {
		if e.get("errorIfMissingOrEmpty") == "false" {
			return nil
		}
		return fmt.Errorf("changelog %s: no such directory: %s", from, dir)
	}
	if filter := e.get("filter"); filter != "" {
		return fmt.Errorf("changelog %s: an includeAll with a filter in Java, %s, cannot be followed", from, brief(filter))
	}
	all, err := files(r.ctx, []string{dir}, e.get("maxDepth") != "1")
	if err != nil {
		return err
	}
	var found []string
	for _, f := range all {
		below, err := filepath.Rel(r.root, f.path)
		if err != nil {
			return err
		}
		if hasSuffix(strings.ToLower(f.name), ".xml", ".yaml", ".yml", ".json", ".sql") && strings.HasSuffix(f.name, e.get("endsWithFilter")) {
			found = append(found, filepath.ToSlash(below))
		}
	}
	slices.Sort(found)
	for _, name := range found {
		if err := r.include(changelogPath(name), inner); err != nil {
			return err
		}
	}
	return nil
}

// expand puts in the values of properties that changelogs define.
func (r *changelogReader) expand(text string) string {
	for range 10 { // a value may hold another
		before := text
		for key, value := range r.properties {
			text = strings.ReplaceAll(text, "${"+key+"}", value)
		}
		if text == before || len(text) > 4096 {
			break
		}
	}
	return text
}

// words cuts a list at its commas.
func words(list string) []string {
	var all []string
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			all = append(all, word)
		}
	}
	return all
}
