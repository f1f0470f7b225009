package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"hale/internal/proxy"
	"hale/internal/upstream"
	"hale/test/servers"
)

// grpcServer answers calls of every kind, without and with TLS. Messages are
// bytes: no schema is needed.
const grpcServer = `
import sys, time
from concurrent import futures
import grpc

plain, secure, cert, key = sys.argv[1:]

def unary(request, context):
    if request == b'fail':
        context.set_trailing_metadata((('why', 'asked to'),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'no: ü')
    context.send_initial_metadata((('seen', dict(context.invocation_metadata()).get('asked', '')),))
    return b'got ' + request

def server_stream(request, context):
    for i in range(int(request)):
        yield b'%d' % i

def client_stream(requests, context):
    return b'%d bytes' % sum(len(r) for r in requests)

def both(requests, context):
    for r in requests:
        yield b'echo ' + r

class Handler(grpc.GenericRpcHandler):
    def service(self, call):
        return {
            '/t.T/Unary': grpc.unary_unary_rpc_method_handler(unary),
            '/t.T/ServerStream': grpc.unary_stream_rpc_method_handler(server_stream),
            '/t.T/ClientStream': grpc.stream_unary_rpc_method_handler(client_stream),
            '/t.T/Both': grpc.stream_stream_rpc_method_handler(both),
        }.get(call.method)

server = grpc.server(futures.ThreadPoolExecutor(max_workers=20))
server.add_generic_rpc_handlers((Handler(),))
server.add_insecure_port(plain)
server.add_secure_port(secure, grpc.ssl_server_credentials([(open(key, 'rb').read(), open(cert, 'rb').read())]))
server.start()
server.wait_for_termination()
`

// grpcClient makes calls of every kind, and says what came of them.
const grpcClient = `
import queue, sys, threading
import grpc

address, cert = sys.argv[1:]
channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(open(cert, 'rb').read()))
unary = channel.unary_unary('/t.T/Unary')
answer, call = unary.with_call(b'hello', metadata=(('asked', 'yes'),), timeout=120)
print('unary', answer.decode(), dict(call.initial_metadata()).get('seen'))
print('large', len(unary(b'x' * 3000000, timeout=120)))
try:
    unary(b'fail', timeout=120)
except grpc.RpcError as e:
    print('error', e.code().name, ascii(e.details()), dict(e.trailing_metadata()).get('why'))
try:
    channel.unary_unary('/t.T/None')(b'', timeout=120)
except grpc.RpcError as e:
    print('unknown', e.code().name)
print('server', len(list(channel.unary_stream('/t.T/ServerStream')(b'1000', timeout=120))))
print('client', channel.stream_unary('/t.T/ClientStream')((b'x' * 1000 for i in range(1000)), timeout=120).decode())
# Ping-pong: each message is sent when the last one's answer is there.
todo = queue.Queue()
answers = channel.stream_stream('/t.T/Both')(iter(todo.get, None), timeout=120)
for i in range(50):
    todo.put(b'%d' % i)
    if next(answers) != b'echo %d' % i:
        print('bad answer')
todo.put(None)
print('both', len(list(answers)))
threads = [threading.Thread(target=lambda: unary(b'x', timeout=120)) for i in range(200)]
[t.start() for t in threads]
[t.join() for t in threads]
print('many')
`

