package migrations_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/migrations"
	"hale/test/checktest"
	"hale/test/servers"
)

// applied makes a check of a database to which both of two migrations have been
// applied.
func applied(t *testing.T, raw string) (check func(raw string) *migrations.Check) {
	t.Helper()
	execute(t, raw, pointer("10", "false")...)
	dir := pointerFiles.write(t)
	return func(raw string) *migrations.Check {
		return &migrations.Check{Tool: "golang-migrate", ProjectDir: dir, Database: raw}
	}
}

// connections counts the sessions of checks that a PostgreSQL server has now.
func connections(t *testing.T, server *servers.Process) func() int {
	t.Helper()
	return func() int {
		return count(t, server.URL(), "select count(*) from pg_stat_activity where application_name = 'hale'")
	}
}

func TestFaults(t *testing.T) {
	server := servers.Postgres(t)
	check := applied(t, server.URL())
	target := checktest.Target{
		Address:     parsed(t, server.URL()).Host,
		New:         func(address string) checks.Check { return check(moved(t, server.URL(), address)) },
		Secrets:     []string{servers.Password, url.QueryEscape(servers.Password)},
		Connections: connections(t, server),
	}
	target.Faults(t)
	checktest.Soak(t, check(server.URL()), connections(t, server))
}

func TestSoakMariaDB(t *testing.T) {
	server := servers.MariaDB(t)
	check := applied(t, server.URL())
	checktest.Soak(t, check(server.URL()), nil)
}

func TestSoakDjango(t *testing.T) {
	servers.NeedDjango(t)
	file := full(t)
	checktest.Soak(t, open(t, "sqlite:///"+file).check(""), func() int {
		open := 0
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc: ", err)
		}
		for _, fd := range fds {
			if target, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(target, file) {
				open++
			}
		}
		return open
	})
}

// What is wrong with the connection is said as a check of type sql says it.
func TestFaultMessages(t *testing.T) {
	t.Parallel()
	server := servers.Postgres(t)
	check := applied(t, server.URL())
	address := parsed(t, server.URL()).Host
	execute(t, server.URL(), "create user reader password 'reader'", "create user stranger password 'stranger'", "grant select on schema_migrations to reader")
	with := func(change func(*url.URL)) string {
		u := parsed(t, server.URL())
		change(u)
		return u.String()
	}
	user := func(name, password string) string {
		return with(func(u *url.URL) { u.User = url.UserPassword(name, password) })
	}
	query := func(text string) string { return with(func(u *url.URL) { u.RawQuery = text }) }
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	nobody := servers.FreeAddress(t)
	for _, test := range []struct {
		name, url string
		timeout   time.Duration
		want      string
	}{
		{"well", server.URL(), 0, "pass: all 3 migrations are applied: " + address},
		{"a user who may read the table", user("reader", "reader"), 0, "pass: all 3 migrations are applied: " + address},
		{"a user who may not", user("stranger", "stranger"), 0, "fail: permission denied for table schema_migrations: " + address},
		{"wrong password", user(servers.User, "wrong"), 0, `fail: password authentication failed for user "hale": ` + address},
		{"no such database", renamed(t, server.URL(), "absent"), 0, `fail: database "absent" does not exist: ` + address},
		{"nobody listens", moved(t, server.URL(), nobody), 0, "fail: connection refused: " + nobody},
		{"unknown name", moved(t, server.URL(), "db.invalid:5432"), 0, "fail: name does not resolve: db.invalid"},
		{"unknown authority", query("sslmode=verify-full"), 0, "fail: TLS: certificate signed by an unknown authority: " + address},
		{"certificate verified", query("sslmode=verify-full&sslrootcert=" + server.Certificate().CertFile), 0, "pass: all 3 migrations are applied: " + address},
		{"hangs", moved(t, server.URL(), hanging(t, address)), time.Second, "fail: no answer within 1s: 127.0.0.1:"},
		{"a web server", moved(t, server.URL(), web.Listener.Addr().String()), time.Second, "fail: no answer within 1s: 127.0.0.1:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := check(test.url)
			defer c.Close()
			got := checktest.Outcome(t, c, test.timeout)
			if got != test.want && (!strings.HasSuffix(test.want, ":") || !strings.HasPrefix(got, test.want)) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if strings.Contains(got, servers.Password) || strings.Contains(got, "wrong") {
				t.Error("the password is in it")
			}
		})
	}
}

