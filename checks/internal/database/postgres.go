package database

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/lib/pq"
)

// Parameters of a PostgreSQL URL: those of libpq that lib/pq implements, and
// settings of the session, which go to the server.
var postgresParams = []string{
	"application_name", "client_encoding", "connect_timeout", "dbname", "fallback_application_name", "host", "hostaddr",
	"krbspn", "krbsrvname", "load_balance_hosts", "max_protocol_version", "min_protocol_version", "options", "passfile",
	"password", "port", "service", "ssl_max_protocol_version", "ssl_min_protocol_version", "sslcert", "sslinline", "sslkey",
	"sslmode", "sslnegotiation", "sslrootcert", "sslsni", "target_session_attrs", "user",
	"default_transaction_read_only", "idle_in_transaction_session_timeout", "lock_timeout", "search_path", "statement_timeout", "timezone",
}

// postgresIgnored are those of libpq without meaning here: the connection is
// used too often to need TCP keep-alives.
var postgresIgnored = []string{
	"channel_binding", "gssencmode", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "sslcompression", "tcp_user_timeout",
}

func openPostgres(a *address) (*database, error) {
	params, err := a.take(postgresParams, postgresIgnored)
	if err != nil {
		return nil, err
	}
	config, err := postgresConfig(a, params)
	if err != nil {
		return nil, fmt.Errorf("cannot be used: %s", strings.TrimPrefix(err.Error(), "pq: "))
	}
	connector, err := pq.NewConnectorConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot be used: %s", strings.TrimPrefix(err.Error(), "pq: "))
	}
	w := new(wire)
	connector.Dialer(w)
	return &database{
		kind:      PostgreSQL,
		where:     postgresWhere(config),
		connect:   func(ctx context.Context) (driver.Conn, error) { return connector.Connect(connecting(ctx)) },
		complaint: postgresComplaint,
		noTable:   postgresNoTable,
		wire:      w,
		keep:      true,
	}, nil
}

// postgresConfig fills in what is missing as libpq, and so the app, does: from
// PGHOST and the like, from the password and service files.
func postgresConfig(a *address, params map[string]string) (pq.Config, error) {
	set := map[string]string{"user": a.user, "password": a.password, "host": a.host, "dbname": a.path}
	if a.port != 0 {
		set["port"] = strconv.Itoa(a.port)
	}
	maps.Copy(set, params)
	// The first socket directory is Debian's, the second PostgreSQL's own.
	if set["host"] == "" && set["hostaddr"] == "" && set["service"] == "" && os.Getenv("PGHOST") == "" && os.Getenv("PGSERVICE") == "" {
		socket := ".s.PGSQL." + cmp.Or(set["port"], os.Getenv("PGPORT"), "5432")
		for _, dir := range []string{"/var/run/postgresql", "/tmp"} {
			if _, err := os.Stat(filepath.Join(dir, socket)); err == nil { //nolint:gosec // a port from the configuration
				set["host"] = dir
				break
			}
		}
	}
	set["fallback_application_name"] = cmp.Or(set["fallback_application_name"], "hale")
	config, err := pq.NewConfig(keyValues(set))
	if err != nil {
		return pq.Config{}, err
	}
	// lib/pq's default is require; libpq's, and so what the app does with the
	// same URL, is prefer: TLS if the server has it.
	if config.SSLMode == "" {
		config.SSLMode = pq.SSLModePrefer
	}
	return config, nil
}

// keyValues writes a connection string of libpq's other form, which takes any
// character in a value.
func keyValues(set map[string]string) string {
	escape := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	var pairs []string
	for key, value := range set {
		if value != "" {
			pairs = append(pairs, key+"='"+escape.Replace(value)+"'")
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, " ")
}

func postgresWhere(config pq.Config) string {
	port := strconv.Itoa(int(config.Port))
	switch {
	case config.Hostaddr.IsValid():
		return net.JoinHostPort(config.Hostaddr.String(), port)
	case strings.HasPrefix(config.Host, "/"):
		return filepath.Join(config.Host, ".s.PGSQL."+port)
	default:
		return net.JoinHostPort(config.Host, port)
	}
}

// postgresComplaint returns the message of an ErrorResponse, such as `database
// "x" does not exist` or `the database system is starting up`.
func postgresComplaint(err error) string {
	if server, ok := errors.AsType[*pq.Error](err); ok {
		return server.Message
	}
	if errors.Is(err, pq.ErrSSLNotSupported) {
		return "TLS: the server does not speak TLS, and sslmode demands it"
	}
	return ""
}

// postgresNoTable looks at the SQLSTATE: undefined_table, or invalid_schema_name
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func postgresNoTable(err error) bool {
	server, ok := errors.AsType[*pq.Error](err)
	return ok && (server.Code == "42P01" || server.Code == "3F000")
}
