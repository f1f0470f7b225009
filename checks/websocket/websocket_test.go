package websocket_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	coder "github.com/coder/websocket"

	"hale/checks"
	"hale/checks/websocket"
	"hale/test/checktest"
	"hale/test/servers"
)

// The app is ASGI, served by uvicorn, and strict about who asks.
func TestApp(t *testing.T) {
	t.Parallel()
	address, _ := uvicorn(t)
	app := websocket.Check{App: "http://" + address, AppHost: "mysite.com", Path: "/ws/"}
	for _, test := range []struct {
		name    string
		check   websocket.Check
		timeout time.Duration
		output  string
		want    string // the error; empty: it passes
	}{
		{name: "as users come", check: app, output: "/ws/ as mysite.com: 101"},
		{name: "answers", check: with(app, func(c *websocket.Check) { c.Send, c.Expect = "ping", "echo ping" }), output: `/ws/ as mysite.com: 101, answers "echo ping"`},
		{name: "subprotocol", check: with(app, func(c *websocket.Check) { c.Subprotocol = "chat.v2" }), output: "/ws/ as mysite.com: 101, speaks chat.v2"},
		{name: "a port of its own", check: websocket.Check{URL: "ws://" + address + "/ws/", Host: "mysite.com", ForwardedProto: "https"}, output: "ws://ADDRESS/ws/ as mysite.com: 101"},

		{name: "another path", check: with(app, func(c *websocket.Check) { c.Path = "/chat/?room=1" }), want: "/chat/ as mysite.com: 403, expected 101 (does the server allow the origin https://mysite.com, and a client without a login?)"},
		{name: "another host", check: with(app, func(c *websocket.Check) { c.Host = "other.example" }), want: "/ws/ as other.example: 403, expected 101 (does the server allow the origin https://other.example, and a client without a login?)"},
		{name: "another origin", check: with(app, func(c *websocket.Check) { c.Origin = "https://evil.example" }), want: "/ws/ as mysite.com: 403, expected 101 (does the server allow the origin https://evil.example, and a client without a login?)"},
		{name: "as nobody in particular", check: websocket.Check{URL: "ws://" + address + "/ws/?token=hunter2"}, want: "ws://ADDRESS/ws/?...: 403, expected 101 (does the server want an origin?)"},
		{name: "password repeated", check: websocket.Check{URL: "ws://app:hunter2@" + address + "/ws/", Host: "mysite.com", ForwardedProto: "https", Send: "hunter2", Expect: "welcome"}, timeout: 2 * time.Second, want: `ws://ADDRESS/ws/ as mysite.com: no message with "welcome" came: no answer to the message within 2s: ADDRESS`},
		{name: "token repeated", check: websocket.Check{URL: "ws://" + address + "/ws/?token=c0rrecth0rse", Host: "mysite.com", ForwardedProto: "https", Send: "c0rrecth0rse", Expect: "welcome"}, timeout: 2 * time.Second, want: `ws://ADDRESS/ws/?... as mysite.com: no message with "welcome" came: no answer to the message within 2s: ADDRESS`},
		{name: "another subprotocol", check: with(app, func(c *websocket.Check) { c.Subprotocol = "chat.v3" }), want: "/ws/ as mysite.com: 101, but the server does not speak chat.v3: ADDRESS"},
		{name: "crashes", check: with(app, func(c *websocket.Check) { c.Send, c.Expect = "crash", "echo" }), want: "/ws/ as mysite.com: the server hung up without closing the WebSocket: ADDRESS"},
		{name: "takes leave", check: with(app, func(c *websocket.Check) { c.Send, c.Expect = "leave", "echo" }), want: "/ws/ as mysite.com: the server closed the WebSocket with 1013 (try again later): ADDRESS"},
		{name: "says nothing", check: with(app, func(c *websocket.Check) { c.Expect = "hello" }), timeout: 2 * time.Second, want: "/ws/ as mysite.com: no answer within 2s: ADDRESS"},
		{name: "says something else", check: with(app, func(c *websocket.Check) { c.Send, c.Expect = "ping", "pong" }), timeout: 2 * time.Second, want: `/ws/ as mysite.com: no message with "pong" came, the last was "echo ping": no answer to the message within 2s: ADDRESS`},
		{name: "repeats a secret", check: with(app, func(c *websocket.Check) {
			c.Send, c.Expect, c.Headers = "hunter2", "pong", map[string]string{"Cookie": "hunter2"}
		}), timeout: 2 * time.Second, want: `/ws/ as mysite.com: no message with "pong" came: no answer to the message within 2s: ADDRESS`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			checktest.Expect(t, &test.check, test.timeout, strings.ReplaceAll(test.output, "ADDRESS", address), strings.ReplaceAll(test.want, "ADDRESS", address))
		})
	}
}

