// Package migrations checks that no migration of the database is unapplied, by
// comparing those that the code brings with those that the database knows.
package migrations

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"hale/checks"
	"hale/checks/internal/database"
)

// Check compares the migrations of a project with the table in which its tool
// records those that it has applied.
//
// It proves that every migration that this code brings has been applied, and
// none of them left half done; it warns if the database has been migrated
// further than this code knows. It does not look at the tables themselves. The
// code's migrations are read once, at the first run and outside of it, since
// Django's interpreter may take seconds; a new version of the code needs a new
// Check. After that a run costs the database one query on a kept connection,
// which reads the tool's table.
//
//	c := &migrations.Check{Tool: "rails", ProjectDir: "/srv/app", Database: "postgres://app:secret@db.internal/app"}
//	defer c.Close()
type Check struct {
	Tool       string   `yaml:"tool" jsonschema:"required,enum=django,enum=rails,enum=alembic,enum=flyway,enum=liquibase,enum=golang-migrate,enum=goose,enum=prisma,enum=laravel,enum=knex,enum=ecto,enum=sequelize" jsonschema_description:"What applies the migrations."`
	ProjectDir string   `yaml:"dir" jsonschema:"default=." jsonschema_description:"The project's directory, where its commands are given; for Django that of manage.py."`
	Database   string   `yaml:"database" jsonschema:"required" jsonschema_description:"The database, as the url of a check of type sql."`
	Paths      []string `yaml:"paths" jsonschema_description:"Directories with the migrations, relative to dir, if they are not where the tool looks by itself; for Liquibase the root changelog."`
	Table      string   `yaml:"table" jsonschema_description:"The table in which the tool records what it has applied, if it is not the tool's own default."`
	Schema     string   `yaml:"schema" jsonschema_description:"The schema that table is in, if the connection's own does not find it."`
	Direction  string   `yaml:"direction" jsonschema:"enum=both,enum=behind,enum=ahead,default=both" jsonschema_description:"Which way to look: behind finds migrations that the database lacks, ahead those that this code lacks; both finds both."`
	Ahead      string   `yaml:"ahead" jsonschema:"enum=warn,enum=fail,enum=ignore,default=warn" jsonschema_description:"What a database means that has been migrated further than this code knows, as after a rollback of the code."`

	Python      string        `yaml:"python" jsonschema_description:"Django: the project's interpreter; by default that of .venv, venv or VIRTUAL_ENV, else python3; none reads the files instead."`
	Settings    string        `yaml:"settings" jsonschema_description:"Django: the settings module, if manage.py and DJANGO_SETTINGS_MODULE do not tell it."`
	Alias       string        `yaml:"alias" jsonschema:"default=default" jsonschema_description:"Django: what the database is called in DATABASES."`
	Apps        []string      `yaml:"apps" jsonschema_description:"Django: only these apps, by label, and what their migrations depend on; by default all that are installed."`
	User        string        `yaml:"user" jsonschema_description:"Django: the user to run the interpreter as; by default that of the app; needs root."`
	PlanTimeout time.Duration `yaml:"plan_timeout" jsonschema:"default=1m,exclusiveMinimum=0" jsonschema_description:"Time that reading the code's migrations may take, which is done once; it may be longer than timeout."`

	Contexts []string `yaml:"contexts" jsonschema_description:"Liquibase: the contexts that update is run with; by default changesets of all contexts count."`
	Labels   string   `yaml:"labels" jsonschema_description:"Liquibase: the label expression that update is run with."`

	// Dir is where a relative ProjectDir starts; empty means the working
	// directory.
	Dir string `yaml:"-"`

	// Lookup finds a variable of the app's environment; nil means os.LookupEnv.
	Lookup func(name string) (value string, ok bool) `yaml:"-"`

	// Environ returns variables, as NAME=value, that the interpreter needs
	// beside those of this process; may be nil.
	Environ func() []string `yaml:"-"`

	// mu guards everything that follows, and is held for a whole run.
	mu       sync.Mutex
	session  *database.Session
	reading  *reading
	previous *comparison
}

// defaultPlanTimeout is what a zero PlanTimeout means.
const defaultPlanTimeout = time.Minute

// What Direction may be.
const (
	directionBoth   = "both"
	directionBehind = "behind"
	directionAhead  = "ahead"
)

// What Ahead may be.
const (
	aheadWarns   = "warn"
	aheadFails   = "fail"
	aheadIgnored = "ignore"
)

// maxRows bounds what is read of a table: far more than any project has.
const maxRows = 100_000

