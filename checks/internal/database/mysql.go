package database

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Parameters of a MySQL URL. Three spellings of the TLS ones are about: those of
// MySQL's own URLs (ssl-mode), Rails (sslmode, sslca), and Django (ssl_ca).
var mysqlParams = []string{
	"socket", "unix_socket",
	"ssl-mode", "ssl_mode", "sslmode",
	"ssl-ca", "ssl_ca", "sslca",
	"ssl-cert", "ssl_cert", "sslcert",
	"ssl-key", "ssl_key", "sslkey",
}

var mysqlIgnored = []string{
	"charset", "collation", "connect_timeout", "init_command", "read_default_file", "read_timeout", "sql_mode", "use_unicode", "write_timeout",
}

// mysqlSockets are where MySQL's own client library looks for the server when
// the host is "localhost" or missing: Debian's place, and Red Hat's.
var mysqlSockets = []string{"/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock"}

func openMySQL(a *address) (*database, error) {
	params, err := a.take(mysqlParams, mysqlIgnored)
	if err != nil {
		return nil, err
	}
	w := new(wire)
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = a.user, a.password, a.path
	config.Net, config.Addr = mysqlAddress(a, cmp.Or(params["unix_socket"], params["socket"]))
	config.Logger = &mysql.NopLogger{}
	config.DialFunc = w.DialContext
	if config.Net == "tcp" {
		host, _, _ := net.SplitHostPort(config.Addr)
		if err := mysqlTLS(config, host, params); err != nil {
			return nil, err
		}
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("cannot be used: %w", err)
	}
	return &database{
		kind:      MySQL,
		where:     config.Addr,
		connect:   func(ctx context.Context) (driver.Conn, error) { return connectMySQL(ctx, connector) },
		complaint: mysqlComplaint,
		noTable:   mysqlNoTable,
		wire:      w,
		keep:      true,
	}, nil
}

func mysqlAddress(a *address, socket string) (network, address string) {
	if strings.HasPrefix(a.host, "/") {
		socket = a.host
	}
	if socket == "" && (a.host == "" || a.host == "localhost") && a.port == 0 {
		for _, path := range mysqlSockets {
			if _, err := os.Stat(path); err == nil {
				socket = path
				break
			}
		}
	}
	if socket != "" {
		return "unix", socket
	}
	return "tcp", net.JoinHostPort(cmp.Or(a.host, "127.0.0.1"), strconv.Itoa(cmp.Or(a.port, 3306)))
}

// connectMySQL connects, and has the server itself end queries that have been
// given up: a closed connection does not, and the driver knows no other way.
func connectMySQL(ctx context.Context, connector driver.Connector) (driver.Conn, error) {
	conn, err := connector.Connect(connecting(ctx))
	if err != nil {
		return nil, err
	}
	deadline, ok := ctx.Deadline()
	execer, canExec := conn.(driver.ExecerContext)
	if !ok || !canExec {
		return conn, nil
	}
	if _, err := execer.ExecContext(ctx, mysqlLimit(time.Until(deadline)+cancelTime), nil); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// mysqlLimit sets a limit to the time of every query of a session. MariaDB
// (since 10.1.1, in seconds) and MySQL (since 5.7.8, in milliseconds, for SELECT
// alone) have different variables for it and refuse the other's. Each runs only
// the comments made for it: MariaDB those with M!, and not those for MySQL 5.7
// and newer.
func mysqlLimit(d time.Duration) string {
	ms := max(1, d.Milliseconds())
	return fmt.Sprintf("set /*M!100101 session max_statement_time=%d.%03d, */ /*!50708 session max_execution_time=%d, */ @hale_limit=%d", ms/1000, ms%1000, ms, ms)
}

// mysqlTLS sets up TLS: preferred unless asked otherwise, as MySQL's own client
// does, which does not look at the certificate then.
func mysqlTLS(config *mysql.Config, host string, params map[string]string) error {
	get := func(keys ...string) string {
		var value string
		for _, key := range keys {
			value = cmp.Or(value, params[key])
		}
		return value
	}
	ca := get("ssl-ca", "ssl_ca", "sslca")
	mode := strings.ToLower(strings.ReplaceAll(get("ssl-mode", "ssl_mode", "sslmode"), "-", "_"))
	if mode == "" {
		mode = "preferred"
		if ca != "" {
			mode = "verify_ca" // as MySQL's client library does
		}
	}
	settings := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	switch mode {
	case "disabled", "disable":
		return nil
	case "preferred", "prefer":
		settings.InsecureSkipVerify = true
		config.AllowFallbackToPlaintext = true
	case "required", "require":
		settings.InsecureSkipVerify = true
	case "verify_ca":
		settings.InsecureSkipVerify = true // VerifyConnection does it, but for the name
		settings.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, settings.RootCAs) }
	case "verify_identity", "verify_full":
	default:
		return fmt.Errorf("has an unknown ssl-mode: write DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY")
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("names a CA file that cannot be read: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("names a CA file without a certificate in it: %s", ca)
		}
	}
	cert, key := get("ssl-cert", "ssl_cert", "sslcert"), get("ssl-key", "ssl_key", "sslkey")
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("names a client certificate that cannot be used: %w", err)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	config.TLS = settings
	return nil
}

// verifyChain verifies a certificate without a look at the names in it.
func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, cert := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(options)
	return err
}

// mysqlComplaint returns the message of an ERR packet, such as "Unknown
// database 'x'" or "Access denied for user 'x'@'host' (using password: YES)".
func mysqlComplaint(err error) string {
	if server, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return server.Message
	}
	if errors.Is(err, mysql.ErrNoTLS) {
		return "TLS: the server does not speak TLS, and ssl-mode demands it"
	}
	return ""
}

// mysqlNoTable looks for ER_NO_SUCH_TABLE, which also stands for a missing
// database in the name of a table.
func mysqlNoTable(err error) bool {
	server, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && server.Number == 1146
}
