// Plainproxy is the proxy that a Go programmer writes first, around
// httputil.ReverseProxy: a peer for the benchmarks. It does the same job as the
// others: hosts, the redirect to https, forwarded headers, a request id, HSTS
// and nosniff.
package main

import (
	"bufio"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "`address` to listen on")
	upstream := flag.String("upstream", "", "`URL` of the app")
	host := flag.String("host", "mysite.com", "the only `host` that is served")
	logFile := flag.String("log", "", "access log `file`; empty: none")
	flag.Parse()
	if err := run(*listen, *upstream, *host, *logFile); err != nil {
		log.Fatal(err)
	}
}

func run(listen, upstream, host, logFile string) error {
	target, err := url.Parse(upstream)
	if err != nil {
		return fmt.Errorf("upstream: %w", err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
			r.Out.Header.Set("X-Forwarded-Proto", "https")
			r.Out.Header.Set("X-Request-Id", rand.Text())
		},
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Strict-Transport-Security", "max-age=60")
			r.Header.Set("X-Content-Type-Options", "nosniff")
			return nil
		},
		Transport:  &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		BufferPool: &buffers{sync.Pool{New: func() any { return new([32 << 10]byte) }}},
	}
	handler := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host != host:
			http.Error(w, "unknown host", http.StatusBadRequest)
		case r.Header.Get("X-Forwarded-Proto") != "https":
			http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusMovedPermanently)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	if logFile != "" {
		f, err := os.OpenFile(logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("access log: %w", err)
		}
		defer f.Close()
		handler = &accessLog{next: handler, w: bufio.NewWriterSize(f, 64<<10)}
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	return server.Serve(l)
}

// buffers are those that bodies are copied with.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte { return b.pool.Get().(*[32 << 10]byte)[:] }

func (b *buffers) Put(buffer []byte) { b.pool.Put((*[32 << 10]byte)(buffer)) }

// accessLog writes a JSON line for each request, buffered as the peers do it.
type accessLog struct {
	next http.Handler
	mu   sync.Mutex
	w    io.Writer
}

func (a *accessLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	c := &counter{ResponseWriter: w, status: http.StatusOK}
	a.next.ServeHTTP(c, r)
	line := fmt.Appendf(nil, `{"time":%q,"client":%q,"method":%q,"host":%q,"path":%q,"status":%d,"bytes":%d,"seconds":%.6f}`+"\n",
		start.Format(time.RFC3339Nano), r.RemoteAddr, r.Method, r.Host, r.URL.RequestURI(), c.status, c.bytes, time.Since(start).Seconds())
	a.mu.Lock()
	defer a.mu.Unlock()
	_, _ = a.w.Write(line)
}

type counter struct {
	http.ResponseWriter
	status int
	bytes  int
}

func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the server's writer.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
