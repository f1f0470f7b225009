package host_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hale/internal/autoscaling"
	"hale/internal/autoscaling/host"
)

func decode(t *testing.T, text []byte) []autoscaling.Instance {
	t.Helper()
	var kept struct{ State autoscaling.State }
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	var list []autoscaling.Instance
	for _, g := range kept.State.Groups {
		for _, i := range g.Instances {
			if i.State == autoscaling.InService {
				list = append(list, i)
			}
		}
	}
	return list
}

// forget takes an instance back to where it was before its process was noted.
func forget(t *testing.T, dir, id string) {
	t.Helper()
	path := filepath.Join(dir, "autoscaling.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var kept struct {
		Version int
		State   autoscaling.State
	}
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	_, i := kept.State.Instance(id)
	i.Process, i.State = autoscaling.Process{}, autoscaling.Pending
	if text, err = json.Marshal(kept); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAStateThatCannotBeReadIsTold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, content, want string }{
		{"half of a file", `{"Version":1,"State":{"Gro`, "mend the file, or move it away"},
		{"of a later version", `{"Version":2,"State":{}}`, "version 2"},
		{"of another form", `{"Version":1,"State":[]}`, "mend the file, or move it away"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "autoscaling.json"), []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := host.Open(host.Options{StateDir: dir})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestADirectoryHasOneHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir)
	if _, err := host.Open(host.Options{StateDir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another hale balance") {
		t.Errorf("error %v", err)
	}
}

func TestATemplateThatIsWrongIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := host.Open(host.Options{StateDir: dir, Templates: []autoscaling.LaunchTemplate{{Name: "web"}}}); err == nil || !strings.Contains(err.Error(), "launch template web has no command") {
		t.Errorf("error %v", err)
	}
	open(t, dir) // the directory is not held on to
}
