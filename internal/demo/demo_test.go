package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/examples/gosite/site"
	"hale/internal/demo"
)

// patience is how long a change may take to be seen on a busy machine.
const patience = time.Minute

// start runs a demo and returns where its parts are. It ends with the test.
func start(t *testing.T, o demo.Options) demo.Places {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Port = l.Addr().(*net.TCPAddr).Port // taken: the demo must go on to the next
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan demo.Places, 1), make(chan error, 1)
	o.Ready = func(p demo.Places) { ready <- p }
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	go func() { ended <- demo.Run(ctx, o) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		l.Close()
	})
	select {
	case p := <-ready:
		return p
	case err := <-ended:
		ended <- nil
		t.Fatalf("Run: %v", err)
	case <-time.After(patience):
		t.Fatal("not ready")
	}
	panic("unreachable")
}

type result struct {
	status   int
	location string
	body     string
}

func do(t *testing.T, method, target string, form url.Values, header ...string) result {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	r.Host = r.Header.Get("Host")
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return result{answer.StatusCode, answer.Header.Get("Location"), string(body)}
}

// checks returns each check's status.
func checks(t *testing.T, gateway string) map[string]string {
	t.Helper()
	var document struct {
		Checks map[string][]struct {
			Status string `json:"status"`
		} `json:"checks"`
	}
	body := do(t, http.MethodGet, "http://"+gateway+"/health?format=json", nil).body
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		t.Fatalf("%v in\n%s", err, body)
	}
	all := make(map[string]string)
	for name, results := range document.Checks {
		all[name] = results[0].Status
	}
	return all
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func TestDemo(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer // written before Ready alone, then by nobody
	p := start(t, demo.Options{Dir: dir, Out: &out})
	health := func() int {
		return do(t, http.MethodGet, "http://"+p.Gateway+"/health", nil, "Host", "10.0.1.23:8080").status
	}
	await(t, "healthy after the start", func() bool { return health() == 200 })

	t.Run("answers", func(t *testing.T) {
		for _, tt := range []struct {
			name     string
			path     string
			header   []string
			status   int
			location string
			body     string
		}{
			{"a user", "/", []string{"Host", "mysite.com", "X-Forwarded-Proto", "https"}, 200, "", "Sign the book"},
			{"plain http", "/archive?a=b", []string{"Host", "mysite.com"}, 301, "https://mysite.com/archive?a=b", ""},
			{"a foreign host", "/", []string{"Host", "evil.example"}, 400, "", "hosts.allow"},
		} {
			got := do(t, http.MethodGet, "http://"+p.Gateway+tt.path, nil, tt.header...)
			if got.status != tt.status || got.location != tt.location || !strings.Contains(got.body, tt.body) {
				t.Errorf("%s: %+v, want %d, %q, %q", tt.name, got, tt.status, tt.location, tt.body)
			}
		}
	})

	t.Run("welcome", func(t *testing.T) {
		for _, want := range []string{p.Gateway, p.Admin, p.App, "http://" + p.Panel + "/", dir, "Host: 10.0.1.23:8080"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, out.String())
			}
		}
	})

	culprits := map[site.Fault]string{
		site.DatabaseGone: "database", site.MigrationsBehind: "migrations",
		site.PageBroken: "home page", site.PageSlow: "home page", site.DiskFull: "journal",
	}
	for _, f := range site.Faults() {
		t.Run("fault "+string(f), func(t *testing.T) {
			if _, err := os.Stat("/dev/full"); err != nil && f == site.DiskFull {
				t.Skip("this system has no /dev/full")
			}
			turn := func(what string) {
				t.Helper()
				got := do(t, http.MethodPost, "http://"+p.Panel+"/fault", url.Values{"fault": {string(f)}, "do": {what}})
				if got.status != 303 {
					t.Fatalf("%s: %+v", what, got)
				}
			}
			turn("break")
			await(t, "unhealthy", func() bool { return health() == 503 && checks(t, p.Gateway)[culprits[f]] == "fail" })
			turn("mend")
			await(t, "healthy again", func() bool { return health() == 200 })
		})
	}

	t.Run("panel", func(t *testing.T) {
		panel := "http://" + p.Panel
		_, port, _ := net.SplitHostPort(p.Panel)
		for _, tt := range []struct {
			name, method, path string
			form               url.Values
			header             []string
			status             int
			body               string
		}{
			{"page", "GET", "/", nil, nil, 200, "The load balancer gets"},
			{"page as localhost", "GET", "/", nil, []string{"Host", "localhost:" + port}, 200, "Break it"},
			{"page shows checks", "GET", "/", nil, nil, 200, "<b>migrations</b>"},
			{"style", "GET", "/static/panel.css", nil, nil, 200, "color-scheme"},
			{"script", "GET", "/static/panel.js", nil, nil, 200, "data-live"},
			{"configuration", "GET", "/hale.yaml", nil, nil, 200, "listen: \"" + p.Gateway + "\""},
			{"name of somebody else", "GET", "/", nil, []string{"Host", "rebound.example"}, 400, ""},
			{
				"button on somebody else's page", "POST", "/fault",
				url.Values{"fault": {"page"}, "do": {"break"}},
				[]string{"Sec-Fetch-Site", "cross-site"},
				403, "",
			},
			{"neither break nor mend", "POST", "/fault", url.Values{"fault": {"page"}}, nil, 400, "do must be break or mend"},
			{"unknown fault", "POST", "/fault", url.Values{"fault": {"flood"}, "do": {"break"}}, nil, 409, "no such fault"},
		} {
			got := do(t, tt.method, panel+tt.path, tt.form, tt.header...)
			if got.status != tt.status || !strings.Contains(got.body, tt.body) {
				t.Errorf("%s: %d, want %d with %q in\n%s", tt.name, got.status, tt.status, tt.body, got.body)
			}
		}
	})
}

// The directory that was asked for stays, a temporary one goes.
func TestDemoTidiesUp(t *testing.T) {
	kept := t.TempDir()
	var temporary string
	t.Run("run", func(t *testing.T) {
		start(t, demo.Options{Dir: kept, Out: io.Discard})
		temporary = start(t, demo.Options{Out: io.Discard}).Dir
		if _, err := os.Stat(filepath.Join(temporary, "hale.yaml")); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(temporary); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", temporary, err)
	}
	if _, err := fs.Stat(os.DirFS(kept), "hale.yaml"); err != nil {
		t.Error(err)
	}
}

func TestDemoInNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := demo.Run(t.Context(), demo.Options{Dir: file, Out: io.Discard, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Fatal("Run succeeded in a file")
	}
}
