package servers

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Gate is what holds up the requests of GateApp, so that a test can keep a
// server's workers busy for as long as it likes.
type Gate struct {
	t    testing.TB
	file string // the gate is open if it is there

	requests sync.WaitGroup
}

// gateApp is a WSGI application, module gate, that answers when the gate opens.
// With the query "pass" it answers at once.
const gateApp = `
import os, time

def application(environ, start_response):
    while environ.get("QUERY_STRING") != "pass" and not os.path.exists(os.environ["GATE"]):
        time.sleep(0.005)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\n"]
`

// GateApp writes a WSGI application into a directory, whose module is gate and
// whose environment must have Gate.Env. The gate is shut.
func GateApp(t testing.TB) (gate *Gate, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gate.py"), []byte(gateApp), 0o600); err != nil {
		t.Fatal(err)
	}
	gate = NewGate(t)
	return gate, dir
}

// NewGate returns a gate that is shut. It opens when the test ends.
func NewGate(t testing.TB) *Gate {
	t.Helper()
	gate := &Gate{t: t, file: filepath.Join(t.TempDir(), "open")}
	t.Cleanup(gate.Open)
	return gate
}

// Env is the environment in which the application finds the gate.
func (g *Gate) Env() string { return "GATE=" + g.file }

// File is there while the gate is open.
func (g *Gate) File() string { return g.file }

// Hold makes n requests that stand before the gate, or wait for a worker to
// stand there. The context ends with the test, and errors are of no interest.
func (g *Gate) Hold(n int, request func(context.Context) error) {
	for range n {
		g.requests.Go(func() { _ = request(g.t.Context()) })
	}
}

// Open lets all requests pass, and waits for their end.
func (g *Gate) Open() {
	if err := os.WriteFile(g.file, nil, 0o600); err != nil {
		g.t.Error(err)
	}
	g.requests.Wait()
}

// Shut shuts the gate again.
func (g *Gate) Shut() {
	if err := os.Remove(g.file); err != nil {
		g.t.Error(err)
	}
}

// Get asks an HTTP server, host:port or the path of a unix socket, for its page.
// It is for Hold.
func Get(address string) func(context.Context) error {
	return func(ctx context.Context) error { return answers(ctx, address) }
}
