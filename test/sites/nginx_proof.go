package sites

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inLog is a step: the site's logs have a text. Some programs write their log
// only after they have answered.
func inLog(text string) step {
	return does(func(t *testing.T, s Site) {
		t.Helper()
		for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			var all strings.Builder
			for _, file := range s.Log {
				content, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				all.Write(content)
			}
			if strings.Contains(all.String(), text) {
				return
			}
			if time.Since(start) > 30*time.Second {
				t.Fatalf("want %q in %v, got:\n%s", text, s.Log, all.String())
			}
		}
	})
}

const (
	stranger = "hc-control.invalid" // a name that no site is configured for
	nowhere  = "/nobody-knows-this"
)

func nginxProofs() map[string]proof {
	return map[string]proof{
		"nginx-default-444": {
			asked(fails(closed)),
			asked(says(200, "healthy"), host(Domain)),
			asked(fails(closed), host(stranger)),
		},
		"nginx-first-server": {
			asked(says(404, "<center>nginx")),
			asked(says(200, "healthy"), host(Domain)),
			asked(status(404), host(stranger)),
		},
		"nginx-first-server-refuses": {
			asked(says(403, "<center>nginx")),
			asked(says(200, "healthy"), host(Domain)),
			asked(status(403), host(stranger)),
		},
		"nginx-no-host-444": {
			asked(fails(closed), noHost),
			asked(fails(closed), noHost, method("OPTIONS")),
			asked(status(200), host(Domain)),
			asked(status(200), host(stranger)),
		},
		"nginx-knows-own-address": {
			asked(status(200)),
			asked(status(200), noPort),
			asked(status(400), host(Prober)),
			asked(status(400), host(Prober+":80")),
			asked(status(200), host(Domain)),
		},
		"nginx-return-301": {
			asked(redirects(301, "https://127.0.0.5/health")),
			asked(redirects(301, "https://127.0.0.5/health"), forwardedHTTPS),
			asked(redirects(301, "https://example.com/health"), host(Domain)),
		},
		"nginx-https-by-header": {
			asked(redirects(301, "https://127.0.0.5/health")),
			asked(status(200), forwardedHTTPS),
		},
		"nginx-directory-slash": {
			asked(redirects(301, "/health/")),
			asked(says(200, "healthy"), path("/health/")),
			asked(status(404), path(nowhere)),
		},
		"nginx-prefix-slash": {
			asked(redirects(301, "/api/")),
			asked(says(200, "welcome"), path("/api/")),
			asked(status(404), path(nowhere)),
		},
		"nginx-www": {
			asked(redirects(301, "http://www.127.0.0.5/health")),
			asked(says(200, "healthy"), host("www.example.com")),
			asked(redirects(301, "http://www.example.com/health"), host(Domain)),
		},
		"nginx-one-name": {
			asked(redirects(302, "http://example.com/health")),
			asked(says(200, "healthy"), host(Domain)),
		},
		"nginx-204": {
			asked(status(204)),
			asked(status(200), path("/")),
		},
		"nginx-kubelet": {
			asked(redirects(301, "https://127.0.0.5:")),
			asked(failsSaying(tlsFailed, "first record does not look like a TLS handshake"), overTLS("")),
			asked(status(200), forwardedHTTPS),
		},
		"nginx-basic-auth": {
			asked(want{status: 401, header: `WWW-Authenticate: Basic realm="Staging"`}),
			asked(status(401), host(Domain)),
			asked(status(401), path(nowhere)),
		},
		"nginx-allow-deny": {
			asked(status(403)),
			asked(status(403), host(Domain)),
			asked(status(200), on("127.0.0.1")),
			inLog("access forbidden by rule"),
		},
		"nginx-bots": {
			asked(status(403)),
			asked(status(403), host(Domain)),
			asked(status(200), browser),
		},
		"nginx-bots-444": {
			asked(fails(closed)),
			asked(fails(closed), host(Domain)),
			asked(status(200), browser),
		},
		"nginx-limit-req": {
			asked(status(200)),
			asked(says(503, "Service Temporarily Unavailable")),
			inLog("limiting requests"),
		},
		"nginx-limit-req-429": {
			asked(status(200)),
			asked(status(429)),
		},
		"nginx-no-index": {
			asked(says(403, "<center>nginx")),
			asked(status(200), path("/robots.txt")),
			asked(status(404), path(nowhere)),
			inLog("directory index of"),
		},
		"nginx-unreadable-file": {
			asked(status(403)),
			asked(status(200), path("/")),
			inLog("(13: Permission denied)"),
		},
		"nginx-404": {
			asked(says(404, "<center>nginx")),
			asked(status(404), host(Domain)),
			asked(status(200), path("/healthz")),
		},
		"nginx-prefix": {
			asked(status(404)),
			asked(status(404), host(Domain)),
			asked(says(200, "healthy"), path("/api/health")),
		},
		"nginx-static-options": {
			asked(status(405), noHost, method("OPTIONS")),
			asked(status(200), noHost),
		},
		"nginx-single-page-app": {
			asked(says(200, "<title>Shop</title>")),
			asked(says(200, "<title>Shop</title>"), path(nowhere)),
		},
		"nginx-upstream-down": {
			asked(says(502, "<center>nginx")),
			asked(status(502), host(Domain)),
			inLog("connect() failed (111: Connection refused)"),
		},
		"nginx-socket-missing": {
			asked(status(502)),
			inLog("(2: No such file or directory) while connecting to upstream"),
		},
		"nginx-socket-forbidden": {
			asked(status(502)),
			inLog("(13: Permission denied) while connecting to upstream"),
		},
		"nginx-unknown-upstream": {
			asked(fails(refused)),
			asked(fails(refused), on("127.0.0.1")),
			inLog(`host not found in upstream "app"`),
		},
		"nginx-https-to-plain-upstream": {
			asked(status(502)),
			inLog("wrong version number"),
		},
		"nginx-http-to-https-upstream": {
			asked(says(400, "The plain HTTP request was sent to HTTPS port")),
			asked(fails(tlsFailed), overTLS("")),
		},
		"nginx-uwsgi-to-http-upstream": {
			asked(status(400)),
			asked(status(400), host(Domain)),
		},
		"nginx-http-to-uwsgi-socket": {
			asked(says(502, "<center>nginx")),
			inLog("upstream prematurely closed connection"),
			inLog("invalid request block size: 21573"),
		},
		"nginx-gateway-timeout": {
			asked(says(504, "504 Gateway Time-out")),
			inLog("upstream timed out"),
		},
		"nginx-maintenance": {
			asked(want{status: 503, header: "Retry-After: 600"}),
			asked(status(503), path("/")),
			asked(status(200), path("/robots.txt")),
		},
		"nginx-big-body": {
			does(func(t *testing.T, s Site) {
				if a := health(s, 0).send(); a.response == nil || len(a.body) < 150_000 {
					t.Errorf("want a big body, got %v", a)
				}
			}),
		},
		"nginx-gzip": {
			asked(want{status: 200, header: "Content-Encoding: gzip"}, field("Accept-Encoding", "gzip")),
			asked(says(200, "healthy")),
		},
		"nginx-not-reloaded": {
			asked(redirects(301, "https://127.0.0.5/health")),
			does(reloadNginx),
		},
	}
}

// reloadNginx shows that nginx's configuration is younger than nginx, and makes
// nginx read it, which cures the site. (For a moment workers of both take
// requests.)
func reloadNginx(t *testing.T, s Site) {
	dir := filepath.Dir(s.Log[0])
	started, err := os.Stat(filepath.Join(dir, "nginx.pid"))
	if err != nil {
		t.Fatal(err)
	}
	edited, err := os.Stat(filepath.Join(dir, "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if !edited.ModTime().After(started.ModTime()) {
		t.Errorf("the configuration is of %v, nginx started at %v", edited.ModTime(), started.ModTime())
	}
	text, err := os.ReadFile(filepath.Join(dir, "nginx.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(10 * time.Millisecond) {
		if a := health(s, 0).send(); a.response != nil && a.response.StatusCode == 200 {
			return
		}
	}
	t.Error("nginx does not answer from its new configuration")
}
