package config

import (
	"reflect"
	"slices"

	"go.yaml.in/yaml/v4"
)

// Templates are the names of the templates, in the order of the file: keys that
// several checks have in common.
type Templates []string

// template is one of them, taken apart.
type template struct {
	*mapping
	name string
}

// decodeNode implements nodeDecoder.
func (t *Templates) decodeNode(d *decoder, n *yaml.Node, path string) {
	if isNull(n) {
		return
	}
	m := d.mapping(n, path)
	if m == nil {
		return
	}
	d.templates = map[string]template{}
	for _, p := range m.pairs {
		name := p.key.Value
		*t = append(*t, name)
		d.templates[name] = template{new(mapping), name} // for those who use one with a fault
		if keys := d.mapping(p.value, join(path, shownKey(name))); keys != nil {
			keys.partial = true
			d.templates[name] = template{keys, name}
			d.template(keys)
		}
	}
}

// mostTemplates bounds how many templates one check may name.
const mostTemplates = 20

// ownKeys are those that no template can have, and why.
var ownKeys = map[string]string{
	"name":     "is each check's own; take it away",
	"template": "a template is made of keys alone; name several templates in the check instead",
	"any":      "members have names of their own, and so cannot be repeated; write them in the check",
	"all":      "members have names of their own, and so cannot be repeated; write them in the check",
}

// template looks at a template by itself. What depends on the check that it is
// used in is looked at there.
func (d *decoder) template(m *mapping) {
	known := checkKeys(nil)
	for key, why := range ownKeys {
		known = slices.DeleteFunc(known, func(k string) bool { return k == key })
		if p := m.remove(key); p != nil {
			d.fault(p.key, join(m.path, key), "%s", why)
		}
	}
	var c Check
	d.fields(m, reflect.ValueOf(&c).Elem(), "a template", known)
	where, keys := "a template", known
	t, ok := d.checkType(c.Type)
	if ok {
		options := reflect.ValueOf(t.New(d.site())).Elem()
		where, keys = "a template of type "+t.Name, append(keys, keysOf(options.Type())...)
		d.fields(m, options, where, keys)
	} else {
		d.unknownType(m, c.Type)
		keys = append(keys, d.allOptionKeys()...)
		for _, p := range m.pairs {
			p.taken = p.taken || slices.Contains(keys, p.key.Value)
		}
	}
	d.unknown(m, where, keys, func(key string) string { return d.otherType(t, key) })
}

// useTemplates adds to a check the keys of the templates that it names: those of
// the later ones win, and its own win over all. Mappings, headers for one, are
// put together key by key in the same way.
func (d *decoder) useTemplates(c *Check, m *mapping) {
	p := m.byKey["template"]
	if p == nil {
		return
	}
	path := join(m.path, "template")
	d.value(p.value, reflect.ValueOf(&c.Template).Elem(), field{}, path)
	switch {
	case !d.ok(path):
		return
	case len(c.Template) > mostTemplates:
		d.fault(target(p.value), path, "names %d templates; %d are enough", len(c.Template), mostTemplates)
		return
	}
	for i, name := range slices.Backward(c.Template) {
		n := target(p.value)
		at := path
		if n.Kind == yaml.SequenceNode {
			n, at = target(n.Content[i]), elementPath(path, i)
		}
		t, ok := d.templates[name]
		switch {
		case !ok:
			d.unknownTemplate(n, at, name)
		case slices.Contains(c.Template[:i], name):
			d.fault(n, at, "%s is there twice; keep one", d.seen(n, name))
		case d.spend(len(t.pairs), n, at):
			m.add(t, use{n, at})
		}
	}
	for _, p := range m.pairs {
		if len(p.more) > 0 {
			p.value, p.more = together(target(p.value), p.more), nil
		}
	}
}

// use is where a check names a template.
type use struct {
	node *yaml.Node
	path string
}

// add adds the keys of a template that m has not.
func (m *mapping) add(t template, at use) {
	for _, p := range t.pairs {
		key := p.key.Value
		own := m.byKey[key]
		switch {
		case ownKeys[key] != "": // reported there
		case own == nil:
			own = &pair{key: p.key, value: p.value, merged: true, template: t.name, home: t.path, use: at}
			m.pairs, m.byKey[key] = append(m.pairs, own), own
		case target(own.value).Kind == yaml.MappingNode && target(p.value).Kind == yaml.MappingNode:
			own.more = append(own.more, p.value)
		}
	}
}

// together returns a mapping with the keys of all, of which the first ones win.
func together(n *yaml.Node, more []*yaml.Node) *yaml.Node {
	all := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column, Content: slices.Clone(n.Content)}
	merge := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!merge", Value: "<<", Line: n.Line, Column: n.Column}
	for _, m := range more {
		all.Content = append(all.Content, merge, m)
	}
	return all
}

func (d *decoder) unknownTemplate(n *yaml.Node, path, name string) {
	names := []string(d.config.Health.Templates)
	hint := "there are none in health.templates"
	if len(names) > 0 {
		hint = "there are " + alternatives(names)
	}
	if near := Nearest(name, names); near != "" && d.made[n] == nil {
		hint = "did you mean " + near + "?"
	}
	d.fault(n, path, "%s is not a template; %s", d.seen(n, name), hint)
}
