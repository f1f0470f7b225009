package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/internal/proxy"
	"hale/internal/upstream"
)

// BenchmarkProxy moves requests over the loopback interface, through nothing,
// through the engine, and through httputil.ReverseProxy with a tuned transport
// on the plain net/http server. The app and the client are as bare as can be,
// and run in the same process: cpu-µs/op less that of "direct" is what the
// proxy takes.
func BenchmarkProxy(b *testing.B) {
	for _, size := range []int{1 << 10, 256 << 10} {
		u := bareApp(b, size)
		for _, via := range []struct {
			name  string
			start func(testing.TB, upstream.Upstream) string
		}{
			{"direct", func(_ testing.TB, u upstream.Upstream) string { return u.Address() }},
			{"engine", func(b testing.TB, u upstream.Upstream) string {
				return serve(b, forwarder{u}, proxy.Settings{}).addr
			}},
			{"reverseproxy", startReverseProxy},
		} {
			b.Run(fmt.Sprintf("%s/%dK", via.name, size>>10), func(b *testing.B) {
				benchmarkGet(b, via.start(b, u))
			})
		}
	}
}

// forwarder is a policy as cheap as one can be.
type forwarder struct{ upstream.Upstream }

func (f forwarder) Decide(*proxy.Head) proxy.Action {
	return proxy.Action{Kind: proxy.Forward, Upstream: f.Upstream}
}

func (forwarder) Done(*proxy.Head, *proxy.Action, *proxy.Outcome) bool { return false }

func startReverseProxy(b testing.TB, u upstream.Upstream) string {
	target := &url.URL{Scheme: "http", Host: u.Address()}
	rp := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		Transport: &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &http.Server{Handler: rp}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	b.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}

// bareApp answers every head it reads with the same bytes.
func bareApp(b testing.TB, size int) upstream.Upstream {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nServer: app\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Type: text/html; charset=utf-8\r\n" +
		"X-Frame-Options: DENY\r\nVary: Cookie\r\nContent-Length: " + strconv.Itoa(size) + "\r\n\r\n" + strings.Repeat("x", size))
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 8<<10)
				n := 0
				for {
					m, err := conn.Read(buf[n:])
					if err != nil {
						return
					}
					if n += m; !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						continue
					}
					n = 0
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return upstream.MustParse("http://" + l.Addr().String())
}

const browserHead = "GET /page?q=1 HTTP/1.1\r\nHost: mysite.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n" +
	"Cookie: sessionid=0123456789abcdef0123456789abcdef; csrftoken=fedcba9876543210\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n\r\n"

func benchmarkGet(b *testing.B, addr string) {
	b.ReportAllocs()
	b.SetParallelism(8)
	cpu := cpuTime()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		br := bufio.NewReaderSize(conn, 64<<10)
		for pb.Next() {
			if _, err := io.WriteString(conn, browserHead); err != nil {
				b.Error(err)
				return
			}
			if err := skipAnswer(br); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
}

func skipAnswer(br *bufio.Reader) error {
	length := 0
	for {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			_, err := br.Discard(length)
			return err
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(v)))
		}
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
