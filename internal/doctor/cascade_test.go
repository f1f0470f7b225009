package doctor

import (
	"fmt"
	"strings"
	"testing"

	"hale/internal/elb"
	"hale/internal/targetgroup"
)

// TestWhatTargetsLack: one dependency is found where every target names the same
// one, and it is no machine's own; where they do not tell, that is not decided.
func TestWhatTargetsLack(t *testing.T) {
	t.Parallel()
	const db, other = "10.0.3.9:5432", "10.0.3.8:6379"
	type target struct {
		state elb.State
		class class
		lacks string // an address that its log names
	}
	failing := func(lacks string) target { return target{elb.Unhealthy, classServerError, lacks} }
	for _, test := range []struct {
		name    string
		targets []target
		lack    string
		maybe   bool
	}{
		{"all name the same", []target{failing(db), failing(db), failing(db)}, db, false},
		{"one is being deregistered", []target{failing(db), failing(db), {elb.Draining, "", ""}}, db, false},
		{"one alone", []target{failing(db)}, "", false},
		{"one passes", []target{failing(db), {elb.Unhealthy, classHealthy, ""}}, "", false},
		{"one is healthy to the load balancer", []target{failing(db), failing(db), {elb.Healthy, "", ""}}, "", false},
		{"each lacks another", []target{failing(db), failing(other)}, "", false},
		{"each lacks its own", []target{failing("127.0.0.1:5432"), failing("127.0.0.1:5432")}, "", false},
		{"one does not tell", []target{failing(db), failing("")}, "", true},
		{"none tells", []target{failing(""), failing("")}, "", true},
		{"none tells, of what is no fault of theirs", []target{{elb.Unhealthy, classNotFound, ""}, {elb.Unhealthy, classNotFound, ""}}, "", false},
		{"they fail in different ways", []target{failing(""), {elb.Unhealthy, classForbidden, ""}}, "", false},
	} {
		var x groupExamination
		x.Group = &targetgroup.Group{}
		for i, one := range test.targets {
			registered := targetgroup.Target{ID: fmt.Sprintf("10.0.1.%d", i), Port: 80, State: one.state}
			x.Group.Targets = append(x.Group.Targets, registered)
			if one.class == "" {
				continue // not probed
			}
			report := &Report{Healthy: one.class == classHealthy, Findings: []Finding{{ID: "dependency-down-500"}}}
			if one.lacks != "" {
				host, port, _ := strings.Cut(one.lacks, ":")
				report.Findings[0].Evidence = []Evidence{{Change: "log app.log", Before: fmt.Sprintf("connection to server at %q, port %s failed", host, port)}}
			}
			x.done = append(x.done, &examined{registered, &examination{current: exchange{sign: sign{class: one.class}}}, report})
		}
		lack, maybe := "", false
		if x.allFail() {
			lack = x.allLack()
			maybe = lack == "" && len(x.maybeShared()) > 0
		}
		if lack != test.lack || maybe != test.maybe {
			t.Errorf("%s: %q, perhaps %v; want %q, %v", test.name, lack, maybe, test.lack, test.maybe)
		}
	}
}