// The app notes a client that closed in order, not one that was lost.
func TestClosesInOrder(t *testing.T) {
	t.Parallel()
	address, server := uvicorn(t)
	for i, check := range []websocket.Check{
		{App: "http://" + address, AppHost: "mysite.com", Path: "/ws/"},
		{App: "http://" + address, AppHost: "mysite.com", Path: "/ws/", Send: "ping", Expect: "ping"},
	} {
		if _, err := check.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		checktest.Eventually(t, "the app has seen it", func() bool { return strings.Count(server.Output(), "disconnect 1000") == i+1 })
	}
}

// What servers and proxies answer that are not set up for WebSockets.
func TestAnswers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(answers(t))
	t.Cleanup(server.Close)
	secure := httptest.NewUnstartedServer(answers(t))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	socket := filepath.Join(t.TempDir(), "app.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	unix := &httptest.Server{Listener: listener, Config: &http.Server{Handler: answers(t), ReadHeaderTimeout: time.Minute}}
	unix.Start()
	t.Cleanup(unix.Close)
	where, gone := server.Listener.Addr().String(), servers.FreeAddress(t)
	for _, test := range []struct {
		name   string
		check  websocket.Check // URL without ws://HOST
		output string
		want   string
	}{
		{name: "echo", check: websocket.Check{URL: "/echo", Send: "ping", Expect: "ping"}, output: `URL/echo: 101, answers "ping"`},
		{name: "path apart", check: websocket.Check{URL: "ws://" + where, Path: "/echo?a=b"}, output: "URL/echo?...: 101"},
		{name: "greets first", check: websocket.Check{URL: "/greets", Expect: "third"}, output: `URL/greets: 101, answers "third"`},
		{name: "header fields", check: websocket.Check{URL: "/auth", Headers: map[string]string{"Authorization": "Bearer hunter2"}}, output: "URL/auth: 101"},
		{name: "user and password", check: websocket.Check{URL: "user:hunter2@/auth"}, output: "URL/auth: 101"},
		{name: "no answer to closing", check: websocket.Check{URL: "/deaf"}, output: "URL/deaf: 101"},
		{name: "socket", check: websocket.Check{App: "unix://" + socket, AppHost: "mysite.com", Path: "/echo"}, output: "/echo as mysite.com: 101"},

		{name: "page", check: websocket.Check{URL: "/status/200"}, want: "URL/status/200: 200, expected 101 (a page, and no WebSocket: is the path right, and does every proxy on the way pass Upgrade on?)"},
		{name: "redirect", check: websocket.Check{URL: "/status/302"}, want: "URL/status/302: 302 to HTTP/login?..., expected 101"},
		{name: "bad request", check: websocket.Check{URL: "/status/400", Host: "mysite.com"}, want: "URL/status/400 as mysite.com: 400, expected 101 (is mysite.com among the hosts that the app allows, and does every proxy on the way pass Upgrade on?)"},
		{name: "no login", check: websocket.Check{URL: "/auth", Headers: map[string]string{"Authorization": "hunter2"}}, want: "URL/auth: 401, expected 101 (the server wants a login: headers can hold one)"},
		{name: "not found", check: websocket.Check{URL: "/nowhere"}, want: "URL/nowhere: 404, expected 101 (there is no WebSocket at this path, or a proxy on the way does not pass Upgrade on)"},
		{name: "upgrade required", check: websocket.Check{URL: "/status/426"}, want: "URL/status/426: 426, expected 101 (the server did not see the request to upgrade: does every proxy on the way pass it on?)"},
		{name: "gateway", check: websocket.Check{URL: "/status/502"}, want: "URL/status/502: 502, expected 101"},
		{name: "another protocol", check: websocket.Check{URL: "/violates"}, want: `URL/violates: 101, but the handshake is not that of a WebSocket (WebSocket protocol violation: Upgrade header "h2c" does not contain websocket): ADDRESS`},
		{name: "too large", check: websocket.Check{URL: "/floods", Expect: "never"}, want: `URL/floods: no message with "never" came: answers without end, more than 1MiB by now: ADDRESS`},
		{name: "nobody listens", check: websocket.Check{URL: "ws://" + gone + "/"}, want: "ws://" + gone + "/: connection refused: " + gone},
		{name: "no socket", check: websocket.Check{App: "unix:///nowhere.sock"}, want: "/ as localhost: no such socket: /nowhere.sock"},
		{name: "TLS to a plain server", check: websocket.Check{URL: "wss://" + where + "/"}, want: "wss://ADDRESS/: TLS: the server does not speak TLS on this port: ADDRESS"},
		{name: "plain to a TLS server", check: websocket.Check{URL: "ws://" + secure.Listener.Addr().String() + "/"}, want: "ws://" + secure.Listener.Addr().String() + "/: 400, expected 101 (the server wants TLS: wss://)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(test.check.URL, "://") && test.check.App == "" {
				user, path, ok := strings.Cut(test.check.URL, "@")
				if !ok {
					user, path = "", test.check.URL
				} else {
					user += "@"
				}
				test.check.URL = "ws://" + user + where + path
			}
			replace := strings.NewReplacer("URL", "ws://"+where, "HTTP/", "http://"+where+"/", "ADDRESS", where)
			checktest.Expect(t, &test.check, 0, replace.Replace(test.output), replace.Replace(test.want))
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	checktest.TLS{
		Serve: func(t *testing.T, cert servers.Certificate) string {
			s := httptest.NewUnstartedServer(answers(t))
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.TLS = &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}}
			s.StartTLS()
			t.Cleanup(s.Close)
			return s.Listener.Addr().String()
		},
		New: func(address, ca string, insecure bool) checks.Check {
			return &websocket.Check{URL: "wss://" + address + "/echo", CA: ca, Insecure: insecure}
		},
		Before: func(address string) string { return "wss://" + address + "/echo: " },
	}.Faults(t)
}

