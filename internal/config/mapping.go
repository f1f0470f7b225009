package config

import (
	"cmp"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// mapping is a mapping node taken apart, with merge keys (<<) filled in.
type mapping struct {
	node  *yaml.Node
	path  string
	pairs []*pair          // in the order of the file
	byKey map[string]*pair // the same

	partial bool // a template: what is missing, those who use it have
}

// pair is one key and its value.
type pair struct {
	key, value *yaml.Node
	taken      bool
	merged     bool // comes from a merge key: the mapping's own keys win

	template string       // whose it is, if it is a template's
	home     string       // path of the mapping that has it, if that is another one
	use      use          // where the template is named
	more     []*yaml.Node // mappings of templates, to be put together with value
}

// at returns the path of p, which m has.
func (p *pair) at(m *mapping) string {
	if p.home != "" {
		return join(p.home, shownKey(p.key.Value))
	}
	return join(m.path, shownKey(p.key.Value))
}

// mapping takes n apart. Of a key that is there twice, the first counts.
func (d *decoder) mapping(n *yaml.Node, path string) *mapping {
	n, ok := d.follow(n, path)
	switch {
	case !ok:
		return nil
	case n.Kind != yaml.MappingNode && path == "":
		d.fault(n, path, "the file is %s, not keys with values; begin with a key such as app:", d.describe(n))
		return nil
	case n.Kind != yaml.MappingNode:
		d.fault(n, path, "%s is not a mapping; write its keys on lines of their own, or as {key: value}", d.describe(n))
		return nil
	}
	m := &mapping{node: n, path: path, byKey: map[string]*pair{}}
	d.pairs(m, n, false, nil)
	return m
}

// pairs adds the pairs of n, which is the mapping itself or merged into it. Above
// are the merged mappings that lead here, to stop at a circle.
func (d *decoder) pairs(m *mapping, n *yaml.Node, merged bool, above []*yaml.Node) {
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if _, ok := d.follow(key, m.path); !ok {
			return
		}
		switch {
		case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
			merges = append(merges, value)
			continue
		case key.Kind != yaml.ScalarNode:
			d.fault(key, m.path, "a key must be one word, not %s", d.describe(key))
			continue
		}
		first := m.byKey[key.Value]
		switch {
		case first == nil:
			p := &pair{key: key, value: value, merged: merged}
			m.pairs, m.byKey[key.Value] = append(m.pairs, p), p
		case !first.merged && !merged:
			d.fault(key, join(m.path, shownKey(key.Value)), "is written twice; line %d has it already, keep one", first.key.Line)
		}
	}
	for _, value := range merges {
		d.merge(m, value, append(above, n))
	}
}

// merge adds the mapping, or the list of mappings, that a merge key names.
func (d *decoder) merge(m *mapping, value *yaml.Node, above []*yaml.Node) {
	from, ok := d.follow(value, m.path)
	if !ok {
		return
	}
	sources := []*yaml.Node{from}
	if from.Kind == yaml.SequenceNode {
		sources = from.Content
	}
	for _, s := range sources {
		s, ok := d.follow(s, m.path)
		switch {
		case !ok:
			return
		case s.Kind != yaml.MappingNode:
			d.fault(value, join(m.path, "<<"), "%s cannot be merged; << takes the name of a mapping, such as *defaults", d.describe(s))
		case slices.Contains(above, s):
			d.fault(value, join(m.path, "<<"), "a mapping cannot be merged into itself")
		default:
			d.pairs(m, s, true, above)
		}
	}
}

// take returns the pair of a key and marks it as known, or nil.
func (m *mapping) take(key string) *pair {
	p := m.byKey[key]
	if p != nil {
		p.taken = true
	}
	return p
}

// remove takes a key out of m, and returns what it was, or nil.
func (m *mapping) remove(key string) *pair {
	p := m.byKey[key]
	if p != nil {
		delete(m.byKey, key)
		m.pairs = slices.DeleteFunc(m.pairs, func(other *pair) bool { return other == p })
	}
	return p
}

// misspelt tells whether a key that nobody knows looks like the given one.
func (m *mapping) misspelt(key string, known []string) bool {
	return slices.ContainsFunc(m.pairs, func(p *pair) bool {
		return !slices.Contains(known, p.key.Value) && Nearest(p.key.Value, known) == key
	})
}

// unknown reports the keys of m that nobody took. Where names what m is, known
// are the keys that it may have; elsewhere, if not nil, says where else a key
// belongs.
func (d *decoder) unknown(m *mapping, where string, known []string, elsewhere func(key string) string) {
	for _, p := range m.pairs {
		if p.taken {
			continue
		}
		key, hint := p.key.Value, ""
		if near := Nearest(key, known); near != "" {
			hint = "did you mean " + near + "?"
		} else if elsewhere != nil {
			hint = elsewhere(key)
		}
		if hint == "" {
			hint = where + " takes " + strings.Join(known, ", ")
		}
		d.fault(p.key, p.at(m), "unknown key; %s", hint)
	}
}

// belongsTo says in which other parts of hale.yaml a key would be at home.
func (d *decoder) belongsTo(key string) string {
	if d.homes == nil {
		d.homes = map[string][]string{}
		addHomes(d.homes, reflect.TypeFor[Config](), "")
	}
	if len(d.homes[key]) == 0 {
		return ""
	}
	return "it belongs to " + alternatives(d.homes[key])
}

// addHomes adds the paths of struct type t, and of those in it, to each of their
// keys.
func addHomes(homes map[string][]string, t reflect.Type, path string) {
	for _, f := range fieldsOf(t) {
		homes[f.key] = append(homes[f.key], cmp.Or(path, "the top of the file"))
		ft, at := t.FieldByIndex(f.index).Type, join(path, f.key)
		if ft.Kind() == reflect.Slice {
			ft, at = ft.Elem(), at+"[]"
		}
		if ft.Kind() == reflect.Struct && ft != t && !isText(reflect.New(ft).Elem()) {
			addHomes(homes, ft, at)
		}
	}
}

var simpleKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

// shownKey is a key as part of a path.
func shownKey(key string) string {
	if simpleKey.MatchString(key) {
		return key
	}
	return strconv.Quote(brief(strings.TrimSpace(key)))
}
