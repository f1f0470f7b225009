package command_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// pages are what the site of the probe's scripts and examples answers.
var pages = map[string]string{
	"/health":       "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n",
	"/moved":        "HTTP/1.1 301 Moved Permanently\r\nServer: nginx\r\nLocation: https://mysite.com/health\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	"/slash":        "HTTP/1.1 302 Found\r\nLocation: /health\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	"/busy":         "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	"/broken":       "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 15\r\nConnection: close\r\n\r\nfail: database\n",
	"/cut":          "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nok\n",
	"/escape":       "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n\x1b[31mred\xff\n",
	"/long":         "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + strings.Repeat("a line\n", 20000),
	"/wide":         "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + strings.Repeat("x", 2000),
	"/silent":       "",
	"/grpc-no":      "",
	"/ssh":          "SSH-2.0-OpenSSH_9.6\r\n",
	"/search":       "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nall well\n",
	"/chunked":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nok\n\r\n0\r\n\r\n",
	"/interim":      "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	"/with%20blank": "HTTP/1.1 204 No Content\r\n\r\n",
}

// startPages serves pages, and returns the address and a function to stop.
func startPages() (address string, stop func(), err error) { return listen(servePage) }

// listen serves connections with a function each.
func listen(serve func(net.Conn)) (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	return l.Addr().String(), func() {
		l.Close()
		running.Wait()
	}, nil
}

func servePage(conn net.Conn) {
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	answer, known := pages[request.URL.RequestURI()]
	switch {
	case !known && request.URL.Path == "/":
		answer = pages["/health"]
	case !known:
		answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	}
	io.WriteString(conn, answer)
	if answer == "" {
		io.Copy(io.Discard, conn) // until the client goes
	}
}

// startGRPC serves a gRPC server without any service: each call is answered
// with the status UNIMPLEMENTED, in frames that are the same each time.
func startGRPC() (address string, stop func(), err error) {
	var fields, frames bytes.Buffer
	encoder := hpack.NewEncoder(&fields)
	for _, f := range [][2]string{{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", "12"}} {
		err = errors.Join(err, encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	framer := http2.NewFramer(&frames, nil)
	err = errors.Join(err, framer.WriteSettings(), framer.WriteSettingsAck(), framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: fields.Bytes(), EndStream: true, EndHeaders: true,
	}))
	if err != nil {
		return "", nil, err
	}
	return listen(func(conn net.Conn) {
		request := http2.NewFramer(io.Discard, conn)
		if _, err := io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface))); err != nil {
			return
		}
		for {
			frame, err := request.ReadFrame()
			if err != nil {
				return
			}
			if data, ok := frame.(*http2.DataFrame); ok && data.StreamEnded() {
				break
			}
		}
		conn.Write(frames.Bytes())
		io.Copy(io.Discard, conn) // until the client goes
	})
}

// TestProbeScripts runs testdata/probe: $SITE is the address of pages, $GRPC of
// a gRPC server, $CLOSED one where nobody listens.
func TestProbeScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/probe",
		Setup: func(env *testscript.Env) error {
			tellRaceDetector(env)
			site, stop, err := startPages()
			if err != nil {
				return err
			}
			env.Defer(stop)
			grpc, stop, err := startGRPC()
			if err != nil {
				return err
			}
			env.Defer(stop)
			closed, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Setenv("SITE", site)
			env.Setenv("SITE_PORT", site[strings.LastIndexByte(site, 0x3a)+1:])
			env.Setenv("GRPC", grpc)
			env.Setenv("CLOSED", closed.Addr().String())
			return closed.Close()
		},
	})
}

// blocks are the sessions of a page of docs.
var blocks = regexp.MustCompile("(?s)```console\n(.*?)```")

// took is how long something took, which is different each time.
var took = regexp.MustCompile(`\b\d+(\.\d+)?(µs|ms|s)\b|"(resolve|connect|first_byte|body|total)": [0-9.]+`)

// What docs/probe.md shows is what comes when it is done. In its examples the
// site is at 10.0.1.5:8080, and its gRPC server at 10.0.1.5:50051.
func TestProbeDocs(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "probe.md"))
	if err != nil {
		t.Fatal(err)
	}
	site, stop, err := startPages()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	grpc, stop, err := startGRPC()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	here := strings.NewReplacer("10.0.1.5:8080", site, "10.0.1.5:50051", grpc)
	there := strings.NewReplacer(site, "10.0.1.5:8080", grpc, "10.0.1.5:50051", "127.0.0.1", "10.0.1.5")
	sessions := blocks.FindAllStringSubmatch(string(page), -1)
	if len(sessions) < 5 {
		t.Fatalf("%d examples were found", len(sessions))
	}
	for _, session := range sessions {
		line, want, _ := strings.Cut(strings.TrimPrefix(session[1], "$ "), "\n")
		cmd := exec.CommandContext(t.Context(), "sh", "-c", here.Replace(line))
		out, _ := cmd.CombinedOutput() // many of them show failures
		got := took.ReplaceAllString(there.Replace(string(out)), "T")
		if want = took.ReplaceAllString(want, "T"); got != want {
			t.Errorf("%s\nprints\n%s\nand docs/probe.md shows\n%s", line, got, want)
		}
	}
}

// Who interrupts a probe that waits is told so; who ends a row of them, what
// they came to.
func TestProbeInterrupted(t *testing.T) {
	asked := make(chan struct{}, 1)
	silent, stop, err := listen(func(conn net.Conn) {
		http.ReadRequest(bufio.NewReader(conn))
		asked <- struct{}{}
		io.Copy(io.Discard, conn)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	interrupt(t, os.Interrupt, t.TempDir(), nil, func() bool { return len(asked) > 0 }, "probe", "--timeout", "60s", silent)

	site, stop, err := startPages()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for count, test := range map[string]struct {
		code   int
		stderr string
	}{
		"0":       {0, ""}, // Ctrl-C is its end
		"1000000": {2, "hale: interrupted\n"},
	} {
		t.Run("count "+count, func(t *testing.T) { interruptRow(t, site, count, test.code, test.stderr) })
	}
}

func interruptRow(t *testing.T, site, count string, code int, stderr string) {
	t.Helper()
	var errors bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "hale", "probe", site, "--count", count, "--interval", "10ms")
	cmd.Stderr = &errors
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for range 3 {
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err, &errors)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != code || errors.String() != stderr {
		t.Errorf("%v, %q", err, &errors)
	}
	if !strings.Contains(string(rest), " passed; they took ") || !strings.HasSuffix(string(rest), "a new target would now be healthy\n") {
		t.Errorf("%s", rest)
	}
}

// On a terminal of 80 columns no sentence is broken within a word.
func TestProbeOnATerminal(t *testing.T) {
	site, stop, err := startPages()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	written, err := onTerminal(t, "hale probe "+site+"/health")
	if err != nil {
		t.Fatal(err, written)
	}
	const want = "- Whether Host has the port where it is 80 or 443: AWS documents IP:port,\r\n  reports show the bare IP.\r\n"
	if !strings.Contains(written, want) {
		t.Errorf("%q", written)
	}
}

// The table of probers is no wider than the terminal.
func TestProbeListOnATerminal(t *testing.T) {
	written, err := onTerminal(t, "hale probe --list")
	if err != nil {
		t.Fatal(err, written)
	}
	if !strings.Contains(written, "consul") {
		t.Errorf("%q", written)
	}
	for line := range strings.SplitSeq(written, "\r\n") {
		if len(line) > 80 {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
}
