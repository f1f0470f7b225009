package migrations_test

import (
	"path/filepath"
	"strings"
	"testing"

	"hale/checks/migrations"
	"hale/internal/config"
	"hale/test/servers"
)

// What hale.yaml says of the app reaches the interpreter: the variables of
// app.env_file, and the user.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	servers.NeedDjango(t)
	s := open(t, "sqlite:///"+filepath.Join(t.TempDir(), "db"))
	s.manage("migrate")
	const text = `
app: {env_file: env}
health:
  checks:
    - {name: migrations, type: migrations, tool: django, dir: ., database: "${DATABASE_URL}", timeout: 1m}
`
	parse := func(text string) *config.Config {
		t.Helper()
		c, err := config.Parse(filepath.Join(s.dir, "hale.yaml"), []byte(text), config.Options{
			EnvFile: func(string) (map[string]string, error) {
				return map[string]string{"SECRET_KEY": "from the file", "DATABASE_URL": s.url}, nil
			},
		})
		s.must(err)
		return c
	}
	all, done := parse(text).BuildChecks()
	output, err := all[0].Run(t.Context())
	if err != nil || !strings.HasPrefix(output, "all 19 migrations are applied: ") {
		t.Errorf("%q, %v", output, err)
	}
	s.must(done())

	c := parse(strings.Replace(text, "env_file: env", "env_file: env, command: [gunicorn], url: \"http://127.0.0.1:8000\", user: app", 1))
	if user := c.Health.Checks[0].Options.(*migrations.Check).User; user != "app" {
		t.Errorf("user = %q", user)
	}
}
