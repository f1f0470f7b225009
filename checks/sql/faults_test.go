package sql_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"hale/checks"
	"hale/checks/sql"
	"hale/test/checktest"
	"hale/test/servers"
)

func TestFaults(t *testing.T) {
	postgres, mariadb := servers.Postgres(t), servers.MariaDB(t)
	ofPostgres, ofMariaDB := postgresSessions(t, postgres), mariadbSessions(t, mariadb)
	for _, test := range []struct {
		name, url   string
		connections func() int
	}{
		{"PostgreSQL", postgres.URL(), ofPostgres},
		{"PostgreSQL, TLS", with(t, postgres.URL(), params("sslmode", "verify-full", "sslrootcert", postgres.Certificate().CertFile)), ofPostgres},
		{"MariaDB", mariadb.URL(), ofMariaDB},
		{"MariaDB, TLS", with(t, mariadb.URL(), params("ssl-mode", "VERIFY_IDENTITY", "ssl-ca", mariadb.Certificate().CertFile)), ofMariaDB},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.connections() // whose own goroutines are there from now on
			checktest.Target{
				Address: address(t, test.url),
				New: func(at string) checks.Check {
					return &sql.Check{URL: with(t, test.url, host(at)), Query: "select 1 + 1", Expect: "2"}
				},
				Secrets:     []string{servers.Password, url.QueryEscape(servers.Password), url.PathEscape(servers.Password)},
				Connections: test.connections,
			}.Faults(t)
		})
	}
}

// postgresSessions counts the check's connections as the server does.
func postgresSessions(t *testing.T, server *servers.Process) func() int {
	t.Helper()
	return sessions(t, "postgres", server.URL(), "select count(*) from pg_stat_activity where application_name = 'hale'")
}

// mariadbSessions does as postgresSessions, for a server with no other clients.
func mariadbSessions(t *testing.T, server *servers.Process) func() int {
	t.Helper()
	return sessions(t, "mysql", dsn(t, server.URL()), "select count(*) from information_schema.processlist where id <> connection_id()")
}

// Certificates that must not be accepted, after each protocol's own beginning.
func TestTLSFaults(t *testing.T) {
	t.Parallel()
	mariadb := servers.MariaDB(t)
	greeting := func(client net.Conn) error { return greetAs(client, address(t, mariadb.URL())) }
	known := servers.NewCertificate(t, "127.0.0.1")
	other, ended := servers.NewCertificate(t, "elsewhere.example"), servers.ExpiredCertificate(t, "127.0.0.1")
	expired := "TLS: certificate expired on " + ended.TLS(t).Leaf.NotAfter.UTC().Format("2006-01-02 15:04:05") + ": "
	for _, server := range []struct {
		name, scheme, mode, ca string
		verify                 string
		begin                  func(client net.Conn) error
	}{
		{"PostgreSQL", "postgres", "sslmode", "sslrootcert", "verify-full", acceptTLS},
		{"MySQL", "mysql", "ssl-mode", "ssl-ca", "VERIFY_IDENTITY", greeting},
	} {
		for _, test := range []struct {
			name string
			cert servers.Certificate
			ca   string
			want string // up to the address
		}{
			{"an unknown authority", known, "", "TLS: certificate signed by an unknown authority: "},
			{"another authority", known, other.CertFile, "TLS: certificate signed by an unknown authority: "},
			{"another name", other, other.CertFile, "TLS: certificate is not for 127.0.0.1 but for elsewhere.example: "},
			{"expired", ended, ended.CertFile, expired},
		} {
			t.Run(server.name+", "+test.name, func(t *testing.T) {
				t.Parallel()
				at := startsTLS(t, test.cert, server.begin)
				u := url.URL{Scheme: server.scheme, User: url.UserPassword(servers.User, servers.Password), Host: at, Path: "/app"}
				check := &sql.Check{URL: with(t, u.String(), params(server.mode, server.verify, server.ca, test.ca))}
				checktest.Expect(t, check, 0, "", test.want+at)
				if err := check.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// startsTLS is a server that begins in plain text, and then takes TLS with a
// certificate, which no client here accepts.
func startsTLS(t *testing.T, cert servers.Certificate, begin func(net.Conn) error) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}}
	var serving sync.WaitGroup
	t.Cleanup(func() { listener.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				if err := begin(conn); err != nil {
					t.Errorf("before TLS: %v", err)
				} else if err := tls.Server(conn, config).HandshakeContext(t.Context()); err == nil {
					t.Error("a client accepts the certificate")
				}
			})
		}
	})
	return listener.Addr().String()
}

// acceptTLS answers PostgreSQL's SSLRequest
// (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL).
func acceptTLS(client net.Conn) error {
	if _, err := io.ReadFull(client, make([]byte, 8)); err != nil {
		return err
	}
	_, err := io.WriteString(client, "S")
	return err
}

// greetAs says what a MySQL server says first, and takes the client's SSLRequest
// (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html).
func greetAs(client net.Conn, server string) error {
	conn, err := net.Dial("tcp", server)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := passPacket(client, conn); err != nil {
		return err
	}
	return passPacket(io.Discard, client)
}

// passPacket passes one packet of MySQL on: three bytes of length, a number, and
// the content.
func passPacket(to io.Writer, from io.Reader) error {
	head := make([]byte, 4)
	if _, err := io.ReadFull(from, head); err != nil {
		return err
	}
	if _, err := to.Write(head); err != nil {
		return err
	}
	_, err := io.CopyN(to, from, int64(head[0])|int64(head[1])<<8|int64(head[2])<<16)
	return err
}
