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
