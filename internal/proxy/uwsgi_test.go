package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hale/internal/proxy"
	"hale/internal/upstream"
	"hale/internal/uwsgi"
	"hale/test/servers"
)

// djangoApp is a Django site in one file.
const djangoApp = `
import hashlib, os, signal, time
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

settings.configure(SECRET_KEY='x', ALLOWED_HOSTS=['*'], ROOT_URLCONF=__name__, DEBUG=False,
    MIDDLEWARE=['django.middleware.common.CommonMiddleware'],
    DATA_UPLOAD_MAX_MEMORY_SIZE=None, SECURE_PROXY_SSL_HEADER=('HTTP_X_FORWARDED_PROTO', 'https'))

def show(request):
    return HttpResponse('%s %s host=%s secure=%s addr=%s' % (request.method, request.get_full_path(),
        request.get_host(), request.is_secure(), request.META['REMOTE_ADDR']), content_type='text/plain')

def digest(request):
    return HttpResponse('%d %s' % (len(request.body), hashlib.sha256(request.body).hexdigest()))

def form(request):
    return HttpResponse('a=%s' % request.POST.get('a'))

def stream(request):
    def pieces():
        for i in range(3):
            yield 'piece %d\n' % i
            time.sleep(0.2)
    return StreamingHttpResponse(pieces(), content_type='text/event-stream')

def die(request):
    os.kill(os.getpid(), signal.SIGKILL)

urlpatterns = [path('show/', show), path('digest/', digest), path('form/', form), path('stream/', stream), path('die/', die)]
application = get_wsgi_application()
`

func TestUWSGI(t *testing.T) {
	servers.NeedDjango(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "site1.py"), []byte(djangoApp), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"uwsgi+unix://" + filepath.Join(dir, "app.sock"), "uwsgi://" + servers.FreeAddress(t)} {
		t.Run(strings.SplitN(address, ":", 2)[0], func(t *testing.T) {
			servers.UWSGI(t, dir, "site1", address)
			testUWSGI(t, upstream.MustParse(address))
		})
	}
}

