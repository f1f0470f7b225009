package config_test

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/disk"
	"hale/checks/file"
	"hale/checks/page"
	"hale/checks/sql"
	"hale/health"
	"hale/internal/checktype"
	"hale/internal/config"
)

// fullEnv is the environment of testdata/full.yaml.
func fullEnv(name string) (string, bool) {
	value, ok := map[string]string{"DATABASE_URL": "postgres://app:secret@db.internal/app"}[name]
	return value, ok
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("/srv/site/hale.yaml", []byte(text), config.Options{Env: lookup})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFullExample(t *testing.T) {
	c, err := config.Load("testdata/full.yaml", config.Options{Env: fullEnv})
	if err != nil {
		t.Fatal(err)
	}
	got := c.Health.Checks
	c.Health.Checks = nil
	want := &config.Config{
		File: "testdata/full.yaml", Listen: ":8080", Admin: "127.0.0.1:8086", AccessLog: config.LogStdout,
		App: config.App{
			URL: "uwsgi+unix:///tmp/uwsgi.sock", ConnectTimeout: 5 * time.Second, ResponseTimeout: time.Minute,
			Command: []string{"uwsgi", "--ini", "uwsgi.ini"},
			Before: config.Steps{
				{Command: []string{"python3", "manage.py", "check", "--deploy"}},
				{Command: []string{"python3", "manage.py", "migrate", "--noinput"}, User: "www-data"},
			},
			EnvFile: "/etc/application/env-vars", RequireEnv: []string{"SECRET_KEY", "DATABASE_URL"},
			User: "www-data", Restart: config.RestartOnFailure, StopTimeout: 10 * time.Second,
		},
		Hosts: config.Hosts{Allow: []config.HostPattern{"mysite.com", ".mysite.com", "10.0.0.0/16"}, InstanceAddress: config.InstanceAddressAuto},
		HTTPS: config.HTTPS{Redirect: 301, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, HSTS: time.Minute},
		Headers: config.Headers{
			NoSniff: true, FrameOptions: "DENY", ReferrerPolicy: "same-origin",
		},
		Limits: config.Limits{
			HeaderSize: 64 << 10, BodySize: 1 << 30,
			HeaderTimeout: 10 * time.Second, BodyTimeout: time.Minute, IdleTimeout: 75 * time.Second,
		},
		Drain:    config.Drain{Notice: 25 * time.Second, Finish: 30 * time.Second},
		Instance: config.Instance{Metadata: config.MetadataAuto, Refresh: time.Minute},
		Health: config.Health{
			Path: "/health", FailStatus: 503, Log: "/var/log/hale/health.log",
			Details: config.Details{Level: config.DetailsPrivate}, SharedFailure: health.SharedFails,
			Templates: config.Templates{"slow", "sign-in"},
		},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if len(got) < len(checktype.Types()) {
		t.Fatalf("%d checks", len(got))
	}
	database := got[0]
	if database.Interval != 5*time.Second || database.Timeout != 2*time.Second || database.Rise != 1 || database.Fall != 2 ||
		database.Impact != health.Critical || database.Scope != health.Shared {
		t.Errorf("database: %+v", database)
	}
	if o := database.Options.(*sql.Check); o.URL != "postgres://app:secret@db.internal/app" || o.Expect != "42" {
		t.Errorf("database: %q expects %q", o.URL, o.Expect)
	}
	if o := got[6].Options.(*file.Check); o.Dir != "testdata" || !o.Absent {
		t.Errorf("in service: %+v", o)
	}
	if o := got[8].Options.(*disk.Check); !slices.Equal(o.Paths, []string{"/", "/var"}) || o.MinFree != 1<<30 || o.WarnUsed != 85 {
		t.Errorf("disk: %+v", o)
	}
}

func TestDefaults(t *testing.T) {
	c := parse(t, "app: {url: \"http://127.0.0.1:8000\"}\n")
	want := config.Default()
	want.File, want.App.URL = c.File, c.App.URL
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if c.Admin != "127.0.0.1:8086" || c.HTTPS.Redirect != 0 || len(c.HTTPS.TrustedProxies) != 9 || c.Limits.IdleTimeout != 75*time.Second {
		t.Errorf("%+v", c)
	}
	check := parse(t, "health: {checks: [{name: a, type: memory}]}\n").Health.Checks[0]
	if check.Interval != health.DefaultInterval || check.Timeout != health.DefaultTimeout || check.Rise != 1 || check.Fall != 1 {
		t.Errorf("%+v", check)
	}
}

// TestAccepted is what may be written in more than one way.
func TestAccepted(t *testing.T) {
	tests := []struct {
		name, text string
		ok         func(*config.Config) bool
	}{
		{"a section with everything commented out", "app:\n  # url: x\nlisten: :80\n", func(c *config.Config) bool { return c.App.URL == "" && c.Listen == ":80" }},
		{"a list with everything commented out", "health:\n  checks:\n", func(c *config.Config) bool { return len(c.Health.Checks) == 0 }},
		{"quotes make no difference", "health: {fail_status: \"500\"}\nheaders: {nosniff: 'false'}\n", func(c *config.Config) bool { return c.Health.FailStatus == 500 && !c.Headers.NoSniff }},
		{"off", "admin: off\naccess_log: off\nhosts: {instance_address: off}\nhttps: {redirect: off, hsts: off}\nheaders: {frame_options: off}\nlimits: {body_size: off}\nhealth: {log: off}\n", func(c *config.Config) bool {
			return c.Admin == "" && c.AccessLog == config.LogOff && c.Hosts.InstanceAddress == "" && c.HTTPS.Redirect == 0 && c.Limits.BodySize == 0 && c.Health.Log == config.LogOff
		}},
		{"no drain at all", "drain: {notice: 0s, finish: 0}\n", func(c *config.Config) bool { return c.Drain == config.Drain{} }},
		{"one address as a network", "https: {trusted_proxies: [10.0.0.7, \"::1\"]}\n", func(c *config.Config) bool {
			return slices.Equal(c.HTTPS.TrustedProxies, []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32"), netip.MustParsePrefix("::1/128")})
		}},
		{"nobody trusted, nobody sent on", "https: {trusted_proxies: []}\n", func(c *config.Config) bool { return c.HTTPS.TrustedProxies != nil && len(c.HTTPS.TrustedProxies) == 0 }},
		{"a slash at the end of the health path", "health: {path: /status/health/}\n", func(c *config.Config) bool { return c.Health.Path == "/status/health" }},
		{"a token", "health: {details: Zm9vYmFyYmF6cXV4Cg==}\n", func(c *config.Config) bool {
			return c.Health.Details == config.Details{Token: "Zm9vYmFyYmF6cXV4Cg=="}
		}},
		{"shared failures that warn", "health: {shared_failure: warn}\n", func(c *config.Config) bool { return c.Health.SharedFailure == health.SharedWarns }},
		{"numbers as words", "app: {command: [sleep, 10, 1.50, true, 010]}\n", func(c *config.Config) bool {
			return slices.Equal(c.App.Command, []string{"sleep", "10", "1.50", "true", "010"})
		}},
		{"a byte order mark and Windows line ends", "\ufefflisten: :80\r\nadmin: off\r\n", func(c *config.Config) bool { return c.Listen == ":80" && c.Admin == "" }},
		{"an explicit end of the document", "---\nlisten: :80\n...\n", func(c *config.Config) bool { return c.Listen == ":80" }},
		{"a merge key", "health:\n  checks:\n    - &slow {name: a, type: memory, interval: 1h, timeout: 1m}\n    - {<<: *slow, name: b, timeout: 2m}\n", func(c *config.Config) bool {
			b := c.Health.Checks[1]
			return b.Name == "b" && b.Interval == time.Hour && b.Timeout == 2*time.Minute
		}},
		{"several merged, the first wins", "drain: &d {notice: 1s}\ninstance: {refresh: 5s}\napp: {<<: [{stop_timeout: 1s, user: a}, {stop_timeout: 2s}]}\n", func(c *config.Config) bool { return c.App.StopTimeout == time.Second && c.App.User == "a" }},
		{"the same port for different addresses", "listen: 10.0.0.1:8086\n", func(c *config.Config) bool { return c.Admin == "127.0.0.1:8086" }},
		{"any free port twice", "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n", func(c *config.Config) bool { return c.Listen == c.Admin }},
		{"a command without url", "app: {command: [gunicorn, mysite.wsgi]}\n", func(c *config.Config) bool { return c.App.URL == "" }},
		{"relative file names", "access_log: log/access.log\napp: {env_file: env}\nhosts: {instance_address: \"file:ipv4\"}\nhealth: {log: ./health.log}\n", func(c *config.Config) bool {
			return c.AccessLog == "/srv/site/log/access.log" && c.App.EnvFile == "/srv/site/env" && c.Hosts.InstanceAddress == "file:/srv/site/ipv4" && c.Health.Log == "/srv/site/health.log"
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if c := parse(t, test.text); !test.ok(c) {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestPageChecksKnowTheSite(t *testing.T) {
	tests := []struct{ name, text, url, host string }{
		{"the first exact name", "app: {url: \"http://127.0.0.1:8000\"}\nhosts: {allow: [\"*\", 10.0.0.5, \"[fd00::5]\", 10.0.0.0/8, \"2001:db8::/32\", .other.com, mysite.com, www.mysite.com]}", "http://127.0.0.1:8000", "mysite.com"},
		{"a domain where there is none", "hosts: {allow: [10.0.0.5, .mysite.com]}\napp: {url: \"unix:///run/app.sock\"}", "unix:///run/app.sock", "mysite.com"},
		{"nothing known", "app: {url: \"uwsgi://127.0.0.1:3031\"}", "uwsgi://127.0.0.1:3031", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// health stands first: the order of the file must not matter.
			c := parse(t, "health: {checks: [{name: home, type: page}]}\n"+test.text+"\n")
			p := c.Health.Checks[0].Options.(*page.Check)
			if p.URL != test.url || p.Host != test.host {
				t.Errorf("asks %q as %q", p.URL, p.Host)
			}
		})
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	if _, err := config.Load(filepath.Join(dir, "hale.yaml"), config.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := config.Load(dir, config.Options{}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("directory: %v", err)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, []byte(strings.Repeat("# \n", 1<<19)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(large, config.Options{}); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("large file: %v", err)
	}
}

func TestErrorHoldsFaults(t *testing.T) {
	_, err := config.Parse("conf/hale.yaml", []byte("admin: x\nlisten: 80\n"), config.Options{})
	e, ok := errors.AsType[*config.Error](err)
	if !ok || len(e.Faults) != 2 {
		t.Fatalf("%v", err)
	}
	want := config.Fault{File: "conf/hale.yaml", Line: 2, Column: 9, Key: "listen", Text: `"80" is a port without an address; put a colon before it, as in ":8080"`}
	if e.Faults[1] != want {
		t.Errorf("got %+v, want %+v", e.Faults[1], want)
	}
	if f, ok := errors.AsType[config.Fault](err); !ok || f.Key != "admin" {
		t.Errorf("first fault: %+v", f)
	}
}

// closing is a check that counts how often it is closed.
type closing struct {
	Answer string `yaml:"answer" jsonschema:"required"`
	closed *int
	err    error
}

func (c *closing) Validate() error {
	if c.Answer == "bad" {
		return errors.Join(checks.Optionf("answer", "%q will not do; write good", c.Answer), errors.New("nothing goes with it"))
	}
	return nil
}
func (c *closing) Run(context.Context) (string, error) { return c.Answer, nil }
func (c *closing) Close() error                        { *c.closed++; return c.err }

func TestBuildChecks(t *testing.T) {
	closed, broken := 0, errors.New("will not close")
	types := []checktype.Type{
		{Name: "plain", New: func(checktype.Site) checks.Check { return &closing{closed: &closed} }},
		{Name: "stubborn", New: func(checktype.Site) checks.Check { return &closing{closed: &closed, err: broken} }},
	}
	text := "health: {checks: [{name: a, type: plain, answer: yes, interval: 3s, timeout: 1s, rise: 2, fall: 3, impact: degraded, scope: shared}, {name: b, type: stubborn, answer: no}]}"
	c, err := config.Parse("hale.yaml", []byte(text), config.Options{Types: types})
	if err != nil {
		t.Fatal(err)
	}
	built, closeAll := c.BuildChecks()
	if len(built) != 2 {
		t.Fatalf("%d checks", len(built))
	}
	a := built[0]
	if output, err := a.Run(t.Context()); output != "yes" || err != nil {
		t.Errorf("run: %q, %v", output, err)
	}
	a.Run = nil
	want := health.Check{Name: "a", Type: "plain", Interval: 3 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3, Impact: health.Degraded, Scope: health.Shared}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("got %+v, want %+v", a, want)
	}
	if err := closeAll(); !errors.Is(err, broken) || closed != 2 {
		t.Errorf("closed %d: %v", closed, err)
	}
	if _, err := health.NewMonitor(health.Options{}, built...); err != nil {
		t.Errorf("a monitor refuses them: %v", err)
	}
}

func TestFaultsOfValidate(t *testing.T) {
	types := []checktype.Type{{Name: "plain", New: func(checktype.Site) checks.Check { return &closing{} }}}
	text := "health:\n  checks:\n    - {name: a, type: plain, answer: bad}\n"
	_, err := config.Parse("hale.yaml", []byte(text), config.Options{Types: types})
	want := "hale.yaml:3:7: health.checks[0]: nothing goes with it\n" +
		"hale.yaml:3:38: health.checks[0].answer: \"bad\" will not do; write good"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %v", err, want)
	}
}

// TestNamesAreTheMonitorsToo holds the names of checks to what a monitor takes.
func TestNamesAreTheMonitorsToo(t *testing.T) {
	for _, name := range []string{"a", "home page", "é", "a-b_c.d", "a/b", `a\b`, ".", "..", "a?b", "a#b", "a%b", "", " ", "a\tb", strings.Repeat("x", 101)} {
		quoted := "'" + name + "'"
		_, err := config.Parse("hale.yaml", []byte("health: {checks: [{type: memory, name: "+quoted+"}]}"), config.Options{})
		_, monitorErr := health.NewMonitor(health.Options{}, health.Check{Name: name, Run: health.Func(func(context.Context) error { return nil })})
		if err == nil && monitorErr != nil {
			t.Errorf("%q is accepted here, but not there: %v", name, monitorErr)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := config.Load("testdata/full.yaml", config.Options{Env: fullEnv}); err != nil {
			b.Fatal(err)
		}
	}
}
