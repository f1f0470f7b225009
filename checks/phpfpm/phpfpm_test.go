package phpfpm_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/internal/workers"
	"hale/checks/phpfpm"
	"hale/health"
	"hale/internal/listenqueue"
	"hale/test/checktest"
	"hale/test/servers"
)

// patience is the checks' time-out: a busy pool keeps them waiting for all of it.
const patience = 500 * time.Millisecond

// pool is a pool of PHP-FPM whose script stands before a gate.
type pool struct {
	*servers.Process
	gate   *servers.Gate
	listen string
	script string
}

// start starts a pool that listens at an address; settings are lines of its
// configuration.
func start(t *testing.T, listen string, settings ...string) *pool {
	t.Helper()
	dir := t.TempDir()
	p := &pool{gate: servers.NewGate(t), listen: listen, script: filepath.Join(dir, "gate.php")}
	write(t, p.script, fmt.Sprintf("<?php file_put_contents(%[1]q, 'x', FILE_APPEND); while (!file_exists(%[2]q)) { usleep(5000); clearstatcache(); } echo 'ok';", p.came(), p.gate.File()))
	write(t, filepath.Join(dir, "here.php"), "<?php echo \"<!doctype html>\\nhello\";")
	lines := append([]string{
		"[global]", "daemonize = no", "error_log = /dev/stderr",
		"[app]", "listen = " + listen, "catch_workers_output = yes",
		"pm = static", "pm.max_children = 2", "pm.status_path = /status", "ping.path = /ping",
	}, settings...)
	args := []string{"-F", "-y", filepath.Join(dir, "fpm.conf"), "-c", dir}
	if os.Geteuid() == 0 {
		lines = append(lines, "user = root", "group = root")
		args = append(args, "-R")
	}
	write(t, filepath.Join(dir, "fpm.conf"), strings.Join(lines, "\n")+"\n")
	p.Process = servers.Run(t, servers.Spec{Name: "php-fpm*", Args: args, Listens: []string{listen}, StopSignal: syscall.SIGQUIT})
	return p
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// came is a file with a byte for each request that has come to the gate.
func (p *pool) came() string { return p.gate.File() + ".came" }

// standing waits until n requests in all have come to the gate.
func (p *pool) standing(t *testing.T, n int64) {
	t.Helper()
	checktest.Eventually(t, "the workers are busy", func() bool {
		info, err := os.Stat(p.came())
		return err == nil && info.Size() == n
	})
}

// hold makes n requests that stand before the gate, or wait for a worker.
func (p *pool) hold(n int) {
	p.gate.Hold(n, func(ctx context.Context) error { return phpfpm.Call(ctx, p.listen, p.script, `x="&state:%0aIdle`) })
}

func TestFaults(t *testing.T) {
	// Enough workers that those who are still done with an earlier run make no
	// busy pool.
	p := start(t, servers.FreeAddress(t), "pm = static", "pm.max_children = 8")
	for _, check := range []phpfpmOptions{{}, {PingPath: "/ping"}} {
		target := checktest.Target{
			Address: p.listen,
			New: func(address string) checks.Check {
				return &phpfpm.Check{Address: address, PingPath: check.PingPath}
			},
			Connections: func() int { return serving(t, p.listen) },
		}
		target.Faults(t)
		checktest.Soak(t, target.New(p.listen), target.Connections)
	}
}

type phpfpmOptions struct{ PingPath string }

// serving is how many connections a server has accepted and not closed.
func serving(t *testing.T, address string) int {
	t.Helper()
	sockets, err := listenqueue.At(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	n, _, err := workers.Serving(sockets)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A pool whose workers are all busy cannot say so. It is told from one that is
// broken all the same.
func TestBusy(t *testing.T) {
	t.Parallel()
	for name, listen := range map[string]string{"TCP": servers.FreeAddress(t), "unix": filepath.Join(t.TempDir(), "fpm.sock")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, listen, "listen.backlog = 8")
			check := &phpfpm.Check{Address: listen}
			ping := &phpfpm.Check{Address: listen, PingPath: "/ping"}
			early := &phpfpm.Check{Address: listen, BusyLimits: checks.BusyLimits{WarnBusy: 40}}
			checktest.Become(t, check, patience, "pass: 0 of 2 workers busy, 0 waiting in a queue of 8")
			checktest.Become(t, ping, patience, `pass: answers "pong": `+listen)
			p.hold(1)
			checktest.Become(t, check, patience, "pass: 1 of 2 workers busy, 0 waiting in a queue of 8")
			checktest.Become(t, early, patience, "warn: 1 of 2 workers busy, 0 waiting in a queue of 8: more than 40%")
			checktest.Become(t, ping, patience, `pass: answers "pong": `+listen)
			p.hold(1)
			p.standing(t, 2)
			// The check's own connection is the first that waits; it stays in the
			// queue until a worker finds that nobody is there any more.
			for waiting, check := range []*phpfpm.Check{check, ping, check, ping, check} {
				want := fmt.Sprintf("warn: no worker was free to answer, %d waiting in a queue of 8", waiting+1)
				if waiting == 4 {
					want += ": more than 50% of the queue is taken"
				}
				if got := checktest.Outcome(t, check, patience); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
			for range 2 {
				checktest.Outcome(t, check, patience)
			}
			if got, want := checktest.Outcome(t, check, patience), "fail: no worker was free to answer, 8 waiting in a queue of 8: more than 90% of the queue is taken"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			p.gate.Open()
			checktest.Become(t, check, patience, "pass: 0 of 2 workers busy, 0 waiting in a queue of 8")
			checktest.Become(t, ping, patience, `pass: answers "pong": `+listen)
		})
	}
}

// A warning has to come before the deadline to be one.
func TestBusyInTime(t *testing.T) {
	t.Parallel()
	p := start(t, servers.FreeAddress(t), "listen.backlog = 100")
	p.hold(2)
	p.standing(t, 2)
	check := health.Check{Name: "php", Run: (&phpfpm.Check{Address: p.listen}).Run, Timeout: patience}
	var result health.Result
	for range 10 { // a busy machine may be late, once or twice
		if result = health.RunOnce(t.Context(), nil, check)[0]; result.Status == health.Warn {
			return
		}
	}
	t.Errorf("%v: %s", result.Status, result.Output)
}

// With pm.status_listen, the pool tells all when it is busy, too.
func TestStatusListen(t *testing.T) {
	t.Parallel()
	for name, listen := range map[string]string{"TCP": servers.FreeAddress(t), "unix": filepath.Join(t.TempDir(), "fpm.sock")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := servers.FreeAddress(t)
			p := start(t, listen, "pm.status_listen = "+address, "listen.backlog = 10")
			check := &phpfpm.Check{Address: address, Socket: listen}
			checktest.Become(t, check, patience, "pass: 0 of 2 workers busy, 0 waiting in a queue of 10")
			p.hold(2)
			checktest.Become(t, check, patience, "pass: 2 of 2 workers busy, 0 waiting in a queue of 10")
			p.hold(3)
			checktest.Become(t, check, patience, "warn: 2 of 2 workers busy, 3 waiting in a queue of 10")
			p.hold(3)
			checktest.Become(t, check, patience, "warn: 2 of 2 workers busy, 6 waiting in a queue of 10: more than 50% of the queue is taken")
			stuck := &phpfpm.Check{Address: address, Socket: listen, BusyLimits: checks.BusyLimits{MaxStuck: 600 * time.Millisecond, WarnQueue: 90}}
			checktest.BecomeLike(t, stuck, patience, `^fail: 2 of 2 workers busy, 6 waiting in a queue of 10: stuck, no request was finished for \d+s$`)
			p.gate.Open()
			checktest.Become(t, check, patience, "pass: 0 of 2 workers busy, 0 waiting in a queue of 10")
		})
	}
}