func testUWSGI(t *testing.T, u upstream.Upstream) {
	p := &policy{action: func(*proxy.Head) proxy.Action {
		return proxy.Action{
			Kind: proxy.Forward, Upstream: u, Client: netip.MustParseAddr("203.0.113.9"), Scheme: "https",
			Set: []proxy.Field{{Name: "X-Forwarded-Proto", Value: "https"}},
		}
	}}
	s := serve(t, p, proxy.Settings{SpoolMemory: 100 << 10, SpoolDir: t.TempDir(), BodySize: 8 << 20, HeaderSize: 128 << 10})
	url := "http://" + s.addr
	last := func() proxy.Outcome {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.outcomes[len(p.outcomes)-1]
	}

	t.Run("what Django sees", func(t *testing.T) {
		got := s.say(t, "GET /show/?a=%20b HTTP/1.1\r\nHost: mysite.example\r\nConnection: close\r\n\r\n")
		if !strings.Contains(got, "GET /show/?a=%20b host=mysite.example secure=True addr=203.0.113.9") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("HEAD", func(t *testing.T) {
		resp, err := http.Head(url + "/show/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || resp.ContentLength <= 0 {
			t.Errorf("%v, %v", resp, err)
		}
	})
	for _, size := range []int{0, 1, 5000, 70_000, 3 << 20} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("POST of %d bytes, chunked %v", size, chunked), func(t *testing.T) {
				body := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
				var r io.Reader = bytes.NewReader(body)
				if chunked {
					r = struct{ io.Reader }{r}
				}
				resp, err := http.Post(url+"/digest/", "application/octet-stream", r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if want := fmt.Sprintf("%d %x", size, sha256.Sum256(body)); string(got) != want || err != nil {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
				if o := last(); o.BytesIn != int64(size) || o.Reused {
					t.Errorf("outcome %+v", o)
				}
			})
		}
	}
	t.Run("chunked form", func(t *testing.T) {
		got := s.say(t, "POST /form/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n1\r\nc\r\n0\r\n\r\n")
		if !strings.HasSuffix(got, "\r\n\r\na=bc") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("chunked and too large", func(t *testing.T) {
		// The answer comes before all is sent: Go's client sometimes tells of the
		// failed write instead of the answer, and is asked again then.
		post := func() (*http.Response, error) {
			return http.Post(url+"/digest/", "", struct{ io.Reader }{io.LimitReader(&pattern{}, 9<<20)})
		}
		resp, err := post()
		for try := 1; err != nil && try < 20; try++ {
			resp, err = post()
		}
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != 413 {
			t.Error(resp.Status)
		}
	})
	t.Run("Expect: 100-continue", func(t *testing.T) {
		c := s.dial(t)
		_, _ = io.WriteString(c, "POST /digest/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
		buf := make([]byte, 100)
		n, _ := c.Read(buf)
		if string(buf[:n]) != "HTTP/1.1 100 Continue\r\n\r\n" {
			t.Fatalf("got %q", buf[:n])
		}
		_, _ = io.WriteString(c, "x")
		if rest, _ := io.ReadAll(c); !strings.Contains(string(rest), "\r\n\r\n1 2d711642") {
			t.Errorf("got %q", rest)
		}
	})
	t.Run("streams", func(t *testing.T) {
		resp, err := http.Get(url + "/stream/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		buf := make([]byte, 100)
		n, _ := resp.Body.Read(buf)
		if string(buf[:n]) != "piece 0\n" {
			t.Errorf("first came %q", buf[:n])
		}
		if rest, err := io.ReadAll(resp.Body); string(rest) != "piece 1\npiece 2\n" || err != nil {
			t.Errorf("then came %q, %v", rest, err)
		}
	})
	t.Run("header larger than uWSGI's buffer", func(t *testing.T) {
		got := s.say(t, "GET /show/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: "+strings.Repeat("x", 5000)+"\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 502 ") {
			t.Errorf("got %s", got)
		}
		if o := last(); !strings.Contains(o.Err.Error(), "buffer-size (default 4096)") {
			t.Errorf("error %v", o.Err)
		}
	})
	t.Run("header larger than the protocol's", func(t *testing.T) {
		var fields strings.Builder
		for i := range 200 {
			fmt.Fprintf(&fields, "X-%d: %s\r\n", i, strings.Repeat("x", 400))
		}
		got := s.say(t, "GET /show/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"+fields.String()+"\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 431 ") {
			t.Errorf("got %s", got)
		}
		if se, ok := errors.AsType[*uwsgi.SizeError](last().Err); !ok || se.Size <= uwsgi.MaxSize {
			t.Errorf("error %v", last().Err)
		}
	})
	t.Run("NUL in the path", func(t *testing.T) {
		if got := s.say(t, strings.Replace(closing, "/", "/%00", 1)); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("worker dies", func(t *testing.T) {
		if got := s.say(t, strings.Replace(closing, "/", "/die/", 1)); !strings.HasPrefix(got, "HTTP/1.1 502 ") {
			t.Errorf("got %s", got)
		}
		if o := last(); !errors.Is(o.Err, proxy.ErrNoAnswer) || !strings.Contains(o.Err.Error(), "the worker died") {
			t.Errorf("error %v", o.Err)
		}
	})
	t.Run("no file is left", func(t *testing.T) {
		if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "hale-body-*")); len(left) > 0 {
			t.Error(left)
		}
	})
}

// An app that is killed under load leaves no client hanging, and none with an
// answer that looks complete and is not.
func TestAppIsKilled(t *testing.T) {
	servers.NeedDjango(t)
	servers.Need(t, "gunicorn")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "site1.py"), []byte(djangoApp), 0o644); err != nil {
		t.Fatal(err)
	}
	app := servers.Gunicorn(t, dir, "site1", "unix://"+filepath.Join(dir, "app.sock"))
	u := upstream.MustParse(app.URL())
	s := serve(t, forwardTo(u), proxy.Settings{})
	stop := make(chan bool)
	counts := make(chan map[int]int)
	var well, bad atomic.Int64 // 200s and 502s
	more := func(status *atomic.Int64) {
		t.Helper()
		enough := status.Load() + 20
		for start := time.Now(); status.Load() < enough; time.Sleep(5 * time.Millisecond) {
			if time.Since(start) > patience {
				t.Fatalf("%d answers with 200, %d with 502, and no more of them", well.Load(), bad.Load())
			}
		}
	}
	for range 4 {
		go func() {
			count := map[int]int{}
			defer func() { counts <- count }()
			client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := client.Get("http://" + s.addr + "/show/")
				if err != nil {
					if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
						count[-1]++ // hung
					}
					count[0]++
					continue
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode == 200 && err == nil && !strings.HasPrefix(string(b), "GET /show/") {
					count[-2]++ // not what it should be
				}
				count[resp.StatusCode]++
				switch resp.StatusCode {
				case http.StatusOK:
					well.Add(1)
				case http.StatusBadGateway:
					bad.Add(1)
				}
			}
		}()
	}
	more(&well)
	app.Kill()
	more(&bad)
	app.Start()
	more(&well)
	close(stop)
	total := map[int]int{}
	for range 4 {
		for status, n := range <-counts {
			total[status] += n
		}
	}
	if total[200] == 0 || total[502] == 0 || total[-1] > 0 || total[-2] > 0 {
		t.Errorf("answers by status: %v", total)
	}
	for status := range total {
		if status > 0 && status != 200 && status != 502 {
			t.Errorf("answers by status: %v", total)
		}
	}
}
