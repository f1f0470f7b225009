package sites

import (
	"strings"
	"testing"
)

// Each case has a proof, which test/doctor holds its site to, and each proof a case.
func TestEachCaseHasItsProof(t *testing.T) {
	sites, groups := proofs(), groupProofs()
	for _, c := range All() {
		if _, ok := sites[c.Name]; !ok {
			t.Errorf("nothing proves the fault of %s: give it an entry in proofs", c.Name)
		}
		delete(sites, c.Name)
	}
	for name := range sites {
		t.Errorf("%s is proved, but no case", name)
	}
	for _, c := range Groups() {
		if len(groups[c.Name]) != len(c.Of) {
			t.Errorf("the group %s has findings of %d targets, and proofs of %d", c.Name, len(c.Of), len(groups[c.Name]))
		}
		delete(groups, c.Name)
	}
	for name := range groups {
		t.Errorf("%s is proved, but no group", name)
	}
}

func TestCasesAreWellFormed(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range All() {
		switch {
		case seen[c.Name]:
			t.Errorf("two cases are named %s", c.Name)
		case (c.Row == "healthy") != (len(c.Findings) == 0):
			t.Errorf("%s: a healthy site has no findings, any other has", c.Name)
		case c.Name != strings.ToLower(c.Name) || c.Row == "" || c.Start == nil:
			t.Errorf("%s: lacks a part", c.Name)
		}
		seen[c.Name] = true
	}
}
