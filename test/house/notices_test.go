package house

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoticesNameEachLinkedModule keeps THIRD_PARTY_NOTICES.md true.
func TestNoticesNameEachLinkedModule(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "THIRD_PARTY_NOTICES.md"))
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]bool{}
	for _, p := range list(t, "-deps", "-json=ImportPath,Module", "hale/cmd/hale") {
		if p.Module != nil && p.Module.Path != "hale" {
			linked[p.Module.Path] = true
		}
	}
	for module := range linked {
		if !strings.Contains(string(text), "| "+module+" |") {
			t.Errorf("%s is linked into hale but not named: add its row, with its licence", module)
		}
	}
	for line := range strings.Lines(string(text)) {
		if module, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok && strings.Contains(module, ".") && !linked[module] {
			t.Errorf("%s is named but not linked any more: remove its row", module)
		}
	}
}
