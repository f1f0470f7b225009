package servers

import (
	"os/exec"
	"testing"
)

// NeedPython skips the test, or fails it if HALE_REAL is 1, unless Debian's
// Python has a module, which comes with a package. It returns the path of
// Debian's Python.
func NeedPython(t testing.TB, module, pkg string) string {
	t.Helper()
	if err := exec.Command(python, "-c", "import "+module).Run(); err != nil {
		missing(t, module+" is not installed for "+python+": apt-get install "+pkg)
	}
	return python
}
