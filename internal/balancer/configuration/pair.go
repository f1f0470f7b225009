package configuration

import (
	"strconv"

	"hale/internal/balancer/inventory"
)

// side is how wishes W are told apart from one another, and things T.
type side[W, T any] struct {
	kind    string
	name    func(place int) string
	placeOf func(*W) int
	place   func(T) int
	tags    func(T) []inventory.Tag
	// moved tells that one wish and one thing that are left over are the same in
	// another place.
	moved bool
}

// pair finds for each wish the thing that a file made for it: the same in the same
// place, the same elsewhere, another in the same place. What is left over is gone.
func pair[W, T any](wishes []W, there []T, s side[W, T]) (found []T, gone []T, err error) {
	found = make([]T, len(wishes))
	have := make([]bool, len(wishes))
	taken := make([]bool, len(there))
	take := func(fits func(w *W, t T) bool) {
		for i := range wishes {
			for j, t := range there {
				if !have[i] && !taken[j] && made(s.tags(t)) && fits(&wishes[i], t) {
					found[i], have[i], taken[j] = t, true, true
				}
			}
		}
	}
	samePlace := func(w *W, t T) bool { return s.placeOf(w) == s.place(t) }
	sayNow := func(w *W, t T) bool { return stands(s.tags(t), fingerprint(w)) }
	take(func(w *W, t T) bool { return samePlace(w, t) && sayNow(w, t) })
	if s.moved {
		take(samePlace)
	}
	take(sayNow)
	take(samePlace)
	left := 0
	for i := range wishes {
		if !have[i] {
			left++
		}
	}
	for j, t := range there {
		switch {
		case taken[j]:
		case made(s.tags(t)):
			gone = append(gone, t)
		default:
			for i := range wishes {
				if samePlace(&wishes[i], t) {
					return nil, nil, foreign(s.kind, s.name(s.place(t)))
				}
			}
		}
	}
	if s.moved && left == 1 && len(gone) == 1 {
		for i := range wishes {
			if !have[i] {
				found[i], gone = gone[0], nil
			}
		}
	}
	return found, gone, nil
}

// pairListeners finds for each listener and rule of the file the one that is
// there, if there is one.
func (a *application) pairListeners() error {
	v := a.edit.Inventory()
	for i := range a.file.LoadBalancers {
		p := &balancerPlan{wish: &a.file.LoadBalancers[i]}
		a.balancers = append(a.balancers, p)
		var there []*inventory.Listener
		for arn, b := range v.LoadBalancers {
			if b.Name == p.wish.Name {
				p.arn, there = arn, v.ListenersOf(arn)
			}
		}
		found, gone, err := pair(p.wish.Listeners, there, listenerSide(p.wish.Name))
		if err != nil {
			return err
		}
		p.gone = gone
		for j := range p.wish.Listeners {
			l := &listenerPlan{wish: &p.wish.Listeners[j], name: listenerName(p.wish.Name, p.wish.Listeners[j].Port)}
			p.listeners = append(p.listeners, l)
			var rules []*inventory.Rule
			if found[j] != nil {
				l.arn, rules = found[j].ARN, v.RulesOf(found[j].ARN)
			}
			same, gone, err := pair(l.wish.Rules, rules, ruleSide(l.name))
			if err != nil {
				return err
			}
			l.gone = gone
			for k := range l.wish.Rules {
				r := &rulePlan{wish: &l.wish.Rules[k]}
				if same[k] != nil {
					r.arn = same[k].ARN
				}
				l.rules = append(l.rules, r)
			}
		}
	}
	return nil
}

func listenerName(balancer string, port int) string { return balancer + ":" + strconv.Itoa(port) }

func ruleName(listener string, priority int) string {
	return listener + " priority " + strconv.Itoa(priority)
}

func listenerSide(balancer string) side[Listener, *inventory.Listener] {
	return side[Listener, *inventory.Listener]{
		aListener, func(port int) string { return listenerName(balancer, port) },
		func(w *Listener) int { return w.Port }, func(l *inventory.Listener) int { return l.Port },
		func(l *inventory.Listener) []inventory.Tag { return l.Tags }, true,
	}
}

func ruleSide(listener string) side[Rule, *inventory.Rule] {
	return side[Rule, *inventory.Rule]{
		aRule, func(priority int) string { return ruleName(listener, priority) },
		func(w *Rule) int { return w.Priority }, func(r *inventory.Rule) int { return r.Priority },
		func(r *inventory.Rule) []inventory.Tag { return r.Tags }, false,
	}
}

func fingerprintOf(tags []inventory.Tag) string {
	value, _ := tag(tags, MadeTag)
	return value
}
