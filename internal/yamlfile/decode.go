// Package yamlfile reads a YAML file into structs, and tells all that is wrong
// with it at once: each fault with its line and column, the key, what was seen
// and the way out. The structs' tags say what their keys are:
//
//	Port int `yaml:"port" jsonschema:"default=80,minimum=1,maximum=65535"`
//
// The tag yaml:"key,off" says that the word "off" is accepted too and means the
// zero value; jsonschema holds the default, the allowed words (enum) and the
// bounds, and whether a key is required. ${NAME} in a value is the environment's.
package yamlfile

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Decoder turns the nodes of one file into structs. It goes on after each fault,
// so that one reading finds them all. Make one with New.
type Decoder struct {
	about  About
	faults []Fault

	nodes map[string]*yaml.Node     // value of each key path decoded so far
	bad   map[string]bool           // key paths that have a fault, and those above them
	made  map[*yaml.Node]*Expansion // values that the environment had a part in
	work  int                       // values looked at, bounded against aliases of aliases
	homes map[string][]string       // of each key, the sections that have it; made when first asked for
}

// About is what a Decoder has to know of the file that it reads.
type About struct {
	File  string // in faults; its directory is what relative file names relate to
	Title string // what such files are called: hale.yaml
	Begin string // the first key that one would write
	Empty string // what to write into an empty file

	// Root is the struct that the whole file is read into.
	Root reflect.Type

	// Lookup finds a variable for ${NAME} in the value of a key. Nil knows none.
	Lookup func(path, name string) (value string, ok bool)

	// WhyMissing may say more of a variable that is not there. Nil says no more.
	WhyMissing func(error) string

	// Custom reads the values of types that read their node themselves, and tells
	// whether v is of such a type. Nil knows none.
	Custom func(v reflect.Value, n *yaml.Node, path string) bool

	// NotYet are values that are known, and refused, as "key=value".
	NotYet map[string]string
}

// New returns a Decoder. Read begins its work.
func New(about About) *Decoder {
	return &Decoder{about: about, nodes: map[string]*yaml.Node{}, bad: map[string]bool{}, made: map[*yaml.Node]*Expansion{}}
}

// maxWork bounds how many values one file may come to with its aliases
// followed. The largest sensible file has some thousands.
const maxWork = 100_000

// Err returns all faults, in the order of the file: nil, or an *Error.
func (d *Decoder) Err() error { return newError(d.faults) }

// Count returns how many faults there are so far.
func (d *Decoder) Count() int { return len(d.faults) }

// Top decodes the keys of the whole file, which m is, into the struct that v is.
func (d *Decoder) Top(m *Mapping, v reflect.Value) {
	keys := KeysOf(v.Type())
	d.Fields(m, v, d.about.Title, keys)
	d.Unknown(m, d.about.Title, keys, d.BelongsTo)
}

// FaultAt records a fault at a position.
func (d *Decoder) FaultAt(line, column int, path, text string) {
	d.faults = append(d.faults, Fault{d.about.File, max(line, 1), max(column, 1), path, text})
	for p := path; p != ""; p = parent(p) {
		d.bad[p] = true
	}
}

// Fault records a fault of the value at n.
func (d *Decoder) Fault(n *yaml.Node, path, format string, args ...any) {
	d.FaultAt(n.Line, n.Column, path, fmt.Sprintf(format, args...))
}