func TestFaults(t *testing.T) {
	address, _ := uvicorn(t)
	checktest.Target{
		Address: address,
		New: func(address string) checks.Check {
			return &websocket.Check{
				URL: "ws://" + address + "/ws/?key=hunter2", Host: "mysite.com", ForwardedProto: "https",
				Headers: map[string]string{"Authorization": "Bearer hunter2"}, Send: "ping", Expect: "ping",
			}
		},
		Secrets:     []string{"hunter2"},
		Connections: func() int { return servers.Connections(t, address) },
	}.Faults(t)
}

func TestSoak(t *testing.T) {
	server := httptest.NewServer(answers(t))
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	checktest.Soak(t, &websocket.Check{URL: "ws://" + address + "/echo", Send: "ping", Expect: "ping"},
		func() int { return servers.Connections(t, address) })
}

func TestValidate(t *testing.T) {
	t.Parallel()
	app := "http://127.0.0.1:8000"
	for _, test := range []struct {
		name  string
		check websocket.Check
		want  string
	}{
		{"app", websocket.Check{App: app}, ""},
		{"socket", websocket.Check{App: "unix:///run/app.sock", Path: "/ws/?room=1"}, ""},
		{"url", websocket.Check{URL: "wss://u:p@h/ws?x=1", CA: "ca.pem"}, ""},
		{"everything", websocket.Check{URL: "wss://h/", Host: "h:1", ForwardedProto: "http", Origin: "https://h:1", Headers: map[string]string{"Cookie": "a=b"}, Subprotocol: "chat.v1", Send: "a", Expect: "b", Insecure: true}, ""},

		{"nothing", websocket.Check{}, "url: is missing: set app.url, or write here ws://HOST:PORT/PATH"},
		{"uwsgi", websocket.Check{App: "uwsgi://127.0.0.1:3031"}, "url: is missing: app.url speaks the uwsgi protocol, which knows no WebSockets; write here ws://HOST:PORT/PATH"},
		{"http", websocket.Check{URL: "https://u:hunter2@h/"}, "url: is neither a ws nor a wss URL: write wss://HOST:PORT/PATH"},
		{"no host", websocket.Check{URL: "ws:///hunter2"}, "url: has no host: write wss://HOST:PORT/PATH"},
		{"not a URL", websocket.Check{URL: "ws://u:hunter2/@h/%"}, "url: is not a URL: write ws://HOST:PORT/PATH, and percent-encode special characters in user and password"},
		{"fragment", websocket.Check{URL: "ws://h/#a"}, "url: has a fragment (#...), which a WebSocket cannot have"},
		{"path with a server", websocket.Check{URL: "ws://h", Path: "/ws/"}, ""},
		{"path twice", websocket.Check{URL: "ws://h/", Path: "/ws/"}, "path: is said twice: url has a path, too"},
		{"path with a server is none", websocket.Check{URL: "ws://h", Path: "ws"}, `path: "ws" is not a path: write it as /ws/chat/`},
		{"path", websocket.Check{App: app, Path: "ws"}, `path: "ws" is not a path: write it as /ws/chat/`},
		{"host", websocket.Check{App: app, Host: "https://mysite.com"}, `host: "https://mysite.com" is not a host name: write mysite.com, without https:// and without a path`},
		{"forwarded", websocket.Check{App: app, ForwardedProto: "wss"}, `forwarded_proto: "wss" is neither https nor http`},
		{"origin", websocket.Check{App: app, Origin: "https://mysite.com/"}, `origin: "https://mysite.com/" is not an origin: write https://mysite.com, without a path`},
		{"subprotocol", websocket.Check{App: app, Subprotocol: "a, b"}, `subprotocol: "a, b" is not the name of a subprotocol`},
		{"handshake's header", websocket.Check{App: app, Headers: map[string]string{"Sec-WebSocket-Protocol": "a"}}, `headers: "Sec-WebSocket-Protocol" belongs to the handshake: for a subprotocol there is subprotocol`},
		{"header", websocket.Check{App: app, Headers: map[string]string{"Cookie": "hunter2\n"}}, "headers: the value of Cookie holds a control character"},
		{"trust without TLS", websocket.Check{URL: "ws://h/", CA: "ca.pem"}, "ca: has no effect without TLS: write wss:// in url"},
	} {
		err := test.check.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("%s: error = %v\nwant %s", test.name, err, test.want)
		}
		if _, ok := errors.AsType[*checks.OptionError](err); err != nil && !ok {
			t.Errorf("%s: not an OptionError: %#v", test.name, err)
		}
	}
}

