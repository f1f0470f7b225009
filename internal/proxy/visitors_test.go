package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"hale/internal/proxy"
)

// Clients that send requests of all kinds in a row, cut into pieces anywhere, and
// leave at any moment, in any way: each answer is the one to its request, each
// request has its outcome, and in the end nothing is left.
func TestVisitors(t *testing.T) {
	before := runtime.NumGoroutine()
	for name, start := range map[string]func(testing.TB, proxy.Policy, proxy.Settings) *site{"plain": serve, "TLS": serveTLS} {
		t.Run(name, func(t *testing.T) {
			u := appServer(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/slow/") {
					time.Sleep(15 * time.Millisecond) // the client is looked out for meanwhile
				}
				if strings.HasPrefix(r.URL.Path, "/early/") {
					http.Error(w, r.URL.Path, http.StatusForbidden)
					return
				}
				body, err := io.ReadAll(r.Body)
				if err == nil {
					fmt.Fprintf(w, "%s %s", r.URL.Path, body)
				}
			})
			p := &underWay{Upstream: u}
			s := start(t, p, proxy.Settings{ContinueTimeout: 5 * time.Millisecond})
			var all sync.WaitGroup
			for worker := range 8 {
				all.Go(func() {
					v := visitor{Rand: rand.New(rand.NewPCG(uint64(worker), 1)), name: fmt.Sprint(name, worker)}
					for range 25 {
						v.visit(t, s.addr, name == "TLS")
					}
				})
			}
			all.Wait()
			if err := s.server.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if p.now != 0 {
				t.Errorf("%d requests without an end", p.now)
			}
		})
	}
	for start := time.Now(); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, before %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

type visitor struct {
	*rand.Rand
	name string
	sent int
}

// visit sends a few requests in a row over one connection, and reads what is
// answered. Only a client that stays to the end can expect to get it all.
func (v *visitor) visit(t *testing.T, addr string, secure bool) {
	plain, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer plain.Close()
	c := plain
	if secure {
		c = tls.Client(plain, &tls.Config{InsecureSkipVerify: true})
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	stays := v.IntN(2) == 0
	var raw strings.Builder
	var want []string
	early := false
	for range 1 + v.IntN(4) {
		path, request := v.request()
		raw.WriteString(request)
		want = append(want, path)
		early = early || strings.HasPrefix(path, "/early/")
	}
	pieces := v.cut(raw.String())
	if !stays {
		pieces = pieces[:v.IntN(len(pieces)+1)]
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		for _, piece := range pieces {
			if _, err := io.WriteString(c, piece); err != nil {
				return
			}
			runtime.Gosched()
		}
		switch {
		case stays:
		case v.IntN(2) == 0:
			_ = plain.(*net.TCPConn).SetLinger(0)
			_ = plain.Close()
		default:
			_ = plain.(*net.TCPConn).CloseWrite()
		}
	})
	br := bufio.NewReader(c)
	for i, path := range want {
		got, err := readAnswer(br)
		if err != nil {
			if stays && !early {
				t.Errorf("answer %d of %d, to %s: %v", i, len(want), path, err)
			}
			break
		}
		if !strings.HasPrefix(got, path) {
			t.Errorf("to %.40s, got %.80q", path, got)
			break
		}
	}
	if stays && !early {
		sending.Wait()
	}
	_ = plain.Close()
	sending.Wait()
}

func readAnswer(br *bufio.Reader) (body string, err error) {
	for {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			return "", err
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode >= 200 {
			return string(b), err
		}
	}
}

// request makes a request whose path and body no other has.
func (v *visitor) request() (path, raw string) {
	v.sent++
	kind := []string{"fast", "fast", "slow", "early"}[v.IntN(4)]
	path = fmt.Sprintf("/%s/%s/%d", kind, v.name, v.sent)
	body := strings.Repeat(path, v.IntN(30_000)/len(path))
	head := "POST " + path + " HTTP/1.1\r\nHost: a\r\n"
	if v.IntN(4) == 0 { // without waiting for the answer to that
		head += "Expect: 100-continue\r\n"
	}
	switch v.IntN(3) {
	case 0:
		return path, "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"
	case 1:
		return path, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
	default:
		var b strings.Builder
		b.WriteString(head + "Transfer-Encoding: chunked\r\n\r\n")
		for _, piece := range v.cut(body) {
			fmt.Fprintf(&b, "%x\r\n%s\r\n", len(piece), piece)
		}
		b.WriteString("0\r\n\r\n")
		return path, b.String()
	}
}

// cut cuts a text into pieces, of which none is empty.
func (v *visitor) cut(s string) (pieces []string) {
	for s != "" {
		n := min(len(s), 1+v.IntN(5000))
		pieces = append(pieces, s[:n])
		s = s[n:]
	}
	return pieces
}
