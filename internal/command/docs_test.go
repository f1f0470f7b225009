package command

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// pages are where the commands are documented, if not in commands.md.
var pages = map[string]string{
	"serve": "serve.md", "doctor": "doctor.md", "probe": "probe.md", "listen": "listen.md",
	"balance": "balance.md", "demo": "demo.md",
}

// Every command is in the documentation, with every flag.
func TestCommandsAreDocumented(t *testing.T) {
	var look func(cmd *cobra.Command, page string)
	look = func(cmd *cobra.Command, page string) {
		for _, c := range cmd.Commands() {
			if !c.IsAvailableCommand() || c.Name() == "completion" || c.Name() == "help" {
				continue
			}
			where := page
			if where == "" {
				where = cmp.Or(pages[c.Name()], "commands.md")
			}
			text := read(t, where)
			if !strings.Contains(text, c.CommandPath()) {
				t.Errorf("docs/%s does not tell of %s", where, c.CommandPath())
			}
			c.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if f.Name != "help" && f.Name != "config" && !strings.Contains(text, "`--"+f.Name) {
					t.Errorf("docs/%s does not tell of %s --%s", where, c.CommandPath(), f.Name)
				}
			})
			look(c, where)
		}
	}
	root := newRoot(Standard())
	look(root, "")
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(slices.Sorted(maps.Values(pages)), "commands.md") {
		if !strings.Contains(string(readme), "](docs/"+page+")") {
			t.Errorf("README.md does not lead to docs/%s", page)
		}
	}
}

func read(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
