package ldap

import (
	"cmp"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// server is what a URL names.
type server struct {
	scheme  string // ldap, ldaps or ldapi
	address string // host:port, or the path of a socket
}

const forms = "write ldap://HOST:389, ldaps://HOST:636 or ldapi:///PATH"

// parse reads a URL. Errors do not repeat it: somebody may have put a password
// there.
func parse(raw string) (server, error) {
	if raw == "" {
		return server{}, errors.New("is missing: " + forms)
	}
	if path, ok := strings.CutPrefix(raw, "ldapi://"); ok {
		return socket(path)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return server{}, errors.New("cannot be read: " + forms)
	case u.Scheme != "ldap" && u.Scheme != "ldaps":
		return server{}, errors.New("has no scheme that is known here: " + forms)
	case u.User != nil:
		return server{}, errors.New("holds a user or password: write them as user and password")
	case u.Hostname() == "":
		return server{}, errors.New("has no host: " + forms)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return server{}, errors.New("holds more than a server: write what to look for as base and filter")
	}
	port := cmp.Or(u.Port(), map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme])
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return server{}, errors.New("has no port from 1 to 65535")
	}
	return server{u.Scheme, net.JoinHostPort(u.Hostname(), port)}, nil
}

// socket reads the rest of ldapi:///run/ldapi or ldapi://%2Frun%2Fldapi, which
// OpenLDAP's own programs want.
func socket(path string) (server, error) {
	path, err := url.PathUnescape(strings.TrimSuffix(path, "/"))
	if err != nil || !strings.HasPrefix(path, "/") {
		return server{}, errors.New("has no path of a socket: write ldapi:///run/slapd/ldapi")
	}
	return server{"ldapi", path}, nil
}
