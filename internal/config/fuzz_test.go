package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"hale/internal/config"
)

// FuzzParse holds that any text ends in a configuration or in faults, each with
// a place in the file, on one line, and without a value of the environment.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/broken/*.yaml", "testdata/full.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	for _, bomb := range bombs() {
		if len(bomb.text) < 10_000 { // larger ones would only slow the search down
			f.Add([]byte(bomb.text))
		}
	}
	const secret = "Zq8-topmost-secret-Zq8"
	env := func(name string) (string, bool) {
		return map[string]string{"SECRET": secret, "EMPTY": "", "PORT": "8080"}[name], len(name) < 7
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(string(data), "Zq8") {
			t.Skip("the file itself has what is searched for")
		}
		c, err := config.Parse("hale.yaml", data, config.Options{Env: env})
		if err == nil {
			if c == nil {
				t.Fatal("neither a configuration nor an error")
			}
			_, closeAll := c.BuildChecks()
			if err := closeAll(); err != nil {
				t.Errorf("close: %v", err)
			}
			return
		}
		e, ok := errors.AsType[*config.Error](err)
		if !ok || c != nil || len(e.Faults) == 0 {
			t.Fatalf("%T %v, %v", err, err, c)
		}
		lines := len(regexp.MustCompile(`\r\n|[\r\n\x{85}\x{2028}\x{2029}]`).Split(string(data), -1)) + 1
		for _, fault := range e.Faults {
			if fault.Line < 1 || fault.Column < 1 || fault.Text == "" {
				t.Errorf("no place: %+v", fault)
			}
			if fault.Line > lines {
				t.Errorf("line %d of %d: %v", fault.Line, lines, fault)
			}
			if i := strings.IndexFunc(fault.Error(), func(c rune) bool { return !unicode.IsPrint(c) }); i >= 0 {
				t.Errorf("not printable from byte %d: %q", i, fault.Error())
			}
			if strings.Contains(fault.Error(), secret) {
				t.Errorf("tells a secret: %v", fault)
			}
		}
	})
}

// bombs are small files that would grow beyond all bounds if their aliases were
// followed for as long as they lead somewhere.
func bombs() []struct{ name, text string } {
	var merges, lists strings.Builder
	merges.WriteString("drain: &a0 {notice: 1s}\n")
	lists.WriteString("listen: &b0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&merges, "k%d: &a%d {<<: [*a%d, *a%d, *a%d]}\n", i, i, i-1, i-1, i-1)
		fmt.Fprintf(&lists, "k%d: &b%d [*b%d, *b%d, *b%d, *b%d]\n", i, i, i-1, i-1, i-1, i-1)
	}
	return []struct{ name, text string }{
		{"merges of merges", merges.String() + "app: {<<: *a29}\n"},
		{"lists of lists", lists.String() + "app: {command: *b29, before: *b29}\nhealth: {checks: *b29}\n"},
		{"a list in itself", "app: {command: &c [*c, *c], before: &d [*d, [*d]]}\n"},
		{"a mapping in itself", "app: &a {<<: *a, b: *a, before: [*a]}\n"},
		{"a check in itself", "health: {checks: [&c {name: *c, type: *c, env: *c, command: *c}, *c, {<<: [*c, *c]}]}\n"},
		{"a group in itself", "health: {checks: [&g {name: g, any: [*g, *g], all: [*g, {any: [*g]}]}]}\n"},
		{"groups in groups", "health: {checks: [" + strings.Repeat("{name: g, any: [", 3_000) + strings.Repeat("]}", 3_000) + "]}\n"},
		{"one template many times", "health:\n  templates: {t: {" + manyKeysInLine(2_000) + "}}\n  checks:\n    - {name: a, type: memory, template: [" + strings.Repeat("t, ", 20_000) + "]}\n"},
		{"many templates of one mapping", "health:\n  templates:\n" + manyTemplates(8_000) + "  checks:\n    - {name: a, type: page, template: &all [" + manyNames(8_000) + "], headers: {B: x}}\n" + strings.Repeat("    - {name: a, type: page, template: *all}\n", 100)},
		{"one check many times", "health:\n  checks:\n    - &c {name: a, type: memory}\n" + strings.Repeat("    - *c\n", 20_000)},
		{"brackets", strings.Repeat("[", 20_000)},
		{"braces", strings.Repeat("{a: ", 20_000)},
		{"keys", "a: {" + strings.Repeat("? ", 20_000)},
		{"many unknown keys", strings.Repeat("x", 1000) + ": 1\n" + manyKeys(5_000)},
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "key%d: 1\n", i)
	}
	return b.String()
}

func manyKeysInLine(n int) string {
	return strings.TrimSuffix(strings.ReplaceAll(manyKeys(n), "\n", ", "), ", ")
}

func manyTemplates(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "    t%d: {headers: {A%d: x}}\n", i, i)
	}
	return b.String()
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "t%d, ", i)
	}
	return b.String()
}

func TestBombs(t *testing.T) {
	for _, bomb := range bombs() {
		t.Run(bomb.name, func(t *testing.T) {
			_, err := config.Parse("hale.yaml", []byte(bomb.text), config.Options{})
			if err == nil {
				t.Error("accepted")
			}
		})
	}
}
