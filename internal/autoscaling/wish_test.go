package autoscaling_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hale/internal/autoscaling"
)

func TestGroupsAreAsWished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wish := func(name string, size int) autoscaling.Wish {
		return autoscaling.Wish{Name: name, TargetGroups: []string{blue}, Settings: autoscaling.Settings{
			Min: &size, Max: new(9), Template: &autoscaling.TemplateRef{Name: "web"},
		}}
	}
	apply := func(want string, wishes ...autoscaling.Wish) {
		t.Helper()
		var changes []autoscaling.Change
		w.must(func(e *autoscaling.Edit) (err error) {
			changes, err = e.Apply(wishes)
			return err
		})
		w.settle()
		var told []string
		for _, c := range changes {
			told = append(told, strings.TrimSpace(fmt.Sprint(c.Verb, " ", c.Group, " ", c.Detail)))
		}
		if got := strings.Join(told, "; "); got != want {
			t.Errorf("changes %q, want %q", got, want)
		}
	}
	apply("create web; create other", wish("web", 2), wish("other", 0))
	w.want("InService InService")
	apply("", wish("web", 2), wish("other", 0))

	// What the API changes stays while the file says the same.
	w.must(func(e *autoscaling.Edit) error { return e.SetDesired("web", 3, false) })
	apply("", wish("web", 2), wish("other", 0))
	w.want("InService InService InService")

	changed := wish("web", 4)
	changed.TargetGroups = []string{green}
	changed.HealthCheckType, changed.Grace = new("ELB"), new(time.Minute)
	changed.Tags = []autoscaling.Tag{{Key: "team", Value: "a"}}
	changed.Hooks = []autoscaling.Hook{{Name: "save", Transition: autoscaling.Leaving}}
	apply("modify web DesiredCapacity 3 -> 4, HealthCheckGracePeriod 0s -> 1m0s, HealthCheckType EC2 -> ELB, Hooks, MinSize 2 -> 4, Tags, TargetGroups", changed, wish("other", 0))
	if g := w.group(); len(g.Sources) != 1 || g.Sources[0].ARN != green || len(g.Hooks) != 1 || len(g.Tags) != 1 {
		t.Errorf("target groups %v, hooks %v, tags %v", g.Sources, g.Hooks, g.Tags)
	}
	apply("modify web HealthCheckGracePeriod 1m0s -> 0s, HealthCheckType ELB -> EC2, Hooks, MinSize 4 -> 1, Tags, TargetGroups", wish("web", 1), wish("other", 0))
	w.want("InService InService InService InService") // the capacity is left to the API

	// What the API made is not the file's, nor touched.
	w.must(func(e *autoscaling.Edit) error {
		_, err := e.CreateGroup("theirs", autoscaling.Settings{Min: new(0), Max: new(1), Template: &autoscaling.TemplateRef{Name: "web"}})
		return err
	})
	if err := w.edit(func(e *autoscaling.Edit) error {
		_, err := e.Apply([]autoscaling.Wish{wish("theirs", 0)})
		return err
	}); err == nil || !strings.Contains(err.Error(), "made through the API") {
		t.Errorf("error %v", err)
	}
	apply("delete other; delete web")
	if names := w.state.Names(); len(names) != 1 || names[0] != "theirs" {
		t.Errorf("groups %q are left", names)
	}
}

func TestWishesThatCannotBeMet(t *testing.T) {
	t.Parallel()
	web := autoscaling.Settings{Min: new(0), Max: new(1), Template: &autoscaling.TemplateRef{Name: "web"}}
	for _, test := range []struct {
		name   string
		wishes []autoscaling.Wish
	}{
		{"one group twice", []autoscaling.Wish{{Name: "a", Settings: web}, {Name: "a", Settings: web}}},
		{"no template", []autoscaling.Wish{{Name: "a", Settings: autoscaling.Settings{Min: new(0), Max: new(1)}}}},
		{"no such target group", []autoscaling.Wish{{Name: "a", Settings: web, TargetGroups: []string{"arn:nope"}}}},
		{"a hook of no transition", []autoscaling.Wish{{Name: "a", Settings: web, Hooks: []autoscaling.Hook{{Name: "h"}}}}},
	} {
		w := newWorld(t)
		if err := w.edit(func(e *autoscaling.Edit) error {
			_, err := e.Apply(test.wishes)
			return err
		}); err == nil {
			t.Errorf("%s: no refusal", test.name)
		}
	}
}
