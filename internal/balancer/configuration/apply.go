package configuration

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// Difference returns what is done so that an inventory is as the file says, and
// the change that does it, all of it or nothing. It changes nothing itself.
//
// What an earlier file made and this one no longer names is deleted. What the API
// made is left alone, and also what the API changed of the file's things, for as
// long as the file says the same of them.
func (f *File) Difference(v *inventory.Inventory, place inventory.Place, now time.Time) ([]Step, func(*inventory.Edit) error, error) {
	steps, err := f.Apply(v.Begin(place, now))
	if err != nil {
		return nil, nil, err
	}
	return steps, func(e *inventory.Edit) error {
		_, err := f.Apply(e)
		return err
	}, nil
}

// Apply makes an edit's inventory be as the file says, and returns what was done.
// After an error the edit must not be used.
func (f *File) Apply(e *inventory.Edit) ([]Step, error) {
	a := &application{file: f, edit: e}
	// Groups come before those who use them, and go after. Listeners and rules that
	// go, go first: two load balancers cannot use one group, nor one port.
	for _, do := range []func() error{
		a.removeLoadBalancers, a.pairListeners, a.removeListeners, a.putGroups, a.putLoadBalancers, a.putListeners, a.checkReplaced, a.removeGroups, a.putCertificates,
	} {
		if err := do(); err != nil {
			return nil, err
		}
	}
	return a.steps, nil
}

// application is one Apply under way.
type application struct {
	file  *File
	edit  *inventory.Edit
	steps []Step

	balancers []*balancerPlan
	replaced  []string // ARNs of groups that took the place of others
}

// balancerPlan is a load balancer of the file and its listeners.
type balancerPlan struct {
	wish      *LoadBalancer
	arn       string // empty: not there yet
	listeners []*listenerPlan
	gone      []*inventory.Listener
}

// listenerPlan is a listener of the file and its rules.
type listenerPlan struct {
	wish  *Listener
	name  string // site:80
	arn   string // empty: not there yet
	rules []*rulePlan
	gone  []*inventory.Rule
}

// rulePlan is a rule of the file.
type rulePlan struct {
	wish *Rule
	arn  string // empty: not there yet
}

func (a *application) did(verb Verb, kind, name, detail string) {
	a.steps = append(a.steps, Step{verb, kind, name, detail})
}

const (
	aBalancer = "load balancer"
	aListener = "listener"
	aRule     = "rule"
	aGroup    = "target group"
	aTarget   = "target"

	aCertificate = "certificate"
)

// foreign refuses to take over what a file did not make.
func foreign(kind, name string) error {
	return fmt.Errorf("%s %s was made through the API, and a file does not change that: give the file's another name or place, delete it there, or hand it over with add-tags Key=%s", kind, name, MadeTag)
}

// failed says what could not be done.
func failed(verb Verb, kind, name string, err error) error {
	return fmt.Errorf("%s %s %s: %w", verb, kind, name, err)
}

// removeLoadBalancers deletes those that the file no longer names, and those that
// have to be made anew.
func (a *application) removeLoadBalancers() error {
	for _, b := range a.edit.Inventory().SortedLoadBalancers() {
		i := slices.IndexFunc(a.file.LoadBalancers, func(w LoadBalancer) bool { return w.Name == b.Name })
		switch {
		case i < 0 && !made(b.Tags):
			continue
		case i < 0:
			if err := a.edit.DeleteLoadBalancer(b.ARN); err != nil {
				return failed(Delete, aBalancer, b.Name, err)
			}
			a.did(Delete, aBalancer, b.Name, "")
		case !made(b.Tags):
			return foreign(aBalancer, b.Name)
		default:
			wish := a.file.LoadBalancers[i].wish()
			var fixed difference
			fixed.add("Type", string(b.Type), string(wish.Type))
			fixed.add("Scheme", string(b.Scheme), string(wish.Scheme))
			if len(fixed) == 0 || stands(b.Tags, fingerprint(&a.file.LoadBalancers[i])) {
				continue
			}
			if err := a.edit.DeleteLoadBalancer(b.ARN); err != nil {
				return failed(Replace, aBalancer, b.Name, err)
			}
			a.did(Replace, aBalancer, b.Name, fixed.String()+"; ELB cannot change that: it is deleted with its listeners, and made anew under a new ARN")
		}
	}
	return nil
}

