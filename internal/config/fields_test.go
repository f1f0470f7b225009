package config

import (
	"reflect"
	"slices"
	"testing"

	"hale/internal/yamlfile"
)

// TestTagsSuitTheirFields holds every default and every bound of the tags to
// the type and the bounds of its field.
func TestTagsSuitTheirFields(t *testing.T) {
	homes := map[string][]string{}
	yamlfile.AddHomes(homes, reflect.TypeFor[Config](), "")
	if len(homes) < 30 {
		t.Fatalf("only %d keys found", len(homes))
	}
	var look func(section reflect.Type, path string)
	look = func(section reflect.Type, path string) {
		for _, f := range yamlfile.FieldsOf(section) {
			path, value := yamlfile.Join(path, f.Key), reflect.New(section.FieldByIndex(f.Index).Type).Elem()
			element := value
			if value.Kind() == reflect.Slice {
				element = reflect.New(value.Type().Elem()).Elem()
			}
			for _, text := range f.Defaults {
				if err := yamlfile.SetText(element, text); err != nil {
					t.Errorf("%s: default %s: %v", path, text, err)
				}
				if wrong := f.Bounds.Check(element); wrong != "" {
					t.Errorf("%s: default %s %s", path, text, wrong)
				}
				if len(f.Words) > 0 && !slices.Contains(f.Words, text) {
					t.Errorf("%s: default %s is none of %v", path, text, f.Words)
				}
			}
			for _, bound := range []string{f.Bounds.Minimum, f.Bounds.Maximum, yamlfile.ZeroOf(element, f.Bounds.Above)} {
				if err := yamlfile.SetText(reflect.New(element.Type()).Elem(), bound); bound != "" && err != nil {
					t.Errorf("%s: bound %s: %v", path, bound, err)
				}
			}
			if element.Kind() == reflect.Struct && element.Type() != section && !yamlfile.IsText(element) {
				look(element.Type(), path)
			}
		}
	}
	look(reflect.TypeFor[Config](), "")
}
