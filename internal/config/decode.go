package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// decoder turns the nodes of one hale.yaml into a Config. It goes on after each
// fault, so that one reading finds them all.
type decoder struct {
	file, dir string
	options   Options
	config    *Config
	faults    []Fault

	env   *environment
	nodes map[string]*yaml.Node     // value of each key path decoded so far
	bad   map[string]bool           // key paths that have a fault, and those above them
	made  map[*yaml.Node]*expansion // values that the environment had a part in
	work  int                       // values looked at, bounded against aliases of aliases
	homes map[string][]string       // of each key, the sections that have it; made when first asked for

	keys      map[string][]string // of the options of each type of check that was asked for
	templates map[string]template // of checks, by name
	groups    []*yaml.Node        // the groups whose members are being decoded
}

// maxWork bounds how many values one file may come to with its aliases
// followed. The largest sensible file has some thousands.
const maxWork = 100_000

// notYet are values of the documents that this version does not have.
var notYet = map[string]string{
	"health.shared_failure=quorum": "needs fleet, which this version does not have; write fail or warn",
}

// nodeDecoder is a type that reads its node itself.
type nodeDecoder interface {
	decodeNode(d *decoder, n *yaml.Node, path string)
}

// root decodes the whole file.
func (d *decoder) root(n *yaml.Node) {
	d.nodes = map[string]*yaml.Node{}
	d.bad = map[string]bool{}
	d.made = map[*yaml.Node]*expansion{}
	m := d.mapping(n, "")
	if m == nil {
		return
	}
	d.env = newEnvironment(d.options, d.envFileOf(n))
	keys := keysOf(reflect.TypeFor[Config]())
	d.fields(m, reflect.ValueOf(d.config).Elem(), "hale.yaml", keys)
	d.unknown(m, "hale.yaml", keys, d.belongsTo)
	d.agree()
}

// faultAt records a fault at a position.
func (d *decoder) faultAt(line, column int, path, text string) {
	d.faults = append(d.faults, Fault{d.file, max(line, 1), max(column, 1), path, text})
	for p := path; p != ""; p = parent(p) {
		d.bad[p] = true
	}
}

// fault records a fault of the value at n.
func (d *decoder) fault(n *yaml.Node, path, format string, args ...any) {
	d.faultAt(n.Line, n.Column, path, fmt.Sprintf(format, args...))
}

// parent is the path without its last key or index.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// elementPath is the path of an element of a list.
func elementPath(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fields decodes the keys of m that struct v has. Where names what m is, known
// are all the keys that it may have.
func (d *decoder) fields(m *mapping, v reflect.Value, where string, known []string) {
	for _, f := range fieldsOf(v.Type()) {
		path := join(m.path, f.key)
		p := m.take(f.key)
		if p == nil {
			if f.required && !m.partial && !m.misspelt(f.key, known) {
				d.fault(m.node, path, "is missing; %s needs it", where)
			}
			continue
		}
		d.value(p.value, v.FieldByIndex(f.index), f, p.at(m))
	}
}

// value decodes n into v, which is a field's or a part of it.
func (d *decoder) value(n *yaml.Node, v reflect.Value, f field, path string) {
	n, ok := d.follow(n, path)
	if !ok {
		return
	}
	d.nodes[path] = n
	if custom, ok := reflect.TypeAssert[nodeDecoder](v.Addr()); ok {
		custom.decodeNode(d, n, path)
		return
	}
	if v.Kind() == reflect.Pointer {
		elem := reflect.New(v.Type().Elem())
		d.value(n, elem.Elem(), f, path)
		v.Set(elem)
		return
	}
	if !isText(v) {
		switch v.Kind() {
		case reflect.Struct:
			d.object(n, v, path)
			return
		case reflect.Slice:
			d.list(n, v, f, path)
			return
		case reflect.Map:
			d.table(n, v, f, path)
			return
		default:
		}
	}
	if text, ok := d.scalar(n, wantedBy(v, f), path); ok {
		d.text(n, v, f, path, text)
	}
}

// follow returns what an alias stands for, and refuses tags that change what a
// value is.
func (d *decoder) follow(n *yaml.Node, path string) (*yaml.Node, bool) {
	n = target(n)
	if !d.spend(1, n, path) {
		return nil, false
	}
	if n.Style&yaml.TaggedStyle != 0 && !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!map", "!!seq"}, n.ShortTag()) {
		d.fault(n, path, "the tag %s has no meaning here; take it away", brief(n.ShortTag()))
		return nil, false
	}
	return n, true
}

// spend counts values that are looked at, and reports whether that many may be.
func (d *decoder) spend(values int, n *yaml.Node, path string) bool {
	if d.work > maxWork {
		return false
	}
	if d.work += values; d.work > maxWork {
		d.fault(n, path, "the file comes to more than %d values with its aliases and templates followed; use fewer", maxWork)
		return false
	}
	return true
}

