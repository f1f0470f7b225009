package nats_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"hale/test/servers"
)

// natsServer is a nats-server that runs for a test.
type natsServer struct {
	*servers.Process
	address, monitor string
}

// start starts a nats-server with the settings in config besides where it
// listens.
func start(t *testing.T, config string) *natsServer {
	t.Helper()
	s := &natsServer{address: servers.FreeAddress(t), monitor: servers.FreeAddress(t)}
	file := filepath.Join(t.TempDir(), "nats.conf")
	config = fmt.Sprintf("listen: %q\nhttp: %q\n%s\n", s.address, s.monitor, config)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Process = servers.Run(t, servers.Spec{Name: "nats-server", Args: []string{"-c", file}, Listens: []string{s.address, s.monitor}})
	return s
}

// connections counts the clients that the server sees.
func (s *natsServer) connections(t *testing.T) func() int {
	return func() int {
		resp, err := http.Get("http://" + s.monitor + "/connz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		defer http.DefaultClient.CloseIdleConnections()
		var connz struct {
			NumConnections int `json:"num_connections"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&connz); err != nil {
			t.Fatal(err)
		}
		return connz.NumConnections
	}
}

// subscriptions counts those of the server's clients.
func (s *natsServer) subscriptions(t *testing.T) int {
	t.Helper()
	resp, err := http.Get("http://" + s.monitor + "/varz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var varz struct {
		Subscriptions int `json:"subscriptions"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&varz); err != nil {
		t.Fatal(err)
	}
	return varz.Subscriptions
}

func jetstream(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("jetstream: {store_dir: %q}", t.TempDir())
}

// connect returns a client of NATS's own and its JetStream.
func connect(t *testing.T, url string) (*client.Conn, client.JetStreamContext) {
	t.Helper()
	conn, err := client.Connect(url, client.Timeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := conn.JetStream(client.MaxWait(10 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return conn, js
}

// addOrders makes a stream ORDERS with some messages and a consumer mailer that
// has got and acknowledged none of them. It tries until the servers are ready.
func addOrders(t *testing.T, js client.JetStreamContext, replicas, messages int) {
	t.Helper()
	retry(t, func() error {
		_, err := js.AddStream(&client.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, Replicas: replicas})
		return err
	})
	retry(t, func() error {
		_, err := js.AddConsumer("ORDERS", &client.ConsumerConfig{Durable: "mailer", AckPolicy: client.AckExplicitPolicy})
		return err
	})
	for i := range messages {
		retry(t, func() error { // the same message, however often it is sent
			_, err := js.Publish("orders.new", fmt.Append(nil, i), client.MsgId(fmt.Sprint(i)))
			return err
		})
	}
}

func retry(t *testing.T, do func() error) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		err := do()
		if err == nil {
			return
		}
		if time.Since(start) > time.Minute {
			t.Fatal(err)
		}
	}
}

// operator is who signs accounts and users in a decentralised set-up.
type operator struct {
	operator, account nkeys.KeyPair
}

func newOperator(t *testing.T) operator {
	t.Helper()
	o, err := nkeys.CreateOperator()
	if err != nil {
		t.Fatal(err)
	}
	a, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	return operator{o, a}
}

// config is what a server has to know to trust the account's users.
func (o operator) config(t *testing.T) string {
	limits := map[string]any{"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1}
	account := sign(t, o.operator, o.account, "account", map[string]any{"limits": limits}, 0)
	return fmt.Sprintf("operator: %s\nresolver: MEMORY\nresolver_preload: {%s: %s}",
		sign(t, o.operator, o.operator, "operator", nil, 0), public(t, o.account), account)
}

// credentials writes the file of a user, whose JWT ends at a time; 0: never.
func (o operator) credentials(t *testing.T, expires int64) string {
	t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	jwt := sign(t, o.account, user, "user", map[string]any{"subs": -1, "data": -1, "payload": -1}, expires)
	return write(t, "app.creds", fmt.Sprintf("-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n"+
		"-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n", jwt, seed))
}

// sign makes a JWT of NATS's kind.
func sign(t *testing.T, issuer, subject nkeys.KeyPair, kind string, claims map[string]any, expires int64) string {
	t.Helper()
	nats := map[string]any{"type": kind, "version": 2}
	maps.Copy(nats, claims)
	body := map[string]any{"jti": "X", "iat": time.Now().Unix(), "iss": public(t, issuer), "sub": public(t, subject), "name": kind, "nats": nats}
	if expires != 0 {
		body["exp"] = expires
	}
	payload, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"typ":"JWT","alg":"ed25519-nkey"}`)) + "." + encode(payload)
	signature, err := issuer.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(signature)
}

func public(t *testing.T, pair nkeys.KeyPair) string {
	t.Helper()
	key, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// says starts a server that greets each client with a text, and keeps the
// connection.
func says(t *testing.T, text string) (address string) {
	t.Helper()
	return serve(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, text)
		_, _ = io.Copy(io.Discard, conn)
	})
}

// answers starts a server that greets, and gives the same payload as the answer
// to every request.
func answers(t *testing.T, payload string) (address string) {
	t.Helper()
	return serve(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "INFO {\"headers\": true}\r\n")
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			switch fields := strings.Fields(lines.Text()); {
			case len(fields) == 1 && fields[0] == "PING":
				_, _ = io.WriteString(conn, "PONG\r\nPING\r\n")
			case len(fields) == 4 && fields[0] == "PUB":
				_, _ = fmt.Fprintf(conn, "MSG %s 1 %d\r\n%s\r\n", fields[2], len(payload), payload)
			}
		}
	})
}

// serve starts a server that leaves each connection to handle, and ends with the
// test.
func serve(t *testing.T, handle func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() { listener.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	return listener.Addr().String()
}
