package servers

import (
	"os/exec"
	"testing"
)

// NeedRuby skips the test, or fails it if HALE_REAL is 1, unless Ruby has a
// library, which a Debian package brings. It returns the path of Ruby.
func NeedRuby(t testing.TB, library, pkg string) string {
	t.Helper()
	ruby := Need(t, "ruby")
	if err := exec.Command(ruby, "-r", library, "-e", "").Run(); err != nil {
		missing(t, library+" is not installed for "+ruby+": apt-get install "+pkg)
	}
	return ruby
}
