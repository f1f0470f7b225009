package nats

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// server is one of those that a URL names.
type server struct {
	address        string // host:port
	secure         bool   // TLS is demanded
	user, password string
	token          string // instead of user and password
}

const (
	forms       = "write nats://USER:PASSWORD@HOST:PORT, nats://TOKEN@HOST:PORT or tls://HOST:PORT, several separated by commas"
	defaultPort = "4222"
)

// parseServers reads what NATS's own clients take for a URL: one or several
// separated by commas. User and password of the first that has any are those of
// the ones that have none. No error repeats any of it but the scheme.
func parseServers(list string) ([]server, error) {
	if strings.TrimSpace(list) == "" {
		return nil, errors.New("is missing: " + forms)
	}
	var servers []server
	var login server
	for raw := range strings.SplitSeq(list, ",") {
		s, err := parseServer(strings.TrimSpace(raw))
		if err != nil {
			return nil, err
		}
		if login == (server{}) {
			login = server{user: s.user, password: s.password, token: s.token}
		}
		servers = append(servers, s)
	}
	for i, s := range servers {
		if s.user == "" && s.token == "" {
			servers[i].user, servers[i].password, servers[i].token = login.user, login.password, login.token
		}
	}
	return servers, nil
}

func parseServer(raw string) (server, error) {
	scheme, _, found := strings.Cut(raw, "://")
	switch {
	case !found:
		return server{}, errors.New("has no scheme: " + forms)
	case scheme == "ws" || scheme == "wss":
		return server{}, errors.New("is a WebSocket's: the server's own port is needed here; " + forms)
	case scheme != "nats" && scheme != "tls":
		return server{}, fmt.Errorf("has an unknown scheme: %s", forms)
	}
	unreadable := errors.New("cannot be read: " + forms + ", with special characters in user and password percent-encoded (@ as %40, / as %2F, # as %23, ? as %3F, : as %3A, the comma as %2C)")
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return server{}, unreadable
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return server{}, unreadable
	}
	s := server{address: net.JoinHostPort(u.Hostname(), port), secure: scheme == "tls"}
	if password, ok := u.User.Password(); ok {
		s.user, s.password = u.User.Username(), password
	} else {
		s.token = u.User.Username() // as in NATS's own clients
	}
	return s, nil
}
