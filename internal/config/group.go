package config

import (
	"reflect"
	"slices"
)

// deepestGroup bounds groups within groups.
const deepestGroup = 5

// keysOfGroups and keysOfMembers are what a group has besides its members, and
// what only a check can say that is no member of one.
var (
	keysOfGroups  = []string{"name", "any", "all", "rise", "fall", "impact", "scope", "depends_on", "profile", "template"}
	keysOfMembers = []string{"impact", "scope", "depends_on", "profile"}
)

func (m *mapping) isGroup() bool { return m.byKey["any"] != nil || m.byKey["all"] != nil }

// member refuses what is the group's to say.
func (d *decoder) member(m *mapping) {
	if len(d.groups) == 0 {
		return
	}
	for _, key := range keysOfMembers {
		if p := m.remove(key); p != nil {
			d.refuse(m, p, "is the group's to say, since only the group counts; take it away, or write it there")
		}
	}
}

// group decodes a check that is made of others.
func (d *decoder) group(c *Check, m *mapping) {
	if best, worst := m.byKey["any"], m.byKey["all"]; best != nil && worst != nil {
		m.remove("all")
		d.fault(worst.key, join(m.path, "all"), "a group is one of any and all, and any is on line %d; put one into the other", best.key.Line)
	}
	for _, p := range slices.Clone(m.pairs) {
		key := p.key.Value
		switch {
		case slices.Contains(keysOfGroups, key):
			continue
		case key == "type":
			d.refuse(m, m.remove(key), "is for a check that asks something itself; a group has its members for that")
		case slices.Contains(checkKeys(nil), key):
			d.refuse(m, m.remove(key), "is each member's own; write it there")
		case p.template != "":
			d.refuse(m, m.remove(key), "is no key of a group")
		}
	}
	switch {
	case slices.Contains(d.groups, m.node):
		d.fault(m.node, m.path, "a group cannot be a member of itself")
		return
	case len(d.groups) == deepestGroup:
		d.fault(m.node, m.path, "groups lie more than %d deep within groups", deepestGroup)
		return
	}
	c.Interval, c.Timeout = 0, 0
	d.groups = append(d.groups, m.node)
	d.fields(m, reflect.ValueOf(c).Elem(), "a group", keysOfGroups)
	d.groups = d.groups[:len(d.groups)-1]
	d.unknown(m, "a group", keysOfGroups, nil)
	for key, members := range map[string][]Check{"any": c.Any, "all": c.All} {
		if path := join(m.path, key); m.byKey[key] != nil && len(members) == 0 && d.ok(path) {
			d.fault(target(m.byKey[key].value), path, "has no member; write its checks, each on a line that begins with a dash")
		}
	}
}

// refuse reports a key that a check cannot have, at the key itself or, if a
// template brought it, where the check names the template.
func (d *decoder) refuse(m *mapping, p *pair, why string) {
	key := p.key.Value
	if p.template == "" {
		d.fault(p.key, join(m.path, shownKey(key)), "%s", why)
		return
	}
	d.fault(p.use.node, p.use.path, "the template %s brings %s, which %s", p.template, shownKey(key), why)
}
