package doctor

import (
	"slices"
	"testing"

	"hale/internal/machine"
	"hale/internal/machine/containercheck"
)

// TestWhoseDefinition: of the definitions that lie with an app, its own
// container's are taken, and what overrides the others comes first.
func TestWhoseDefinition(t *testing.T) {
	t.Parallel()
	const app, ours = 8000, "web"
	one := func(kind containercheck.Kind, name, file string, ports ...int) definition {
		return definition{containercheck.Definition{Kind: kind, Name: name, Ports: ports}, file}
	}
	image := one(containercheck.Dockerfile, "", "Dockerfile")
	worker := one(containercheck.Dockerfile, "", "Dockerfile.worker")
	web, store := one(containercheck.Compose, ours, "compose.yaml", app), one(containercheck.Compose, "store", "compose.yaml", 6379)
	built, pulled := one(containercheck.Compose, ours, "compose.yaml"), one(containercheck.Compose, "store", "compose.yaml")
	built.Builds = true
	off := web
	off.NoCheck = true
	task, side := one(containercheck.Task, ours, "taskdef.json", app), one(containercheck.Task, "log", "taskdef.json", 24224)
	for _, test := range []struct {
		name          string
		all           []definition
		by            machine.Container
		checks, stops []string // the files
	}{
		{"nothing", nil, machine.Docker, nil, nil},
		{"a Dockerfile", []definition{image}, machine.Docker, []string{"Dockerfile"}, []string{"Dockerfile"}},
		{"two, of which one has the usual name", []definition{image, worker}, machine.Docker, []string{"Dockerfile"}, []string{"Dockerfile"}},
		{"compose goes before", []definition{image, web, store}, machine.Docker, []string{"compose.yaml", "Dockerfile"}, []string{"compose.yaml", "Dockerfile"}},
		{"the one that is built", []definition{built, pulled}, machine.Podman, []string{"compose.yaml"}, []string{"compose.yaml"}},
		{"two, and nothing tells which", []definition{pulled, pulled}, machine.Docker, nil, nil},
		{"compose switches the check off", []definition{image, off, store}, machine.Docker, nil, []string{"compose.yaml", "Dockerfile"}},
		{"ECS heeds the task alone", []definition{image, web, task, side}, machine.ECS, []string{"taskdef.json"}, []string{"Dockerfile"}},
		{"ECS, and the task is not there", []definition{image, web}, machine.ECS, nil, []string{"Dockerfile"}},
		{"in no container, the task is asked first", []definition{image, task}, "", []string{"taskdef.json"}, []string{"Dockerfile"}},
		{"in Docker, the task is another place's", []definition{image, task}, machine.Docker, []string{"Dockerfile"}, []string{"Dockerfile"}},
	} {
		files := func(all []definition) (names []string) {
			for _, d := range all {
				if d.Name != "" && d.Name != ours {
					t.Errorf("%s: took %s", test.name, d.Name)
				}
				names = append(names, d.file)
			}
			return names
		}
		if got := files(checksOf(test.all, test.by, []int{app})); !slices.Equal(got, test.checks) {
			t.Errorf("%s: checks of %v, want %v", test.name, got, test.checks)
		}
		if got := files(stopsOf(test.all, test.by, []int{app})); !slices.Equal(got, test.stops) {
			t.Errorf("%s: stops of %v, want %v", test.name, got, test.stops)
		}
	}
}
