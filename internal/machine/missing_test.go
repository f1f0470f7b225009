package machine

import (
	"slices"
	"strings"
	"testing"
)

func TestMissingVariables(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`KeyError: 'DATABASE_URL'`: "DATABASE_URL",
		`django.core.exceptions.ImproperlyConfigured: Set the SECRET_KEY environment variable`:        "SECRET_KEY",
		`decouple.UndefinedValueError: REDIS_URL not found. Declare it as envvar or define a default`: "REDIS_URL",
		"ENV.fetch': key not found: \"PGHOST\" (KeyError)":                                            "PGHOST",
		"django.core.exceptions.ImproperlyConfigured: The SECRET_KEY setting must not be empty.":      "SECRET_KEY",
		"Missing `secret_key_base` for 'production' environment":                                      "secret_key_base",
		"/srv/start.sh: line 3: DB_HOST: unbound variable":                                            "DB_HOST",
		"start.sh: 4: PORT: parameter not set":                                                        "PORT",
		`Could not resolve placeholder 'spring.datasource.url' in value "${spring.datasource.url}"`:   "spring.datasource.url",
		"required key STRIPE_KEY missing value":                                                       "STRIPE_KEY",
		"Error: Environment variable DATABASE_URL is not set":                                         "DATABASE_URL",
		"Error: Missing required environment variable: API_TOKEN":                                     "API_TOKEN",
		"panic: PORT must be set":                                                                     "PORT",
		"Error: JWT_SECRET is required":                                                               "JWT_SECRET",
		`env: required environment variable "HOME_PAGE" is not set`:                                   "HOME_PAGE",
		"KeyError: 'user_id'":                 "",
		"ReferenceError: HTTP is not defined": "",
		"ReferenceError: foo is not defined":  "",
		"the environment is required":         "",
		"GET /health 200":                     "",
	} {
		var got []string
		for _, v := range MissingVariables([]string{"before", line, line}) {
			got = append(got, v.Name)
			if v.Line != line {
				t.Errorf("%s: said by %q", v.Name, v.Line)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", line, got, want)
		}
	}
	got := MissingVariables([]string{"KeyError: 'A_B'", "KeyError: 'C_D'", "KeyError: 'A_B'"})
	if !slices.Equal(got, []Variable{{"A_B", "KeyError: 'A_B'"}, {"C_D", "KeyError: 'C_D'"}}) {
		t.Errorf("%+v", got)
	}
}

// TestMissingKeys: dictionaries of Python's have keys like variables; the traceback
// tells of which it is. Others say what they go on without.
func TestMissingKeys(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		lines []string
		want  int
	}{
		{"of the environment", []string{`  File "/srv/wsgi.py", line 3, in <module>`, `    key = os.environ['TOTAL']`, `  File "/usr/lib/python3.11/os.py", line 679, in __getitem__`, `    raise KeyError(key) from None`, `KeyError: 'TOTAL'`}, 1},
		{"of the environment, in one frame", []string{`  File "/srv/wsgi.py", line 3, in <module>`, `    key = os.environ['TOTAL']`, `KeyError: 'TOTAL'`}, 1},
		{"of a row", []string{`Traceback (most recent call last):`, `  File "/srv/views.py", line 3, in health`, `    return row['TOTAL']`, `KeyError: 'TOTAL'`}, 0},
		{"of an earlier traceback", []string{`    key = os.environ['KEY']`, `KeyError: 'KEY_ID'`, `  File "/srv/views.py", line 3, in health`, `KeyError: 'TOTAL'`}, 1},
		{"a warning", []string{`WARN: SENTRY_DSN is not set`}, 0},
		{"what is off", []string{`SENTRY_DSN not set, error reporting disabled`}, 0},
	} {
		if got := MissingVariables(test.lines); len(got) != test.want {
			t.Errorf("%s: %v, want %d", test.name, got, test.want)
		}
	}
}
