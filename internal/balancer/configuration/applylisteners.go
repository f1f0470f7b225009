package configuration

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
)

// putListeners makes listeners and rules be as the file says. A group or a port
// that one of them is still to give up for another has that one wait.
func (a *application) putListeners() error {
	var tasks []func() error
	for _, p := range a.balancers {
		for _, l := range p.listeners {
			tasks = append(tasks, func() error { return a.putListener(p, l) }, func() error { return a.moveRules(l) })
			for _, r := range l.rules {
				tasks = append(tasks, func() error { return a.putRule(l, r) })
			}
		}
	}
	for len(tasks) > 0 {
		var (
			waiting []func() error
			first   error
		)
		for _, do := range tasks {
			err := do()
			switch {
			case err == nil:
			case waits(err):
				waiting, first = append(waiting, do), cmp.Or(first, err)
			default:
				return err
			}
		}
		if len(waiting) == len(tasks) {
			return first
		}
		tasks = waiting
	}
	return nil
}

// errNotYet says that something else has to be done first.
var errNotYet = errors.New("its listener could not be made")

// waits tells whether what failed may be done after something else.
func waits(err error) bool {
	refused, ok := errors.AsType[*elb.Error](err)
	return errors.Is(err, errNotYet) || ok && (refused.Code == "TargetGroupAssociationLimit" || refused.Code == "DuplicateListener")
}

func (a *application) putListener(p *balancerPlan, l *listenerPlan) error {
	wish, others := l.wish.wish(a.names())
	if l.arn == "" {
		made, err := a.edit.CreateListener(p.arn, wish)
		if err == nil && len(others) > 0 {
			_, err = a.edit.AddCertificates(made.ARN, others)
		}
		if err != nil {
			return failed(Create, aListener, l.name, err)
		}
		l.arn = made.ARN
		a.did(Create, aListener, l.name, string(wish.Protocol)+", "+a.say(wish.Default))
		return nil
	}
	old := a.edit.Inventory().Listeners[l.arn]
	if stands(old.Tags, fingerprint(l.wish)) && old.Port == l.wish.Port {
		return nil
	}
	if err := a.modifyListener(old, wish, others); err != nil {
		return failed(Modify, aListener, listenerName(p.wish.Name, old.Port), err)
	}
	if changed := a.differenceOfListeners(p, old, a.edit.Inventory().Listeners[l.arn]); len(changed) > 0 {
		a.did(Modify, aListener, listenerName(p.wish.Name, old.Port), changed.String())
	}
	return nil
}

func (a *application) modifyListener(old *inventory.Listener, wish inventory.ListenerSettings, others []string) error {
	if stands(old.Tags, fingerprintOf(wish.Tags)) {
		// It has moved; what the API changed of it stands.
		_, err := a.edit.ModifyListener(old.ARN, inventory.ListenerSettings{Port: wish.Port})
		return err
	}
	if wish.ALPN == nil {
		wish.ALPN = []string{}
	}
	next, err := a.edit.ModifyListener(old.ARN, wish)
	if err != nil {
		return err
	}
	var gone []string
	for i, c := range next.Certificates { // the first is the default one
		if i > 0 && !slices.Contains(others, c.ARN) {
			gone = append(gone, c.ARN)
		}
	}
	if err := a.edit.RemoveCertificates(old.ARN, gone); err != nil {
		return err
	}
	if len(others) > 0 {
		if _, err := a.edit.AddCertificates(old.ARN, others); err != nil {
			return err
		}
	}
	balancer := a.edit.Inventory().LoadBalancers[old.LoadBalancer]
	if _, err := a.edit.SetListenerAttributes(old.ARN, reset(elb.ListenerAttributes(balancer.Type), old.Attributes, wish.Attributes)); err != nil {
		return err
	}
	return a.retag(old.ARN, wish.Tags)
}

// moveRules gives the rules of a listener that have moved their new priorities, all
// at once.
func (a *application) moveRules(l *listenerPlan) error {
	if l.arn == "" {
		return failed(Modify, aListener, l.name, errNotYet)
	}
	moves := make(map[string]int)
	var steps []Step
	for _, r := range l.rules {
		if r.arn == "" {
			continue
		}
		if is := a.edit.Inventory().Rules[r.arn].Priority; is != r.wish.Priority {
			moves[r.arn] = r.wish.Priority
			steps = append(steps, Step{Modify, aRule, ruleName(l.name, is), fmt.Sprintf("Priority %d -> %d", is, r.wish.Priority)})
		}
	}
	if len(moves) == 0 {
		return nil
	}
	if _, err := a.edit.SetPriorities(moves); err != nil {
		return failed(Modify, aListener, l.name, err)
	}
	a.steps = append(a.steps, steps...)
	return nil
}

func (a *application) putRule(l *listenerPlan, r *rulePlan) error {
	name := ruleName(l.name, r.wish.Priority)
	if l.arn == "" {
		return failed(Create, aRule, name, errNotYet)
	}
	wish, tags := r.wish.wish(a.names())
	if r.arn == "" {
		made, err := a.edit.CreateRule(l.arn, wish, tags)
		if err != nil {
			return failed(Create, aRule, name, err)
		}
		r.arn = made.ARN
		a.did(Create, aRule, name, sayConditions(wish.Conditions)+" -> "+a.say(wish.Actions))
		return nil
	}
	old := a.edit.Inventory().Rules[r.arn]
	if stands(old.Tags, fingerprint(r.wish)) {
		return nil
	}
	next, err := a.edit.ModifyRule(r.arn, inventory.RuleChange{
		Conditions: wish.Conditions, Actions: wish.Actions, Transforms: wish.Transforms, ResetTransforms: len(wish.Transforms) == 0,
	})
	if err == nil {
		err = a.retag(r.arn, tags)
	}
	if err != nil {
		return failed(Modify, aRule, name, err)
	}
	if changed := a.differenceOfRules(old, next); len(changed) > 0 {
		a.did(Modify, aRule, name, changed.String())
	}
	return nil
}

// removeListeners deletes listeners and rules that the file no longer names.
func (a *application) removeListeners() error {
	for _, p := range a.balancers {
		for _, l := range p.gone {
			name := listenerName(p.wish.Name, l.Port)
			if err := a.edit.DeleteListener(l.ARN); err != nil {
				return failed(Delete, aListener, name, err)
			}
			a.did(Delete, aListener, name, "")
		}
		for _, l := range p.listeners {
			for _, r := range l.gone {
				name := ruleName(l.name, r.Priority)
				if err := a.edit.DeleteRule(r.ARN); err != nil {
					return failed(Delete, aRule, name, err)
				}
				a.did(Delete, aRule, name, "")
			}
		}
	}
	return nil
}
