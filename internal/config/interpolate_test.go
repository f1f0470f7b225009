package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"hale/internal/config"
)

// TestVariables reads a text as app.user, which takes any.
func TestVariables(t *testing.T) {
	env := map[string]string{"NAME": "value", "EMPTY": "", "MONEY": "a$NAME ${NAME} $$", "YAML": "x\nlisten: :1 # {[", "_x9": "under"}
	tests := []struct{ name, text, want, wrong string }{
		{"nothing to do", "www-data", "www-data", ""},
		{"a variable", "${NAME}", "value", ""},
		{"within a text", "a-${NAME}-${_x9}", "a-value-under", ""},
		{"an empty one", "a${EMPTY}b", "ab", ""},
		{"a value is not looked through", "${MONEY}", "a$NAME ${NAME} $$", ""},
		{"a value adds no key", "${YAML}", "x\nlisten: :1 # {[", ""},
		{"a bare name", "$NAME", "$NAME", ""},
		{"a dollar sign alone", "^a$", "^a$", ""},
		{"a password", "pa$word$1", "pa$word$1", ""},
		{"an escaped brace", "$${NAME}", "${NAME}", ""},
		{"an escaped dollar sign", "a$$b", "a$b", ""},
		{"an escaped one before a variable", "$$${NAME}", "$value", ""},
		{"a default not needed", "${NAME:-other}", "value", ""},
		{"a default for an unset one", "${UNSET:-other}", "other", ""},
		{"a default for an empty one", "${EMPTY:-other}", "other", ""},
		{"an empty default", "a${UNSET:-}", "a", ""},
		{"a default with punctuation", "${UNSET:-http://a:1/?b=c:-d}", "http://a:1/?b=c:-d", ""},
		{"a default with a variable", "${UNSET:-${NAME}!}", "value!", ""},
		{"defaults within defaults", "${UNSET:-${EMPTY:-${UNSET:-deep}}}", "deep", ""},
		{"a default that is not needed need not work", "${NAME:-${UNSET}}", "value", ""},
		{"a message not needed", "${NAME:?must be set}", "value", ""},
		{"unset", "${UNSET}", "", "${UNSET} is not set in the environment; set it, or write ${UNSET:-default}"},
		{"unset in a default", "${EMPTY:-${UNSET}}", "", "${UNSET} is not set in the environment; set it, or write ${UNSET:-default}"},
		{"unset with a message", "${UNSET:?see the wiki}", "", "${UNSET} is not set: see the wiki"},
		{"empty with a message", "${EMPTY:?see the wiki}", "", "${EMPTY} is not set: see the wiki"},
		{"never closed", "${NAME", "", "${ is never closed; write ${NAME}, or $${ for the two characters themselves"},
		{"never closed within", "${UNSET:-${NAME}", "", "${ is never closed; write ${NAME}, or $${ for the two characters themselves"},
		{"no name", "${}", "", "${} names no variable; write ${NAME}, or $${ for the two characters themselves"},
		{"a number", "${1}", "", "${1} names no variable; write ${NAME}, or $${ for the two characters themselves"},
		{"an unknown operator", "${NAME:+x}", "", "${NAME:+x} is not understood; write ${NAME}, ${NAME:-default} or ${NAME:?message}"},
		{"a hyphen alone", "${UNSET-x}", "", "${UNSET-x} is not understood; write ${UNSET}, ${UNSET:-default} or ${UNSET:?message}"},
		{"too deep", strings.Repeat("${UNSET:-", 30) + strings.Repeat("}", 30), "", "variables are nested more than 16 deep"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			yaml := fmt.Sprintf("app: {user: '%s'}\n", test.text)
			c, err := config.Parse("hale.yaml", []byte(yaml), config.Options{Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
			if test.wrong != "" {
				if want := "hale.yaml:1:13: app.user: " + test.wrong; err == nil || err.Error() != want {
					t.Errorf("got  %v\nwant %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.App.User != test.want {
				t.Errorf("got %q, want %q", c.App.User, test.want)
			}
		})
	}
}

func TestVariablesCannotGrowForEver(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	text := "app: {user: '" + strings.Repeat("${LONG}", 100) + "'}\n"
	_, err := config.Parse("hale.yaml", []byte(text), config.Options{Env: func(string) (string, bool) { return long, true }})
	if err == nil || !strings.HasSuffix(err.Error(), "is longer than 1 MiB with its variables filled in") {
		t.Errorf("%.200v", err)
	}
}

func TestEnvFile(t *testing.T) {
	const text = `
app:
  url: ${URL}
  user: ${USER}
  env_file: ${WHERE}/env
health:
  checks: [{name: settings, type: env, names: [USER, FROM_FILE]}]
`
	env := map[string]string{"WHERE": "conf", "USER": "from environment"}
	read := 0
	options := config.Options{
		Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		EnvFile: func(name string) (map[string]string, error) {
			read++
			if name != "/srv/site/conf/env" {
				t.Errorf("reads %s", name)
			}
			return map[string]string{"URL": "unix:///run/app.sock", "USER": "from file", "FROM_FILE": "x", "WHERE": "nowhere"}, nil
		},
	}
	c, err := config.Parse("/srv/site/hale.yaml", []byte(text), options)
	if err != nil {
		t.Fatal(err)
	}
	if c.App.URL != "unix:///run/app.sock" || c.App.User != "from file" || c.App.EnvFile != "/srv/site/conf/env" {
		t.Errorf("%+v", c.App)
	}
	built, _ := c.BuildChecks()
	if output, err := built[0].Run(t.Context()); err != nil {
		t.Errorf("the env check does not see the file's variables: %s, %v", output, err)
	}
	if read != 1 {
		t.Errorf("read %d times", read)
	}

	t.Run("several faults", func(t *testing.T) {
		options.EnvFile = func(string) (map[string]string, error) { return nil, errors.New("env:1: a command\nenv:2: not closed") }
		_, err := config.Parse("hale.yaml", []byte("app: {env_file: env}\n"), options)
		if want := "hale.yaml:1:17: app.env_file: env:1: a command\nhale.yaml:1:17: app.env_file: env:2: not closed"; err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	})
	options.EnvFile = func(string) (map[string]string, error) { return nil, errors.New("open env: permission denied") }
	const unreadable = "hale.yaml:1:17: app.env_file: open env: permission denied"
	for _, c := range []struct{ name, text, want string }{
		{"unreadable, though no variable needs it", "app: {env_file: env}\n", unreadable},
		{"unreadable, but the environment knows", "app: {env_file: env, user: \"${USER}\"}\n", unreadable},
		{
			"unreadable, and nobody knows", "app: {env_file: env, user: \"${OTHER}\"}\n",
			unreadable + "\nhale.yaml:1:28: app.user: ${OTHER} is not set in the environment; set it, or write ${OTHER:-default}; app.env_file could not be read",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := config.Parse("hale.yaml", []byte(c.text), options)
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}
