// Package house holds the rules of ARCHITECTURE.md that the compiler does not.
package house

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// floors are the house from top to bottom. A package may import only packages
// of floors below its own, or of its own where peers is set.
var floors = []struct {
	name  string
	peers bool
	rooms []string // a trailing /... takes the packages below too
}{
	{"main", false, []string{"cmd/hale"}},
	{"commands", false, []string{"internal/command"}},
	{"the demo", false, []string{"internal/demo"}},
	{"jobs", false, []string{"internal/serve", "internal/detect", "internal/doctor/...", "internal/balance", "internal/listen", "internal/manual"}},
	{"configuration", false, []string{"internal/config"}},
	{"the table of checks", false, []string{"internal/checktype"}},
	{"the balancer", true, []string{"internal/balancer/...", "internal/elbapi/...", "internal/autoscaling/..."}},
	{"evidence", true, []string{"internal/machine/...", "internal/probe", "internal/targetgroup"}},
	{"checks", true, []string{"checks/...", "internal/proc/...", "internal/listenqueue"}},
	{"the engine", true, []string{"internal/proxy/...", "internal/upstream", "internal/uwsgi"}},
	{"example sites", false, []string{"examples/gosite/..."}},
	{"rules and machinery", false, []string{"health", "gateway", "instance", "internal/elb/...", "internal/handover", "internal/logfile", "internal/relay", "internal/statefile", "internal/supervise", "internal/systemd"}},
	{"the machine", false, []string{"internal/account", "internal/awsprofile", "internal/explain", "internal/inturn", "internal/ownname", "internal/yamlfile", "docs"}},
}

type listed struct {
	ImportPath, Name, Doc string
	Standard              bool
	Imports, GoFiles      []string
	Module                *struct{ Path string }
}

func TestImportsRunDownwards(t *testing.T) {
	for _, p := range list(t, "-json=ImportPath,Imports", "./...") {
		from := floorOf(p.ImportPath)
		if from < 0 {
			if !outside(p.ImportPath) {
				t.Errorf("%s has no floor in this test's table: give it one, and a line in ARCHITECTURE.md", p.ImportPath)
			}
			continue
		}
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, "hale/") {
				continue
			}
			to := floorOf(imported)
			if to < from || to == from && !floors[from].peers && imported != p.ImportPath && !sameRoom(p.ImportPath, imported) {
				t.Errorf("%s (%s) imports %s, which is not below it", p.ImportPath, floors[from].name, imported)
			}
		}
	}
}

func TestTheLibraryNeedsTheStandardLibraryAlone(t *testing.T) {
	for _, room := range []string{"hale/health", "hale/gateway"} {
		for _, p := range list(t, "-deps", "-json=ImportPath,Standard", room) {
			if !p.Standard && p.ImportPath != room {
				t.Errorf("%s reaches %s", room, p.ImportPath)
			}
		}
	}
}

func TestEachPackageSaysWhatItIs(t *testing.T) {
	for _, p := range list(t, "-json=ImportPath,Doc,Name,GoFiles", "./...") {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		for _, bad := range []string{"util", "utils", "common", "helper", "helpers", "manager", "misc", "types"} {
			if p.Name == bad {
				t.Errorf("%s: %q says nothing of what lives there", p.ImportPath, bad)
			}
		}
	}
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func floorOf(path string) int {
	room := strings.TrimPrefix(path, "hale/")
	return slices.IndexFunc(floors, func(f struct {
		name  string
		peers bool
		rooms []string
	},
	) bool {
		return slices.ContainsFunc(f.rooms, func(r string) bool { return inRoom(r, room) })
	})
}

func inRoom(pattern, room string) bool {
	base, below := strings.CutSuffix(pattern, "/...")
	return room == base || below && strings.HasPrefix(room, base+"/")
}

// sameRoom tells whether both packages belong to one table entry: a room and
// the rooms within it.
func sameRoom(a, b string) bool {
	a, b = strings.TrimPrefix(a, "hale/"), strings.TrimPrefix(b, "hale/")
	return strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// outside are the packages that are no part of the house: tests, benchmarks,
// generators and examples' mains.
func outside(path string) bool {
	for _, p := range []string{"hale/test/", "hale/bench", "hale/tools", "hale/internal/config/"} {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}
