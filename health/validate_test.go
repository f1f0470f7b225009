package health_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"hale/health"
)

func TestNewMonitorRefusesCompositions(t *testing.T) {
	check := func(name string, needs ...string) health.Check {
		return health.Check{Name: name, Run: pass, DependsOn: needs}
	}
	profile := func(p string) []health.Check {
		return []health.Check{{Name: "a", Run: pass, Profiles: []string{p}}}
	}
	nested := check("a")
	for i := range 9 {
		nested = health.Check{Name: fmt.Sprint("g", i), All: []health.Check{nested}}
	}
	for _, tt := range []struct {
		name   string
		checks []health.Check
		want   string
	}{
		{"a name of no check", []health.Check{check("page", "databse"), check("database")}, `check "page": DependsOn: "databse" is no check; did you mean "database"?`},
		{"nothing near", []health.Check{check("page", "x"), check("database")}, `check "page": DependsOn: "x" is no check`},
		{"itself", []health.Check{check("page", "page")}, `check "page": DependsOn: "page" is the check itself`},
		{"twice", []health.Check{check("page", "db", "db"), check("db")}, `check "page": DependsOn: "db" is there twice`},
		{"a circle", []health.Check{check("a", "b"), check("b", "c"), check("c", "a"), check("d", "a")}, `check "a": DependsOn: "b" leads back to it: a -> b -> c -> a`},
		{"two circles", []health.Check{check("a", "b", "c"), check("b", "a"), check("c", "a")}, "check \"a\": DependsOn: \"b\" leads back to it: a -> b -> a\ncheck \"a\": DependsOn: \"c\" leads back to it: a -> c -> a"},
		{"a member", []health.Check{check("page", "replica"), {Name: "db", Any: []health.Check{check("replica")}}}, `check "page": DependsOn: "replica" is a member of the group "db"; depend on the group`},
		{"any and all", []health.Check{{Name: "g", Any: []health.Check{check("a")}, All: []health.Check{check("b")}}}, `check "g": both Any and All are set: a group is one of them; put one into the other`},
		{"a group that asks", []health.Check{{Name: "g", Run: pass, All: []health.Check{check("b")}}}, `check "g": a group asks nothing itself: set Run, Any or All, not two of them`},
		{"a group with an interval", []health.Check{{Name: "g", Interval: 1, All: []health.Check{check("b")}}}, `check "g": a group has no interval and no time-out: set those of its members`},
		{"a member's impact", []health.Check{{Name: "g", All: []health.Check{{Name: "b", Run: pass, Impact: health.Degraded}}}}, `check "b": Impact is the group's to say: it is a member of "g", and only the group counts`},
		{"a member's scope", []health.Check{{Name: "g", All: []health.Check{{Name: "b", Run: pass, Scope: health.Shared}}}}, `check "b": Scope is the group's to say: it is a member of "g", and only the group counts`},
		{"a member's profile", []health.Check{{Name: "g", All: []health.Check{{Name: "b", Run: pass, Profiles: []string{"deep"}}}}}, `check "b": Profiles is the group's to say: it is a member of "g", and only the group counts`},
		{"a member that depends", []health.Check{check("a"), {Name: "g", All: []health.Check{check("b", "a")}}}, `check "b": DependsOn is the group's to say: it is a member of "g", and only the group counts`},
		{"a member's name again", []health.Check{check("a"), {Name: "g", All: []health.Check{check("a")}}}, `check "a": another check has the same name`},
		{"a member that cannot work", []health.Check{{Name: "g", All: []health.Check{{Name: "b"}}}}, `check "b": nothing to run: set Run`},
		{"too deep", []health.Check{nested}, `check "g1": groups lie more than 8 deep within groups`},
		{"liveness", profile("live"), `check "a": Profiles: "live" is not to be had: /health/live depends on no check, since what answers a failure there is a restart, which mends nothing outside the process; use ready`},
		{"a path of its own", profile("checks"), `check "a": Profiles: "checks" is a path of its own; choose another word`},
		{"a misspelt profile", profile("redy"), `check "a": Profiles: "redy" would be an endpoint of its own; did you mean ready?`},
		{"no word", profile("Deep/x"), `check "a": Profiles: "Deep/x" is no lower-case word; write ready, startup, or a word of your own such as deep, which becomes the path /health/deep (at most 40 of a-z, 0-9, - and _, a letter first)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := health.NewMonitor(health.Options{}, tt.checks...)
			if err == nil || err.Error() != tt.want {
				t.Errorf("error\n%v\nwant\n%v", err, tt.want)
			}
			if wrong, ok := errors.AsType[*health.CheckError](err); !ok || wrong.Check == "" || wrong.Field == "" {
				t.Errorf("%T %+v", err, wrong)
			}
			health.RunOnce(t.Context(), nil, tt.checks...) // comes to an end
		})
	}
}

func FuzzDependencies(f *testing.F) {
	f.Add("ab bc ca")
	f.Add("ab ab aa")
	f.Add("abcd bd cd")
	f.Fuzz(func(t *testing.T, graph string) {
		var checks []health.Check
		for word := range strings.FieldsSeq(graph) {
			c := health.Check{Name: word[:1], Run: func(context.Context) (string, error) { return "", nil }}
			for _, need := range word[1:] {
				c.DependsOn = append(c.DependsOn, string(need))
			}
			checks = append(checks, c)
		}
		if len(checks) > 50 {
			t.Skip("slow, and no other than fewer")
		}
		_, _ = health.NewMonitor(health.Options{}, checks...)
		if results := health.RunOnce(t.Context(), nil, checks...); len(results) != len(checks) {
			t.Errorf("%d results of %d checks", len(results), len(checks))
		}
	})
}
