package doctor

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"hale/internal/elb"
	"hale/internal/probe"
	"hale/internal/targetgroup"
)

// modeInText is a failure mode's name as sentences about what is not decided
// have it.
var modeInText = regexp.MustCompile(`\(([a-z0-9]+(?:-[a-z0-9]+){2,})\)`)

// TestWhatIsToldIsCatalogued reads the sources of what tells findings: each id
// in them is of a known failure mode.
func TestWhatIsToldIsCatalogued(t *testing.T) {
	t.Parallel()
	ids := map[string]string{} // by where each was seen
	for _, dir := range []string{"../targetgroup", "../elb"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CompositeLit:
					if of, ok := n.Type.(*ast.Ident); ok && (of.Name == "Finding" || of.Name == "Contradiction") {
						for _, e := range n.Elts {
							kv, ok := e.(*ast.KeyValueExpr)
							if !ok {
								t.Errorf("%s: a %s without the names of its fields", name, of.Name)
								continue
							}
							key, ok := kv.Key.(*ast.Ident)
							value, literal := kv.Value.(*ast.BasicLit)
							if ok && literal && key.Name == "ID" {
								id, err := strconv.Unquote(value.Value)
								if err != nil {
									t.Fatal(err)
								}
								ids[id] = name
							}
						}
					}
				case *ast.BasicLit:
					for _, m := range modeInText.FindAllStringSubmatch(n.Value, -1) {
						ids[m[1]] = name
					}
				}
				return true
			})
		}
	}
	for _, expected := range []string{"success-matcher-mismatch", "shutdown-order-502", "ecs-kill-loop"} {
		if ids[expected] == "" {
			t.Errorf("%s was not seen in the sources: does this test still read them?", expected)
		}
	}
	for id, name := range ids {
		if _, ok := findMode(id); !ok {
			t.Errorf("%s has %q, which is no failure mode of the catalogue", name, id)
		}
	}
}

func TestTell(t *testing.T) {
	t.Parallel()
	told := tell(targetgroup.Finding{
		ID: "success-matcher-mismatch", Targets: []string{"10.0.1.5:80"}, What: "the app answers 202", Way: "answer 200",
		Evidence: []targetgroup.Evidence{{Change: "describe-target-health", Before: "unhealthy", After: "200"}},
	}, nil, fixData{TargetGroup: "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/73e2d6bc24d8a067", Status: 202})
	if told.Because != "The app answers 202." || told.Title == "" || told.Way != "answer 200" || len(told.Evidence) != 1 || told.Evidence[0].After != "200" {
		t.Errorf("%+v", told)
	}
	var pasted strings.Builder
	for _, f := range told.Fixes {
		pasted.WriteString(f.Text)
	}
	if !strings.Contains(pasted.String(), "targetgroup/web/73e2d6bc24d8a067") {
		t.Errorf("no fix names the target group: %s", pasted.String())
	}
}

// TestTimesAreOfPassingAnswers: neither failures count, nor other paths, nor
// answers that were waited for longer than the load balancer does.
func TestTimesAreOfPassingAnswers(t *testing.T) {
	t.Parallel()
	own := probe.Probe{Path: "/health", Timeout: 5 * time.Second}
	other, patient := own, own
	other.Path, patient.Timeout = "/", time.Minute
	answer := func(p probe.Probe, healthy bool, took time.Duration) exchange {
		return exchange{probe: p, answer: probe.Answer{Healthy: healthy, Times: probe.Times{Total: took}}}
	}
	x := examination{Options: Options{Probe: own}, current: exchange{probe: own}}
	if got := x.times(); got != nil || got.slowest() != 0 {
		t.Errorf("of no answers: %+v", got)
	}
	x.sent = []exchange{
		answer(own, true, 30*time.Millisecond), answer(own, false, time.Second), answer(own, true, 10*time.Millisecond),
		answer(other, true, 2*time.Second), answer(patient, true, 9*time.Second), answer(own, true, 20*time.Millisecond),
	}
	if got := x.times(); got == nil || *got != (Times{Answers: 3, Middle: 0.02, Slowest: 0.03}) || got.slowest() != 30*time.Millisecond {
		t.Errorf("%+v", got)
	}
}

func TestTakesTraffic(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		states []elb.State
		want   bool
	}{
		{"nobody is there", nil, false},
		{"all healthy", []elb.State{elb.Healthy, elb.Healthy}, true},
		{"one was deregistered", []elb.State{elb.Healthy, elb.Draining}, true},
		{"all were deregistered", []elb.State{elb.Draining}, false},
		{"one is unhealthy", []elb.State{elb.Healthy, elb.Unhealthy}, false},
		{"one is new", []elb.State{elb.Healthy, elb.Initial}, false},
		{"one is in no use", []elb.State{elb.Healthy, elb.Unused}, false},
	} {
		var g targetgroup.Group
		for _, state := range test.states {
			g.Targets = append(g.Targets, targetgroup.Target{State: state})
		}
		if got := takesTraffic(&g); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
