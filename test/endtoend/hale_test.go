// Package endtoend tries the hale binary the way its users do: real programs,
// real sockets, raw requests.
package endtoend

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/internal/autoscaling/instancetest"
	"hale/test/servers"
)

// binary is the hale under test, built once.
var binary string

func TestMain(m *testing.M) {
	instancetest.Serve()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "hale-endtoend-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "hale")
		args := []string{"build", "-o", binary}
		if raceEnabled {
			args = append(args, "-race")
		}
		build := exec.Command("go", append(args, "hale/cmd/hale")...)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build hale:", err)
			return 1
		}
		return m.Run()
	}())
}

// patience bounds what should take no time, on a busy machine. Only a test that
// fails spends it.
const patience = time.Minute

// noMetadata keeps hale from asking for EC2's metadata, whose address is not this machine's.
const noMetadata = "AWS_EC2_METADATA_DISABLED=true"

// hale is a running hale serve.
type hale struct {
	*servers.Process
	t             *testing.T
	config        string // hale.yaml's path
	listen, admin string
	access        string // the access log's path
}

// serve starts hale serve with a hale.yaml made of its addresses, logs and the
// lines given, and waits until it listens.
func serve(t *testing.T, yaml string, env ...string) *hale {
	t.Helper()
	dir := t.TempDir()
	h := &hale{
		t: t, config: filepath.Join(dir, "hale.yaml"), access: filepath.Join(dir, "access.log"),
		listen: servers.FreeAddress(t), admin: servers.FreeAddress(t),
	}
	h.write(yaml)
	h.Process = servers.Run(t, servers.Spec{
		Name: binary, Args: []string{"serve", "-c", h.config}, Dir: dir,
		Env: append([]string{noMetadata}, env...), Listens: []string{h.listen},
	})
	return h
}

// write replaces hale.yaml; its addresses stay.
func (h *hale) write(yaml string) {
	h.t.Helper()
	head := fmt.Sprintf("listen: %q\nadmin: %q\naccess_log: %q\n", h.listen, h.admin, h.access)
	if !strings.Contains(yaml, "drain:") {
		head += "drain: {notice: 0s, finish: 1s}\n"
	}
	if err := os.WriteFile(h.config, []byte(head+yaml), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// answer is what came back for one request.
type answer struct {
	status int
	header http.Header
	body   string
	took   time.Duration
}

func (a answer) String() string {
	return fmt.Sprintf("%d %s %q", a.status, a.header.Get("Location"), a.body[:min(len(a.body), 300)])
}

// ask sends the lines as a request over a connection of its own, and reads the answer.
func (h *hale) ask(lines ...string) answer {
	h.t.Helper()
	a, err := ask(h.t.Context(), h.listen, lines...)
	if err != nil {
		h.t.Fatalf("%s: %v", lines[0], err)
	}
	return a
}

func ask(ctx context.Context, address string, lines ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		return answer{}, err
	}
	method, _, _ := strings.Cut(lines[0], " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body), time.Since(start)}, err
}

// The requests that the scenarios turn on, as they come off the wire.
var (
	albProbe = []string{"GET /health HTTP/1.1", "Host: 10.0.1.23:8080", "User-Agent: ELB-HealthChecker/2.0", "Connection: close"}
	user     = []string{"GET / HTTP/1.1", "Host: mysite.com", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https", "X-Forwarded-Port: 443", "Connection: close"}
)

// probe is the load balancer's: its status, and how long it took.
func (h *hale) probe() answer { h.t.Helper(); return h.ask(albProbe...) }

// details are what the status page's JSON says.
type details struct {
	Status string
	Output string
	Checks map[string][]struct{ Status, Output string }
}

// details asks for the health answer with its details, from this machine.
func (h *hale) details() details {
	h.t.Helper()
	a := h.ask("GET /health HTTP/1.1", "Host: localhost", "Accept: application/health+json", "Connection: close")
	var d details
	if err := json.Unmarshal([]byte(a.body), &d); err != nil {
		h.t.Fatalf("health+json: %v in %q", err, a.body)
	}
	return d
}

// becomes waits until the probe gets status, at most for limit, and returns how long it took.
func (h *hale) becomes(status int, limit time.Duration) time.Duration {
	h.t.Helper()
	start := time.Now()
	var last answer
	for time.Since(start) < limit {
		if last = h.probe(); last.status == status {
			return time.Since(start)
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.t.Fatalf("the probe still gets %v after %v, want %d; details: %+v", last, limit, status, h.details())
	return 0
}

// tellsOf waits until the details show that the check fails, and returns why:
// another check may have failed the verdict before it.
func (h *hale) tellsOf(check string, limit time.Duration) string {
	h.t.Helper()
	for start := time.Now(); time.Since(start) < limit; time.Sleep(10 * time.Millisecond) {
		if got := h.details().Checks[check]; len(got) == 1 && got[0].Status == "fail" && got[0].Output != "" {
			return got[0].Output
		}
	}
	h.t.Fatalf("the details do not tell of %q: %+v", check, h.details())
	return ""
}

// run runs hale to its end and returns its output and exit code.
func run(t *testing.T, dir string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), noMetadata), env...)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), errOut.String(), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), 0
}
