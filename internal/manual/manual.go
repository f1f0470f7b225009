// Package manual shows what the documentation says of a type of check, on a
// terminal and to programs. The one source is docs: nothing is said twice.
package manual

import (
	"fmt"
	"slices"
	"strings"

	"hale/docs"
)

// Entry is what there is to know of one type of check.
type Entry struct {
	Type         string   `json:"type"`
	Summary      string   `json:"summary"` // what it does
	Proves       string   `json:"proves"`
	DoesNotProve string   `json:"does_not_prove,omitempty"`
	Costs        string   `json:"costs"`  // the service that is asked
	Rights       string   `json:"rights"` // what it must be allowed to do
	Options      []Option `json:"options"`
	Common       []string `json:"common"`   // options that every check has
	Examples     []string `json:"examples"` // pieces of hale.yaml

	blocks []block
}

// Option is one key of a check.
type Option struct {
	Key      string `json:"key"`
	Kind     string `json:"kind"` // what is written there: "duration", "list of texts"
	Required bool   `json:"required"`
	Default  string `json:"default,omitempty"`
	Meaning  string `json:"meaning"`
}

// Of returns the entry of a type, from docs.
func Of(name string) (*Entry, error) { return read(name, docs.Checks, docs.Configuration) }

// read makes an entry of a page with a section for each type, and of one with
// tables of all keys.
func read(name, checks, configuration string) (*Entry, error) {
	text, ok := section(checks, "## "+name+"\n")
	if !ok {
		return nil, fmt.Errorf("the documentation has no section %s", name)
	}
	e := &Entry{Type: name, Options: []Option{}, Examples: []string{}, blocks: parse(text)}
	kinds := keys(configuration, "health.checks[] type "+name)
	for _, row := range keys(configuration, "health.checks[]") {
		if key := row[0]; key != "name" && key != "type" && key != "any" && key != "all" {
			e.Common = append(e.Common, key)
		}
	}
	for i, b := range e.blocks {
		switch b.kind {
		case paragraph:
			if e.Summary == "" {
				e.Summary = plain(b.text)
			}
		case item:
			e.take(b.text)
		case code:
			if b.language == "yaml" {
				e.Examples = append(e.Examples, b.text)
			}
		case table:
			if len(b.rows[0]) == 3 && b.rows[0][0] == "option" {
				e.options(b.rows[1:], kinds)
				e.blocks[i].rows = e.table()
			}
		case heading:
		}
	}
	return e, nil
}

// section returns what stands between a heading and the next one of its level.
func section(page, heading string) (string, bool) {
	_, text, ok := strings.Cut("\n"+page, "\n"+heading)
	text, _, _ = strings.Cut(text, "\n## ")
	return text, ok
}

// keys returns the rows of a table of configuration.md: key, type, default and
// meaning.
func keys(page, name string) [][]string {
	_, text, _ := strings.Cut(page, "<!-- keys: "+name+" -->\n")
	text, _, _ = strings.Cut(text, "<!-- end -->")
	var rows [][]string
	for _, b := range parse(text) {
		if b.kind == table {
			for _, row := range b.rows[1:] {
				row[0] = plain(row[0])
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// take keeps an item of the list that each section begins with.
func (e *Entry) take(text string) {
	for begin, field := range map[string]*string{
		"**Proves**": &e.Proves, "**Does not prove**": &e.DoesNotProve, "**Costs**": &e.Costs, "**Rights**": &e.Rights,
	} {
		if rest, ok := strings.CutPrefix(text, begin); ok {
			*field = plain(strings.TrimLeft(rest, ": "))
		}
	}
}

// options keeps the rows of a section's table, and adds what is written there.
func (e *Entry) options(rows, kinds [][]string) {
	for _, row := range rows {
		o := Option{Key: plain(row[0]), Meaning: plain(row[2]), Required: row[1] == "required"}
		if !o.Required && row[1] != "–" {
			o.Default = plain(row[1])
		}
		if i := slices.IndexFunc(kinds, func(k []string) bool { return k[0] == o.Key }); i >= 0 {
			o.Kind = plain(kinds[i][1])
			if o.Meaning == "" {
				o.Meaning = plain(kinds[i][3])
			}
		}
		e.Options = append(e.Options, o)
	}
}

// table is the options for people to read.
func (e *Entry) table() [][]string {
	rows := [][]string{{"option", "kind", "default", "meaning"}}
	for _, o := range e.Options {
		def := o.Default
		if o.Required {
			def = "required"
		}
		rows = append(rows, []string{o.Key, o.Kind, def, o.Meaning})
	}
	return rows
}
