package config

import (
	"reflect"
	"slices"

	"hale/internal/yamlfile"

	"go.yaml.in/yaml/v4"
)

// Templates are the names of the templates, in the order of the file: keys that
// several checks have in common.
type Templates []string

// template is one of them, taken apart.
type template struct {
	*yamlfile.Mapping
	name string
}

// decodeNode implements nodeDecoder.
func (t *Templates) decodeNode(d *decoder, n *yaml.Node, path string) {
	if yamlfile.IsNull(n) {
		return
	}
	m := d.Mapping(n, path)
	if m == nil {
		return
	}
	d.templates = map[string]template{}
	for _, p := range m.Pairs {
		name := p.Key.Value
		*t = append(*t, name)
		d.templates[name] = template{new(yamlfile.Mapping), name} // for those who use one with a fault
		if keys := d.Mapping(p.Value, yamlfile.Join(path, yamlfile.ShownKey(name))); keys != nil {
			keys.Partial = true
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
func (d *decoder) template(m *yamlfile.Mapping) {
	known := checkKeys(nil)
	for key, why := range ownKeys {
		known = slices.DeleteFunc(known, func(k string) bool { return k == key })
		if p := m.Remove(key); p != nil {
			d.Fault(p.Key, yamlfile.Join(m.Path, key), "%s", why)
		}
	}
	var c Check
	d.Fields(m, reflect.ValueOf(&c).Elem(), "a template", known)
	where, keys := "a template", known
	t, ok := d.checkType(c.Type)
	if ok {
		options := reflect.ValueOf(t.New(d.site())).Elem()
		where, keys = "a template of type "+t.Name, append(keys, yamlfile.KeysOf(options.Type())...)
		d.Fields(m, options, where, keys)
	} else {
		d.unknownType(m, c.Type)
		keys = append(keys, d.allOptionKeys()...)
		for _, p := range m.Pairs {
			p.Taken = p.Taken || slices.Contains(keys, p.Key.Value)
		}
	}
	d.Unknown(m, where, keys, func(key string) string { return d.otherType(t, key) })
}

// useTemplates adds to a check the keys of the templates that it names: those of
// the later ones win, and its own win over all. Mappings, headers for one, are
// put together key by key in the same way.
func (d *decoder) useTemplates(c *Check, m *yamlfile.Mapping) {
	p := m.ByKey["template"]
	if p == nil {
		return
	}
	path := yamlfile.Join(m.Path, "template")
	d.Value(p.Value, reflect.ValueOf(&c.Template).Elem(), yamlfile.Field{}, path)
	switch {
	case !d.OK(path):
		return
	case len(c.Template) > mostTemplates:
		d.Fault(yamlfile.Target(p.Value), path, "names %d templates; %d are enough", len(c.Template), mostTemplates)
		return
	}
	for i, name := range slices.Backward(c.Template) {
		n := yamlfile.Target(p.Value)
		at := path
		if n.Kind == yaml.SequenceNode {
			n, at = yamlfile.Target(n.Content[i]), yamlfile.ElementPath(path, i)
		}
		t, ok := d.templates[name]
		switch {
		case !ok:
			d.unknownTemplate(n, at, name)
		case slices.Contains(c.Template[:i], name):
			d.Fault(n, at, "%s is there twice; keep one", d.Seen(n, name))
		case d.Spend(len(t.Pairs), n, at):
			d.add(m, t, use{n, at})
		}
	}
	for _, p := range m.Pairs {
		if o := d.of(p); len(o.more) > 0 {
			p.Value, o.more = together(yamlfile.Target(p.Value), o.more), nil
		}
	}
}

// use is where a check names a template.
type use struct {
	node *yaml.Node
	path string
}

// add adds the keys of a template that m has not.
func (d *decoder) add(m *yamlfile.Mapping, t template, at use) {
	for _, p := range t.Pairs {
		key := p.Key.Value
		own := m.ByKey[key]
		switch {
		case ownKeys[key] != "": // reported there
		case own == nil:
			own = &yamlfile.Pair{Key: p.Key, Value: p.Value, Merged: true, Home: t.Path}
			d.origins[own] = &origin{template: t.name, use: at}
			m.Pairs, m.ByKey[key] = append(m.Pairs, own), own
		case yamlfile.Target(own.Value).Kind == yaml.MappingNode && yamlfile.Target(p.Value).Kind == yaml.MappingNode:
			d.of(own).more = append(d.of(own).more, p.Value)
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
		hint = "there are " + yamlfile.Alternatives(names)
	}
	if near := yamlfile.Nearest(name, names); near != "" && !d.FromEnvironment(n) {
		hint = "did you mean " + near + "?"
	}
	d.Fault(n, path, "%s is not a template; %s", d.Seen(n, name), hint)
}
