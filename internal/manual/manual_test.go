package manual_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"

	"hale/internal/checktype"
	"hale/internal/config"
	"hale/internal/manual"
)

// Each type has an entry with all its options, and it fits a terminal.
func TestEachType(t *testing.T) {
	for _, row := range checktype.Types() {
		t.Run(row.Name, func(t *testing.T) {
			e, err := manual.Of(row.Name)
			if err != nil {
				t.Fatal(err)
			}
			for what, text := range map[string]string{"summary": e.Summary, "proves": e.Proves, "costs": e.Costs, "rights": e.Rights} {
				if text == "" || strings.Contains(text, "**") {
					t.Errorf("%s: %q", what, text)
				}
			}
			var keys []string
			for _, o := range e.Options {
				keys = append(keys, o.Key)
				if o.Kind == "" || o.Meaning == "" {
					t.Errorf("option %+v", o)
				}
			}
			for _, f := range reflect.VisibleFields(reflect.TypeOf(row.New(checktype.Site{})).Elem()) {
				key := f.Tag.Get("yaml")
				if key == "" || key == "-" {
					continue
				}
				o := option(e, key)
				if required := strings.Contains(f.Tag.Get("jsonschema"), "required"); o == nil || o.Required != required {
					t.Errorf("option %s: %+v, among %q; want it required: %v", key, o, keys, required)
				}
			}
			if len(e.Examples) == 0 {
				t.Error("no example")
			}
			for _, example := range e.Examples {
				if _, err := config.Parse("hale.yaml", []byte(example), config.Options{}); err != nil {
					t.Error(err)
				}
			}
			for _, width := range []int{60, 80, 120} {
				for _, colour := range []bool{false, true} {
					fits(t, e, width, colour)
				}
			}
			if _, err := json.Marshal(e); err != nil {
				t.Error(err)
			}
		})
	}
}

func option(e *manual.Entry, key string) *manual.Option {
	for i := range e.Options {
		if e.Options[i].Key == key {
			return &e.Options[i]
		}
	}
	return nil
}

// fits tells of lines that are wider than the terminal, unless they are code.
func fits(t *testing.T, e *manual.Entry, width int, colour bool) {
	t.Helper()
	var b bytes.Buffer
	if err := e.Render(&b, width, colour); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSuffix(line, "\n")
		if n := text.StringWidthWithoutEscSequences(line); n > width && !strings.HasPrefix(line, "    ") {
			t.Errorf("%d columns of %d: %s", n, width, line)
		}
	}
	if escapes := strings.Contains(b.String(), "\x1b["); escapes != colour {
		t.Errorf("colour %v, escapes %v", colour, escapes)
	}
}

func TestNoSuchType(t *testing.T) {
	if e, err := manual.Of("sqll"); err == nil {
		t.Errorf("%+v", e)
	}
}

func Example() {
	e, err := manual.Of("tcp")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Summary)
	for _, o := range e.Options {
		fmt.Println(o.Key, o.Kind, o.Required)
	}
	// Output:
	// Connects to a port or a unix socket, and may say something.
	// address text true
	// send text false
	// expect text false
}
