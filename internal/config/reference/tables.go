package reference

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"hale/internal/config"
)

// Tables returns the tables, in the order of the file.
func (ref *Reference) Tables() []Table { return ref.tables }

// Fill returns a Markdown document with the tables filled in: what stands
// between the lines "<!-- keys: SECTION -->" and "<!-- end -->" is replaced.
// Every table must have its place.
func (ref *Reference) Fill(document []byte) ([]byte, error) {
	const begin, end = "<!-- keys: ", "<!-- end -->"
	var out bytes.Buffer
	var used []string
	inTable := false
	for line := range strings.Lines(string(document)) {
		switch section, isBegin := strings.CutPrefix(line, begin); {
		case isBegin:
			section = strings.TrimSuffix(strings.TrimSpace(section), " -->")
			i := slices.IndexFunc(ref.tables, func(t Table) bool { return t.name() == section || t.Section == "" && section == "the file" })
			if i < 0 {
				return nil, fmt.Errorf("no section %q", section)
			}
			out.WriteString(line)
			out.WriteString(ref.tables[i].markdown())
			used = append(used, section)
			inTable = true
		case strings.HasPrefix(line, end):
			inTable = false
			out.WriteString(line)
		case !inTable:
			out.WriteString(line)
		}
	}
	for _, t := range ref.tables {
		if !ref.some && !slices.Contains(used, t.name()) {
			return nil, fmt.Errorf("section %q has no place in the document", t.name())
		}
	}
	return out.Bytes(), nil
}

func (t Table) name() string {
	if t.Section == "" {
		return "hale.yaml"
	}
	return t.Section
}

func (t Table) markdown() string {
	var b strings.Builder
	b.WriteString("| key | type | default | meaning |\n| --- | --- | --- | --- |\n")
	for _, r := range t.Rows {
		def := "–"
		switch {
		case r.Required:
			def = "required"
		case r.Default != "":
			def = "`" + r.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.Key, escape(r.Type), escape(def), escape(r.Meaning))
	}
	return b.String()
}

func escape(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// typeName is how the tables name the type of a key.
func typeName(t reflect.Type, s *jsonschema.Schema, off bool) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := ""
	switch f, ok := formsOf[t]; {
	case len(s.Enum) > 0:
		var words []string
		for _, w := range s.Enum {
			words = append(words, fmt.Sprintf("`%v`", w))
		}
		name = strings.Join(words, ", ")
	case ok:
		name = f.name
	case t == reflect.TypeFor[config.Templates]():
		name = "mapping to templates"
	case oneOrMore(t):
		name = typeName(t.Elem(), s.Items, false) + ", or a list"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && scalar(t.Elem()) == nil:
		name = "list"
	case t.Kind() == reflect.Slice:
		name = "list of " + plural(typeName(t.Elem(), s.Items, false))
	case t.Kind() == reflect.Map:
		name = "mapping to " + plural(typeName(t.Elem(), s.AdditionalProperties, false))
	case t.Kind() == reflect.Struct:
		name = "section"
	case t.Kind() == reflect.Bool:
		name = "`true`, `false`"
	case t.Kind() == reflect.String:
		name = "text"
	default:
		name = "number"
	}
	if off {
		name += ", or `off`"
	}
	return name
}

func plural(name string) string { return name + "s" }

// defaultOf is how the tables name the default of a key.
func defaultOf(f reflect.StructField, s *jsonschema.Schema) string {
	switch d := s.Default.(type) {
	case nil:
		if _, flags, _ := strings.Cut(f.Tag.Get("yaml"), ","); flags == "off" {
			return "off"
		}
		return ""
	case []any:
		var words []string
		for _, w := range d {
			words = append(words, fmt.Sprint(w))
		}
		return strings.Join(words, ", ")
	default:
		return fmt.Sprint(d)
	}
}
