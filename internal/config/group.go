package config

import (
	"reflect"
	"slices"

	"hale/internal/yamlfile"
)

// deepestGroup bounds groups within groups.
const deepestGroup = 5

// keysOfGroups and keysOfMembers are what a group has besides its members, and
// what only a check can say that is no member of one.
var (
	keysOfGroups  = []string{"name", "any", "all", "rise", "fall", "impact", "scope", "depends_on", "profile", "template"}
	keysOfMembers = []string{"impact", "scope", "depends_on", "profile"}
)

func isGroup(m *yamlfile.Mapping) bool { return m.ByKey["any"] != nil || m.ByKey["all"] != nil }

// member refuses what is the group's to say.
func (d *decoder) member(m *yamlfile.Mapping) {
	if len(d.groups) == 0 {
		return
	}
	for _, key := range keysOfMembers {
		if p := m.Remove(key); p != nil {
			d.refuse(m, p, "is the group's to say, since only the group counts; take it away, or write it there")
		}
	}
}

// group decodes a check that is made of others.
func (d *decoder) group(c *Check, m *yamlfile.Mapping) {
	if best, worst := m.ByKey["any"], m.ByKey["all"]; best != nil && worst != nil {
		m.Remove("all")
		d.Fault(worst.Key, yamlfile.Join(m.Path, "all"), "a group is one of any and all, and any is on line %d; put one into the other", best.Key.Line)
	}
	for _, p := range slices.Clone(m.Pairs) {
		key := p.Key.Value
		switch {
		case slices.Contains(keysOfGroups, key):
			continue
		case key == "type":
			d.refuse(m, m.Remove(key), "is for a check that asks something itself; a group has its members for that")
		case slices.Contains(checkKeys(nil), key):
			d.refuse(m, m.Remove(key), "is each member's own; write it there")
		case d.of(p).template != "":
			d.refuse(m, m.Remove(key), "is no key of a group")
		}
	}
	switch {
	case slices.Contains(d.groups, m.Node):
		d.Fault(m.Node, m.Path, "a group cannot be a member of itself")
		return
	case len(d.groups) == deepestGroup:
		d.Fault(m.Node, m.Path, "groups lie more than %d deep within groups", deepestGroup)
		return
	}
	c.Interval, c.Timeout = 0, 0
	d.groups = append(d.groups, m.Node)
	d.Fields(m, reflect.ValueOf(c).Elem(), "a group", keysOfGroups)
	d.groups = d.groups[:len(d.groups)-1]
	d.Unknown(m, "a group", keysOfGroups, nil)
	for key, members := range map[string][]Check{"any": c.Any, "all": c.All} {
		if path := yamlfile.Join(m.Path, key); m.ByKey[key] != nil && len(members) == 0 && d.OK(path) {
			d.Fault(yamlfile.Target(m.ByKey[key].Value), path, "has no member; write its checks, each on a line that begins with a dash")
		}
	}
}

// refuse reports a key that a check cannot have, at the key itself or, if a
// template brought it, where the check names the template.
func (d *decoder) refuse(m *yamlfile.Mapping, p *yamlfile.Pair, why string) {
	key := p.Key.Value
	if d.of(p).template == "" {
		d.Fault(p.Key, yamlfile.Join(m.Path, yamlfile.ShownKey(key)), "%s", why)
		return
	}
	d.Fault(d.of(p).use.node, d.of(p).use.path, "the template %s brings %s, which %s", d.of(p).template, yamlfile.ShownKey(key), why)
}
