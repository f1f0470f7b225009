package containercheck_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"hale/internal/machine/containercheck"
)

func TestRead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, file, content string
		want                []containercheck.Definition
	}{
		{
			"a Dockerfile", "Dockerfile", "FROM node:20-alpine\nEXPOSE 3000/tcp\nSTOPSIGNAL QUIT\nhealthcheck --interval=30s --timeout=3s \\\n  # every node asks\n  CMD curl -f http://localhost:3000/health || exit 1\nCMD [\"node\", \"app.js\"]\n",
			[]containercheck.Definition{{
				Kind: containercheck.Dockerfile, Ports: []int{3000}, StopSignal: "SIGQUIT",
				Check: &containercheck.Check{Line: 4, Words: []string{"curl -f http://localhost:3000/health || exit 1"}, Shell: true},
			}},
		},
		{
			"in words", "app/Dockerfile", "FROM debian\nHEALTHCHECK CMD [\"curl\", \"-f\", \"http://localhost/\"]",
			[]containercheck.Definition{{
				Kind: containercheck.Dockerfile, Check: &containercheck.Check{Line: 2, Words: []string{"curl", "-f", "http://localhost/"}},
			}},
		},
		{
			"the last stage counts", "Dockerfile", "FROM golang AS build\nHEALTHCHECK CMD curl localhost\nFROM scratch\nCOPY --from=build /app /app\n",
			[]containercheck.Definition{{Kind: containercheck.Dockerfile}},
		},
		{
			"switched off", "Dockerfile", "FROM nginx\nHEALTHCHECK CMD curl localhost\nHEALTHCHECK NONE\n",
			[]containercheck.Definition{{Kind: containercheck.Dockerfile, NoCheck: true}},
		},
		{
			"a compose file", "compose.yaml", `
services:
  web:
    build: .
    ports: ["80:3000", 9000]
    stop_signal: SIGINT
    healthcheck:
      test: ["CMD", "wget", "-q", "--spider", "http://localhost:3000/"]
  cache:
    image: redis:7
    expose: [6379]
    healthcheck:
      test: redis-cli ping
  job:
    image: job
    ports: [{target: 8080, published: "80"}]
    healthcheck: {disable: true}
`,
			[]containercheck.Definition{
				{Kind: containercheck.Compose, Name: "cache", Ports: []int{6379}, Check: &containercheck.Check{Line: 13, Words: []string{"redis-cli ping"}, Shell: true}},
				{Kind: containercheck.Compose, Name: "job", Ports: []int{8080}, NoCheck: true},
				{
					Kind: containercheck.Compose, Name: "web", Ports: []int{3000, 9000}, Builds: true, StopSignal: "SIGINT",
					Check: &containercheck.Check{Line: 8, Words: []string{"wget", "-q", "--spider", "http://localhost:3000/"}},
				},
			},
		},
		{
			"a task definition", "task-definition.json", "{\n\t\"family\": \"shop\",\n\t\"containerDefinitions\": [{\n\t\t\"name\": \"web\", \"portMappings\": [{\"containerPort\": 3000}],\n\t\t\"healthCheck\": {\"command\": [\"CMD-SHELL\", \"curl -f http://localhost:3000/health || exit 1\"]}\n\t}]\n}",
			[]containercheck.Definition{{
				Kind: containercheck.Task, Name: "web", Ports: []int{3000},
				Check: &containercheck.Check{Line: 5, Words: []string{"curl -f http://localhost:3000/health || exit 1"}, Shell: true},
			}},
		},
		{
			"as aws prints it", "taskdef.json", `{"taskDefinition": {"containerDefinitions": [{"name": "web", "healthCheck": {"command": ["CMD", "/app", "hc"]}}, {"name": "log"}]}, "tags": []}`,
			[]containercheck.Definition{
				{Kind: containercheck.Task, Name: "web", Check: &containercheck.Check{Line: 1, Words: []string{"/app", "hc"}}},
				{Kind: containercheck.Task, Name: "log"},
			},
		},
	} {
		got, err := containercheck.Read(test.file, []byte(test.content))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n%+v\nwant\n%+v", test.name, got, test.want)
		}
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	for file, content := range map[string]string{
		"compose.yml": "services: [", "taskdef.json": "{", "main.go": "package main", "docker-compose.yaml": "services: 7",
	} {
		if got, err := containercheck.Read(file, []byte(content)); err == nil || !strings.HasPrefix(err.Error(), file) {
			t.Errorf("%s: %v, %v", file, got, err)
		}
	}
}

