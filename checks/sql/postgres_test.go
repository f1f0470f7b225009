package sql_test

import (
	"context"
	stdsql "database/sql"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"hale/checks/sql"
	"hale/test/servers"
)

func TestPostgresFaults(t *testing.T) {
	t.Parallel()
	server := servers.Postgres(t)
	for _, test := range []struct {
		name    string
		url     func(*url.URL)
		query   string
		expect  string
		timeout time.Duration // 0: a minute, for what should take none
		want    string        // part of the error; empty: it passes
	}{
		{name: "well"},
		{name: "TLS without a look at the certificate", url: param("sslmode", "require")},
		{name: "TLS if there is any", url: param("sslmode", "")},
		{name: "certificate verified", url: params("sslmode", "verify-full", "sslrootcert", server.Certificate().CertFile)},
		{name: "parameters for Django alone", url: params("conn_max_age", "600", "channel_binding", "prefer")},
		{name: "expected value", query: "select 2 + 1", expect: "3"},
		{name: "expected boolean", query: "select 1 = 1", expect: "true"},
		{name: "expected NULL", query: "select null", expect: "NULL"},
		{name: "no row and none expected", query: "select 1 where false"},

		{name: "wrong password", url: user("hale", "surely wrong"), want: `password authentication failed for user "hale": 127.0.0.1:`},
		{name: "no such user", url: user("nobody", "secret"), want: `password authentication failed for user "nobody": 127.0.0.1:`},
		{name: "no such database", url: path("/absent"), want: `database "absent" does not exist: 127.0.0.1:`},
		{name: "nobody listens", url: host(servers.FreeAddress(t)), want: "connection refused: 127.0.0.1:"},
		{name: "unknown name", url: host("db.invalid:5432"), want: "name does not resolve: db.invalid"},
		{name: "no socket", url: params("host", "/nowhere"), want: "no such socket: /nowhere/.s.PGSQL."},
		{name: "unknown authority", url: param("sslmode", "verify-full"), want: "TLS: certificate signed by an unknown authority: 127.0.0.1:"},
		{name: "no TLS on the server", url: both(host(servers.Speaker(t, "", "N")), param("sslmode", "require")), want: "TLS: the server does not speak TLS, and sslmode demands it: 127.0.0.1:"},
		{name: "accepts and hangs", url: host(broken(t, server, servers.BlackHole)), timeout: time.Second, want: "no answer within "},
		{name: "accepts and hangs, TLS", url: both(host(broken(t, server, servers.BlackHole)), param("sslmode", "prefer")), timeout: time.Second, want: "no answer within "},
		{name: "resets", url: host(broken(t, server, servers.Reset)), want: "connection reset: 127.0.0.1:"},
		{name: "closes", url: host(broken(t, server, servers.Close)), want: "connection closed without an answer: 127.0.0.1:"},
		{name: "a web server", url: host(webServer(t)), timeout: time.Second, want: "no answer within "},
		{name: "an SSH server", url: host(servers.Speaker(t, "", "SSH-2.0-OpenSSH_9.2\r\n")), want: "connection closed in the middle of the answer: 127.0.0.1:"},
		{
			name: "starting up", url: host(servers.Speaker(t, "", errorResponse("FATAL", "57P03", "the database system is starting up"))),
			want: "the database system is starting up: 127.0.0.1:",
		},
		{name: "wrong query", query: "select * from absent", want: `relation "absent" does not exist: 127.0.0.1:`},
		{name: "slow query", query: "select pg_sleep(60)", timeout: time.Second, want: "no answer within "},
		{name: "another value", query: "select 2 + 2", expect: "3", want: `the query's answer is "4", expected "3": 127.0.0.1:`},
		{name: "no row", query: "select 1 where false", expect: "1", want: `the query's answer has no row, expected "1": 127.0.0.1:`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := &sql.Check{URL: with(t, server.URL(), test.url), Query: test.query, Expect: test.expect}
			expect(t, c, test.timeout, test.want)
		})
	}
}

func TestPostgresComesAndGoes(t *testing.T) {
	t.Parallel()
	server := servers.Postgres(t)
	comesAndGoes(t, server, &sql.Check{URL: server.URL()})
	count := sessions(t, "postgres", server.URL(), "select count(*) from pg_stat_activity where application_name = 'hale'")
	eventually(t, "there are sessions after Close", func() bool { return count() == 0 })
}

func TestPostgresKeepsOneConnection(t *testing.T) {
	server := servers.Postgres(t)
	proxy := servers.Proxy(t, address(t, server.URL()))
	through := with(t, server.URL(), host(proxy.Address()))
	check := &sql.Check{URL: through}
	slow := &sql.Check{URL: through, Query: "select pg_sleep(60)"}
	keepsOneConnection(t, proxy, check, slow)

	// The cancelled queries do not run on.
	running := sessions(t, "postgres", server.URL(), "select count(*) from pg_stat_activity where application_name = 'hale'")
	eventually(t, "connections of closed checks", func() bool { return running() == 0 })
}

// sessions returns a function that asks a server, past the check, for a number.
func sessions(t *testing.T, driver, dsn, query string) func() int {
	t.Helper()
	db, err := stdsql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return func() int {
		var n int
		if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// errorResponse is PostgreSQL's message of that name
// (https://www.postgresql.org/docs/current/protocol-message-formats.html).
func errorResponse(severity, code, message string) string {
	fields := "S" + severity + "\x00C" + code + "\x00M" + message + "\x00\x00"
	return "E" + string(binary.BigEndian.AppendUint32(nil, uint32(4+len(fields)))) + fields
}

func webServer(t *testing.T) (address string) {
	t.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// run runs a check once.
func run(t *testing.T, c *sql.Check, timeout time.Duration) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return c.Run(ctx)
}
