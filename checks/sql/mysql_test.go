package sql_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"hale/checks/sql"
	"hale/test/servers"
)

func TestMySQLFaults(t *testing.T) {
	t.Parallel()
	server := servers.MariaDB(t)
	ca := server.Certificate().CertFile
	for _, test := range []struct {
		name    string
		url     func(*url.URL)
		query   string
		expect  string
		timeout time.Duration // 0: a minute, for what should take none
		want    string        // part of the error; empty: it passes
	}{
		{name: "well"},
		{name: "without TLS", url: param("ssl-mode", "DISABLED")},
		{name: "TLS without a look at the certificate", url: param("ssl_mode", "required")},
		{name: "certificate's chain verified", url: param("sslca", ca)},
		{name: "certificate verified", url: params("ssl-mode", "VERIFY_IDENTITY", "ssl-ca", ca)},
		{name: "expected value", query: "select 2 + 1", expect: "3"},
		{name: "expected decimal", query: "select 1.50", expect: "1.50"},
		{name: "expected NULL", query: "select null", expect: "NULL"},
		{name: "no row and none expected", query: "select 1 from dual where false"},

		{name: "wrong password", url: user("hale", "surely wrong"), want: "Access denied for user 'hale'@'127.0.0.1' (using password: YES): 127.0.0.1:"},
		{name: "no such user", url: user("nobody", "secret"), want: "Access denied for user 'nobody'@'127.0.0.1' (using password: YES): 127.0.0.1:"},
		{name: "no such database", url: path("/absent"), want: "Unknown database 'absent': 127.0.0.1:"},
		{name: "nobody listens", url: host(servers.FreeAddress(t)), want: "connection refused: 127.0.0.1:"},
		{name: "unknown name", url: host("db.invalid:3306"), want: "name does not resolve: db.invalid"},
		{name: "no socket", url: param("unix_socket", "/nowhere.sock"), want: "no such socket: /nowhere.sock"},
		{name: "unknown authority", url: param("ssl-mode", "VERIFY_CA"), want: "TLS: certificate signed by an unknown authority: 127.0.0.1:"},
		{name: "accepts and hangs", url: host(broken(t, server, servers.BlackHole)), timeout: time.Second, want: "no answer within "},
		{name: "resets", url: host(broken(t, server, servers.Reset)), want: "connection reset: 127.0.0.1:"},
		{name: "closes", url: host(broken(t, server, servers.Close)), want: "connection closed without an answer: 127.0.0.1:"},
		{name: "a web server", url: host(webServer(t)), timeout: time.Second, want: "no answer within "},
		{name: "an SSH server", url: host(servers.Speaker(t, "SSH-2.0-OpenSSH_9.2\r\n")), want: ": 127.0.0.1:"},
		{name: "wrong query", query: "select * from absent", want: "Table 'app.absent' doesn't exist: 127.0.0.1:"},
		{name: "slow query", query: "select sleep(60)", timeout: time.Second, want: "no answer within "},
		{name: "another value", query: "select 2 + 2", expect: "3", want: `the query's answer is "4", expected "3": 127.0.0.1:`},
		{name: "no row", query: "select 1 from dual where false", expect: "1", want: `the query's answer has no row, expected "1": 127.0.0.1:`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := &sql.Check{URL: with(t, server.URL(), test.url), Query: test.query, Expect: test.expect}
			expect(t, c, test.timeout, test.want)
		})
	}
}

func TestMySQLComesAndGoes(t *testing.T) {
	t.Parallel()
	server := servers.MariaDB(t)
	comesAndGoes(t, server, &sql.Check{URL: server.URL()})
}

func TestMySQLKeepsOneConnection(t *testing.T) {
	server := servers.MariaDB(t)
	proxy := servers.Proxy(t, address(t, server.URL()))
	through := with(t, server.URL(), host(proxy.Address()))
	check := &sql.Check{URL: through}
	slow := &sql.Check{URL: through, Query: "select sleep(60)"}
	keepsOneConnection(t, proxy, check, slow)

	// The server itself has ended the slow queries.
	running := sessions(t, "mysql", dsn(t, server.URL()), "select count(*) from information_schema.processlist where command = 'Query' and info like 'select sleep%'")
	eventually(t, "queries of closed checks run on", func() bool { return running() == 0 })
}

// dsn writes a URL in the form that go-sql-driver reads.
func dsn(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	config := mysql.NewConfig()
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.Net, config.Addr = "tcp", u.Host
	return config.FormatDSN()
}
