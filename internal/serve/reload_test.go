package serve

import (
	"slices"
	"testing"

	"hale/internal/config"
)

func TestUnchangedChecks(t *testing.T) {
	parse := func(yaml string) *config.Config {
		t.Helper()
		c, err := config.Parse("hale.yaml", []byte(yaml), config.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	old := parse(`
health:
  checks:
    - {name: same, type: tcp, address: "127.0.0.1:1"}
    - {name: other address, type: tcp, address: "127.0.0.1:1"}
    - {name: other interval, type: tcp, address: "127.0.0.1:1", interval: 1s}
    - {name: other type, type: tcp, address: "127.0.0.1:1"}
    - {name: sql, type: sql, url: "sqlite:x.db"}
    - {name: gone, type: tcp, address: "127.0.0.1:1"}
    - {name: same group, any: [{name: same member, type: tcp, address: "127.0.0.1:1"}]}
    - name: other group
      all: [{name: of another, type: tcp, address: "127.0.0.1:1"}, {name: changed, type: tcp, address: "127.0.0.1:1"}]
    - {name: any or all, any: [{name: of any, type: tcp, address: "127.0.0.1:1"}]}
    - {name: other needs, type: tcp, address: "127.0.0.1:1"}
    - {name: other profile, type: tcp, address: "127.0.0.1:1", profile: deep}
`)
	now := parse(`
health:
  checks:
    - {name: new, type: tcp, address: "127.0.0.1:1"}
    - {name: sql, type: sql, url: "sqlite:x.db"}
    - {name: other type, type: file, path: /}
    - {name: other interval, type: tcp, address: "127.0.0.1:1", interval: 2s}
    - {name: other address, type: tcp, address: "127.0.0.1:2"}
    - {name: same, type: tcp, address: "127.0.0.1:1"}
    - {name: same group, any: [{name: same member, type: tcp, address: "127.0.0.1:1"}]}
    - name: other group
      all: [{name: of another, type: tcp, address: "127.0.0.1:1"}, {name: changed, type: tcp, address: "127.0.0.1:2"}]
    - {name: any or all, all: [{name: of any, type: tcp, address: "127.0.0.1:1"}]}
    - {name: other needs, type: tcp, address: "127.0.0.1:1", depends_on: same}
    - {name: other profile, type: tcp, address: "127.0.0.1:1", profile: ready}
`)
	// What the check keeps between runs does not count.
	checks, closeChecks := old.BuildChecks()
	for _, c := range checks {
		if c.Name == "sql" {
			_, _ = c.Run(t.Context())
		}
	}
	defer func() { _ = closeChecks() }()
	if got, want := unchangedChecks(old, now), []string{"sql", "same", "same group", "same member", "of another", "of any"}; !slices.Equal(got, want) {
		t.Errorf("unchanged: %q, want %q", got, want)
	}
}
