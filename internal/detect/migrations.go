package detect

import (
	"path"
	"slices"
	"strings"
)

// migrations are how the app's database is brought up to its code.
type migrations struct {
	tool string // as in the migrations check; "" = none found, or none it knows
	dir  string // where the tool is called; "" = the app's directory
}

// migrationTools are the tools by the files that show that they are in use, all
// of them or, where they stand together, one of them. The first that fits counts.
func migrationTools() []migrationTool {
	return []migrationTool{
		{"rails", [][]string{{"config/application.rb"}, {"db/migrate"}}, nil},
		{"laravel", [][]string{{"artisan"}, {"database/migrations"}}, nil},
		{"prisma", [][]string{{"prisma/schema.prisma"}, {"prisma/migrations"}}, nil},
		{"alembic", [][]string{{"alembic.ini"}}, []string{"alembic", "upgrade", "head"}},
		{"flyway", [][]string{{"src/main/resources/db/migration"}}, nil},
		{"liquibase", [][]string{{
			"src/main/resources/db/changelog/db.changelog-master.yaml", "src/main/resources/db/changelog/db.changelog-master.xml",
			"src/main/resources/db/changelog/db.changelog-master.json", "src/main/resources/db/changelog/db.changelog-master.sql",
		}}, nil},
		{"knex", [][]string{{"knexfile.js", "knexfile.ts", "knexfile.mjs", "knexfile.cjs"}, {"migrations", "db/migrations"}}, []string{"npx", "knex", "migrate:latest"}},
		{"sequelize", [][]string{{".sequelizerc"}, {"migrations", "db/migrations"}}, []string{"npx", "sequelize-cli", "db:migrate"}},
		{"ecto", [][]string{{"mix.exs"}, {"priv/repo/migrations"}}, nil},
	}
}

// migrationTool is one of them.
type migrationTool struct {
	name    string
	files   [][]string
	command []string // that applies them, where the framework has not told
}

// findMigrations finds the tool, if there is a database for it. Django has been
// found before.
func (a *app) findMigrations(t *tree) {
	if a.database.url == "" || a.migrations.tool != "" {
		return
	}
	for _, tool := range migrationTools() {
		var shown []string
		for _, names := range tool.files {
			if name, ok := t.first(names...); ok {
				shown = append(shown, name)
			}
		}
		if len(shown) < len(tool.files) {
			continue
		}
		a.migrations.tool = tool.name
		if len(a.migrate) == 0 {
			a.migrate = slices.Clone(tool.command)
		}
		a.found(shown[len(shown)-1], 0, "migrations are checked as %s keeps them", toolName(tool.name))
		return
	}
}

// usesDjango says where manage.py is.
func (a *app) usesDjango(manage string) {
	if a.database.url == "" {
		return
	}
	a.migrations = migrations{tool: "django"}
	if dir := path.Dir(manage); dir != "." {
		a.migrations.dir = dir
	}
	a.found(manage, 0, "migrations are checked as Django keeps them")
}

// toolName writes a tool's name as its makers do.
func toolName(tool string) string { return strings.ToUpper(tool[:1]) + tool[1:] }