// A pool that stays silent, and finishes nothing, is broken in the end.
func TestStuck(t *testing.T) {
	t.Parallel()
	p := start(t, servers.FreeAddress(t), "listen.backlog = 50")
	check := &phpfpm.Check{Address: p.listen, BusyLimits: checks.BusyLimits{MaxStuck: 10 * time.Second}}
	checktest.Become(t, check, patience, "pass: 0 of 2 workers busy, 0 waiting in a queue of 50")
	p.hold(2)
	p.standing(t, 2)
	if got, want := checktest.Outcome(t, check, patience), "warn: no worker was free to answer, 1 waiting in a queue of 50"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	checktest.BecomeLike(t, check, patience, `^fail: no worker was free to answer, \d+ waiting in a queue of 50: stuck, no request was finished for \d+s$`)
	p.gate.Open()
	checktest.Become(t, check, patience, "pass: 0 of 2 workers busy, 0 waiting in a queue of 50")
}

// Nobody serves, and yet the kernel takes connections.
func TestNoWorker(t *testing.T) {
	t.Parallel()
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		p := start(t, servers.FreeAddress(t), "listen.backlog = 50")
		check := &phpfpm.Check{Address: p.listen}
		checktest.Become(t, check, patience, "pass: 0 of 2 workers busy, 0 waiting in a queue of 50")
		p.Pause()
		if got, want := checktest.Outcome(t, check, patience), "fail: no worker takes connections: 1 waiting in a queue of 50, none is served"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		p.Resume()
		checktest.Become(t, check, patience, "pass: 0 of 2 workers busy, 0 waiting in a queue of 50")
	})
	t.Run("die as they start", func(t *testing.T) {
		t.Parallel()
		p := start(t, servers.FreeAddress(t), "listen.backlog = 50", "ping.path =") // which they do not survive
		contains(t, checktest.Outcome(t, &phpfpm.Check{Address: p.listen}, patience), "fail: no worker takes connections: ")
	})
	t.Run("hangs with the request", func(t *testing.T) {
		t.Parallel()
		p := start(t, servers.FreeAddress(t))
		if got, want := checktest.Outcome(t, &phpfpm.Check{Address: p.listen, StatusPath: p.script}, 2*time.Second), "fail: connected, but no answer within 2s: "+p.listen; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

func limit(t *testing.T, address string) int {
	t.Helper()
	sockets, err := listenqueue.At(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	return sockets[0].Limit
}

// What is told of the time between two runs.
func TestGrowth(t *testing.T) {
	t.Parallel()
	p := start(t, servers.FreeAddress(t), "pm = dynamic", "pm.max_children = 2", "pm.start_servers = 1", "pm.min_spare_servers = 1", "pm.max_spare_servers = 1",
		"request_slowlog_timeout = 1s", "slowlog = /dev/null", "pm.status_listen = "+servers.FreeAddress(t))
	limited := &phpfpm.Check{Address: p.listen}
	slow := &phpfpm.Check{Address: p.listen, WarnSlow: 1}
	checktest.Outcome(t, limited, 0)
	checktest.Outcome(t, slow, 0)
	p.hold(6)
	checktest.Eventually(t, "the master has noticed", func() bool {
		return strings.Contains(p.Output(), "server reached pm.max_children") && strings.Count(p.Output(), "executing too slow") >= 2
	})
	p.gate.Open()
	contains(t, checktest.Outcome(t, limited, 0), "pm.max_children reached 1 time since the last run")
	contains(t, checktest.Outcome(t, slow, 0), "2 slow requests since the last run, more than 1")
	if got := checktest.Outcome(t, limited, 0); strings.Contains(got, "reached") {
		t.Errorf("told again: %s", got)
	}
}

func contains(t *testing.T, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("%s\nwant in it: %s", got, want)
	}
}

func TestWrong(t *testing.T) {
	t.Parallel()
	p := start(t, servers.FreeAddress(t))
	strict := start(t, servers.FreeAddress(t), "listen.allowed_clients = 127.0.0.2")
	here := filepath.Join(filepath.Dir(p.script), "here.php")
	dir := t.TempDir()
	locked := filepath.Join(dir, "fpm.sock")
	start(t, locked, "listen.mode = 0600")
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // so that it is the socket that is locked
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		check *phpfpm.Check
		want  string
	}{
		{"another status path", &phpfpm.Check{Address: p.listen, StatusPath: "/fpm-status"}, `asked for /fpm-status, it says "File not found.": is the pool's pm.status_path another, or not set? ` + p.listen},
		{"another ping path", &phpfpm.Check{Address: p.listen, PingPath: "/pong"}, `asked for /pong, it says "File not found.": is the pool's ping.path another, or not set? ` + p.listen},
		{"not a script", &phpfpm.Check{Address: p.listen, StatusPath: "/etc/hostname"}, `asked for /etc/hostname, it says "Access denied.": is the pool's pm.status_path another, or not set? ` + p.listen},
		{"another script", &phpfpm.Check{Address: p.listen, StatusPath: here}, `asked for ` + here + `, it says "<!doctype html>", which is not a status: ` + p.listen},
		{"not let in", &phpfpm.Check{Address: strict.listen}, "connection reset: " + strict.listen + " (does the pool's listen.allowed_clients let this machine in?)"},
		{"nobody listens", &phpfpm.Check{Address: "127.0.0.1:1"}, "connection refused: 127.0.0.1:1"},
		{"no socket", &phpfpm.Check{Address: dir + "/no.sock"}, "no such socket: " + dir + "/no.sock"},
	} {
		// Whether a client that is not let in is reset depends on what it has sent by then.
		got := strings.Replace(checktest.Outcome(t, test.check, 0), "connection closed without an answer", "connection reset", 1)
		if got != "fail: "+test.want {
			t.Errorf("%s: %s\nwant fail: %s", test.name, got, test.want)
		}
	}
	servers.AsNobody(t, func() {
		_, err := (&phpfpm.Check{Address: locked}).Run(t.Context())
		want := "permission denied: " + locked + " (see listen.owner, listen.group and listen.mode of the pool)"
		if err == nil || err.Error() != want {
			t.Errorf("error = %v\nwant    %s", err, want)
		}
	})
}

// Through a web server.
func TestURL(t *testing.T) {
	t.Parallel()
	p := start(t, servers.FreeAddress(t))
	address := servers.FreeAddress(t)
	pass := "fastcgi_pass " + p.listen + "; fastcgi_read_timeout 3s; fastcgi_param REQUEST_METHOD $request_method; fastcgi_param QUERY_STRING $query_string; fastcgi_param REQUEST_URI $request_uri; "
	servers.Nginx(t, "", fmt.Sprintf(`server { listen %s;
		location = /status { %s fastcgi_param SCRIPT_NAME $fastcgi_script_name; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; }
		location = /elsewhere { %s fastcgi_param SCRIPT_NAME /other; fastcgi_param SCRIPT_FILENAME /other; }
		location = /closed { deny all; }
		location = /password { return 401; }
		location = /page { return 200 "<!doctype html>\n"; } }`, address, pass, pass), address)
	url := func(path string) *phpfpm.Check { return &phpfpm.Check{URL: "http://" + address + path} }
	checktest.Become(t, url("/status"), 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of "+fmt.Sprint(limit(t, p.listen)))
	checktest.Become(t, url("/status?pool=app"), 0, "pass: 0 of 2 workers busy, 0 waiting in a queue of "+fmt.Sprint(limit(t, p.listen)))
	for path, want := range map[string]string{
		"/elsewhere": "404, expected 200 (the web server passes a SCRIPT_NAME that is not the pool's pm.status_path)",
		"/closed":    "403, expected 200 (the web server does not let this machine in, or PHP-FPM does not know the path as its pm.status_path)",
		"/password":  "401, expected 200 (it asks for a password: write https://USER:PASSWORD@HOST/PATH)",
		"/page":      `200, but "<!doctype html>" is not the status of PHP-FPM`,
	} {
		if got := checktest.Outcome(t, url(path), 0); got != "fail: GET http://"+address+path+": "+want {
			t.Errorf("%s\nwant fail: GET http://%s%s: %s", got, address, path, want)
		}
	}
	p.hold(2)
	p.standing(t, 2)
	checktest.Become(t, url("/status"), 0, "fail: GET http://"+address+"/status: 504, expected 200 (no worker answered the web server in time: all are busy, or hang)")
	p.gate.Open()
	p.Stop()
	checktest.Become(t, url("/status"), 0, "fail: GET http://"+address+"/status: 502, expected 200 (PHP-FPM is down, or refuses the web server)")
}

func TestTLS(t *testing.T) {
	t.Parallel()
	p := start(t, servers.FreeAddress(t))
	checktest.TLS{
		Serve: func(t *testing.T, cert servers.Certificate) (address string) {
			address = servers.FreeAddress(t)
			servers.Nginx(t, "", fmt.Sprintf(`server { listen %s ssl; ssl_certificate %s; ssl_certificate_key %s; location = /status { fastcgi_pass %s;
				fastcgi_param REQUEST_METHOD $request_method; fastcgi_param QUERY_STRING $query_string;
				fastcgi_param SCRIPT_NAME $fastcgi_script_name; fastcgi_param SCRIPT_FILENAME $fastcgi_script_name; } }`,
				address, cert.CertFile, cert.KeyFile, p.listen), address)
			return address
		},
		New: func(address, ca string, insecure bool) checks.Check {
			dir, file := filepath.Split(ca)
			return &phpfpm.Check{URL: "https://" + address + "/status", CA: file, Dir: dir, Insecure: insecure}
		},
		Before: func(address string) string { return "GET https://" + address + "/status: " },
	}.Faults(t)
}

// A pool that was started anew counts from 0, and what it counts is no news.
func TestStartedAnew(t *testing.T) {
	t.Parallel()
	var text atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text.Load()) }))
	defer server.Close()
	check := &phpfpm.Check{URL: server.URL, WarnSlow: 2}
	const well = "pass: 0 of 2 workers busy, 0 waiting in a queue of 511"
	for _, step := range []struct {
		name          string
		started       string
		reached, slow int
		want          string
	}{
		{"at first", "20/Nov/2026:19:22:49 +0000", 10, 20, well},
		{"as before", "20/Nov/2026:19:22:49 +0000", 10, 20, well},
		{"reached once", "20/Nov/2026:19:22:49 +0000", 11, 22, "warn: pm.max_children reached 1 time since the last run"},
		{"reached again, and slow", "20/Nov/2026:19:22:49 +0000", 13, 25, "warn: pm.max_children reached 2 times since the last run; 3 slow requests since the last run, more than 2"},
		{"started anew", "20/Nov/2026:19:30:00 +0000", 50, 50, well},
	} {
		text.Store(fmt.Sprintf("pool: www\nprocess manager: static\nstart time: %s\naccepted conn: 9\nlisten queue: 0\nmax listen queue: 0\nlisten queue len: 511\n"+
			"idle processes: 2\nactive processes: 0\ntotal processes: 2\nmax active processes: 2\nmax children reached: %d\nslow requests: %d\n", step.started, step.reached, step.slow))
		if got := checktest.Outcome(t, check, 0); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
}

