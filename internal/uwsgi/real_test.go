package uwsgi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/internal/upstream"
	"hale/internal/uwsgi"
	"hale/test/servers"
)

// environApp answers with its environ and its body.
const environApp = `
import sys
def application(environ, start_response):
    body = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
    start_response('201 Created', [('Content-Type', 'text/plain'), ('X-App', 'yes')])
    lines = ['%s=%s' % (k, environ[k]) for k in sorted(environ) if isinstance(environ[k], str)]
    return ['\n'.join(lines).encode('latin-1') + b'\n\n' + body]
`

func TestTransport(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(environApp), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"uwsgi://" + servers.FreeAddress(t), "uwsgi+unix://" + filepath.Join(dir, "app.sock")} {
		t.Run(strings.SplitN(address, ":", 2)[0], func(t *testing.T) {
			servers.UWSGI(t, dir, "app", address)
			rt := upstream.MustParse(address).RoundTripper()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, "POST", "https://mysite.example/caf%C3%A9?a=b", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Forwarded-Proto", "https")
			resp, err := rt.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 201 || resp.Header.Get("X-App") != "yes" {
				t.Errorf("status %d, header %v, error %v", resp.StatusCode, resp.Header, err)
			}
			for _, want := range []string{
				"REQUEST_METHOD=POST\n", "PATH_INFO=/café\n", "QUERY_STRING=a=b\n", "REQUEST_URI=/caf%C3%A9?a=b\n", "SCRIPT_NAME=\n",
				"HTTP_HOST=mysite.example\n", "wsgi.url_scheme=https\n", "HTTP_X_FORWARDED_PROTO=https\n", "REMOTE_ADDR=127.0.0.1\n", "CONTENT_LENGTH=5\n", "\n\nhello",
			} {
				if !strings.Contains(string(b), want) {
					t.Errorf("the app did not get %q:\n%s", want, b)
				}
			}
		})
	}
}

// uWSGI's way to say that its buffer is too small is to say nothing.
func TestBufferSize(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(environApp), 0o644); err != nil {
		t.Fatal(err)
	}
	address := "uwsgi://" + servers.FreeAddress(t)
	servers.UWSGI(t, dir, "app", address)
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://a/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", strings.Repeat("x", 5000))
	_, err = upstream.MustParse(address).RoundTripper().RoundTrip(r) //nolint:bodyclose // there is none
	if na, ok := errors.AsType[*uwsgi.NoAnswerError](err); !ok || na.Size < 5000 || !strings.Contains(err.Error(), "buffer-size (default 4096)") {
		t.Errorf("error %v", err)
	}
}

func TestTransportIsBoundedByContext(t *testing.T) {
	dir := t.TempDir()
	app := "import time\ndef application(environ, start_response):\n    time.sleep(30)\n"
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(app), 0o644); err != nil {
		t.Fatal(err)
	}
	address := "uwsgi://" + servers.FreeAddress(t)
	servers.UWSGI(t, dir, "app", address)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://a/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	_, err = upstream.MustParse(address).RoundTripper().RoundTrip(r) //nolint:bodyclose // there is none
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}