// hanging accepts connections and says nothing.
func hanging(t *testing.T, address string) string {
	t.Helper()
	proxy := servers.Proxy(t, address)
	proxy.Break(servers.BlackHole)
	return proxy.Address()
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const url = "postgres://app:secret@db.internal/app"
	const names = "alembic, django, ecto, flyway, golang-migrate, goose, knex, laravel, liquibase, prisma, rails, sequelize"
	for _, test := range []struct {
		name  string
		check *migrations.Check
		want  string // all that is wrong
		key   string
	}{
		{"good", &migrations.Check{Tool: "django", Database: url, Python: "python3.11", Settings: "mysite.settings.production", Apps: []string{"a"}}, "", ""},
		{"nothing", &migrations.Check{Database: url}, "tool: is missing: write one of " + names, "tool"},
		{"unknown tool", &migrations.Check{Tool: "doctrine", Database: url}, `tool: "doctrine" is not known: write one of ` + names, "tool"},
		{"no database", &migrations.Check{Tool: "rails"}, "database: is missing: write postgres://USER:PASSWORD@HOST:PORT/DATABASE, mysql://..., mariadb://... or sqlite:///FILE", "database"},
		{"a table that is none", &migrations.Check{Tool: "rails", Database: url, Table: `x"; drop table y; --`}, `table: "x\"; drop table y; --" is not a plain name: write letters, digits and _ alone`, "table"},
		{"a schema that is none", &migrations.Check{Tool: "rails", Database: url, Schema: "a.b"}, `schema: "a.b" is not a plain name: write letters, digits and _ alone`, "schema"},
		{"an unknown direction", &migrations.Check{Tool: "rails", Database: url, Direction: "up"}, `direction: "up" is not known: write both, behind or ahead`, "direction"},
		{"what the direction leaves out", &migrations.Check{Tool: "rails", Database: url, Direction: "behind", Ahead: "fail"}, `ahead: has no effect with direction: behind`, "ahead"},
		{"a direction that finds nothing", &migrations.Check{Tool: "rails", Database: url, Direction: "ahead", Ahead: "ignore"}, `ahead: is ignored with direction: ahead, which then finds nothing: write warn or fail`, "ahead"},
		{"an unknown meaning", &migrations.Check{Tool: "rails", Database: url, Ahead: "pass"}, `ahead: "pass" is not known: write warn, fail or ignore`, "ahead"},
		{"options of another tool", &migrations.Check{Tool: "rails", Database: url, Python: "none", Labels: "a"}, "labels: is not for rails\npython: is not for rails", "labels"},
		{"settings that are a file", &migrations.Check{Tool: "django", Database: url, Settings: "mysite/settings.py"}, `settings: "mysite/settings.py" is not a module: write it as in DJANGO_SETTINGS_MODULE, mysite.settings for one`, "settings"},
		{"labels that are no expression", &migrations.Check{Tool: "liquibase", Database: url, Labels: "a b"}, "labels: is not an expression of words with and, or, not, !, commas and parentheses", "labels"},
		{"no time", &migrations.Check{Tool: "rails", Database: url, PlanTimeout: -1}, "plan_timeout: must be above 0", "plan_timeout"},
		{"an empty path", &migrations.Check{Tool: "rails", Database: url, Paths: []string{""}}, "paths: holds an empty path", "paths"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := test.check.Validate()
			if got := fmt.Sprint(err); test.want == "" && err != nil || test.want != "" && got != test.want {
				t.Fatalf("got  %s\nwant %s", got, test.want)
			}
			if option, ok := errors.AsType[*checks.OptionError](err); test.want != "" && (!ok || option.Key != test.key) {
				t.Errorf("not an OptionError for %s: %#v", test.key, err)
			}
		})
	}
}
