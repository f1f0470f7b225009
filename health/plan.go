package health

import (
	"slices"
	"time"
)

// item is one check of a plan: one that is asked, or a group.
type item struct {
	Check                  // with defaults filled in
	group    int           // index of the group that it is a member of, else -1
	members  []int         // of a group
	needs    []int         // what it depends on, directly and through others; a member has its group's
	patience time.Duration // how long it waits for them before it reports a failure
}

// plan puts checks in one line, each group before its members, and finds what
// they depend on. Names that are not there, and circles, lead nowhere.
func plan(checks []Check) []item {
	var items []item
	tops := map[string]int{}
	var add func(c Check, group int, profiles []string) int
	add = func(c Check, group int, profiles []string) int {
		i := len(items)
		c = c.withDefaults()
		switch {
		case group >= 0: // only the group counts, and says how
			c.Profiles, c.Impact, c.Scope = profiles, items[group].Impact, items[group].Scope
		case len(c.Profiles) == 0:
			c.Profiles = slices.Clone(usual)
		default:
			c.Profiles = slices.Clone(c.Profiles)
		}
		items = append(items, item{Check: c, group: group})
		for _, m := range c.members() {
			m := add(m, i, c.Profiles)
			items[i].members = append(items[i].members, m)
		}
		return i
	}
	for _, c := range checks {
		tops[c.Name] = add(c, -1, nil)
	}
	for i := range items {
		it := &items[i]
		if it.group >= 0 {
			it.needs = items[it.group].needs
		} else {
			it.needs = needs(items, tops, i)
		}
	}
	for i := range items {
		it := &items[i]
		for _, leaf := range leaves(items, it.needs) {
			it.patience = max(it.patience, items[leaf].atLeast()+items[leaf].Timeout+slack)
		}
	}
	return items
}

// needs returns what a check depends on, directly and through others, without
// itself.
func needs(items []item, tops map[string]int, i int) []int {
	var found []int
	var follow func(i int)
	follow = func(at int) {
		for _, name := range items[at].DependsOn {
			if n, ok := tops[name]; ok && n != i && !slices.Contains(found, n) {
				found = append(found, n)
				follow(n)
			}
		}
	}
	follow(i)
	return found
}

// leaves returns the checks, and the members of the groups, that are asked.
func leaves(items []item, of []int) []int {
	var found []int
	for _, i := range of {
		if members := items[i].members; len(members) > 0 {
			found = append(found, leaves(items, members)...)
		} else {
			found = append(found, i)
		}
	}
	return found
}

// maxAge is how long a pass or a warning is believed: until the next answer has
// had its time, and what it depends on after it.
func (it *item) maxAge() time.Duration { return it.Interval + it.Timeout + slack + it.patience }

// atLeast is how much time lies between two runs that the interval alone does not
// call for.
func (it *item) atLeast() time.Duration { return min(it.Interval, time.Second) }

// newResults returns the results of checks that were never asked.
func newResults(items []item, now time.Time) []Result {
	results := make([]Result, len(items))
	for i := range items {
		results[i] = items[i].newResult(items, now)
	}
	return results
}

func (it *item) newResult(items []item, now time.Time) Result {
	r := Result{
		Name: it.Name, Type: it.Type, Impact: it.Impact, Scope: it.Scope, Profiles: it.Profiles, Since: now,
	}
	if it.group >= 0 {
		r.Group = items[it.group].Name
	}
	return r
}

// rootOf returns the check that another's failure follows from, and the one that
// is reported in its place: of those that it depends on and that fail, one that
// depends on none of them. That is the root itself, unless the root is well again
// and the check has not answered since. Where there are several roots, one of the
// instance's own goes before a shared one, since it is what this instance can be
// blamed for, and one that fails before one that is well again. Both are -1 if
// there is none. It is to be called in the order of causesFirst.
func rootOf(items []item, results []Result, i int) (root, head int) {
	root, head = -1, -1
	ailing := func(n int) bool { return results[n].ailing() }
	for _, n := range items[i].needs {
		if !ailing(n) || slices.ContainsFunc(items[n].needs, ailing) {
			continue
		}
		of := n
		for _, cause := range items[n].needs {
			if items[cause].Name == results[n].cause {
				of = cause
			}
		}
		own, ownBefore := results[of].Scope == Instance, root >= 0 && results[root].Scope == Instance
		if root < 0 || own && !ownBefore || own == ownBefore && of == n && root != head {
			root, head = of, n
		}
	}
	return root, head
}

// causesFirst returns the items in an order in which each comes after what it
// depends on, and a group after its members.
func causesFirst(items []item) []int {
	order := make([]int, 0, len(items))
	seen := make([]bool, len(items))
	var visit func(i int)
	visit = func(i int) {
		if seen[i] {
			return
		}
		seen[i] = true
		for _, n := range items[i].needs {
			visit(n)
		}
		for _, member := range items[i].members {
			visit(member)
		}
		order = append(order, i)
	}
	for i := range items {
		visit(i)
	}
	return order
}

// ailing reports whether the check fails by its Status, or by its last answer
// while Fall still holds its Status.
func (r *Result) ailing() bool { return r.Status == Fail || r.Last == Fail }
