package config_test

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/disk"
	"hale/checks/page"
	"hale/health"
	"hale/internal/checktype"
	"hale/internal/config"
)

// checksOf reads a list of checks, with a few templates above it.
func checksOf(t *testing.T, list string) []config.Check {
	t.Helper()
	return parse(t, `
app: {url: "http://127.0.0.1:8000"}
health:
  templates:
    slow: {interval: 60s, timeout: 20s, impact: degraded}
    quick: {interval: 1s, profile: deep, depends_on: base}
    web: {type: page, path: /a, headers: {A: "1", B: "1"}}
    english: {headers: {B: "2", Accept-Language: en}}
    full: {type: disk, paths: [/, /var]}
  checks:
    - {name: base, type: memory}
`+list).Health.Checks[1:]
}

func TestTemplates(t *testing.T) {
	for _, tt := range []struct {
		name, check string
		ok          func(*config.Check) bool
	}{
		{"its keys", "{name: a, type: memory, template: slow}", func(c *config.Check) bool {
			return c.Interval == time.Minute && c.Timeout == 20*time.Second && c.Impact == health.Degraded && c.Rise == 1
		}},
		{"the check's own keys win", "{name: a, type: memory, template: slow, timeout: 3s, impact: critical}", func(c *config.Check) bool {
			return c.Interval == time.Minute && c.Timeout == 3*time.Second && c.Impact == health.Critical
		}},
		{"the later template wins", "{name: a, type: memory, template: [slow, quick]}", func(c *config.Check) bool {
			return c.Interval == time.Second && c.Timeout == 20*time.Second && c.Profile[0] == "deep" && c.DependsOn[0] == "base"
		}},
		{"whichever is later", "{name: a, type: memory, template: [quick, slow]}", func(c *config.Check) bool { return c.Interval == time.Minute }},
		{"its type and options", "{name: a, template: web}", func(c *config.Check) bool {
			p := c.Options.(*page.Check)
			return c.Type == "page" && p.Path == "/a" && p.URL == "http://127.0.0.1:8000"
		}},
		{"mappings are put together", "{name: a, template: [web, english], headers: {A: \"3\"}}", func(c *config.Check) bool {
			return maps.Equal(c.Options.(*page.Check).Headers, map[string]string{"A": "3", "B": "2", "Accept-Language": "en"})
		}},
		{"lists are not", "{name: a, template: full, paths: [/srv]}", func(c *config.Check) bool {
			return slices.Equal(c.Options.(*disk.Check).Paths, []string{"/srv"})
		}},
		{"the order of keys makes no difference", "{impact: critical, template: slow, type: memory, name: a}", func(c *config.Check) bool { return c.Impact == health.Critical }},
		{"beside a merge key, which wins", "{<<: {interval: 2s}, name: a, type: memory, template: slow}", func(c *config.Check) bool {
			return c.Interval == 2*time.Second && c.Timeout == 20*time.Second
		}},
		{"named by a merge key", "{<<: {template: slow}, name: a, type: memory}", func(c *config.Check) bool { return c.Interval == time.Minute }},
		{"of a member", "{name: g, any: [{name: a, template: full}]}", func(c *config.Check) bool {
			return slices.Equal(c.Any[0].Options.(*disk.Check).Paths, []string{"/", "/var"})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if c := checksOf(t, "    - "+tt.check+"\n")[0]; !tt.ok(&c) {
				t.Errorf("%+v %+v", c, c.Options)
			}
		})
	}
}

// Two checks of one template do not share what they have from it.
func TestTemplatesAreCopied(t *testing.T) {
	all := checksOf(t, "    - {name: a, template: web, headers: {C: x}}\n    - {name: b, template: web}\n")
	a, b := all[0].Options.(*page.Check), all[1].Options.(*page.Check)
	if len(a.Headers) != 3 || len(b.Headers) != 2 {
		t.Errorf("headers %v and %v", a.Headers, b.Headers)
	}
}

func TestBuildGroups(t *testing.T) {
	closed := 0
	types := []checktype.Type{{Name: "plain", New: func(checktype.Site) checks.Check { return &closing{closed: &closed} }}}
	text := `
health:
  checks:
    - name: outer
      scope: shared
      rise: 2
      profile: [deep]
      depends_on: base
      any:
        - {name: a, type: plain, answer: yes, interval: 3s, rise: 4}
        - name: inner
          all:
            - {name: b, type: plain, answer: no}
    - {name: base, type: plain, answer: yes, profile: startup}
`
	c, err := config.Parse("hale.yaml", []byte(text), config.Options{Types: types})
	if err != nil {
		t.Fatal(err)
	}
	built, closeAll := c.BuildChecks()
	results := health.RunOnce(t.Context(), nil, built...)
	var names []string
	for _, r := range results {
		names = append(names, r.Group+"/"+r.Name+"="+r.Output)
	}
	if want := []string{"/outer=2 of 2 pass", "outer/a=yes", "outer/inner=1 of 1 pass", "inner/b=no", "/base=yes"}; !slices.Equal(names, want) {
		t.Errorf("results %q, want %q", names, want)
	}
	outer := built[0]
	outer.Any, outer.Run = nil, nil
	if want := (health.Check{Name: "outer", Scope: health.Shared, Rise: 2, Fall: 1, DependsOn: []string{"base"}, Profiles: []string{"deep"}}); !reflect.DeepEqual(outer, want) {
		t.Errorf("got %+v, want %+v", outer, want)
	}
	if a := built[0].Any[0]; a.Interval != 3*time.Second || a.Rise != 4 {
		t.Errorf("%+v", a)
	}
	m, err := health.NewMonitor(health.Options{}, built...)
	if err != nil {
		t.Fatalf("a monitor refuses them: %v", err)
	}
	if got := m.Endpoints(); !slices.Equal(got, []string{"deep"}) {
		t.Errorf("endpoints %q", got)
	}
	if err := closeAll(); err != nil || closed != 3 {
		t.Errorf("closed %d: %v", closed, err)
	}
}

// What hale.yaml takes, the monitor takes too: names, dependencies, profiles,
// groups. Each row is refused or taken by both.
func TestTheMonitorAgrees(t *testing.T) {
	run := func(context.Context) (string, error) { return "", nil }
	for _, word := range []string{"ready", "startup", "deep", "each-hour", "d2_", "live", "checks", "metrics", "", "Deep", "2d", "deep/er", "d p", "redy", "startp", "liv"} {
		_, err := config.Parse("hale.yaml", []byte("health: {checks: [{name: a, type: memory, profile: '"+word+"'}]}"), config.Options{})
		_, monitorErr := health.NewMonitor(health.Options{}, health.Check{Name: "a", Run: run, Profiles: []string{word}})
		if (err == nil) != (monitorErr == nil) {
			t.Errorf("profile %q: %v here, %v there", word, err, monitorErr)
		}
	}
}
