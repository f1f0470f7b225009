package reference_test

import (
	"os"
	"strings"
	"testing"

	"hale/internal/doctor"
	"hale/internal/doctor/reference"
)

func TestThePageIsUpToDate(t *testing.T) {
	page, err := os.ReadFile("../../../docs/fixes.md")
	if err != nil {
		t.Fatal(err)
	}
	filled, err := reference.Fill(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(filled) != string(page) {
		t.Error("docs/fixes.md is stale: run go generate ./internal/doctor")
	}
	for _, m := range doctor.Modes() {
		if strings.Count(string(page), "| `"+m.ID+"` |") != 1 {
			t.Errorf("%s is not in the table of docs/fixes.md once", m.ID)
		}
	}
}

func TestEachTableNeedsOnePlace(t *testing.T) {
	const wheres, modes = "<!-- wheres -->\nan obsolete row\n<!-- end -->\n", "<!-- modes -->\n<!-- end -->\n"
	if filled, err := reference.Fill([]byte("# Fixes\n" + wheres + modes)); err != nil || strings.Contains(string(filled), "obsolete row") {
		t.Errorf("error %v; the old table is still there: %v", err, strings.Contains(string(filled), "obsolete row"))
	}
	for name, page := range map[string]string{
		"no table": "# Fixes\n", "one is missing": wheres, "one is there twice": wheres + modes + modes,
		"one has no end": wheres + "<!-- modes -->\n",
	} {
		if _, err := reference.Fill([]byte(page)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
