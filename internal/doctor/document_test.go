package doctor

import (
	"os"
	"strings"
	"testing"
)

// docs/fixes.md tells contributors of every field and every language.
func TestFixesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/fixes.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range example.filled() {
		if !strings.Contains(string(page), "{{."+name+"}}") {
			t.Errorf("docs/fixes.md does not tell of the field %s", name)
		}
	}
	for _, l := range languages {
		if !strings.Contains(string(page), "`"+l+"`") {
			t.Errorf("docs/fixes.md does not tell of code in %s", l)
		}
	}
}