// The kinds of gRPC calls, by the library most apps use.
func TestGRPC(t *testing.T) {
	python := servers.NeedPython(t, "grpc", "python3-grpcio")
	cert := servers.NewCertificate(t, "127.0.0.1")
	dir := t.TempDir()
	server, client := filepath.Join(dir, "server.py"), filepath.Join(dir, "client.py")
	for file, content := range map[string]string{server: grpcServer, client: grpcClient} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plain, secure := servers.FreeAddress(t), servers.FreeAddress(t)
	servers.Run(t, servers.Spec{
		Name: python, Args: []string{server, plain, secure, cert.CertFile, cert.KeyFile}, Listens: []string{plain, secure},
		Env: []string{"http_proxy=", "https_proxy=", "no_proxy=*"},
	})
	config := &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}}
	for _, u := range []upstream.Upstream{upstream.New(upstream.H2C, plain), upstream.New(upstream.H2, secure)} {
		t.Run(u.String()[:3], func(t *testing.T) {
			p := forwardTo(u)
			s := serveBy(t, p, proxy.Settings{RepeatBody: 64 << 10}, func(srv *proxy.Server, l net.Listener) error { return srv.ServeTLS(l, config) })
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, python, client, s.addr, cert.CertFile)
			cmd.Env = append(os.Environ(), "http_proxy=", "https_proxy=", "no_proxy=*")
			out, err := cmd.CombinedOutput()
			want := "unary got hello yes\nlarge 3000004\nerror FAILED_PRECONDITION 'no: \\xfc' asked to\nunknown UNIMPLEMENTED\n" +
				"server 1000\nclient 1000000 bytes\nboth 0\nmany\n"
			if err != nil || string(out) != want {
				t.Errorf("%v:\n%s\nwant\n%s", err, out, want)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			for i, o := range p.outcomes {
				if o.Err != nil || o.Status != 200 {
					t.Errorf("outcome %d: %+v", i, o)
				}
			}
		})
	}
}

// nginx as an app, over each protocol it speaks; curl as its client.
func TestNginxAndCurl(t *testing.T) {
	servers.Need(t, "nginx")
	curl := servers.Need(t, "curl")
	cert := servers.NewCertificate(t, "127.0.0.1")
	plain, h2c, secure := servers.FreeAddress(t), servers.FreeAddress(t), servers.FreeAddress(t)
	root := t.TempDir()
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := os.WriteFile(filepath.Join(root, "large"), large, 0o600); err != nil {
		t.Fatal(err)
	}
	answer := fmt.Sprintf(`root %s; client_max_body_size 100m;
		location = /echo { default_type text/plain; return 200 "$request_method $server_protocol $host $http_x_forwarded_for $content_length"; }`, root)
	servers.Nginx(t, "", fmt.Sprintf(`
		server { listen %s; %s }
		server { listen %s http2; %s }
		server { listen %s ssl http2; ssl_certificate %s; ssl_certificate_key %s; %s }`,
		plain, answer, h2c, answer, secure, cert.CertFile, cert.KeyFile, answer), plain, h2c, secure)
	for _, u := range []upstream.Upstream{
		upstream.New(upstream.HTTP, plain), upstream.New(upstream.HTTPS, secure), upstream.New(upstream.H2C, h2c), upstream.New(upstream.H2, secure),
	} {
		version := "HTTP/1.1"
		if u.HTTP2() {
			version = "HTTP/2.0"
		}
		p := &policy{action: func(h *proxy.Head) proxy.Action {
			return proxy.Action{Kind: proxy.Forward, Upstream: u, Set: []proxy.Field{{Name: "X-Forwarded-For", Value: h.Peer.Addr().String()}}}
		}}
		s := serveTLS(t, p, proxy.Settings{})
		for _, how := range []string{"--http1.1", "--http2"} {
			t.Run(u.String()[:5]+" "+how, func(t *testing.T) {
				get := func(args ...string) string {
					t.Helper()
					args = append([]string{"-sSk", "--noproxy", "*", "--max-time", "120", how}, args...)
					out, err := exec.CommandContext(t.Context(), curl, args...).Output()
					if err != nil {
						t.Errorf("curl %v: %v", args, err)
					}
					return string(out)
				}
				base := "https://" + s.addr
				if got, want := get(base+"/echo?a=b"), "GET "+version+" 127.0.0.1 127.0.0.1 "; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if got, want := get("-X", "POST", "-d", "hello", base+"/echo"), "POST "+version+" 127.0.0.1 127.0.0.1 5"; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if got := get(base + "/large"); got != string(large) {
					t.Errorf("got %d bytes of %d", len(got), len(large))
				}
				if got := get("-I", base+"/large"); !strings.Contains(strings.ToLower(got), "content-length: 1048576\r\n") {
					t.Errorf("HEAD: %s", got)
				}
				if how == "--http1.1" {
					return
				}
				// A body that the app does not read. Over HTTP/1.1 the connection
				// ends with the answer, and a slow client that still sends loses it.
				if got := get("-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@"+filepath.Join(root, "large"), base+"/missing"); got != "404" && got != "405" {
					t.Errorf("POST of a large body: %s", got)
				}
			})
		}
	}
}