// parent is the path without its last key or index.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// ElementPath is the path of an element of a list.
func ElementPath(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// Join is the path of a key of what is at path.
func Join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// Fields decodes the keys of m that struct v has. Where names what m is, known
// are all the keys that it may have.
func (d *Decoder) Fields(m *Mapping, v reflect.Value, where string, known []string) {
	for _, f := range FieldsOf(v.Type()) {
		path := Join(m.Path, f.Key)
		p := m.Take(f.Key)
		if p == nil {
			if f.Required && !m.Partial && !m.Misspelt(f.Key, known) {
				d.Fault(m.Node, path, "is missing; %s needs it", where)
			}
			continue
		}
		d.Value(p.Value, v.FieldByIndex(f.Index), f, p.At(m))
	}
}

// Value decodes n into v, which is a field's or a part of it.
func (d *Decoder) Value(n *yaml.Node, v reflect.Value, f Field, path string) {
	n, ok := d.Follow(n, path)
	if !ok {
		return
	}
	d.nodes[path] = n
	if d.about.Custom != nil && d.about.Custom(v, n, path) {
		return
	}
	if v.Kind() == reflect.Pointer {
		elem := reflect.New(v.Type().Elem())
		if elem.Elem().Kind() == reflect.Struct && !IsText(elem.Elem()) {
			SetDefaults(elem.Interface())
		}
		d.Value(n, elem.Elem(), f, path)
		v.Set(elem)
		return
	}
	if !IsText(v) {
		switch v.Kind() {
		case reflect.Struct:
			d.Object(n, v, path)
			return
		case reflect.Slice:
			d.List(n, v, f, path)
			return
		case reflect.Map:
			d.Table(n, v, f, path)
			return
		default:
		}
	}
	if text, ok := d.Scalar(n, wantedBy(v, f), path); ok {
		d.Text(n, v, f, path, text)
	}
}

// Follow returns what an alias stands for, and refuses tags that change what a
// value is.
func (d *Decoder) Follow(n *yaml.Node, path string) (*yaml.Node, bool) {
	n = Target(n)
	if !d.Spend(1, n, path) {
		return nil, false
	}
	if n.Style&yaml.TaggedStyle != 0 && !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!map", "!!seq"}, n.ShortTag()) {
		d.Fault(n, path, "the tag %s has no meaning here; take it away", Brief(n.ShortTag()))
		return nil, false
	}
	return n, true
}

// Spend counts values that are looked at, and reports whether that many may be.
func (d *Decoder) Spend(values int, n *yaml.Node, path string) bool {
	if d.work > maxWork {
		return false
	}
	if d.work += values; d.work > maxWork {
		d.Fault(n, path, "the file comes to more than %d values with its aliases and templates followed; use fewer", maxWork)
		return false
	}
	return true
}

// Object decodes a mapping into struct v. A key without a value leaves the
// defaults in place, as after commenting out all that it had.
func (d *Decoder) Object(n *yaml.Node, v reflect.Value, path string) {
	if IsNull(n) {
		return
	}
	m := d.Mapping(n, path)
	if m == nil {
		return
	}
	keys := KeysOf(v.Type())
	d.Fields(m, v, path, keys)
	d.Unknown(m, path, keys, d.BelongsTo)
}

// List decodes a list into v, a slice.
func (d *Decoder) List(n *yaml.Node, v reflect.Value, f Field, path string) {
	switch {
	case IsNull(n):
		v.Set(reflect.Zero(v.Type()))
		return
	case n.Kind == yaml.ScalarNode && IsText(reflect.New(v.Type().Elem()).Elem()):
		if text, ok := d.Scalar(n, "a list", path); ok {
			if strings.EqualFold(f.Key, "command") {
				d.Fault(n, path, "is a text, not a list of words; write %s", AsCommand(n.Value))
			} else {
				d.Fault(n, path, "%s is not a list; write %s", d.Seen(n, text), asList(n.Value))
			}
		}
		return
	case n.Kind != yaml.SequenceNode:
		d.Fault(n, path, "%s is not a list; begin each of its items with a dash", d.Describe(n))
		return
	}
	items := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, c := range n.Content {
		if item := items.Index(i); item.Kind() == reflect.Struct && !IsText(item) {
			SetDefaults(item.Addr().Interface())
		}
		d.Value(c, items.Index(i), f, ElementPath(path, i))
	}
	v.Set(items)
}

