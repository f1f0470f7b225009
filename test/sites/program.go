package sites

import (
	"context"
	"embed"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/test/servers"
)

// testdata are the applications, a directory each.
//
//go:embed all:testdata
var testdata embed.FS

// unpack copies an application to a directory, which it makes.
func unpack(t testing.TB, name, dir string) {
	t.Helper()
	files, err := fs.Sub(testdata, "testdata/"+name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
}

// write writes a file of a site.
func write(t testing.TB, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// edit puts text into a file instead of what stands there now.
func edit(t testing.TB, file, old, text string) {
	t.Helper()
	content := readFile(t, file)
	if n := strings.Count(content, old); n != 1 {
		t.Fatalf("%s has %q %d times, want 1", file, old, n)
	}
	write(t, file, strings.Replace(content, old, text, 1))
}

// run starts a program and waits until it answers requests at addresses,
// whatever it says: some listen long before the application is there.
func run(t testing.TB, spec servers.Spec, addresses ...string) *servers.Process {
	t.Helper()
	spec.Listens = addresses
	spec.Ready = func(ctx context.Context) error {
		for _, address := range addresses {
			if err := answers(ctx, address); err != nil {
				return err
			}
		}
		return nil
	}
	return servers.Run(t, spec)
}

// warm waits until the site at an address has answered a request: what is slow
// the first time has been done then.
func warm(t testing.TB, address string) {
	t.Helper()
	var err error
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(20 * time.Millisecond) {
		if err = answers(t.Context(), address); err == nil {
			return
		}
	}
	t.Fatalf("%s does not answer: %v", address, err)
}

// answers asks the server at an address, or at the path of a unix socket, for
// a page that no site has, as a user does whose request came over a load
// balancer: that passes what guards the site.
func answers(ctx context.Context, address string) error {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	transport := &http.Transport{DisableKeepAlives: true}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, address)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+Domain+"/are-you-ready", nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-Forwarded-Proto", "https")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func readFile(t testing.TB, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