// object decodes a mapping into struct v. A key without a value leaves the
// defaults in place, as after commenting out all that it had.
func (d *decoder) object(n *yaml.Node, v reflect.Value, path string) {
	if isNull(n) {
		return
	}
	m := d.mapping(n, path)
	if m == nil {
		return
	}
	keys := keysOf(v.Type())
	d.fields(m, v, path, keys)
	d.unknown(m, path, keys, d.belongsTo)
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, f field, path string) {
	switch {
	case isNull(n):
		v.Set(reflect.Zero(v.Type()))
		return
	case n.Kind == yaml.ScalarNode && isText(reflect.New(v.Type().Elem()).Elem()):
		if text, ok := d.scalar(n, "a list", path); ok {
			if f.key == "command" {
				d.fault(n, path, "is a text, not a list of words; write %s", asCommand(n.Value))
			} else {
				d.fault(n, path, "%s is not a list; write %s", d.seen(n, text), asList(n.Value))
			}
		}
		return
	case n.Kind != yaml.SequenceNode:
		d.fault(n, path, "%s is not a list; begin each of its items with a dash", d.describe(n))
		return
	}
	items := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, c := range n.Content {
		d.value(c, items.Index(i), f, elementPath(path, i))
	}
	v.Set(items)
}

// table decodes a mapping with free keys.
func (d *decoder) table(n *yaml.Node, v reflect.Value, f field, path string) {
	if isNull(n) {
		return
	}
	if n.Kind == yaml.ScalarNode { // which may hold a token, as headers and variables do
		d.fault(n, path, "a text is not a mapping; write its keys on lines of their own, or as {key: value}")
		return
	}
	m := d.mapping(n, path)
	if m == nil {
		return
	}
	table := reflect.MakeMapWithSize(v.Type(), len(m.pairs))
	for _, p := range m.pairs {
		value := reflect.New(v.Type().Elem()).Elem()
		d.value(p.value, value, f, join(path, shownKey(p.key.Value)))
		table.SetMapIndex(reflect.ValueOf(p.key.Value).Convert(v.Type().Key()), value)
	}
	v.Set(table)
}

// scalar returns the text of n with its variables filled in. Quoted or not is
// all the same: what a text means is decided by the key that it belongs to.
func (d *decoder) scalar(n *yaml.Node, wanted, path string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.fault(n, path, "%s is not %s", d.describe(n), wanted)
		return "", false
	case isNull(n):
		d.fault(n, path, "has no value; write one, or take the key away")
		return "", false
	case !strings.Contains(n.Value, "$"):
		return n.Value, true
	}
	if e, ok := d.made[n]; ok { // through an alias
		return e.text, true
	}
	lookup := d.env.lookup
	if path == envFileKey {
		lookup = d.env.lookupProcess
	}
	e, err := expand(n.Value, lookup)
	if err != nil {
		d.fault(n, path, "%s", d.env.whyMissing(err))
		return "", false
	}
	if len(e.names) > 0 {
		d.made[n] = e
	}
	return e.text, true
}

// text sets v from a text and reports what is wrong with it.
func (d *decoder) text(n *yaml.Node, v reflect.Value, f field, path, text string) {
	if wrong := notYet[path+"="+text]; wrong != "" {
		d.fault(n, path, "%s %s", d.seen(n, text), wrong)
		return
	}
	if f.off && text == "off" {
		v.SetZero()
		return
	}
	if len(f.words) > 0 && !slices.Contains(f.words, text) {
		words := f.words
		if f.off {
			words = append(slices.Clone(words), "off")
		}
		if near := Nearest(text, words); near != "" && !isDigits(near) && d.made[n] == nil {
			d.fault(n, path, "%s is not known; did you mean %s?", d.seen(n, text), near)
		} else {
			d.fault(n, path, "%s is not known; write %s", d.seen(n, text), alternatives(words))
		}
		return
	}
	if err := setText(v, text); err != nil {
		d.wrongText(n, v, path, text, err)
		return
	}
	if wrong := f.bounds.check(v); wrong != "" {
		d.fault(n, path, "%s %s", d.seen(n, text), wrong)
	}
}

// secret is implemented by values that are never shown, wrong or not.
type secret interface{ secret() }

// wrongText reports a text that v refuses.
func (d *decoder) wrongText(n *yaml.Node, v reflect.Value, path, text string, err error) {
	wrong, own := errors.AsType[valueError](err)
	_, hidden := reflect.TypeAssert[secret](v.Addr())
	name, isName := strings.CutPrefix(text, "$")
	switch {
	case isName && variableName.MatchString(name) && d.made[n] == nil:
		d.fault(n, path, "%s is taken as it stands; a variable is written ${%s}", d.seen(n, text), name)
	case own && hidden:
		d.fault(n, path, "%s", string(wrong))
	case own:
		d.fault(n, path, "%s %s", d.seen(n, text), d.withoutSecrets(n, string(wrong)))
	default:
		d.fault(n, path, "%s", d.withoutSecrets(n, err.Error()))
	}
}
