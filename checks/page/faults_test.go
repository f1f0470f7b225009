package page_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"hale/checks"
	"hale/checks/page"
	"hale/test/checktest"
	"hale/test/servers"
)

// The app answers over both of the protocols that an app is asked by.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	const app = "def application(environ, start_response):\n    start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [b'hello']\n"
	if err := os.WriteFile(filepath.Join(dir, "hello.py"), []byte(app), 0o600); err != nil {
		t.Fatal(err)
	}
	for scheme, start := range map[string]func(t testing.TB, dir, module, address string, env ...string) *servers.Process{
		"http": servers.Gunicorn, "uwsgi": servers.UWSGI,
	} {
		t.Run(scheme, func(t *testing.T) {
			address := servers.FreeAddress(t)
			start(t, dir, "hello:application", scheme+"://"+address)
			checktest.Target{
				Address: address,
				New: func(address string) checks.Check {
					return &page.Check{
						URL: scheme + "://" + address, Host: "mysite.com", Path: "/?key=s3cret", Contains: "hello",
						Headers: map[string]string{"Authorization": "Bearer hunter2"},
					}
				},
				Secrets:     []string{"hunter2", "s3cret"},
				Connections: func() int { return servers.Connections(t, address) },
			}.Faults(t)
		})
	}
}

func TestSoak(t *testing.T) {
	app := httptest.NewServer(answers())
	defer app.Close()
	proxy := servers.Proxy(t, app.Listener.Addr().String())
	checktest.Soak(t, &page.Check{URL: "http://" + proxy.Address(), Path: "/redirect/1", Follow: 1, Host: "mysite.com"}, proxy.Open)
}