func with(c websocket.Check, change func(*websocket.Check)) websocket.Check {
	change(&c)
	return c
}

// uvicorn serves testdata/chat.py.
func uvicorn(t *testing.T) (address string, server *servers.Process) {
	t.Helper()
	servers.NeedPython(t, "wsproto", "python3-wsproto")
	address = servers.FreeAddress(t)
	host, port, _ := net.SplitHostPort(address)
	server = servers.Run(t, servers.Spec{
		Name:    "uvicorn",
		Args:    []string{"--app-dir", "testdata", "--host", host, "--port", port, "--ws", "wsproto", "--no-access-log", "chat:app"},
		Listens: []string{address},
		// It would wait for the connections that a failing app has lost track of.
		StopSignal: syscall.SIGKILL,
	})
	return address, server
}

// answers is a server on coder/websocket, and on no WebSockets at all.
func answers(t *testing.T) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	accept := func(path string, talk func(context.Context, *coder.Conn)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if path == "/auth" && !strings.HasSuffix(r.Header.Get("Authorization"), "r hunter2") && r.Header.Get("Authorization") != "Basic dXNlcjpodW50ZXIy" {
				http.Error(w, "", http.StatusUnauthorized)
				return
			}
			socket, err := coder.Accept(w, r, &coder.AcceptOptions{InsecureSkipVerify: true})
			if err != nil {
				return
			}
			defer socket.CloseNow()
			talk(r.Context(), socket)
		})
	}
	echo := func(ctx context.Context, socket *coder.Conn) {
		for {
			kind, message, err := socket.Read(ctx)
			if err != nil || socket.Write(ctx, kind, message) != nil {
				return
			}
		}
	}
	accept("/echo", echo)
	accept("/auth", echo)
	accept("/greets", func(ctx context.Context, socket *coder.Conn) {
		for _, text := range []string{"first", "second", "third"} {
			_ = socket.Write(ctx, coder.MessageText, []byte(text))
		}
		echo(ctx, socket)
	})
	accept("/floods", func(ctx context.Context, socket *coder.Conn) {
		for err := error(nil); err == nil; { // until the client has had enough
			err = socket.Write(ctx, coder.MessageText, make([]byte, 64<<10))
		}
	})
	accept("/deaf", func(ctx context.Context, _ *coder.Conn) {
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		w.Header().Set("Location", "/login?token=hunter2")
		w.WriteHeader(code)
	})
	mux.HandleFunc("/violates", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "h2c")
		w.WriteHeader(http.StatusSwitchingProtocols)
	})
	return mux
}