var (
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]*$`)
	module     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)
)

// Validate refuses options that cannot work. It neither connects nor looks for
// the project, so that a configuration can be validated on another machine.
func (c *Check) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, checks.Optionf(key, format, args...)) }

	tool, known := tools[c.Tool]
	switch {
	case c.Tool == "":
		bad("tool", "is missing: write one of %s", strings.Join(toolNames(), ", "))
	case !known:
		bad("tool", "%q is not known: write one of %s", c.Tool, strings.Join(toolNames(), ", "))
	}
	if _, err := database.Open(c.Database, c.Dir); err != nil {
		errs = append(errs, &checks.OptionError{Key: "database", Err: err})
	}
	for _, option := range []struct{ key, name string }{{"table", c.Table}, {"schema", c.Schema}} {
		if option.name != "" && !identifier.MatchString(option.name) {
			bad(option.key, "%q is not a plain name: write letters, digits and _ alone", option.name)
		}
	}
	if c.Ahead != "" && !slices.Contains([]string{aheadWarns, aheadFails, aheadIgnored}, c.Ahead) {
		bad("ahead", "%q is not known: write warn, fail or ignore", c.Ahead)
	}
	switch c.Direction {
	case "", directionBoth:
	case directionBehind:
		if c.Ahead != "" {
			bad("ahead", "has no effect with direction: behind")
		}
	case directionAhead:
		if c.Ahead == aheadIgnored {
			bad("ahead", "is ignored with direction: ahead, which then finds nothing: write warn or fail")
		}
	default:
		bad("direction", "%q is not known: write both, behind or ahead", c.Direction)
	}
	if c.PlanTimeout < 0 {
		bad("plan_timeout", "must be above 0")
	}
	if slices.Contains(c.Paths, "") {
		bad("paths", "holds an empty path")
	}
	if c.Settings != "" && !module.MatchString(c.Settings) {
		bad("settings", "%q is not a module: write it as in DJANGO_SETTINGS_MODULE, mysite.settings for one", c.Settings)
	}
	if _, err := parseExpression(c.Labels); err != nil {
		bad("labels", "%w", err)
	}
	if known {
		for _, key := range c.foreign(tool) {
			bad(key, "is not for %s", c.Tool)
		}
	}
	return errors.Join(errs...)
}

// foreign returns the options that are set, but mean nothing to the tool.
func (c *Check) foreign(t tool) []string {
	set := map[string]bool{
		"python": c.Python != "", "settings": c.Settings != "", "alias": c.Alias != "", "apps": len(c.Apps) > 0,
		"contexts": len(c.Contexts) > 0, "labels": c.Labels != "",
	}
	var keys []string
	for key, isSet := range set {
		if isSet && !slices.Contains(t.options, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// projectDir returns ProjectDir as a path that can be used wherever a command
// runs.
func (c *Check) projectDir() string {
	dir := cmp.Or(c.ProjectDir, ".")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(c.Dir, dir)
	}
	if absolute, err := filepath.Abs(dir); err == nil {
		return absolute
	}
	return dir
}

// Run compares once.
func (c *Check) Run(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := time.Now()
	if c.session == nil {
		if err := c.Validate(); err != nil {
			return "", err
		}
		session, err := database.Open(c.Database, c.Dir)
		if err != nil {
			return "", fmt.Errorf("database %w", err)
		}
		c.session = session
	}
	code, err := c.code(ctx, start)
	if err != nil {
		return "", err
	}
	tool := tools[c.Tool]
	rows, err := c.session.Query(ctx, tool.query(c.table()), maxRows+1)
	switch {
	case err != nil && c.session.NoTable(err):
		return verdict{Check: c, code: code}.ofNoTable()
	case err != nil:
		return "", c.session.Explain(ctx, start, err)
	case len(rows) > maxRows:
		return "", fmt.Errorf("table %s has more than %d rows: %s", c.tableName(), maxRows, c.session.Where())
	}
	state, err := c.compare(code, rows)
	if err != nil {
		return "", fmt.Errorf("table %s is not as %s makes it: %w: %s", c.tableName(), c.Tool, err, c.session.Where())
	}
	return verdict{Check: c, code: code, state: state}.tell()
}

// comparison is the outcome of an earlier run. Tables of migrations hardly ever
// change between two runs.
type comparison struct {
	code  code
	rows  [][]driver.Value
	state state
}

func (c *Check) compare(code code, rows [][]driver.Value) (state, error) {
	if p := c.previous; p != nil && p.code == code && slices.EqualFunc(p.rows, rows, slices.Equal[[]driver.Value]) {
		return p.state, nil
	}
	s, err := code.compare(rows)
	if err != nil {
		return state{}, err
	}
	c.previous = &comparison{code, rows, s}
	return s, nil
}

func (c *Check) tableName() string { return cmp.Or(c.Table, tools[c.Tool].table) }

// table returns the table's name as it is written in a query.
func (c *Check) table() tableName {
	t := tableName{schema: c.Schema, name: c.tableName(), quote: `"`}
	switch {
	case tools[c.Tool].unquoted:
		t.quote = ""
	case c.session.Kind() == database.MySQL:
		t.quote = "`"
	}
	return t
}

// Close ends the reading of the code's migrations, if it is still under way, and
// closes the connection. It waits for a run that is under way; a run after it
// begins anew.
func (c *Check) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading != nil {
		c.reading.stop()
		c.reading = nil
	}
	c.previous = nil
	if c.session == nil {
		return nil
	}
	err := c.session.Close()
	c.session = nil
	return err
}