// Table decodes a mapping with free keys.
func (d *Decoder) Table(n *yaml.Node, v reflect.Value, f Field, path string) {
	if IsNull(n) {
		return
	}
	if n.Kind == yaml.ScalarNode { // which may hold a token, as headers and variables do
		d.Fault(n, path, "a text is not a mapping; write its keys on lines of their own, or as {key: value}")
		return
	}
	m := d.Mapping(n, path)
	if m == nil {
		return
	}
	table := reflect.MakeMapWithSize(v.Type(), len(m.Pairs))
	for _, p := range m.Pairs {
		value := reflect.New(v.Type().Elem()).Elem()
		d.Value(p.Value, value, f, Join(path, ShownKey(p.Key.Value)))
		table.SetMapIndex(reflect.ValueOf(p.Key.Value).Convert(v.Type().Key()), value)
	}
	v.Set(table)
}

// Scalar returns the text of n with its variables filled in. Quoted or not is
// all the same: what a text means is decided by the key that it belongs to.
func (d *Decoder) Scalar(n *yaml.Node, wanted, path string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.Fault(n, path, "%s is not %s", d.Describe(n), wanted)
		return "", false
	case IsNull(n):
		d.Fault(n, path, "has no value; write one, or take the key away")
		return "", false
	case !strings.Contains(n.Value, "$"):
		return n.Value, true
	}
	if e, ok := d.made[n]; ok { // through an alias
		return e.Text, true
	}
	e, err := Expand(n.Value, func(name string) (string, bool) {
		if d.about.Lookup == nil {
			return "", false
		}
		return d.about.Lookup(path, name)
	})
	if err != nil {
		why := err.Error()
		if d.about.WhyMissing != nil {
			why = d.about.WhyMissing(err)
		}
		d.Fault(n, path, "%s", why)
		return "", false
	}
	if len(e.names) > 0 {
		d.made[n] = e
	}
	return e.Text, true
}

// Text sets v from a text and reports what is wrong with it.
func (d *Decoder) Text(n *yaml.Node, v reflect.Value, f Field, path, text string) {
	if wrong := d.about.NotYet[path+"="+text]; wrong != "" {
		d.Fault(n, path, "%s %s", d.Seen(n, text), wrong)
		return
	}
	if f.Off && text == "off" {
		v.SetZero()
		return
	}
	if len(f.Words) > 0 && !slices.Contains(f.Words, text) {
		words := f.Words
		if f.Off {
			words = append(slices.Clone(words), "off")
		}
		if near := Nearest(text, words); near != "" && !IsDigits(near) && d.made[n] == nil {
			d.Fault(n, path, "%s is not known; did you mean %s?", d.Seen(n, text), near)
		} else {
			d.Fault(n, path, "%s is not known; write %s", d.Seen(n, text), Alternatives(words))
		}
		return
	}
	if err := SetText(v, text); err != nil {
		d.wrongText(n, v, path, text, err)
		return
	}
	if wrong := f.Bounds.Check(v); wrong != "" {
		d.Fault(n, path, "%s %s", d.Seen(n, text), wrong)
	}
}

// Secret is implemented by values that are never shown, wrong or not.
type Secret interface{ Secret() }

// wrongText reports a text that v refuses.
func (d *Decoder) wrongText(n *yaml.Node, v reflect.Value, path, text string, err error) {
	wrong, own := errors.AsType[ValueError](err)
	_, hidden := reflect.TypeAssert[Secret](v.Addr())
	name, isName := strings.CutPrefix(text, "$")
	switch {
	case isName && VariableName.MatchString(name) && d.made[n] == nil:
		d.Fault(n, path, "%s is taken as it stands; a variable is written ${%s}", d.Seen(n, text), name)
	case own && hidden:
		d.Fault(n, path, "%s", string(wrong))
	case own:
		d.Fault(n, path, "%s %s", d.Seen(n, text), d.WithoutSecrets(n, string(wrong)))
	default:
		d.Fault(n, path, "%s", d.WithoutSecrets(n, err.Error()))
	}
}
