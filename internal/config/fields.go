package config

import (
	"reflect"
	"slices"
	"strings"
)

// field is a struct field that a key of hale.yaml fills, with what its tags say.
type field struct {
	key      string
	index    []int
	off      bool // the word off means the zero value
	required bool
	words    []string // the only ones allowed, if any
	defaults []string // one, or several for a list
	bounds   bounds
}

// bounds are the tags' limits of a number, duration or size, as written there;
// empty means none.
type bounds struct{ minimum, maximum, above string }

// fieldsOf returns the fields of struct type t that have a key, those of
// embedded structs included.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for _, f := range reflect.VisibleFields(t) {
		key, flags, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || key == "" || key == "-" {
			continue
		}
		c := field{key: key, index: f.Index, off: slices.Contains(strings.Split(flags, ","), "off")}
		for tag := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
			name, value, _ := strings.Cut(tag, "=")
			switch name {
			case "required":
				c.required = true
			case "enum":
				c.words = append(c.words, value)
			case "default":
				c.defaults = append(c.defaults, value)
			case "minimum":
				c.bounds.minimum = value
			case "maximum":
				c.bounds.maximum = value
			case "exclusiveMinimum":
				c.bounds.above = value
			}
		}
		fields = append(fields, c)
	}
	return fields
}

// keysOf returns the keys of struct type t.
func keysOf(t reflect.Type) []string {
	var keys []string
	for _, f := range fieldsOf(t) {
		keys = append(keys, f.key)
	}
	return keys
}

// setDefaults fills in the tags' defaults of the struct that p points to, and
// of the structs in it. A test holds that each default suits its field.
func setDefaults(p any) {
	v := reflect.ValueOf(p).Elem()
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		switch {
		case len(f.defaults) > 0 && fv.Kind() == reflect.Slice:
			fv.Set(reflect.MakeSlice(fv.Type(), len(f.defaults), len(f.defaults)))
			for i, text := range f.defaults {
				_ = setText(fv.Index(i), text)
			}
		case len(f.defaults) > 0:
			_ = setText(fv, f.defaults[0])
		case fv.Kind() == reflect.Struct:
			setDefaults(fv.Addr().Interface())
		}
	}
}
