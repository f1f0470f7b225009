package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"hale/internal/proxy"
	"hale/internal/upstream"
)

// Both directions of a stream go on by themselves, as gRPC needs: neither waits
// for the other, and one may be silent while the other moves.
func TestBothWays(t *testing.T) {
	for _, to := range []upstream.Protocol{upstream.H2C, upstream.H2} {
		t.Run(to.String(), func(t *testing.T) {
			u := appSpeaking(t, to, func(w http.ResponseWriter, r *http.Request) {
				flush := http.NewResponseController(w).Flush
				_ = flush() // the head, before anything of the body came
				in := bufio.NewReader(r.Body)
				for range 3 {
					line, _ := in.ReadString('\n')
					fmt.Fprint(w, "echo ", line)
					_ = flush()
				}
				for i := range 5 {
					time.Sleep(60 * time.Millisecond) // five of them are longer than BodyTimeout
					fmt.Fprintln(w, i)
					_ = flush()
				}
				rest, _ := io.ReadAll(in)
				fmt.Fprintf(w, "rest %s", rest)
			})
			p := forwardTo(u)
			s := serveTLS(t, p, proxy.Settings{BodyTimeout: 200 * time.Millisecond, StreamTimeout: patience, ResponseTimeout: patience})
			client, base := clientOf(t, s, upstream.H2)
			body, send := io.Pipe()
			resp, err := client.Post(base, "application/grpc", body)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			out := bufio.NewReader(resp.Body)
			for i := range 3 {
				fmt.Fprintf(send, "message %d\n", i)
				if line, err := out.ReadString('\n'); line != fmt.Sprintf("echo message %d\n", i) || err != nil {
					t.Fatalf("got %q, %v", line, err)
				}
			}
			for range 5 {
				if _, err := out.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			_, _ = io.WriteString(send, "is here")
			send.Close()
			if rest, err := io.ReadAll(out); string(rest) != "rest is here" || err != nil {
				t.Errorf("got %q, %v", rest, err)
			}
			if o := p.outcome(t, 0); o.Err != nil || o.BytesIn != 3*10+7 {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// A stream in which neither direction moves is ended.
func TestStreamTimeoutHTTP2(t *testing.T) {
	u := appSpeaking(t, upstream.H2C, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	p := forwardTo(u)
	s := serveTLS(t, p, proxy.Settings{StreamTimeout: 200 * time.Millisecond})
	client, base := clientOf(t, s, upstream.H2)
	body, send := io.Pipe()
	defer send.Close()
	resp, err := client.Post(base, "application/grpc", body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); !strings.HasPrefix("hello", string(got)) || err == nil {
		t.Errorf("got %q, %v", got, err)
	}
	if o := p.outcome(t, 0); !errors.Is(o.Err, proxy.ErrTimeout) || o.Status != 200 || o.CanRetry {
		t.Errorf("outcome %+v", o)
	}
}

// An event stream may be silent as long as it likes.
func TestEventStreamHTTP2(t *testing.T) {
	u := appSpeaking(t, upstream.H2C, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 2 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(150 * time.Millisecond)
		}
	})
	s := serveTLS(t, forwardTo(u), proxy.Settings{StreamTimeout: 50 * time.Millisecond, BodyTimeout: 50 * time.Millisecond})
	client, base := clientOf(t, s, upstream.H2)
	resp, err := client.Get(base)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); string(got) != "data: 0\n\ndata: 1\n\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// A client over HTTP/1.1 that waits for leave to send its body gets it, whatever
// the upstream speaks.
func TestExpectProtocols(t *testing.T) {
	for _, to := range protocols {
		u := appSpeaking(t, to, func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%d bytes, expect %q", n, r.Header["Expect"])
		})
		s := serve(t, forwardTo(u), proxy.Settings{})
		c := s.dial(t)
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		br := bufio.NewReader(c)
		if line, _ := br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Errorf("%s: got %q", to, line)
		}
		_, _ = io.WriteString(c, "hello")
		got, _ := io.ReadAll(br)
		if want := "5 bytes"; !strings.Contains(string(got), want) {
			t.Errorf("%s: got %q", to, got)
		}
	}
}

// BenchmarkHTTP2 moves small requests over HTTP/2, through the engine and
// through httputil.ReverseProxy. The client and the app are in cpu-µs/op.
func BenchmarkHTTP2(b *testing.B) {
	for _, to := range []upstream.Protocol{upstream.HTTP, upstream.H2C} {
		u := appSpeaking(b, to, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 1000)) })
		for _, via := range []string{"engine", "reverseproxy"} {
			b.Run(via+"/"+to.String(), func(b *testing.B) {
				var s *site
				if via == "engine" {
					s = serveTLS(b, forwarder{u}, proxy.Settings{})
				} else {
					s = &site{addr: startReverseProxyHTTP2(b, u)}
				}
				client, base := clientOf(b, s, upstream.H2)
				b.ReportAllocs()
				before := cpuTime()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						resp, err := client.Get(base)
						if err != nil {
							b.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
				})
				b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(b.N), "cpu-µs/op")
			})
		}
	}
}

