package configuration

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
)

// putGroups makes the groups be as the file says, with their targets.
func (a *application) putGroups() error {
	for i := range a.file.TargetGroups {
		w := &a.file.TargetGroups[i]
		g, err := a.putGroup(w)
		if err != nil {
			return err
		}
		if err := a.putTargets(w, g); err != nil {
			return err
		}
	}
	return nil
}

func (a *application) putGroup(w *TargetGroup) (*inventory.Group, error) {
	wish, old := w.wish(), groupNamed(a.edit.Inventory(), w.Name)
	switch {
	case old == nil:
		g, err := a.edit.CreateGroup(wish)
		if err != nil {
			return nil, failed(Create, aGroup, w.Name, err)
		}
		a.did(Create, aGroup, w.Name, fmt.Sprintf("%s:%d", g.Kind.Protocol, g.Port))
		return g, nil
	case !made(old.Tags):
		return nil, foreign(aGroup, w.Name)
	case stands(old.Tags, fingerprint(w)):
		return old, nil
	}
	if fixed := fixedOfGroup(old, wish); len(fixed) > 0 {
		g, err := a.edit.ReplaceGroup(old.ARN, wish)
		if err != nil {
			return nil, failed(Replace, aGroup, w.Name, err)
		}
		a.replaced = append(a.replaced, g.ARN)
		a.did(Replace, aGroup, w.Name, fixed.String()+"; ELB cannot change that: it is deleted, and made anew under a new ARN")
		return g, nil
	}
	if old.Targets != nil {
		wish.Tags = withTag(wish.Tags, old.Tags, targetsTag)
	}
	g, err := a.modifyGroup(old, wish)
	if err != nil {
		return nil, failed(Modify, aGroup, w.Name, err)
	}
	if changed := differenceOfGroups(old, g); len(changed) > 0 {
		a.did(Modify, aGroup, w.Name, changed.String())
	}
	return g, nil
}

func groupNamed(v *inventory.Inventory, name string) *inventory.Group {
	for _, g := range v.Groups {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// fixedOfGroup tells what of a group ELB cannot change.
func fixedOfGroup(g *inventory.Group, wish inventory.NewGroup) difference {
	var d difference
	d.add("Protocol", string(g.Kind.Protocol), string(wish.Kind.Protocol))
	d.add("ProtocolVersion", string(g.Kind.Version), string(wish.Kind.Version))
	d.add("TargetType", string(g.Kind.Targets), string(wish.Kind.Targets))
	d.add("Port", strconv.Itoa(g.Port), strconv.Itoa(wish.Port))
	d.add("VpcId", g.VPC, wish.VPC)
	d.add("IpAddressType", g.IPAddressType, cmp.Or(wish.IPAddressType, "ipv4"))
	return d
}

func (a *application) modifyGroup(old *inventory.Group, wish inventory.NewGroup) (*inventory.Group, error) {
	check := wish.HealthCheck.WithDefaults(old.Kind)
	if check.Port == 0 {
		check.Port = inventory.TrafficPort
	}
	if _, err := a.edit.ModifyHealthCheck(old.ARN, check); err != nil {
		return nil, err
	}
	if _, err := a.edit.SetGroupAttributes(old.ARN, reset(elb.GroupAttributes(old.Kind), old.Attributes, wish.Attributes)); err != nil {
		return nil, err
	}
	if err := a.retag(old.ARN, wish.Tags); err != nil {
		return nil, err
	}
	return a.edit.Inventory().Groups[old.ARN], nil
}

// reset returns the change that leaves what the wish says, and the defaults.
func reset(table elb.AttributeTable, set, wish elb.Attributes) elb.Attributes {
	change, initial := maps.Clone(wish), table.Full(nil)
	for key := range set {
		if _, ok := wish[key]; !ok {
			if change == nil {
				change = make(elb.Attributes)
			}
			change[key] = initial[key]
		}
	}
	return change
}

// putTargets registers the targets that the file has come to name, and deregisters
// those that it has ceased to.
func (a *application) putTargets(w *TargetGroup, g *inventory.Group) error {
	var wished []string
	targets := make(map[string]inventory.Target)
	for _, t := range w.Targets {
		target := w.target(t)
		entry := targetEntry(target)
		wished, targets[entry] = append(wished, entry), target
	}
	is, _ := tag(g.Tags, targetsTag)
	was := strings.Fields(is)
	for _, entry := range was {
		if slices.Contains(wished, entry) {
			continue
		}
		id, err := parseEntry(entry)
		if err != nil {
			continue // somebody has written into the tag: nothing that is known is gone
		}
		if t := g.Target(id); t == nil || t.Draining != nil {
			continue
		}
		if _, err := a.edit.Deregister(g.ARN, []inventory.TargetID{id}); err != nil {
			return failed(Deregister, aTarget, entry, err)
		}
		a.did(Deregister, aTarget, entry, aGroup+" "+w.Name)
	}
	for _, entry := range wished {
		if slices.Contains(was, entry) {
			continue
		}
		if _, err := a.edit.Register(g.ARN, []inventory.Target{targets[entry]}); err != nil {
			return failed(Register, aTarget, entry, err)
		}
		a.did(Register, aTarget, entry, aGroup+" "+w.Name)
	}
	slices.Sort(wished) // another order in the file is no change
	list := strings.Join(wished, " ")
	switch list {
	case is:
		return nil
	case "":
		return a.edit.RemoveTags([]string{g.ARN}, []string{targetsTag})
	default:
		return a.edit.AddTags([]string{g.ARN}, []inventory.Tag{{Key: targetsTag, Value: list}})
	}
}

// targetEntry writes a target as 127.0.0.1:8001, with @ and its zone if it has one.
func targetEntry(t inventory.Target) string {
	entry := net.JoinHostPort(t.ID, strconv.Itoa(t.Port))
	if t.Zone != "" {
		entry += "@" + t.Zone
	}
	return entry
}

func parseEntry(entry string) (inventory.TargetID, error) {
	address, _, _ := strings.Cut(entry, "@")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return inventory.TargetID{}, err
	}
	n, err := strconv.Atoi(port)
	return inventory.TargetID{ID: host, Port: n}, err
}

// checkReplaced refuses groups that those who use them cannot use any more.
func (a *application) checkReplaced() error {
	for _, arn := range a.replaced {
		if err := a.edit.CheckUse(arn); err != nil {
			return failed(Replace, aGroup, a.edit.Inventory().Groups[arn].Name, err)
		}
	}
	return nil
}

// removeGroups deletes the groups that the file no longer names. One that the
// API's rules use stays.
func (a *application) removeGroups() error {
	users := a.edit.Inventory().BalancersOf()
	for _, g := range a.edit.Inventory().SortedGroups() {
		named := slices.ContainsFunc(a.file.TargetGroups, func(w TargetGroup) bool { return w.Name == g.Name })
		switch user := a.edit.Inventory().LoadBalancers[users[g.ARN]]; {
		case named || !made(g.Tags):
		case user != nil:
			a.did(Keep, aGroup, g.Name, "the file does not name it any more, but what the API made of load balancer "+user.Name+" uses it")
		default:
			if err := a.edit.DeleteGroup(g.ARN); err != nil {
				return failed(Delete, aGroup, g.Name, err)
			}
			a.did(Delete, aGroup, g.Name, "")
		}
	}
	return nil
}
