package config

import (
	"reflect"
	"slices"
	"testing"
)

// TestTagsSuitTheirFields holds every default and every bound of the tags to
// the type and the bounds of its field.
func TestTagsSuitTheirFields(t *testing.T) {
	homes := map[string][]string{}
	addHomes(homes, reflect.TypeFor[Config](), "")
	if len(homes) < 30 {
		t.Fatalf("only %d keys found", len(homes))
	}
	var look func(section reflect.Type, path string)
	look = func(section reflect.Type, path string) {
		for _, f := range fieldsOf(section) {
			path, value := join(path, f.key), reflect.New(section.FieldByIndex(f.index).Type).Elem()
			element := value
			if value.Kind() == reflect.Slice {
				element = reflect.New(value.Type().Elem()).Elem()
			}
			for _, text := range f.defaults {
				if err := setText(element, text); err != nil {
					t.Errorf("%s: default %s: %v", path, text, err)
				}
				if wrong := f.bounds.check(element); wrong != "" {
					t.Errorf("%s: default %s %s", path, text, wrong)
				}
				if len(f.words) > 0 && !slices.Contains(f.words, text) {
					t.Errorf("%s: default %s is none of %v", path, text, f.words)
				}
			}
			for _, bound := range []string{f.bounds.minimum, f.bounds.maximum, zeroOf(element, f.bounds.above)} {
				if err := setText(reflect.New(element.Type()).Elem(), bound); bound != "" && err != nil {
					t.Errorf("%s: bound %s: %v", path, bound, err)
				}
			}
			if element.Kind() == reflect.Struct && element.Type() != section && !isText(element) {
				look(element.Type(), path)
			}
		}
	}
	look(reflect.TypeFor[Config](), "")
}