func startReverseProxyHTTP2(b testing.TB, u upstream.Upstream) string {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!u.HTTP2())
	protocols.SetUnencryptedHTTP2(u.HTTP2())
	target := &url.URL{Scheme: "http", Host: u.Address()}
	s := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		Transport: &http.Transport{Protocols: protocols, MaxIdleConnsPerHost: 128, DisableCompression: true},
	})
	s.EnableHTTP2 = true
	s.StartTLS()
	b.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// A client that leaves, or whose time is over, in the middle of its body takes
// its request along.
func TestClientGoneSending(t *testing.T) {
	for _, to := range protocols {
		t.Run(to.String(), func(t *testing.T) {
			arrived, gone := make(chan bool, 1), make(chan bool, 1)
			u := appSpeaking(t, to, func(_ http.ResponseWriter, r *http.Request) {
				arrived <- true
				_, _ = io.Copy(io.Discard, r.Body)
				gone <- true
			})
			p := forwardTo(u)
			client, base := clientOf(t, serveTLS(t, p, proxy.Settings{}), upstream.H2)
			body, send := io.Pipe()
			go func() {
				_, _ = io.WriteString(send, "hello")
				<-arrived
				send.CloseWithError(errors.New("changed my mind"))
			}()
			if resp, err := client.Post(base, "text/plain", body); err == nil {
				resp.Body.Close()
				t.Error("answered")
			}
			<-gone
			if o := p.outcome(t, 0); o.Status != proxy.StatusClientGone || !errors.Is(o.Err, proxy.ErrClientGone) || o.CanRetry {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// Clients that come and go at any moment get no bytes of one another, and leave
// nothing behind.
func TestComeAndGo(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, from := range []upstream.Protocol{upstream.HTTPS, upstream.H2} {
		for _, to := range protocols {
			t.Run(from.String()+" to "+to.String(), func(t *testing.T) { comeAndGo(t, from, to) })
		}
	}
	for start := time.Now(); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, before %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func comeAndGo(t *testing.T, from, to upstream.Protocol) {
	u := appSpeaking(t, to, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/early" { // not waiting for the body
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	})
	p := &underWay{Upstream: u}
	s := serveTLS(t, p, proxy.Settings{RepeatBody: 64 << 10})
	client, base := clientOf(t, s, from)
	var all sync.WaitGroup
	for worker := range 10 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), uint64(to)))
			for i := range 30 {
				visit(t, client, base, fmt.Sprintf("%s %d %d|", to, worker, i), random)
			}
		})
	}
	all.Wait()
	client.CloseIdleConnections()
	if err := s.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if p.now != 0 {
		t.Errorf("%d requests without an end", p.now)
	}
}

// visit sends a body that nobody else sends, of any length, and may leave
// before the end.
func visit(t *testing.T, client *http.Client, base, name string, random *rand.Rand) {
	body := strings.Repeat(name, 1+random.IntN(100_000)/len(name))
	var r io.Reader = strings.NewReader(body)
	if random.IntN(2) == 0 {
		r = struct{ io.Reader }{r} // of unknown length
	}
	path := "/"
	if random.IntN(5) == 0 {
		path = "/early"
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	if random.IntN(3) == 0 {
		time.AfterFunc(time.Duration(random.IntN(5000))*time.Microsecond, leave)
	}
	request, err := http.NewRequestWithContext(ctx, "POST", base+path, r)
	if err != nil {
		t.Error(err)
		return
	}
	resp, err := client.Do(request)
	if err != nil {
		if ctx.Err() == nil && path == "/" {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	switch {
	case path == "/early":
	case err != nil && ctx.Err() == nil:
		t.Errorf("%s: %v", name, err)
	case !strings.HasPrefix(body, string(got)), err == nil && len(got) != len(body):
		t.Errorf("%s: got %d bytes of %d, %.60q", name, len(got), len(body), got)
	}
}
