package yamlfile

import (
	"cmp"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Mapping is a mapping node taken apart, with merge keys (<<) filled in.
type Mapping struct {
	Node  *yaml.Node
	Path  string
	Pairs []*Pair          // in the order of the file
	ByKey map[string]*Pair // the same

	Partial bool // what is missing, those who use it have
}

// Pair is one key and its value.
type Pair struct {
	Key, Value *yaml.Node
	Taken      bool
	Merged     bool // comes from a merge key: the mapping's own keys win

	Home string // path of the mapping that has it, if that is another one
}

// At returns the path of p, which m has.
func (p *Pair) At(m *Mapping) string {
	if p.Home != "" {
		return Join(p.Home, ShownKey(p.Key.Value))
	}
	return Join(m.Path, ShownKey(p.Key.Value))
}

// Mapping takes n apart. Of a key that is there twice, the first counts.
func (d *Decoder) Mapping(n *yaml.Node, path string) *Mapping {
	n, ok := d.Follow(n, path)
	switch {
	case !ok:
		return nil
	case n.Kind != yaml.MappingNode && path == "":
		d.Fault(n, path, "the file is %s, not keys with values; begin with a key such as %s:", d.Describe(n), d.about.Begin)
		return nil
	case n.Kind != yaml.MappingNode:
		d.Fault(n, path, "%s is not a mapping; write its keys on lines of their own, or as {key: value}", d.Describe(n))
		return nil
	}
	m := &Mapping{Node: n, Path: path, ByKey: map[string]*Pair{}}
	d.pairs(m, n, false, nil)
	return m
}

// pairs adds the pairs of n, which is the mapping itself or merged into it. Above
// are the merged mappings that lead here, to stop at a circle.
func (d *Decoder) pairs(m *Mapping, n *yaml.Node, merged bool, above []*yaml.Node) {
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if _, ok := d.Follow(key, m.Path); !ok {
			return
		}
		switch {
		case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
			merges = append(merges, value)
			continue
		case key.Kind != yaml.ScalarNode:
			d.Fault(key, m.Path, "a key must be one word, not %s", d.Describe(key))
			continue
		}
		first := m.ByKey[key.Value]
		switch {
		case first == nil:
			p := &Pair{Key: key, Value: value, Merged: merged}
			m.Pairs, m.ByKey[key.Value] = append(m.Pairs, p), p
		case !first.Merged && !merged:
			d.Fault(key, Join(m.Path, ShownKey(key.Value)), "is written twice; line %d has it already, keep one", first.Key.Line)
		}
	}
	for _, value := range merges {
		d.merge(m, value, append(above, n))
	}
}

// merge adds the mapping, or the list of mappings, that a merge key names.
func (d *Decoder) merge(m *Mapping, value *yaml.Node, above []*yaml.Node) {
	from, ok := d.Follow(value, m.Path)
	if !ok {
		return
	}
	sources := []*yaml.Node{from}
	if from.Kind == yaml.SequenceNode {
		sources = from.Content
	}
	for _, s := range sources {
		s, ok := d.Follow(s, m.Path)
		switch {
		case !ok:
			return
		case s.Kind != yaml.MappingNode:
			d.Fault(value, Join(m.Path, "<<"), "%s cannot be merged; << takes the name of a mapping, such as *defaults", d.Describe(s))
		case slices.Contains(above, s):
			d.Fault(value, Join(m.Path, "<<"), "a mapping cannot be merged into itself")
		default:
			d.pairs(m, s, true, above)
		}
	}
}

// Take returns the pair of a key and marks it as known, or nil.
func (m *Mapping) Take(key string) *Pair {
	p := m.ByKey[key]
	if p != nil {
		p.Taken = true
	}
	return p
}

// Remove takes a key out of m, and returns what it was, or nil.
func (m *Mapping) Remove(key string) *Pair {
	p := m.ByKey[key]
	if p != nil {
		delete(m.ByKey, key)
		m.Pairs = slices.DeleteFunc(m.Pairs, func(other *Pair) bool { return other == p })
	}
	return p
}

// Misspelt tells whether a key that nobody knows looks like the given one.
func (m *Mapping) Misspelt(key string, known []string) bool {
	return slices.ContainsFunc(m.Pairs, func(p *Pair) bool {
		return !slices.Contains(known, p.Key.Value) && Nearest(p.Key.Value, known) == key
	})
}

// Unknown reports the keys of m that nobody took. Where names what m is, known
// are the keys that it may have; elsewhere, if not nil, says where else a key
// belongs.
func (d *Decoder) Unknown(m *Mapping, where string, known []string, elsewhere func(key string) string) {
	for _, p := range m.Pairs {
		if p.Taken {
			continue
		}
		key, hint := p.Key.Value, ""
		if near := Nearest(key, known); near != "" {
			hint = "did you mean " + near + "?"
		} else if elsewhere != nil {
			hint = elsewhere(key)
		}
		if hint == "" {
			hint = where + " takes " + strings.Join(known, ", ")
		}
		d.Fault(p.Key, p.At(m), "unknown key; %s", hint)
	}
}

// BelongsTo says in which other parts of the file a key would be at home.
func (d *Decoder) BelongsTo(key string) string {
	if d.homes == nil {
		d.homes = map[string][]string{}
		AddHomes(d.homes, d.about.Root, "")
	}
	if len(d.homes[key]) == 0 {
		return ""
	}
	return "it belongs to " + Alternatives(d.homes[key])
}

// AddHomes adds the paths of struct type t, and of those in it, to each of their
// keys.
func AddHomes(homes map[string][]string, t reflect.Type, path string) {
	for _, f := range FieldsOf(t) {
		homes[f.Key] = append(homes[f.Key], cmp.Or(path, "the top of the file"))
		ft, at := t.FieldByIndex(f.Index).Type, Join(path, f.Key)
		if ft.Kind() == reflect.Slice {
			ft, at = ft.Elem(), at+"[]"
		}
		if ft.Kind() == reflect.Struct && ft != t && !IsText(reflect.New(ft).Elem()) {
			AddHomes(homes, ft, at)
		}
	}
}

var simpleKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

// ShownKey is a key as part of a path.
func ShownKey(key string) string {
	if simpleKey.MatchString(key) {
		return key
	}
	return strconv.Quote(Brief(strings.TrimSpace(key)))
}