// retag replaces the tags of a thing.
func (a *application) retag(arn string, tags []inventory.Tag) error {
	old, _ := a.edit.Inventory().Tagged(arn)
	var keys []string
	for _, t := range old {
		if _, ok := tag(tags, t.Key); !ok {
			keys = append(keys, t.Key)
		}
	}
	if err := a.edit.RemoveTags([]string{arn}, keys); err != nil {
		return err
	}
	return a.edit.AddTags([]string{arn}, tags)
}

// withTag adds one of the tags that a thing has.
func withTag(tags, of []inventory.Tag, key string) []inventory.Tag {
	if value, ok := tag(of, key); ok {
		return append(tags, inventory.Tag{Key: key, Value: value})
	}
	return tags
}

// putLoadBalancers makes the load balancers be as the file says, without their
// listeners.
func (a *application) putLoadBalancers() error {
	for _, p := range a.balancers {
		wish := p.wish.wish()
		if p.arn == "" {
			b, err := a.edit.CreateLoadBalancer(wish)
			if err != nil {
				return failed(Create, aBalancer, wish.Name, err)
			}
			p.arn = b.ARN
			a.did(Create, aBalancer, wish.Name, string(b.Type)+", "+string(b.Scheme))
			continue
		}
		old := a.edit.Inventory().LoadBalancers[p.arn]
		if stands(old.Tags, fingerprint(p.wish)) {
			continue
		}
		if err := a.modifyLoadBalancer(old, wish); err != nil {
			return failed(Modify, aBalancer, wish.Name, err)
		}
		if changed := differenceOfBalancers(old, a.edit.Inventory().LoadBalancers[p.arn]); len(changed) > 0 {
			a.did(Modify, aBalancer, wish.Name, changed.String())
		}
	}
	return nil
}

func (a *application) modifyLoadBalancer(old *inventory.LoadBalancer, wish inventory.NewLoadBalancer) error {
	table := elb.BalancerAttributes(old.Type, old.Scheme == inventory.Internal)
	if _, err := a.edit.SetBalancerAttributes(old.ARN, reset(table, old.Attributes, wish.Attributes)); err != nil {
		return err
	}
	if _, err := a.edit.SetSubnets(old.ARN, wish.Subnets); err != nil {
		return err
	}
	if _, err := a.edit.SetSecurityGroups(old.ARN, wish.SecurityGroups); err != nil {
		return err
	}
	if _, err := a.edit.SetIPAddressType(old.ARN, wish.IPAddressType); err != nil {
		return err
	}
	return a.retag(old.ARN, wish.Tags)
}

// names finds the ARNs of what the file names.
func (a *application) names() names {
	return names{
		certificate: func(name string) string { return a.file.ARN(CertificateName(name)) },
		group: func(name string) string {
			if g := groupNamed(a.edit.Inventory(), name); g != nil {
				return g.ARN
			}
			return ""
		},
	}
}

// putCertificates keeps where the file's certificates come from. One that the API's
// listeners use stays.
func (a *application) putCertificates() error {
	sources, err := a.file.CertificateSources()
	if err != nil {
		return err
	}
	for _, arn := range a.edit.SetCertificates(sources) {
		_, name, _ := strings.Cut(arn, "/")
		a.did(Keep, aCertificate, name, "the file does not name it any more, but a listener that the API made or changed uses it")
	}
	return nil
}

// say writes actions for people.
func (a *application) say(actions []rule.Action) string {
	return sayActions(a.edit.Inventory(), actions)
}
