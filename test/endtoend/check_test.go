package endtoend

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hale/test/servers"
)

// All checks of a site are asked at once: fifteen of them, five of which take two
// seconds each, are done in the time of the slowest.
func TestFifteenChecksOfASite(t *testing.T) {
	python := servers.NeedDjango(t)
	site, err := filepath.Abs(djangoDir)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	database, redis, memcached := servers.Postgres(t), servers.FreeAddress(t), servers.FreeAddress(t)
	listen(t, "redis-server", redis, "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--port")
	listen(t, "memcached", memcached, "-l", "127.0.0.1", "-U", "0", "-u", "nobody", "-p")
	app := servers.FreeAddress(t)
	env := []string{"SECRET_KEY=only for tests", "DATABASE_URL=" + database.URL(), "PYTHONDONTWRITEBYTECODE=1", noMetadata}
	migrate := exec.Command(python, "manage.py", "migrate", "--noinput")
	migrate.Dir, migrate.Env = site, append(os.Environ(), env...)
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
	servers.Gunicorn(t, site, "mysite.wsgi", "http://"+app, env...)
	certificate := servers.NewCertificate(t, "mysite.com")

	config := filepath.Join(dir, "hale.yaml")
	yaml := strings.NewReplacer("REDIS", redis, "MEMCACHED", memcached, "APP", app,
		"SITE", site, "PYTHON", python, "CERTIFICATE", certificate.CertFile).Replace(`
app: {url: "http://APP"}
hosts: {allow: [mysite.com]}
instance: {metadata: off}
health:
  templates:
    patient: {timeout: 60s}
  checks:
    - {name: database, type: sql, url: "${DATABASE_URL}", template: patient}
    - {name: migrations, type: migrations, tool: django, dir: "SITE", database: "${DATABASE_URL}", template: patient}
    - {name: home page, type: page, path: /, contains: Guest book, depends_on: database, template: patient}
    - {name: old address, type: page, path: /, forwarded_proto: http, status: 301, template: patient}
    - {name: app itself, type: http, url: "http://APP/", host: mysite.com, status: "200-399", template: patient}
    - {name: cache, type: redis, url: "redis://REDIS/0", mode: write, template: patient}
    - {name: sessions, type: memcached, address: "MEMCACHED", mode: write, template: patient}
    - {name: settings, type: env, names: [SECRET_KEY, DATABASE_URL]}
    - {name: templates, type: file, path: "SITE/manage.py"}
    - {name: certificate, type: certificate, file: "CERTIFICATE", warn_left: 1m, min_left: 1s, ca: "CERTIFICATE"}
    - {name: slow plugin 1, type: exec, command: [sleep, "2"], template: patient}
    - {name: slow plugin 2, type: exec, command: [sleep, "2"], template: patient}
    - {name: slow plugin 3, type: exec, command: [sleep, "2"], template: patient}
    - {name: slow plugin 4, type: exec, command: [sleep, "2"], template: patient}
    - {name: slow plugin 5, type: exec, command: [sleep, "2"], template: patient}
`)
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}

	cmd := exec.CommandContext(t.Context(), binary, "check", "-c", config, "--output", "json")
	cmd.Env = append(os.Environ(), env...)
	start := time.Now()
	out, err := cmd.Output()
	took := time.Since(start)
	if err != nil {
		exit, _ := errors.AsType[*exec.ExitError](err)
		t.Fatalf("%v\n%s%s", err, out, exit.Stderr)
	}
	var report struct {
		Status string
		Checks []struct {
			Name, Status string
			Took         float64 `json:"time_ms"`
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	if report.Status != "pass" || len(report.Checks) != 15 {
		t.Fatalf("%d checks: %s", len(report.Checks), out)
	}
	var slowest, sum time.Duration
	for _, c := range report.Checks {
		d := time.Duration(c.Took * float64(time.Millisecond))
		slowest, sum = max(slowest, d), sum+d
	}
	t.Logf("%v for 15 checks; the slowest took %v, all together %v", took.Round(time.Millisecond), slowest, sum)
	if sum < 10*time.Second {
		t.Errorf("the plugins slept less than ten seconds: all together %v", sum)
	}
	if took > (slowest+sum)/2 { // the program starts, too, on a busy machine
		t.Errorf("%v is nearer to the time of all, %v, than to the slowest check's, %v", took, sum, slowest)
	}
}

// listen starts a server whose last argument is its port.
func listen(t *testing.T, name, address string, args ...string) {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	servers.Run(t, servers.Spec{Name: name, Args: append(args, port), Listens: []string{address}})
}
