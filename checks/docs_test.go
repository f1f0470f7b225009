package checks_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"hale/internal/checktype"
	"hale/internal/config"
)

const docs = "../docs/checks.md"

var (
	section = regexp.MustCompile(`(?ms)^## (\w+)$(.*?)(?:\z|^## )`)
	option  = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (.*?) \\|")
	snippet = regexp.MustCompile("(?s)```yaml\n(.*?)```")
)

// Every type has a section in docs/checks.md with what it proves, costs and
// needs, its options with the defaults of the struct's tags, and an example
// that hale.yaml's reader takes.
func TestDocs(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]string)
	text := string(content)
	for {
		found := section.FindStringSubmatchIndex(text)
		if found == nil {
			break
		}
		sections[text[found[2]:found[3]]] = text[found[4]:found[5]]
		text = text[found[5]:]
	}
	for _, row := range checktype.Types() {
		t.Run(row.Name, func(t *testing.T) {
			t.Parallel()
			text, ok := sections[row.Name]
			if !ok {
				t.Fatalf("no section %q in %s", row.Name, docs)
			}
			for _, want := range []string{"**Proves**", "**Costs**", "**Rights**"} {
				if !strings.Contains(text, want) {
					t.Errorf("the section does not say %s", want)
				}
			}
			sameOptions(t, text, reflect.TypeOf(row.New(checktype.Site{})).Elem())
			examples := snippet.FindAllStringSubmatch(text, -1)
			if len(examples) == 0 {
				t.Error("no example")
			}
			for _, example := range examples {
				if _, err := config.Parse(docs, []byte(example[1]), config.Options{}); err != nil {
					t.Errorf("%v\nin\n%s", err, example[1])
				}
				if !strings.Contains(example[1], "type: "+row.Name) {
					t.Errorf("an example without type: %s", row.Name)
				}
			}
		})
	}
}

// sameOptions compares a section's table with a struct's tags.
func sameOptions(t *testing.T, text string, options reflect.Type) {
	t.Helper()
	documented := make(map[string]string) // option to default
	for _, line := range option.FindAllStringSubmatch(text, -1) {
		documented[line[1]] = line[2]
	}
	for _, field := range reflect.VisibleFields(options) {
		key := field.Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		shown, ok := documented[key]
		if !ok {
			t.Errorf("option %s is not documented", key)
		}
		delete(documented, key)
		for tag := range strings.SplitSeq(field.Tag.Get("jsonschema"), ",") {
			if tag == "required" && shown != "required" {
				t.Errorf("option %s is required, but its default is given as %q", key, shown)
			}
			if value, ok := strings.CutPrefix(tag, "default="); ok && !strings.Contains(shown, value) {
				t.Errorf("option %s has the default %s, but %q is documented", key, value, shown)
			}
		}
	}
	for key := range documented {
		t.Errorf("option %s is documented, but there is none", key)
	}
}
