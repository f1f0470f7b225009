package celery_test

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hale/checks/internal/resp"
	"hale/test/servers"
)

// redisServer is a real redis-server with a password.
type redisServer struct {
	*servers.Process
	address string
}

func startRedis(t *testing.T, settings ...string) redisServer {
	t.Helper()
	port := strconv.Itoa(servers.FreePort(t))
	address := "127.0.0.1:" + port
	return redisServer{servers.Run(t, servers.Spec{
		Name:    "redis-server",
		Args:    append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir(), "--requirepass", servers.Password}, settings...),
		Listens: []string{address},
	}), address}
}

// url is where a database of the server is, when reached at an address.
func (s redisServer) url(address string, database int) string {
	u := url.URL{Scheme: "redis", User: url.UserPassword("", servers.Password), Host: address, Path: "/" + strconv.Itoa(database)}
	return u.String()
}

// ask asks the server itself, past the check.
func (s redisServer) ask(t *testing.T, database int, command ...string) any {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	reader := resp.NewReader(conn, 16<<20)
	var reply any
	for _, command := range [][]string{{"AUTH", servers.Password}, {"SELECT", strconv.Itoa(database)}, command} {
		if _, err := conn.Write(resp.Append(nil, command...)); err != nil {
			t.Fatal(err)
		}
		if reply, err = reader.Reply(); err != nil {
			t.Fatal(err)
		}
		if refusal, ok := reply.(resp.Error); ok {
			t.Fatalf("%v: %v", command, refusal)
		}
	}
	return reply
}

// clients counts the clients that are named by nobody, and not subscribed: the
// checks' own. Workers are not counted: before says how many there were.
func (s redisServer) clients(t *testing.T) int {
	t.Helper()
	return strings.Count(s.ask(t, 0, "CLIENT", "LIST").(string), "id=") - 1
}

// left is what there is in a database that a check has made.
func (s redisServer) left(t *testing.T, database int) []string {
	t.Helper()
	var left []string
	keys, _ := s.ask(t, database, "KEYS", "*").([]any)
	for _, key := range keys {
		name := key.(string)
		if strings.Contains(name, "hale-") {
			left = append(left, name)
		}
		if strings.Contains(name, "_kombu.binding.reply.") {
			members, _ := s.ask(t, database, "SMEMBERS", name).([]any)
			for _, member := range members {
				if strings.Contains(member.(string), "hale-") {
					left = append(left, name+" "+member.(string))
				}
			}
		}
	}
	slices.Sort(left)
	return left
}
