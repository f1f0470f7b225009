package migrations

import (
	"context"
	"database/sql/driver"
	"maps"
	"slices"
)

// code is the migrations that a project's code brings. It does not change once
// it has been read, and is compared as a pointer.
type code interface {
	// size is how many there are.
	size() int
	// note says how they were learnt if that limits what they prove, or "".
	note() string
	// compare holds them against the rows of the tool's table, as its query
	// returns them.
	compare(rows [][]driver.Value) (state, error)
}

// tool is what the check has to know of a tool that applies migrations.
type tool struct {
	table    string // by default
	unquoted bool   // the tool does not quote its table's name, so that its case is the database's
	options  []string
	query    func(tableName) string
	load     func(context.Context, source) (code, error)
}

// tools are those that there are, one row each.
var tools = map[string]tool{
	// https://docs.djangoproject.com/en/stable/topics/migrations/
	"django": {
		table:   "django_migrations",
		options: []string{"python", "settings", "alias", "apps"},
		query:   func(t tableName) string { return "select app, name from " + t.String() + " order by id" },
		load:    loadDjango,
	},
	// https://guides.rubyonrails.org/active_record_migrations.html
	"rails": {
		table: "schema_migrations",
		query: func(t tableName) string { return "select version from " + t.String() },
		load:  loadRails,
	},
	// https://alembic.sqlalchemy.org/en/latest/
	"alembic": {
		table: "alembic_version",
		query: func(t tableName) string { return "select version_num from " + t.String() },
		load:  loadAlembic,
	},
	// https://documentation.red-gate.com/fd/flyway-schema-history-table-273973417.html
	"flyway": {
		table: "flyway_schema_history",
		query: func(t tableName) string {
			return "select version, description, type, checksum, success from " + t.String() + " order by installed_rank"
		},
		load: loadFlyway,
	},
	// https://docs.liquibase.com/concepts/tracking-tables/databasechangelog-table.html
	"liquibase": {
		table: "DATABASECHANGELOG", unquoted: true,
		options: []string{"contexts", "labels"},
		query: func(t tableName) string {
			return "select id, author, filename, exectype from " + t.String() + " order by dateexecuted, orderexecuted"
		},
		load: loadLiquibase,
	},
	// https://github.com/golang-migrate/migrate/blob/master/MIGRATIONS.md
	"golang-migrate": {
		table: "schema_migrations",
		query: func(t tableName) string { return "select version, dirty from " + t.String() },
		load:  loadGolangMigrate,
	},
	// https://pressly.github.io/goose/
	"goose": {
		table: "goose_db_version",
		query: func(t tableName) string { return "select version_id, is_applied from " + t.String() + " order by id" },
		load:  loadGoose,
	},
	// https://www.prisma.io/docs/orm/prisma-migrate/understanding-prisma-migrate
	"prisma": {
		table: "_prisma_migrations",
		query: func(t tableName) string {
			return "select migration_name, checksum, finished_at is not null, rolled_back_at is not null from " + t.String() + " order by started_at"
		},
		load: loadPrisma,
	},
	// https://laravel.com/docs/migrations
	"laravel": {
		table: "migrations",
		query: func(t tableName) string { return "select migration from " + t.String() + " order by id" },
		load:  loadLaravel,
	},
	// https://knexjs.org/guide/migrations.html
	"knex": {
		table: "knex_migrations",
		query: func(t tableName) string {
			lock := tableName{t.schema, t.name + "_lock", t.quote}
			return "select 0 as place, 'lock' as name, is_locked from " + lock.String() +
				" union all select id, name, 0 from " + t.String() + " order by 1"
		},
		load: loadKnex,
	},
	// https://hexdocs.pm/ecto_sql/Ecto.Migrator.html
	"ecto": {
		table: "schema_migrations",
		query: func(t tableName) string { return "select version from " + t.String() },
		load:  loadEcto,
	},
	// https://sequelize.org/docs/v6/other-topics/migrations/
	"sequelize": {
		table: "SequelizeMeta",
		query: func(t tableName) string { return "select name from " + t.String() },
		load:  loadSequelize,
	},
}

func toolNames() []string { return slices.Sorted(maps.Keys(tools)) }

// tableName is a table's name, both parts of which Validate has found to be
// plain identifiers.
type tableName struct{ schema, name, quote string }

func (t tableName) String() string {
	name := t.quote + t.name + t.quote
	if t.schema == "" {
		return name
	}
	return t.quote + t.schema + t.quote + "." + name
}