func TestPrograms(t *testing.T) {
	t.Parallel()
	shell := func(line string) containercheck.Check {
		return containercheck.Check{Words: []string{line}, Shell: true}
	}
	words := func(words ...string) containercheck.Check { return containercheck.Check{Words: words} }
	for _, test := range []struct {
		check containercheck.Check
		want  [][]string
	}{
		{words("curl", "-f", "http://localhost/"), [][]string{{"curl"}}},
		{words("/app", "hc"), [][]string{{"/app"}}},
		{words("sh", "-c", "curl -f localhost || exit 1"), [][]string{{"sh", "curl"}}},
		{words("timeout", "5", "curl", "localhost"), [][]string{{"timeout", "curl"}}},
		{shell("curl -f http://localhost:3000/health || exit 1"), [][]string{{"/bin/sh", "curl"}}},
		{shell("curl -sf localhost >/dev/null 2>&1 || wget -q localhost || exit 1"), [][]string{{"/bin/sh", "curl"}, {"/bin/sh", "wget"}}},
		{shell(`curl -s "http://localhost/a;b" | grep -q ok && test -f /tmp/up`), [][]string{{"/bin/sh", "curl", "grep"}}},
		{shell("TOKEN=x curl localhost"), [][]string{{"/bin/sh", "curl"}}},
		{shell("if ! nc -z localhost 80; then exit 1; fi"), [][]string{{"/bin/sh", "nc"}}},
		{shell("curl localhost || true"), nil},
		{shell("test -f /tmp/up"), nil},
		{shell("$CHECK || exit 1"), nil},
		{words("$CHECK"), nil},
		{shell(""), nil},
	} {
		got := test.check.Programs()
		if !slices.EqualFunc(got, test.want, slices.Equal[[]string]) {
			t.Errorf("%q: %q, want %q", test.check.Words, got, test.want)
		}
	}
}

func TestAsks(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]containercheck.Asked{
		"wget -q --spider http://localhost:3000/health || exit 1": {Host: "localhost", Port: "3000", Path: "/health"},
		"curl -kf https://127.0.0.1/":                             {Secure: true, Host: "127.0.0.1", Port: "443", Path: "/"},
		`node -e "fetch('http://localhost:8080')"`:                {Host: "localhost", Port: "8080", Path: "/"},
		"curl http://localhost:$PORT/up":                          {Host: "localhost", Path: "/"},
		"pg_isready -U app":                                       {},
	} {
		c := containercheck.Check{Words: []string{line}, Shell: true}
		if got, ok := c.Asks(); got != want || ok != (want != containercheck.Asked{}) {
			t.Errorf("%s: %+v, %v", line, got, ok)
		}
	}
}

// TestBrief: what is shown of a command has no password.
func TestBrief(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"curl -f http://localhost:8000/health || exit 1":                           "/bin/sh curl http://localhost:8000/health",
		"curl -H 'Authorization: Bearer s3cret' http://localhost/up?token=s3cret":  "/bin/sh curl http://localhost:80/up",
		"curl -f http://health:s3cret@localhost/ || wget -q http://localhost:8000": "/bin/sh curl, or /bin/sh wget",
		"redis-cli -a s3cret ping":                                                 "/bin/sh redis-cli",
		"PGPASSWORD=s3cret psql -c 'select 1'":                                     "/bin/sh psql",
	} {
		c := containercheck.Check{Words: []string{line}, Shell: true}
		if got := c.Brief(); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	c := containercheck.Check{Words: []string{"/bin/busybox", "wget", "-q", "http://localhost/"}}
	if c.Starts("busybox", "wget") || !c.Starts("/bin/busybox", "wget") {
		t.Error("busybox is not told by its name")
	}
}

// FuzzRead: what is no definition is an error at most, and what is one can be
// asked for its programs.
func FuzzRead(f *testing.F) {
	f.Add("Dockerfile", "FROM a\nHEALTHCHECK CMD curl x || wget y\nSTOPSIGNAL 3")
	f.Add("compose.yaml", "services: {a: {healthcheck: {test: [CMD, sh, -c, 'x']}}}")
	f.Add("taskdef.json", `{"containerDefinitions": [{"healthCheck": {"command": ["CMD-SHELL", "curl \"$X"]}}]}`)
	f.Fuzz(func(t *testing.T, name, content string) {
		all, err := containercheck.Read(name, []byte(content))
		if err != nil {
			return
		}
		for _, d := range all {
			if d.Check == nil {
				continue
			}
			for _, way := range d.Check.Programs() {
				if len(way) == 0 {
					t.Errorf("%q: a way without a program", d.Check.Words)
				}
			}
			d.Check.Asks()
			d.Check.Brief()
		}
	})
}
