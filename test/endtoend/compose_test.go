package endtoend

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hale/test/servers"
)

// A database that every instance uses goes down, and the app's pages with it.
// The page is asked often and the database rarely, so that the page's failure is
// seen first; yet no probe fails, and one thing is reported.
func TestASharedCauseTakesNobodyOut(t *testing.T) {
	database := servers.FreeAddress(t)
	listener := listenAt(t, database)
	var down atomic.Bool
	url := app(t, func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "no database", http.StatusInternalServerError)
			return
		}
		hello(w, r)
	})
	h := serve(t, fmt.Sprintf(`
app: {url: %q}
hosts: {allow: [mysite.com]}
https: {redirect: 301}
drain: {notice: 0s, finish: 1s}
health:
  shared_failure: warn
  checks:
    - {name: database, type: tcp, address: %q, interval: 20s, scope: shared}
    - {name: home page, type: page, interval: 50ms, depends_on: database}
    - {name: report, type: tcp, address: %q, interval: 50ms, profile: deep, depends_on: [home page]}
`, url, database, database))
	h.becomes(200, patience)

	// An endpoint of one's own is answered as /health is: exempt from the hosts and from https.
	deep := func(path string) answer {
		return h.ask("GET "+path+" HTTP/1.1", "Host: 10.0.1.23:8080", "Connection: close")
	}
	for _, path := range []string{"/health/deep", "/health/deep/"} {
		for start := time.Now(); deep(path).status != 200; time.Sleep(10 * time.Millisecond) { // the report starts, too
			if time.Since(start) > patience {
				t.Fatalf("%s: %v", path, deep(path))
			}
		}
	}
	if a := deep("/health/deeper"); a.status != 400 {
		t.Errorf("a path that is the app's: %v, want its host to be refused", a)
	}

	begun := len(h.Output())
	down.Store(true)
	_ = listener.Close()
	// For three seconds at least, and until all is known: deep, too, to which the
	// cause does not belong.
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if a := h.probe(); a.status != 200 || a.body != "ok\n" {
			t.Fatalf("a probe after %v: %v", time.Since(start), a)
		}
		shallow, all := deep("/health?format=json"), deep("/health/deep?format=json")
		known := strings.Contains(shallow.body, `"output":"database: `) && all.status == 200 &&
			strings.Contains(all.body, `"output":"database: `) && strings.Contains(all.body, "; report: ")
		if took := time.Since(start); known && took > 3*time.Second {
			break
		} else if took > patience {
			t.Fatalf("after %v: %v; deep: %v", took, shallow, all)
		}
	}
	if a := deep("/health/checks/home%20page"); a.status != 503 || !strings.Contains(a.body, "(caused by database)") {
		t.Errorf("the consequence by itself: %v", a)
	}
	log := h.Output()[begun:]
	if strings.Contains(log, `"check":"home page"`) || strings.Contains(log, `"check":"report"`) || strings.Count(log, `"check":"database"`) != 1 {
		t.Errorf("the log tells of more than the cause: %s", log)
	}

	listener = listenAt(t, database)
	defer listener.Close()
	down.Store(false)
	for start := time.Now(); !strings.HasPrefix(deep("/health?format=json").body, `{"status":"pass"`); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("not well again: %v", deep("/health?format=json"))
		}
	}
	if access, err := os.ReadFile(h.access); err != nil || strings.Contains(string(access), `"/health/deep"`) {
		t.Errorf("health requests in the access log: %v %s", err, access)
	}
}

// listenAt accepts connections at an address.
func listenAt(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// A reload brings and takes away endpoints, and keeps the standing of groups.
func TestReloadOfGroupsAndProfiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "flag"), "")
	const group = `
drain: {notice: 0s, finish: 1s}
health:
  checks:
    - name: storage
      fall: 3
      all:
        - {name: flag, type: file, path: %[1]q, interval: 10m}
        - {name: here, type: file, path: /}
`
	before := fmt.Sprintf(group, filepath.Join(dir, "flag"))
	h := serve(t, before)
	h.becomes(200, patience)
	deep := func() int { return h.ask("GET /health/deep HTTP/1.1", "Host: x", "Connection: close").status }
	if got := deep(); got != 404 {
		t.Errorf("deep before the reload: %d", got)
	}
	if err := os.Remove(filepath.Join(dir, "flag")); err != nil {
		t.Fatal(err)
	}
	h.write(before + "    - {name: report, type: file, path: /, profile: deep}\n")
	h.Signal(syscall.SIGHUP)
	for start := time.Now(); deep() != 200; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatal("no reload")
		}
	}
	if a := h.probe(); a.status != 200 {
		t.Errorf("one failure of three after a reload: %v", a)
	}
	h.write(before)
	h.Signal(syscall.SIGHUP)
	for start := time.Now(); deep() != 404; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatal("the endpoint stays")
		}
	}
}
