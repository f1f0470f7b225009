package inventory

import (
	"slices"

	"hale/internal/elb"
)

// Tagged returns the tags of a thing of any kind; ok tells whether it is there.
func (v *Inventory) Tagged(arn string) (tags []Tag, ok bool) {
	switch {
	case v.LoadBalancers[arn] != nil:
		return v.LoadBalancers[arn].Tags, true
	case v.Listeners[arn] != nil:
		return v.Listeners[arn].Tags, true
	case v.Rules[arn] != nil:
		return v.Rules[arn].Tags, true
	case v.Groups[arn] != nil:
		return v.Groups[arn].Tags, true
	default:
		return nil, false
	}
}

// AddTags gives things tags; one of a key that is there already is replaced.
func (e *Edit) AddTags(arns []string, add []Tag) error {
	if err := checkTags(add); err != nil {
		return err
	}
	return e.retag(arns, func(tags []Tag) []Tag {
		for _, t := range add {
			if i := slices.IndexFunc(tags, func(o Tag) bool { return o.Key == t.Key }); i >= 0 {
				tags[i] = t
			} else {
				tags = append(tags, t)
			}
		}
		return tags
	})
}

// RemoveTags takes tags from things.
func (e *Edit) RemoveTags(arns, keys []string) error {
	return e.retag(arns, func(tags []Tag) []Tag {
		return slices.DeleteFunc(tags, func(t Tag) bool { return slices.Contains(keys, t.Key) })
	})
}

// retag changes the tags of all things, or of none.
func (e *Edit) retag(arns []string, change func([]Tag) []Tag) error {
	changed := make(map[string][]Tag, len(arns))
	for _, arn := range arns {
		tags, ok := e.next.Tagged(arn)
		if !ok {
			return NotFound(arn)
		}
		changed[arn] = change(slices.Clone(tags))
		if len(changed[arn]) > mostTags {
			return checkTags(changed[arn])
		}
	}
	for arn, tags := range changed {
		switch {
		case e.next.LoadBalancers[arn] != nil:
			b, _ := e.loadBalancer(arn)
			b.Tags = tags
		case e.next.Listeners[arn] != nil:
			l, _ := e.listener(arn)
			l.Tags = tags
		case e.next.Rules[arn] != nil:
			r := *e.next.Rules[arn]
			r.Tags = tags
			e.next.Rules[arn] = &r
		default:
			g, _ := e.group(arn)
			g.Tags = tags
		}
	}
	return nil
}

// NotFound returns the refusal for an ARN that nothing has, by what it would be
// of.
func NotFound(arn string) error {
	switch elb.KindOfARN(arn) {
	case elb.ARNBalancer:
		return elb.Errorf("LoadBalancerNotFound", "One or more load balancers not found")
	case elb.ARNListener:
		return listenerNotFound()
	case elb.ARNRule:
		return ruleNotFound()
	case elb.ARNGroup:
		return groupNotFound()
	default:
		return elb.Errorf(elb.CodeValidation, "'%s' is not a valid ARN of a load balancer, listener, rule or target group", arn)
	}
}