// A pool that is at its status at that very moment answers 500, and is asked again.
func TestAskedAgain(t *testing.T) {
	t.Parallel()
	var left atomic.Int64 // answers with 500 that are still to come
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if left.Add(-1) >= 0 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "pool: www\nprocess manager: static\nstart time: 20/Nov/2026:19:22:49 +0000\naccepted conn: 9\nlisten queue: 0\nmax listen queue: 0\nlisten queue len: 511\n"+
			"idle processes: 2\nactive processes: 0\ntotal processes: 2\nmax active processes: 2\nmax children reached: 0\nslow requests: 0\n")
	})
	web := httptest.NewServer(answer)
	defer web.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() { _ = fcgi.Serve(listener, answer) }()
	address := listener.Addr().String()
	for _, test := range []struct {
		name  string
		times int64
		check *phpfpm.Check
		want  string
	}{
		{"once", 1, &phpfpm.Check{Address: address}, "pass: 0 of 2 workers busy, 0 waiting in a queue of 511"},
		{"once, through a web server", 1, &phpfpm.Check{URL: web.URL}, "pass: 0 of 2 workers busy, 0 waiting in a queue of 511"},
		{"always", 1000, &phpfpm.Check{Address: address}, "fail: asked for /status, it answers with 500: " + address},
		{"always, through a web server", 1000, &phpfpm.Check{URL: web.URL}, "fail: GET " + web.URL + ": 500, expected 200"},
	} {
		left.Store(test.times)
		if got := checktest.Outcome(t, test.check, 0); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		check *phpfpm.Check
		want  string // empty: it is good
	}{
		{"address", &phpfpm.Check{Address: "127.0.0.1:9000"}, ""},
		{"socket", &phpfpm.Check{Address: "/run/php/php-fpm.sock"}, ""},
		{"URL", &phpfpm.Check{URL: "http://127.0.0.1/status"}, ""},
		{"neither", &phpfpm.Check{}, "address: is missing: write the pool's listen, such as /run/php/php-fpm.sock, or set url"},
		{"both", &phpfpm.Check{Address: "127.0.0.1:9000", URL: "http://127.0.0.1/"}, "url: is another way to what address leads to: write one of the two"},
		{"no port", &phpfpm.Check{Address: "9000"}, `address: "9000" is not host:port or the path of a unix socket: write it as /run/php/php-fpm.sock`},
		{"not a URL", &phpfpm.Check{URL: "fcgi://u:hunter2@h/"}, "url: is neither an http nor an https URL: write it as http://127.0.0.1/status"},
		{"ping over HTTP", &phpfpm.Check{URL: "http://h/ping", PingPath: "/ping"}, "ping_path: is for address; url names its page itself"},
		{"relative", &phpfpm.Check{Address: "/s", StatusPath: "status"}, `status_path: "status" does not begin with a slash: write it as in the pool's configuration`},
		{"bad socket", &phpfpm.Check{Address: "/s", Socket: "s"}, `socket: "s" is not host:port or the path of a unix socket: write it as /run/php/php-fpm.sock`},
		{"less than none", &phpfpm.Check{Address: "/s", WarnSlow: -1}, "warn_slow: -1 is negative"},
		{"late warning", &phpfpm.Check{Address: "/s", BusyLimits: checks.BusyLimits{WarnQueue: 95}}, "warn_queue: 95% is more than max_queue (90%): the check would fail before it warns"},
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
