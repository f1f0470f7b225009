package yamlfile

import (
	"reflect"
	"slices"
	"strings"
)

// Field is a struct field that a key of the file fills, with what its tags say.
type Field struct {
	Key      string
	Index    []int
	Off      bool // the word off means the zero value
	Required bool
	Words    []string // the only ones allowed, if any
	Defaults []string // one, or several for a list
	Bounds   Bounds
}

// Bounds are the tags' limits of a number, duration or size, as written there;
// empty means none.
type Bounds struct{ Minimum, Maximum, Above string }

// FieldsOf returns the fields of struct type t that have a key, those of
// embedded structs included.
func FieldsOf(t reflect.Type) []Field {
	var fields []Field
	for _, f := range reflect.VisibleFields(t) {
		key, flags, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || key == "" || key == "-" {
			continue
		}
		c := Field{Key: key, Index: f.Index, Off: slices.Contains(strings.Split(flags, ","), "off")}
		for tag := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
			name, value, _ := strings.Cut(tag, "=")
			switch name {
			case "required":
				c.Required = true
			case "enum":
				c.Words = append(c.Words, value)
			case "default":
				c.Defaults = append(c.Defaults, value)
			case "minimum":
				c.Bounds.Minimum = value
			case "maximum":
				c.Bounds.Maximum = value
			case "exclusiveMinimum":
				c.Bounds.Above = value
			}
		}
		fields = append(fields, c)
	}
	return fields
}

// KeysOf returns the keys of struct type t.
func KeysOf(t reflect.Type) []string {
	var keys []string
	for _, f := range FieldsOf(t) {
		keys = append(keys, f.Key)
	}
	return keys
}

// SetDefaults fills in the tags' defaults of the struct that p points to, and
// of the structs in it. A test holds that each default suits its field.
func SetDefaults(p any) {
	v := reflect.ValueOf(p).Elem()
	for _, f := range FieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.Index)
		switch {
		case len(f.Defaults) > 0 && fv.Kind() == reflect.Slice:
			fv.Set(reflect.MakeSlice(fv.Type(), len(f.Defaults), len(f.Defaults)))
			for i, text := range f.Defaults {
				_ = SetText(fv.Index(i), text)
			}
		case len(f.Defaults) > 0:
			_ = SetText(fv, f.Defaults[0])
		case fv.Kind() == reflect.Struct:
			SetDefaults(fv.Addr().Interface())
		}
	}
}
