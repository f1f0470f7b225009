package migrations

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"hale/checks/internal/database"
)

// djangoScript asks Django for its migrations.
//
//go:embed django_plan.py
var djangoScript string

// djangoPlan is what djangoScript writes.
type djangoPlan struct {
	Databases  []string        `json:"databases"`
	Vendor     string          `json:"vendor"`
	Apps       map[string]bool `json:"apps"` // by label; true if it has migrations
	Migrations []struct {
		App          string      `json:"app"`
		Name         string      `json:"name"`
		Dependencies [][2]string `json:"dependencies"`
		RunBefore    [][2]string `json:"run_before"`
		Replaces     [][2]string `json:"replaces"`
	} `json:"migrations"`
}

// What a plan may hold; a larger one is something else.
const (
	maxPlan       = 16 << 20 // bytes
	maxMigrations = 100_000
	maxName       = 255 // the length of the columns of django_migrations
)

// parsePlan reads what the interpreter wrote. The project's own code ran in it,
// so nothing is taken for granted.
func parsePlan(document []byte) (*django, djangoPlan, error) {
	var p djangoPlan
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, p, fmt.Errorf("its list of migrations cannot be read: %s", brief(err.Error()))
	}
	if d.More() {
		return nil, p, errors.New("its list of migrations is followed by something else")
	}
	if len(p.Migrations) > maxMigrations {
		return nil, p, fmt.Errorf("it has more than %d migrations", maxMigrations)
	}
	project := &django{migrations: make(map[djangoKey]*djangoMigration, len(p.Migrations)), apps: p.Apps}
	for _, m := range p.Migrations {
		key := djangoKey{m.App, m.Name}
		if !p.Apps[m.App] {
			return nil, p, fmt.Errorf("it has a migration of %q, which is not among its apps with migrations", brief(m.App))
		}
		if project.migrations[key] != nil {
			return nil, p, fmt.Errorf("it has the migration %s twice", brief(key.String()))
		}
		project.migrations[key] = &djangoMigration{key: key, follows: keys(m.Dependencies), before: keys(m.RunBefore), replaces: keys(m.Replaces)}
	}
	for app := range p.Apps {
		if !plausible(app) {
			return nil, p, fmt.Errorf("it has an app with the odd label %q", brief(app))
		}
	}
	for _, m := range project.migrations {
		for _, key := range slices.Concat([]djangoKey{m.key}, m.follows, m.before, m.replaces) {
			if !plausible(key.app) || !plausible(key.name) {
				return nil, p, fmt.Errorf("it has a migration with the odd name %q", brief(key.String()))
			}
		}
	}
	return project, p, nil
}

func keys(pairs [][2]string) []djangoKey {
	all := make([]djangoKey, len(pairs))
	for i, pair := range pairs {
		all[i] = djangoKey{pair[0], pair[1]}
	}
	return all
}

// plausible reports whether a text can be an app's label or a migration's name.
func plausible(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// fits compares a plan with what the check was told of the database.
func (p djangoPlan) fits(alias string, kind database.Kind) error {
	if !slices.Contains(p.Databases, alias) {
		return fmt.Errorf("the settings have no database %q, but %s: set alias", alias, list(p.Databases))
	}
	vendors := map[database.Kind]string{database.PostgreSQL: "postgresql", database.MySQL: "mysql", database.SQLite: "sqlite"}
	// Other vendors are back ends of third parties, which stand for one of these.
	known := []string{"postgresql", "mysql", "sqlite", "oracle"}
	if p.Vendor != vendors[kind] && slices.Contains(known, p.Vendor) {
		return fmt.Errorf("the settings say that the database %q is %s, but the check asks one that is %s", alias, p.Vendor, vendors[kind])
	}
	return nil
}
