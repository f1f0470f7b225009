package database

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// address is a database URL taken apart.
type address struct {
	scheme   string
	user     string
	password string
	host     string // a name, an IP address without brackets, or the directory or path of a socket; may be empty
	port     int    // 0: the default
	path     string // what follows the host, without its slash
	params   url.Values
}

const forms = "write postgres://USER:PASSWORD@HOST:PORT/DATABASE, mysql://..., mariadb://... or sqlite:///FILE"

var (
	errEmpty    = errors.New("is missing: " + forms)
	errNoScheme = errors.New("has no scheme: " + forms)
	// The cause is nearly always a password that was pasted as it is. What
	// stands where a port or a database should be may then be part of it, so
	// nothing is repeated.
	errUnescaped = errors.New("cannot be read: " + forms + ", with special characters in user and password percent-encoded (@ as %40, / as %2F, # as %23, ? as %3F, : as %3A)")
)

// parseAddress reads a URL as Django's readers of DATABASE_URL do (dj-database-url,
// django-environ): a percent sign that starts no escape is itself, which
// net/url would refuse. No error repeats any of the URL but its scheme.
func parseAddress(raw string) (*address, error) {
	if raw == "" {
		return nil, errEmpty
	}
	scheme, rest, found := strings.Cut(raw, ":")
	if !found || !isScheme(scheme) {
		return nil, errNoScheme
	}
	a := &address{scheme: strings.ToLower(scheme)}
	// SQLAlchemy's postgresql+psycopg2 and the like name the app's driver.
	a.scheme, _, _ = strings.Cut(a.scheme, "+")
	if strings.ContainsFunc(rest, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, errors.New("holds a control character, perhaps a line break at its end")
	}
	if strings.Contains(rest, "#") {
		return nil, errUnescaped
	}
	rest, query, _ := strings.Cut(rest, "?")
	rest, hasAuthority := strings.CutPrefix(rest, "//")
	var authority string
	if hasAuthority {
		var slash string
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			authority, slash = rest[:i], rest[i:]
		} else {
			authority = rest
		}
		rest = strings.TrimPrefix(slash, "/")
	}
	if strings.Contains(rest, "@") || strings.Contains(query, "@") {
		return nil, errUnescaped
	}
	a.path = unescape(rest)
	var err error
	if a.params, err = url.ParseQuery(query); err != nil {
		return nil, errUnescaped
	}
	return a, a.parseAuthority(authority)
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// consists reports whether s is not empty and holds only characters of a set.
func consists(s, set string) bool { return s != "" && strings.Trim(s, set) == "" }

func isScheme(s string) bool { return consists(s, alphanumeric+"+-.") }

// parseAuthority reads USER:PASSWORD@HOST:PORT.
func (a *address) parseAuthority(authority string) error {
	// A password may hold a bare @, a host may not.
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, password, _ := strings.Cut(authority[:i], ":")
		a.user, a.password = unescape(user), unescape(password)
		authority = authority[i+1:]
	}
	host, port := authority, ""
	if end := strings.IndexByte(authority, ']'); strings.HasPrefix(authority, "[") && end > 0 {
		host, port = authority[1:end], authority[end+1:]
		if port != "" && port[0] != ':' || !strings.Contains(host, ":") {
			return errUnescaped
		}
		port = strings.TrimPrefix(port, ":")
	} else if i := strings.LastIndexByte(authority, ':'); i >= 0 {
		host, port = authority[:i], authority[i+1:]
		if strings.Contains(host, ":") && host != "" && a.scheme != "sqlite" {
			return errUnescaped
		}
	}
	a.host = unescape(host)
	if !isHost(a.host) {
		return errUnescaped
	}
	if port == "" {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return errUnescaped
	}
	a.port = int(n)
	return nil
}

// isHost reports whether s can be a host name, an IP address, or the path of a
// socket.
func isHost(s string) bool {
	if s == "" || strings.HasPrefix(s, "/") {
		return true
	}
	ascii := strings.Map(func(r rune) rune {
		if r > 0x7f {
			return -1 // of a name in another script
		}
		return r
	}, s)
	return ascii == "" || consists(ascii, alphanumeric+"-._:%")
}

// unescape decodes percent-encoding, and leaves alone what is none.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Schemes by which DATABASE_URL readers of Django, Rails and SQLAlchemy know
// the three kinds.
var (
	postgresSchemes = []string{"postgres", "postgresql", "postgis", "pgsql", "psql", "redshift", "timescale", "cockroach", "cockroachdb"}
	mysqlSchemes    = []string{"mysql", "mariadb", "mysql2", "mysqlgis", "mysql-connector"}
	sqliteSchemes   = []string{"sqlite", "sqlite3", "spatialite"}
)

// open returns the database that an address names. It does not connect.
func (a *address) open(dir string) (*database, error) {
	switch {
	case slices.Contains(postgresSchemes, a.scheme):
		return openPostgres(a)
	case slices.Contains(mysqlSchemes, a.scheme):
		return openMySQL(a)
	case slices.Contains(sqliteSchemes, a.scheme):
		return openSQLite(a, dir)
	default:
		return nil, fmt.Errorf("has the scheme %q, which no driver here knows: %s", a.scheme, forms)
	}
}

// take removes the parameters that concern only the app's own library, and
// refuses those that are in none of the lists: a typing error in a TLS setting
// must not go unnoticed.
func (a *address) take(known, ignored []string) (map[string]string, error) {
	taken := make(map[string]string)
	for key, values := range a.params {
		name := strings.ToLower(key)
		switch {
		case slices.Contains(known, name):
			taken[name] = values[len(values)-1]
		case slices.Contains(ignored, name) || slices.Contains(appOnly, name):
		case isParameter(key):
			return nil, fmt.Errorf("has a parameter that is not known here: %s; remove it, or give the check a URL of its own", key)
		default:
			return nil, errUnescaped
		}
	}
	return taken, nil
}

// appOnly are parameters by which apps set up their own connection pools.
var appOnly = []string{
	"atomic_requests", "autocommit", "checkout_timeout", "conn_health_checks", "conn_max_age", "connection_limit",
	"disable_server_side_cursors", "encoding", "engine", "idle_timeout", "max_overflow", "pgbouncer", "pool", "pool_mode",
	"pool_pre_ping", "pool_recycle", "pool_size", "pool_timeout", "prepared_statements", "reaping_frequency",
	"reconnect", "retries", "schema", "statement_limit", "timeout",
}

func isParameter(s string) bool { return consists(s, alphanumeric+"-_") }