// wsApp is a WebSocket server in Python.
const wsApp = `
async def app(scope, receive, send):
    assert scope['type'] == 'websocket', scope
    await receive()
    await send({'type': 'websocket.accept'})
    while True:
        m = await receive()
        if m['type'] == 'websocket.disconnect':
            return
        await send({'type': 'websocket.send', 'text': 'echo ' + m['text']})
`

// uvicorn's WebSockets, over TLS.
func TestWebSocketUvicorn(t *testing.T) {
	python := servers.NeedPython(t, "uvicorn, wsproto", "uvicorn python3-wsproto")
	cert := servers.NewCertificate(t, "127.0.0.1")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "wsapp.py"), []byte(wsApp), 0o600); err != nil {
		t.Fatal(err)
	}
	address := servers.FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	servers.Run(t, servers.Spec{Name: python, Dir: dir, Listens: []string{address}, Args: []string{
		"-m", "uvicorn", "--lifespan", "off", "--ws", "wsproto", "--host", "127.0.0.1", "--port", port,
		"--ssl-certfile", cert.CertFile, "--ssl-keyfile", cert.KeyFile, "wsapp:app",
	}})
	p := upgradeTo(upstream.New(upstream.HTTPS, address), "websocket")
	s := serveTLS(t, p, proxy.Settings{TunnelTimeout: time.Hour})
	client, base := clientOf(t, s, upstream.HTTPS)
	client.Timeout = 0
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, base, &websocket.DialOptions{HTTPClient: client, HTTPHeader: http.Header{"X-A": {"b"}}}) //nolint:bodyclose // c has it
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for _, msg := range []string{"hello", strings.Repeat("x", 10_000)} {
		if err := c.Write(ctx, websocket.MessageText, []byte(msg)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); string(got) != "echo "+msg || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	_ = c.Close(websocket.StatusNormalClosure, "")
	if o := p.outcome(t, 0); o.Status != 101 || errors.Is(o.Err, proxy.ErrCutOff) {
		t.Errorf("outcome %+v", o)
	}
}

// Many streams at once, by a client that is not Go's.
func TestH2load(t *testing.T) {
	servers.Need(t, "nginx")
	h2load := servers.Need(t, "h2load")
	cert := servers.NewCertificate(t, "127.0.0.1")
	plain, h2c := servers.FreeAddress(t), servers.FreeAddress(t)
	servers.Nginx(t, "worker_connections 2000;", fmt.Sprintf(`keepalive_requests 100000;
		server { listen %s; location / { return 200 "hello"; } }
		server { listen %s http2; location / { return 200 "hello"; } }`, plain, h2c), plain, h2c)
	config := &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}}
	for _, u := range []upstream.Upstream{upstream.New(upstream.HTTP, plain), upstream.New(upstream.H2C, h2c)} {
		t.Run(u.String()[:4], func(t *testing.T) {
			s := serveBy(t, forwarder{u}, proxy.Settings{}, func(srv *proxy.Server, l net.Listener) error { return srv.ServeTLS(l, config) })
			ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
			defer cancel()
			out, err := exec.CommandContext(ctx, h2load, "-n", "5000", "-c", "4", "-m", "128", "https://"+s.addr+"/").CombinedOutput()
			if want := "5000 succeeded, 0 failed, 0 errored, 0 timeout"; err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%v:\n%s", err, out)
			}
			if !strings.Contains(string(out), "status codes: 5000 2xx") {
				t.Errorf("%s", out)
			}
		})
	}
}
