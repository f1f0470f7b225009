package listen

import (
	"os"
	"strings"
	"testing"
)

func TestDocsNameAllThatAppsMayStumbleOver(t *testing.T) {
	page, err := os.ReadFile("../../docs/listen.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## What an app may stumble over")
	table, _, _ = strings.Cut(table, "\n## ")
	for _, o := range obstacles {
		if !strings.Contains(table, "`"+o.id+"`") {
			t.Errorf("docs/listen.md does not name %s", o.id)
		}
	}
}
