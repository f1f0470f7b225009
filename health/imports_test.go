package health_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The library promises that it imports nothing but the standard library.
func TestImportsOnlyTheStandardLibrary(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if got := strings.Fields(string(out)); len(got) != 1 || got[0] != "hale/health" {
		t.Errorf("imports %q", got)
	}
}
