package env_test

import (
	"strings"
	"testing"

	"hale/checks"
	"hale/checks/env"
)

func TestRun(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"SECRET_KEY": "hunter2", "PORT": "8080", "EMPTY": ""}
	lookup := func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
	for _, test := range []struct {
		name         string
		check        env.Check
		output, want string
	}{
		{name: "set", check: env.Check{Names: []string{"SECRET_KEY", "PORT"}}, output: "set: SECRET_KEY, PORT"},
		{name: "matching", check: env.Check{Names: []string{"PORT"}, Matches: checks.MustPattern(`^\d+$`)}, output: "set: PORT"},
		{name: "not set", check: env.Check{Names: []string{"PORT", "DATABASE_URL", "HOST"}}, want: "not set: DATABASE_URL, HOST"},
		{name: "empty", check: env.Check{Names: []string{"EMPTY"}}, want: "empty: EMPTY"},
		{name: "not matching", check: env.Check{Names: []string{"SECRET_KEY", "PORT"}, Matches: checks.MustPattern(`^\d+$`)}, want: `does not match "^\\d+$": SECRET_KEY`},
		{name: "all at once", check: env.Check{Names: []string{"EMPTY", "HOST", "SECRET_KEY"}, Matches: checks.MustPattern("x")}, want: `not set: HOST; empty: EMPTY; does not match "x": SECRET_KEY`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.Lookup = lookup
			if err := test.check.Validate(); err != nil {
				t.Fatal(err)
			}
			output, err := test.check.Run(t.Context())
			if test.want == "" && (err != nil || output != test.output) {
				t.Errorf("got %q, %v; want %q", output, err, test.output)
			}
			if test.want != "" && (err == nil || err.Error() != test.want) {
				t.Errorf("error = %v, want %s", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a value is in %q", err)
			}
		})
	}
}

func TestReadsTheEnvironment(t *testing.T) {
	t.Setenv("HALE_TEST_ENV", "here")
	if _, err := (&env.Check{Names: []string{"HALE_TEST_ENV"}}).Run(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const odd = "names: holds something that is not a variable's name: write the name alone, without = or $"
	for _, test := range []struct {
		names []string
		want  string
	}{
		{nil, "names: is missing: list the variables that must be set"},
		{[]string{"SECRET_KEY=hunter2"}, odd},
		{[]string{"${HOME}"}, odd},
		{[]string{""}, odd},
	} {
		if err := (&env.Check{Names: test.names}).Validate(); err == nil || err.Error() != test.want {
			t.Errorf("%q: error = %v, want %s", test.names, err, test.want)
		}
	}
}
