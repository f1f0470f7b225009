package uwsgi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/internal/link"
	"hale/checks/uwsgi"
	"hale/test/checktest"
	"hale/test/servers"
)

// site is a uWSGI with two workers, whose requests stand before a gate.
type site struct {
	*servers.Process
	gate         *servers.Gate
	stats, serve string // addresses
}

// start starts uWSGI on addresses of TCP.
func start(t *testing.T, options ...string) *site {
	t.Helper()
	return startAt(t, servers.FreeAddress(t), servers.FreeAddress(t), options...)
}

// startAt starts uWSGI, which serves HTTP at one address and stats at another.
func startAt(t *testing.T, serve, stats string, options ...string) *site {
	t.Helper()
	gate, dir := servers.GateApp(t)
	s := &site{gate: gate, stats: stats, serve: serve}
	args := []string{
		"--plugin", "python3", "--chdir", dir, "--module", "gate:application", "--http-socket", serve, "--master", "--stats", s.stats,
	}
	s.Process = servers.Run(t, servers.Spec{
		Name:       "uwsgi",
		Args:       append(args, options...),
		Dir:        dir,
		Env:        []string{gate.Env()},
		StopSignal: syscall.SIGKILL, // its workers' mercy is long
		Ready:      func(ctx context.Context) error { return spawned(ctx, s.stats) },
		Listens:    []string{s.stats},
	})
	return s
}

// spawned reports whether the stats server answers, as the check itself is not to
// be believed here.
func spawned(ctx context.Context, address string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, link.Network(address), address)
	if err != nil {
		return err
	}
	defer conn.Close()
	return json.NewDecoder(conn).Decode(new(any))
}

// holds makes n requests, and waits until they are where they get to.
func (s *site) holds(t *testing.T, n int, check checks.Check, want string) {
	t.Helper()
	s.gate.Hold(n, servers.Get(s.serve))
	checktest.Become(t, check, 0, want)
}

