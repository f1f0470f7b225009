// Package reference fills the tables of docs/fixes.md from the doctor's
// catalogue of failure modes and the files of their fixes.
package reference

import (
	"fmt"
	"strings"

	"hale/internal/doctor"
)

// The page's tables stand between "<!-- NAME -->" and "<!-- end -->".
var tables = map[string]func() string{
	"wheres": wheres,
	"modes":  modes,
}

// Fill returns the page with its tables filled in. Every table must have its
// place, once.
func Fill(page []byte) ([]byte, error) {
	text := string(page)
	for name, table := range tables {
		begin := "<!-- " + name + " -->\n"
		before, rest, found := strings.Cut(text, begin)
		_, after, ended := strings.Cut(rest, "<!-- end -->")
		if !found || !ended || strings.Contains(rest, begin) {
			return nil, fmt.Errorf("the page needs one place %s... <!-- end -->", begin)
		}
		text = before + begin + table() + "<!-- end -->" + after
	}
	return []byte(text), nil
}

func wheres() string {
	var b strings.Builder
	b.WriteString("| name | for | role |\n| --- | --- | --- |\n")
	for _, w := range doctor.Wheres() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", w.Name, w.Title, w.Role)
	}
	return b.String()
}

func modes() string {
	var b strings.Builder
	b.WriteString("| id | what is wrong | cause | fixes for |\n| --- | --- | --- | --- |\n")
	for _, m := range doctor.Modes() {
		var names []string
		for _, w := range doctor.FixedIn(m.ID) {
			names = append(names, w.Name)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.ID, m.Title, escape(m.Cause()), strings.Join(names, ", "))
	}
	return b.String()
}

// escape keeps Markdown from reading placeholders as tags.
func escape(s string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "*", `\*`, "_", `\_`).Replace(s)
}
