package redis_test

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"hale/checks/internal/resp"
	"hale/test/servers"
)

// password needs escaping in a URL.
const password = "corr3ct horse/battery@staple"

// server is a real redis-server.
type server struct {
	*servers.Process
	address string // host:port
	login   string // password of the default user
}

// start starts redis-server, with a password if there is one, and with more
// settings, which may replace those that stand here.
func start(t *testing.T, password string, settings ...string) server {
	t.Helper()
	return run(t, password, append([]string{"--port", "PORT"}, settings...))
}

// secured starts redis-server with TLS alone.
func secured(t *testing.T, cert servers.Certificate, settings ...string) server {
	t.Helper()
	return run(t, "", append([]string{
		"--port", "0", "--tls-port", "PORT", "--tls-auth-clients", "no",
		"--tls-cert-file", cert.CertFile, "--tls-key-file", cert.KeyFile, "--tls-ca-cert-file", cert.CertFile,
	}, settings...))
}

func run(t *testing.T, password string, settings []string) server {
	t.Helper()
	port := strconv.Itoa(servers.FreePort(t))
	args := []string{"--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir(), "--loglevel", "warning", "--requirepass", password}
	for _, setting := range settings {
		args = append(args, strings.Replace(setting, "PORT", port, 1))
	}
	address := "127.0.0.1:" + port
	return server{servers.Run(t, servers.Spec{Name: "redis-server", Args: args, Listens: []string{address}}), address, password}
}

// url is where the server is, for its default user, with a path and a query.
func (s server) url(rest string) string {
	u := url.URL{Scheme: "redis", Host: s.address}
	if s.login != "" {
		u.User = url.UserPassword("", s.login)
	}
	return u.String() + rest
}

// urlAs is where the server is, for another user with the same password.
func (s server) urlAs(user string) string {
	return (&url.URL{Scheme: "redis", User: url.UserPassword(user, password), Host: s.address}).String()
}

// try asks the server itself, past the check.
func (s server) try(command ...string) (any, error) {
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	commands := [][]string{command}
	if s.login != "" {
		commands = [][]string{{"AUTH", s.login}, command}
	}
	reader := resp.NewReader(conn, 1<<20)
	var reply any
	for _, command := range commands {
		if _, err := conn.Write(resp.Append(nil, command...)); err != nil {
			return nil, err
		}
		if reply, err = reader.Reply(); err != nil {
			return nil, err
		}
		if refusal, ok := reply.(resp.Error); ok {
			return nil, refusal
		}
	}
	return reply, nil
}

// ask is try for what cannot fail.
func (s server) ask(t *testing.T, command ...string) any {
	t.Helper()
	reply, err := s.try(command...)
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	return reply
}

// clients counts the clients that the server sees, but for the one that asks.
func (s server) clients(t *testing.T) int {
	t.Helper()
	return strings.Count(s.ask(t, "CLIENT", "LIST", "TYPE", "NORMAL").(string), "id=") - 1
}
