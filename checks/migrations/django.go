package migrations

import (
	"cmp"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// djangoKey names a migration of Django.
type djangoKey struct{ app, name string }

func (k djangoKey) String() string { return k.app + "." + k.name }

func compareKeys(a, b djangoKey) int {
	return cmp.Or(strings.Compare(a.app, b.app), strings.Compare(a.name, b.name))
}

// djangoMigration is what a migration says of itself.
type djangoMigration struct {
	key      djangoKey
	follows  []djangoKey // dependencies
	before   []djangoKey // run_before
	replaces []djangoKey // of a squashed migration
}

// django is the migrations of a project that uses Django.
type django struct {
	migrations map[djangoKey]*djangoMigration
	apps       map[string]bool // installed; true if it has migrations
	only       []string        // apps to look at; none: all
	// partial says that there may be apps that are not known, and why.
	partial string
}

func (d *django) note() string { return d.partial }

// size is how many migrations there are without those that are replaced.
func (d *django) size() int {
	replaced := make(map[djangoKey]bool)
	for _, m := range d.migrations {
		for _, key := range m.replaces {
			replaced[key] = true
		}
	}
	n := 0
	for key := range d.migrations {
		if !replaced[key] && (len(d.only) == 0 || slices.Contains(d.only, key.app)) {
			n++
		}
	}
	return n
}

// compare comes to the conclusion that "manage.py migrate --check" comes to: its
// plan is the migrations that are in the graph and not applied, and a graph with
// a fault is one that it refuses.
func (d *django) compare(rows [][]driver.Value) (state, error) {
	var s state
	order := make([]djangoKey, 0, len(rows)) // as recorded
	applied := make(map[djangoKey]bool, len(rows))
	for _, row := range rows {
		texts, err := cells(row, 2)
		if err != nil {
			return state{}, err
		}
		key := djangoKey{texts[0], texts[1]}
		order, applied[key] = append(order, key), true
	}
	g, err := d.graph(applied)
	if err == nil {
		err = d.plan(&s, g, applied)
	}
	if err != nil {
		s.broken = append(s.broken, err.Error())
	}
	d.strangers(&s, order)
	return s, nil
}

// plan says which migrations are to be applied.
func (d *django) plan(s *state, g *djangoGraph, applied map[djangoKey]bool) error {
	order, cycle := inOrder(slices.SortedFunc(maps.Keys(g.nodes), compareKeys), compareKeys,
		func(key djangoKey) []djangoKey { return slices.Collect(maps.Keys(g.nodes[key].parents)) })
	if len(cycle) > 0 {
		return fmt.Errorf("migrations depend on each other in a circle: %s", list(texts(cycle)))
	}
	for _, app := range slices.Sorted(maps.Keys(d.apps)) {
		if leaves := g.leaves(app); len(leaves) > 1 {
			s.broken = append(s.broken, fmt.Sprintf("app %s has conflicting migrations, %s (makemigrations --merge)", brief(app), list(texts(leaves))))
		}
	}
	wanted := g.nodes
	if len(d.only) > 0 {
		wanted = make(map[djangoKey]*djangoNode)
		for _, app := range d.only {
			for _, leaf := range g.leaves(app) {
				g.ancestors(leaf, wanted)
			}
		}
	}
	for _, key := range order {
		if wanted[key] != nil && !applied[key] {
			s.pending = append(s.pending, key.String())
		}
	}
	return nil
}

// strangers tells those of the recorded migrations that the code does not know
// apart. Of an app, those recorded after the last one that the code knows were
// brought by newer code; earlier ones have been squashed and removed since. Of
// an app that is not installed the same holds with regard to all apps.
func (d *django) strangers(s *state, recorded []djangoKey) {
	known := make(map[djangoKey]bool, len(d.migrations))
	for key, m := range d.migrations {
		known[key] = true
		for _, replaced := range m.replaces {
			known[replaced] = true
		}
	}
	last := make(map[string]int) // by app; "" is all of them
	for i, key := range recorded {
		if known[key] {
			last[key.app], last[""] = i+1, i+1
		}
	}
	for i, key := range recorded {
		migrated, installed := d.apps[key.app]
		switch {
		case known[key] || len(d.only) > 0 && !slices.Contains(d.only, key.app):
		case migrated && i >= last[key.app], !installed && d.partial == "" && i >= last[""]:
			s.ahead = append(s.ahead, key.String())
		case installed || d.partial == "":
			s.gone++
		}
	}
}

func texts(keys []djangoKey) []string {
	all := make([]string, len(keys))
	for i, key := range keys {
		all[i] = key.String()
	}
	return all
}

// djangoGraph is what Django makes of the migrations: each with those that it
// depends on, and the squashed ones in the place of what they replace, or the
// other way round.
type djangoGraph struct {
	nodes map[djangoKey]*djangoNode
}

type djangoNode struct {
	key               djangoKey
	parents, children map[djangoKey]bool
	missing           djangoKey // set if there is no such migration: who asked for it
}

var errCircularReplaces = errors.New("squashed migrations replace each other in a circle")

// graph puts the migrations together as django.db.migrations.loader does, given
// those that are applied. To these it adds squashed ones all of whose replaced
// migrations are, and takes away the others.
func (d *django) graph(applied map[djangoKey]bool) (*djangoGraph, error) {
	g := &djangoGraph{nodes: make(map[djangoKey]*djangoNode, len(d.migrations))}
	keys := slices.SortedFunc(maps.Keys(d.migrations), compareKeys)
	for _, key := range keys {
		g.nodes[key] = newDjangoNode(key)
	}
	// Dependencies within an app come first: __first__ and __latest__ of an app
	// are found by them.
	for _, key := range keys {
		for _, parent := range d.migrations[key].follows {
			if parent.app == key.app && parent.name != firstMigration {
				g.connect(key, key, parent)
			}
		}
	}
	for _, key := range keys {
		m := d.migrations[key]
		for _, parent := range m.follows {
			if parent.app == key.app {
				continue
			}
			if parent, ok, err := d.resolve(g, parent, key.app); err != nil {
				return nil, err
			} else if ok {
				g.connect(key, key, parent)
			}
		}
		for _, child := range m.before {
			if child, ok, err := d.resolve(g, child, key.app); err != nil {
				return nil, err
			} else if ok {
				g.connect(key, child, key)
			}
		}
	}
	r := replacer{d, g, applied, make(map[djangoKey]bool)}
	for _, key := range keys {
		if len(d.migrations[key].replaces) > 0 {
			if err := r.replace(key); err != nil {
				return nil, err
			}
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(g.nodes), compareKeys) {
		if origin := g.nodes[key].missing; origin != (djangoKey{}) {
			return nil, fmt.Errorf("migration %s depends on %s, which the code does not have", brief(origin.String()), brief(key.String()))
		}
	}
	return g, nil
}

func newDjangoNode(key djangoKey) *djangoNode {
	return &djangoNode{key: key, parents: make(map[djangoKey]bool), children: make(map[djangoKey]bool)}
}

// Names that stand for an app's first and last migration in dependencies.
const (
	firstMigration  = "__first__"
	latestMigration = "__latest__"
)

// resolve finds the migration that a dependency on another app means; ok is
// false if it means none.
func (d *django) resolve(g *djangoGraph, key djangoKey, from string) (_ djangoKey, ok bool, _ error) {
	migrated, installed := d.apps[key.app]
	switch {
	case !installed && d.partial != "":
		return djangoKey{}, false, nil
	case key.name != firstMigration && key.name != latestMigration || g.nodes[key] != nil:
		return key, true, nil
	case key.app == from || installed && !migrated:
		return djangoKey{}, false, nil
	case !installed:
		return djangoKey{}, false, fmt.Errorf("a migration of %s depends on the app %s, which is not installed", brief(from), brief(key.app))
	}
	ends := g.leaves(key.app)
	if key.name == firstMigration {
		ends = g.roots(key.app)
	}
	if len(ends) == 0 {
		return djangoKey{}, false, fmt.Errorf("a migration of %s depends on the app %s, which has no migrations", brief(from), brief(key.app))
	}
	return ends[0], true, nil
}

// connect makes child depend on parent, as origin says.
func (g *djangoGraph) connect(origin, child, parent djangoKey) {
	for _, key := range []djangoKey{child, parent} {
		if g.nodes[key] == nil {
			g.nodes[key] = newDjangoNode(key)
			g.nodes[key].missing = origin
		}
	}
	g.nodes[child].parents[parent] = true
	g.nodes[parent].children[child] = true
}

// roots returns the migrations of an app that depend on no other of it.
func (g *djangoGraph) roots(app string) []djangoKey {
	return g.ends(app, func(n *djangoNode) map[djangoKey]bool { return n.parents })
}

// leaves returns the migrations of an app that no other of it depends on.
func (g *djangoGraph) leaves(app string) []djangoKey {
	return g.ends(app, func(n *djangoNode) map[djangoKey]bool { return n.children })
}

func (g *djangoGraph) ends(app string, neighbours func(*djangoNode) map[djangoKey]bool) []djangoKey {
	var found []djangoKey
	for key, node := range g.nodes {
		if key.app != app || node.missing != (djangoKey{}) {
			continue
		}
		inner := false
		for other := range neighbours(node) {
			inner = inner || other.app == app
		}
		if !inner {
			found = append(found, key)
		}
	}
	slices.SortFunc(found, compareKeys)
	return found
}

// ancestors adds a migration and all that it depends on to a set.
func (g *djangoGraph) ancestors(key djangoKey, set map[djangoKey]*djangoNode) {
	for todo := []djangoKey{key}; len(todo) > 0; {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if node := g.nodes[next]; node != nil && set[next] == nil {
			set[next] = node
			todo = slices.AppendSeq(todo, maps.Keys(node.parents))
		}
	}
}

// replacer puts squashed migrations in the place of those that they replace.
type replacer struct {
	*django
	graph   *djangoGraph
	applied map[djangoKey]bool
	done    map[djangoKey]bool // false while it is being done
}

// replace decides between a squashed migration and those that it replaces: it
// stands for them where all of them are applied, or none.
func (r *replacer) replace(key djangoKey) error {
	if done, begun := r.done[key]; done {
		return nil
	} else if begun {
		return errCircularReplaces
	}
	r.done[key] = false
	m := r.migrations[key]
	for _, inner := range m.replaces { // a squashed migration may be squashed again
		if other := r.migrations[inner]; other != nil && len(other.replaces) > 0 {
			if err := r.replace(inner); err != nil {
				return err
			}
		}
	}
	replaced := make(map[djangoKey]bool)
	r.resolve(m, replaced)
	n := 0
	for target := range replaced {
		if r.applied[target] {
			n++
		}
	}
	if all := n == len(replaced); all {
		r.applied[key] = true
	} else {
		delete(r.applied, key)
	}
	if n == 0 || n == len(replaced) {
		r.graph.merge(key, m.replaces)
	} else {
		r.graph.dissolve(key, m.replaces)
	}
	r.done[key] = true
	return nil
}

// resolve collects what a squashed migration replaces in the end.
func (r *replacer) resolve(m *djangoMigration, into map[djangoKey]bool) {
	for _, key := range m.replaces {
		if inner := r.migrations[key]; inner != nil && len(inner.replaces) > 0 {
			r.resolve(inner, into)
		} else {
			into[key] = true
		}
	}
}

// merge removes the replaced migrations, and leaves their neighbours to the
// squashed one.
func (g *djangoGraph) merge(key djangoKey, replaced []djangoKey) {
	if g.nodes[key] == nil {
		return
	}
	for _, old := range replaced {
		gone := g.nodes[old]
		if gone == nil || old == key {
			continue
		}
		g.remove(gone)
		for child := range gone.children {
			if child != key && !slices.Contains(replaced, child) {
				g.connect(child, child, key)
			}
		}
		for parent := range gone.parents {
			if parent != key && !slices.Contains(replaced, parent) {
				g.connect(key, key, parent)
			}
		}
	}
}

// dissolve removes a squashed migration, and leaves its children to the last of
// those that it would have replaced.
func (g *djangoGraph) dissolve(key djangoKey, replaced []djangoKey) {
	node := g.nodes[key]
	if node == nil {
		return
	}
	g.remove(node)
	last := make(map[djangoKey]bool)
	for _, old := range replaced {
		if g.nodes[old] != nil {
			last[old] = true
		}
	}
	for _, old := range replaced {
		if n := g.nodes[old]; n != nil {
			for parent := range n.parents {
				delete(last, parent)
			}
		}
	}
	for child := range node.children {
		for old := range last {
			if child != old && child != key {
				g.connect(child, child, old)
			}
		}
	}
}

// remove takes a migration out, and leaves its neighbours without it.
func (g *djangoGraph) remove(node *djangoNode) {
	delete(g.nodes, node.key)
	for child := range node.children {
		if n := g.nodes[child]; n != nil {
			delete(n.parents, node.key)
		}
	}
	for parent := range node.parents {
		if n := g.nodes[parent]; n != nil {
			delete(n.children, node.key)
		}
	}
}
