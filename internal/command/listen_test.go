package command_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"hale/test/servers"
)

// listening is hale listen, at work.
type listening struct {
	t              *testing.T
	cmd            *exec.Cmd
	address        string
	stdout, stderr *transcript
}

// transcript is what a program writes, to be read while it does.
type transcript struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (b *transcript) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *transcript) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

var listensOn = regexp.MustCompile(`(?m)^hale listen: HTTPS? on (\S+); Ctrl-C ends$`)

// startListen runs hale listen on a free port of loopback.
func startListen(t *testing.T, args ...string) *listening {
	t.Helper()
	l := &listening{t: t, stdout: new(transcript), stderr: new(transcript)}
	l.cmd = exec.CommandContext(t.Context(), "hale", append([]string{"listen", "127.0.0.1:0"}, args...)...)
	l.cmd.Stdout, l.cmd.Stderr = l.stdout, l.stderr
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "hale says where it listens", func() bool {
		found := listensOn.FindStringSubmatch(l.stderr.String())
		if found != nil {
			l.address = found[1]
		}
		return found != nil
	})
	return l
}

// ask sends what it is given, and returns what is answered until the server hangs
// up.
func (l *listening) ask(text string) string {
	l.t.Helper()
	conn, err := net.Dial("tcp", l.address)
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close()
	if text == "" {
		return ""
	}
	if _, err := io.WriteString(conn, text); err != nil {
		l.t.Error(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		l.t.Error(err)
	}
	return string(answer)
}

// end waits for the program, and returns what it wrote.
func (l *listening) end(code int) string {
	l.t.Helper()
	err := l.cmd.Wait()
	if got := l.cmd.ProcessState.ExitCode(); got != code {
		l.t.Errorf("exit code %d (%v), want %d; stderr:\n%s", got, err, code, l.stderr)
	}
	return l.stdout.String()
}

func contains(t *testing.T, text string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestListen(t *testing.T) {
	l := startListen(t, "--count", "2")
	answer := l.ask("OPTIONS / HTTP/1.0\r\n\r\n")
	contains(t, answer, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n")
	l.ask("")
	out := l.end(0)
	contains(t, out,
		"\n    OPTIONS / HTTP/1.0\n  looks like   haproxy, ",
		"\n  may stumble  HTTP/1.0: ",
		"\n  answer       200; closes the connection\n\n#2  ",
		"\n  this is      a bare TCP connection, closed after ",
		"\n\n2 visits on 2 connections in ",
	)
	contains(t, l.stderr.String(), "hale listen: only this machine reaches that address; without it all do: hale listen :")
	if strings.Contains(out, "\x1b") {
		t.Error("colours on what is no terminal")
	}
}

func TestListenAnswersAsTold(t *testing.T) {
	l := startListen(t, "--count", "1", "--raw", "--status", "503", "--body", "no", "--header", "X-Reason: test", "--header", "X-More:1")
	contains(t, l.ask("GET /a HTTP/1.1\r\nHost: mysite.com\r\n\r\n"),
		"HTTP/1.1 503 Service Unavailable\r\n", "X-Reason: test\r\nX-More: 1\r\n\r\nno")
	contains(t, l.end(0), "\n    GET /a HTTP/1.1\\r\\n\n    Host: mysite.com\\r\\n\n    \\r\\n\n")
}

func TestListenJSON(t *testing.T) {
	l := startListen(t, "--count", "1", "--output", "json")
	l.ask("GET /a\xff\x1b[2J HTTP/1.1\r\nHost: mysite.com\r\n\r\n")
	out := l.end(0)
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	var events []string
	for _, line := range lines {
		var doc struct{ Event string }
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		events = append(events, doc.Event)
	}
	if got := strings.Join(events, " "); got != "visit left summary" {
		t.Errorf("events %q, want visit left summary", got)
	}
	if strings.ContainsFunc(out, func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }) {
		t.Errorf("not ASCII: %q", out)
	}
}

func TestListenTLS(t *testing.T) {
	curl := servers.Need(t, "curl")
	own := servers.NewCertificate(t, "127.0.0.1")
	for name, test := range map[string]struct{ flags, trust []string }{
		"signs itself": {[]string{"--tls"}, []string{"--insecure"}},
		"one's own":    {[]string{"--cert", own.CertFile, "--key", own.KeyFile}, []string{"--cacert", own.CertFile}},
	} {
		t.Run(name, func(t *testing.T) {
			l := startListen(t, append(test.flags, "--count", "1")...)
			args := append(test.trust, "-q", "-fsS", "--noproxy", "*", "https://"+l.address+"/health")
			if out, err := exec.CommandContext(t.Context(), curl, args...).CombinedOutput(); err != nil || string(out) != "ok\n" {
				t.Errorf("curl: %v, %s", err, out)
			}
			contains(t, l.end(0), "\n    :path: /health\n", "\n  TLS          TLS 1.3, speaks h2; ")
			contains(t, l.stderr.String(), "hale listen: HTTPS on 127.0.0.1:")
		})
	}
}

// An interrupt ends it with a summary. Where more was to come, nothing is known.
func TestListenInterrupted(t *testing.T) {
	for name, test := range map[string]struct {
		flags []string
		send  bool
		code  int
		want  string
	}{
		"after a visit":    {nil, true, 0, "1 visit on 1 connection in "},
		"after none":       {nil, false, 0, "nothing came in "},
		"too early":        {[]string{"--count", "2"}, true, 2, "1 visit on 1 connection in "},
		"while it answers": {[]string{"--delay", "1h"}, true, 0, "1 visit on 1 connection in "},
	} {
		t.Run(name, func(t *testing.T) {
			l := startListen(t, test.flags...)
			if test.send {
				conn, err := net.Dial("tcp", l.address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				await(t, "the visit is told", func() bool { return strings.Contains(l.stdout.String(), "answer") })
			}
			if err := l.cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			contains(t, l.end(test.code), test.want)
			if said := strings.HasSuffix(l.stderr.String(), "\nhale: interrupted\n"); said != (test.code == 2) {
				t.Errorf("exit code %d, and on stderr %q", test.code, l.stderr)
			}
		})
	}
}

// The documentation has all flags, and no others.
func TestListenFlagsAreDocumented(t *testing.T) {
	help, err := exec.CommandContext(t.Context(), "hale", "listen", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/listen.md")
	if err != nil {
		t.Fatal(err)
	}
	flags := regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[-a-z]+)`).FindAllStringSubmatch(string(help), -1)
	if len(flags) < 10 {
		t.Fatalf("only %d flags in\n%s", len(flags), help)
	}
	for _, flag := range flags {
		if name := flag[1]; name != "--help" && !regexp.MustCompile("(?m)^\\|[^|]*`"+name+"[` ]").Match(page) {
			t.Errorf("docs/listen.md does not tell of %s", name)
		}
	}
}