func TestFaults(t *testing.T) {
	s := start(t, "--processes", "2")
	target := checktest.Target{
		Address:     s.stats,
		New:         func(address string) checks.Check { return &uwsgi.Check{Address: address} },
		Connections: func() int { return servers.Connections(t, s.stats) },
	}
	checktest.Become(t, target.New(s.stats), 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of 100")
	target.Faults(t)
	checktest.Soak(t, target.New(s.stats), target.Connections)
}

// Busy warns, a full queue fails, and what happened since the last run is told.
func TestBusy(t *testing.T) {
	t.Parallel()
	s := start(t, "--processes", "2", "--listen", "10")
	check := &uwsgi.Check{Address: s.stats}
	early := &uwsgi.Check{Address: s.stats, BusyLimits: checks.BusyLimits{WarnBusy: 40, MaxBusy: 90}}
	kernel := &uwsgi.Check{Socket: s.serve}

	checktest.Become(t, check, 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of 10")
	s.holds(t, 1, check, "pass: 1 of 2 workers busy, 0 waiting in a queue of 10")
	checktest.Become(t, early, 0, "warn: 1 of 2 workers busy, 0 waiting in a queue of 10: more than 40%")
	s.holds(t, 1, check, "pass: 2 of 2 workers busy, 0 waiting in a queue of 10")
	checktest.Become(t, early, 0, "fail: 2 of 2 workers busy, 0 waiting in a queue of 10: more than 90%")
	s.holds(t, 4, check, "warn: 2 of 2 workers busy, 4 waiting in a queue of 10")
	checktest.Become(t, kernel, 0, "pass: 4 waiting in a queue of 10")
	s.holds(t, 3, check, "warn: 2 of 2 workers busy, 7 waiting in a queue of 10: more than 50% of the queue is taken")
	checktest.Become(t, kernel, 0, "warn: 7 waiting in a queue of 10: more than 50% of the queue is taken")
	s.gate.Hold(3, servers.Get(s.serve))
	checktest.Become(t, kernel, 0, "fail: 10 waiting in a queue of 10: more than 90% of the queue is taken")
	checktest.Become(t, check, 0, "fail: 2 of 2 workers busy, 10 waiting in a queue of 10: more than 90% of the queue is taken")
	for range 3 { // more than fit
		if conn, err := net.DialTimeout("tcp", s.serve, 100*time.Millisecond); err == nil {
			defer conn.Close()
		}
	}
	for _, check := range []*uwsgi.Check{check, kernel} {
		if got := checktest.Outcome(t, check, 0); !strings.Contains(got, " turned away since the last run: the queue was full") {
			t.Errorf("the kernel turned some away, the check says %s", got)
		}
	}
	s.gate.Open()
	checktest.Become(t, check, 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of 10")
}

// A request that nobody finishes turns busy into broken.
func TestStuck(t *testing.T) {
	t.Parallel()
	s := start(t, "--processes", "1")
	check := &uwsgi.Check{Address: s.stats, BusyLimits: checks.BusyLimits{MaxStuck: 500 * time.Millisecond}}
	s.gate.Hold(3, servers.Get(s.serve))
	checktest.BecomeLike(t, check, 0, `^fail: 1 of 1 workers busy, 2 waiting in a queue of 100: stuck, no request was finished for \d+s$`)
	s.gate.Open()
	checktest.Become(t, check, 0, "pass: 0 of 1 workers busy, 0 waiting in a queue of 100")
}

// uWSGI knows nothing of the queue of a unix socket; the kernel does.
func TestUnixSockets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serve, stats := filepath.Join(dir, "app.sock"), filepath.Join(dir, "stats.sock")
	s := startAt(t, serve, stats, "--processes", "1", "--threads", "2", "--listen", "20")
	check := &uwsgi.Check{Address: stats}
	checktest.Become(t, check, 0, "pass: 0 of 2 cores busy, 0 waiting in a queue of 20")
	s.holds(t, 1, check, "pass: 1 of 2 cores busy, 0 waiting in a queue of 20")
	s.holds(t, 4, check, "warn: 2 of 2 cores busy, 3 waiting in a queue of 20")
	checktest.Become(t, &uwsgi.Check{Socket: serve}, 0, "pass: 3 waiting in a queue of 20")
	checktest.Become(t, &uwsgi.Check{Address: stats, Socket: serve}, 0, "warn: 2 of 2 cores busy, 3 waiting in a queue of 20")
	s.gate.Open()
	checktest.Become(t, check, 0, "pass: 0 of 2 cores busy, 0 waiting in a queue of 20")
}

func TestHarakiri(t *testing.T) {
	t.Parallel()
	s := start(t, "--processes", "2", "--harakiri", "1")
	check := &uwsgi.Check{Address: s.stats}
	restarts := &uwsgi.Check{Address: s.stats, WarnRestarts: 1}
	checktest.Become(t, check, 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of 100")
	checktest.Outcome(t, restarts, 0)
	s.gate.Hold(2, servers.Get(s.serve))
	told, killed, last := regexp.MustCompile(`harakiri: (\d) requests? killed for taking too long since the last run`), 0, ""
	t.Cleanup(func() {
		if killed != 2 {
			t.Logf("%d were told of; the last answer: %s", killed, last)
		}
	})
	checktest.Eventually(t, "harakiri is told of both", func() bool {
		last = checktest.Outcome(t, check, 0)
		if found := told.FindStringSubmatch(last); found != nil {
			n, _ := strconv.Atoi(found[1])
			killed += n
		}
		return killed == 2
	})
	s.gate.Open()
	// Once told, it is history.
	checktest.Become(t, check, 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of 100")
	if got, want := checktest.Outcome(t, restarts, 0), "workers started anew since the last run, more than 1"; !strings.Contains(got, want) {
		t.Errorf("%s\nwant in it: %s", got, want)
	}
}

// What keeps uWSGI from serving anything at all.
func TestUnable(t *testing.T) {
	t.Parallel()
	t.Run("the app does not load", func(t *testing.T) {
		t.Parallel()
		s := start(t, "--processes", "2", "--module", "nowhere:application")
		checktest.Become(t, &uwsgi.Check{Address: s.stats}, 0, "fail: no worker has an app loaded, uWSGI's log says why; if there is none to load, set no_app: "+s.stats)
		checktest.Become(t, &uwsgi.Check{Address: s.stats, NoApp: true}, 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of 100")
	})
	t.Run("the app takes its time to load", func(t *testing.T) {
		t.Parallel()
		s := start(t, "--processes", "2", "--lazy-apps", "--pythonpath", slowModule(t), "--module", "slow:application")
		checktest.Become(t, &uwsgi.Check{Address: s.stats}, 0, "fail: no worker takes requests, 2 of 2 are starting or ending: "+s.stats)
	})
	t.Run("cheap workers start when needed", func(t *testing.T) {
		t.Parallel()
		s := start(t, "--processes", "2", "--cheap")
		check := &uwsgi.Check{Address: s.stats}
		checktest.Become(t, check, 0, "pass: 0 waiting in a queue of 100")
		s.holds(t, 1, check, "pass: 1 of 2 workers busy, 0 waiting in a queue of 100")
	})
	t.Run("fewer workers than allowed", func(t *testing.T) {
		t.Parallel()
		s := start(t, "--processes", "4", "--cheaper", "2")
		checktest.Become(t, &uwsgi.Check{Address: s.stats}, 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of 100")
	})
	t.Run("an emperor", func(t *testing.T) {
		t.Parallel()
		stats := servers.FreeAddress(t)
		servers.Run(t, servers.Spec{Name: "uwsgi", Args: []string{"--emperor", t.TempDir(), "--emperor-stats", stats}, StopSignal: syscall.SIGKILL, Listens: []string{stats}})
		checktest.Become(t, &uwsgi.Check{Address: stats}, 0, "fail: these are the stats of an emperor, who has no workers: ask a vassal's: "+stats)
	})
}

// slowModule is where to find slow, a module of Python that takes forever to
// load.
func slowModule(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "slow.py"), []byte("import time\ntime.sleep(600)\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestStatsHTTP(t *testing.T) {
	t.Parallel()
	s := start(t, "--processes", "2")
	stats := servers.FreeAddress(t)
	overHTTP := servers.Run(t, servers.Spec{
		Name: "uwsgi", Args: []string{"--http-socket", servers.FreeAddress(t), "--master", "--stats", stats, "--stats-http"},
		StopSignal: syscall.SIGKILL, Listens: []string{stats},
	})
	checktest.Become(t, &uwsgi.Check{Address: stats, HTTP: true, NoApp: true}, 0, "pass: 0 of 1 workers busy, 0 waiting in a queue of 100")
	checktest.Become(t, &uwsgi.Check{Address: s.stats, HTTP: true}, 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of 100")

	got := checktest.Outcome(t, &uwsgi.Check{Address: stats}, time.Second)
	if want := "fail: connected, but no answer within 1s: " + stats + " (does it run with stats-http? Then set http)"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	overHTTP.Stop()
}

// A client can ask for a path with control characters, and uWSGI repeats it in
// what should be JSON.
func TestHostileRequest(t *testing.T) {
	t.Parallel()
	s := start(t, "--processes", "2")
	s.gate.Hold(1, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.serve+`/%01%1b%22%5c%0a%ff"]}`, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	checktest.Become(t, &uwsgi.Check{Address: s.stats}, 0, "pass: 1 of 2 workers busy, 0 waiting in a queue of 100")
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	fake, server := listen(t)
	for _, test := range []struct{ name, answer, want string }{
		{"the last worker has died", `{"pid":1,"workers":[{"id":1,"pid":0,"status":"idle"},{"id":2,"pid":0,"status":"cheap"}]}`, "fail: no worker is left of 2: " + server},
		{"an old version", `{"pid":1,"workers":[{"id":1,"pid":7,"status":"busy","apps":[{}]}]}`, "pass: 1 of 1 workers busy, 0 waiting"},
		{"one of two starts", `{"pid":1,"workers":[{"pid":7,"accepting":1,"status":"idle","apps":[{}]},{"pid":8,"accepting":0,"status":"idle","apps":[{}]}]}`, "pass: 0 of 1 workers busy, 0 waiting"},
		{"two sockets", `{"pid":1,"sockets":[{"name":":1","queue":1,"max_queue":100},{"name":":2","queue":6,"max_queue":10}],"workers":[{"pid":7,"status":"busy","apps":[{}]}]}`, "warn: 1 of 1 workers busy, 6 waiting in a queue of 10: more than 50% of the queue is taken"},
		{"other JSON", `{"status":"up"}`, "fail: answered with JSON that names no workers of uWSGI: " + server},
		{"broken JSON", `{"pid":1,"workers":[{`, "fail: answered with broken JSON: unexpected end of JSON input: " + server},
		{"a list", `[1,2]`, `fail: answered "[1,2]", not the stats of uWSGI: ` + server},
		{"a web server", "HTTP/1.1 400 Bad Request\r\n\r\n", "fail: answered as HTTP: if this is uWSGI with stats-http, set http: " + server},
		{"text", "220 mx.example.com ESMTP\r\n", `fail: answered "220 mx.example.com ESMTP", not the stats of uWSGI: ` + server},
		{"nothing", "", "fail: connection closed without an answer: " + server},
	} {
		fake.Store(&test.answer)
		if got := checktest.Outcome(t, &uwsgi.Check{Address: server}, 0); got != test.want {
			t.Errorf("%s:\n%s, want\n%s", test.name, got, test.want)
		}
	}
}

// What uWSGI counts is told when it has grown, and by whom it counts.
func TestGrowth(t *testing.T) {
	t.Parallel()
	fake, server := listen(t)
	check := &uwsgi.Check{Address: server, WarnRestarts: 2}
	const well = "0 of 1 workers busy, 0 waiting"
	for _, step := range []struct {
		name                                 string
		master, refusals, harakiri, restarts int
		want                                 string
	}{
		{"at first", 7, 10, 20, 30, "pass: " + well},
		{"as before", 7, 10, 20, 30, "pass: " + well},
		{"refused once", 7, 11, 20, 30, "warn: the queue found full 1 time since the last run"},
		{"refused twice", 7, 13, 20, 30, "warn: the queue found full 2 times since the last run"},
		{"killed one", 7, 13, 21, 31, "warn: harakiri: 1 request killed for taking too long since the last run"},
		{"killed two", 7, 13, 23, 33, "warn: harakiri: 2 requests killed for taking too long since the last run"},
		{"as many restarts as allowed", 7, 13, 23, 35, "pass: " + well},
		{"more restarts", 7, 13, 23, 38, "warn: 3 workers started anew since the last run, more than 2"},
		{"a new master", 8, 0, 0, 1, "pass: " + well},
		{"goes on counting", 8, 0, 1, 2, "warn: harakiri: 1 request killed for taking too long since the last run"},
		{"a newer master that has counted more", 9, 50, 50, 50, "pass: " + well},
	} {
		answer := fmt.Sprintf(`{"pid":%d,"listen_queue_errors":%d,"workers":[{"pid":7,"status":"idle","harakiri_count":%d,"respawn_count":%d,"apps":[{}]}]}`,
			step.master, step.refusals, step.harakiri, step.restarts)
		fake.Store(&answer)
		if got := checktest.Outcome(t, check, 0); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
}

// listen is a server that says something, and hangs up.
func listen(t *testing.T) (say *atomic.Pointer[string], address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	say = new(atomic.Pointer[string])
	done := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, *say.Load())
			conn.Close()
		}
	}()
	return say, listener.Addr().String()
}

func TestNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	for _, test := range []struct {
		name  string
		check *uwsgi.Check
		want  string
	}{
		{"nobody listens", &uwsgi.Check{Address: "127.0.0.1:1"}, "connection refused: 127.0.0.1:1"},
		{"no stats socket", &uwsgi.Check{Address: dir + "/stats.sock"}, "no such socket: " + dir + "/stats.sock"},
		{"another web server", &uwsgi.Check{Address: web.Listener.Addr().String(), HTTP: true}, "answered as HTTP, with 404: " + web.Listener.Addr().String()},
		{"no app socket", &uwsgi.Check{Socket: dir + "/app.sock"}, "no such socket: " + dir + "/app.sock"},
		{"nobody serves", &uwsgi.Check{Socket: "127.0.0.1:1"}, "nobody listens on this machine: 127.0.0.1:1"},
		{"unknown name", &uwsgi.Check{Socket: "app.invalid:3031"}, "name does not resolve: app.invalid"},
	} {
		if got := checktest.Outcome(t, test.check, 0); got != "fail: "+test.want {
			t.Errorf("%s: %s\nwant fail: %s", test.name, got, test.want)
		}
	}
}

func TestNotPermitted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "stats.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	servers.AsNobody(t, func() {
		_, err := (&uwsgi.Check{Address: path}).Run(t.Context())
		if want := "permission denied: " + path; err == nil || err.Error() != want {
			t.Errorf("error = %v, want %s", err, want)
		}
	})
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		check *uwsgi.Check
		want  string // empty: it is good
	}{
		{"stats", &uwsgi.Check{Address: "127.0.0.1:9191"}, ""},
		{"stats socket", &uwsgi.Check{Address: "/run/stats.sock"}, ""},
		{"socket alone", &uwsgi.Check{Socket: "/run/app.sock"}, ""},
		{"nobody", &uwsgi.Check{}, "address: is missing: write where uWSGI's stats server listens, such as 127.0.0.1:9191, or set socket"},
		{"no port", &uwsgi.Check{Address: "127.0.0.1"}, `address: "127.0.0.1" is not host:port or the path of a unix socket: write it as 127.0.0.1:9191`},
		{"relative", &uwsgi.Check{Socket: "app.sock"}, `socket: "app.sock" is not host:port or the path of a unix socket: write it as /run/app.sock`},
		{"late warning", &uwsgi.Check{Socket: "/s", BusyLimits: checks.BusyLimits{WarnQueue: 95}}, "warn_queue: 95% is more than max_queue (90%): the check would fail before it warns"},
		{"late busy", &uwsgi.Check{Socket: "/s", BusyLimits: checks.BusyLimits{WarnBusy: 95, MaxBusy: 90}}, "warn_busy: 95% is more than max_busy (90%): the check would fail before it warns"},
		{"backwards", &uwsgi.Check{Socket: "/s", BusyLimits: checks.BusyLimits{MaxStuck: -1}}, "max_stuck: -1ns is negative"},
		{"less than none", &uwsgi.Check{Socket: "/s", WarnRestarts: -1}, "warn_restarts: -1 is negative"},
	} {
		err := test.check.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("%s: error = %v\nwant %s", test.name, err, test.want)
		}
		if _, ok := errors.AsType[*checks.OptionError](err); err != nil && !ok {
			t.Errorf("%s: not an OptionError: %#v", test.name, err)
		}
	}
}
