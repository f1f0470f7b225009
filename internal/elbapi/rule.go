package elbapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
)

func (a api) createRule(ctx context.Context, in *elbv2.CreateRuleInput) (*elbv2.CreateRuleOutput, error) {
	arn, err := arnAt("ListenerArn", in.ListenerArn, elb.ARNListener)
	if err := first(err,
		required("Conditions", in.Conditions != nil), required("Priority", in.Priority != nil), required("Actions", in.Actions != nil),
		atLeast("Priority", in.Priority, 1),
	); err != nil {
		return nil, err
	}
	wanted := rule.Rule{Priority: int(*in.Priority)}
	if wanted.Conditions, err = conditionsFrom(in.Conditions); err != nil {
		return nil, err
	}
	if wanted.Actions, err = actionsFrom(in.Actions); err != nil {
		return nil, err
	}
	if wanted.Transforms, err = transformsFrom(in.Transforms); err != nil {
		return nil, err
	}
	tags, err := tagsFrom(in.Tags)
	if err != nil {
		return nil, err
	}
	made, err := change(ctx, a, func(e *inventory.Edit) (*inventory.Rule, error) { return e.CreateRule(arn, wanted, tags) })
	if err != nil {
		return nil, err
	}
	return &elbv2.CreateRuleOutput{Rules: []types.Rule{toldRule(made)}}, nil
}

func (a api) describeRules(_ context.Context, in *elbv2.DescribeRulesInput) (*elbv2.DescribeRulesOutput, error) {
	v := a.balancer.Inventory()
	var found []*inventory.Rule
	switch {
	case in.ListenerArn != nil && len(in.RuleArns) > 0:
		return nil, elb.Errorf(elb.CodeValidation, "A listener ARN and rule ARNs cannot be specified at the same time")
	case in.ListenerArn != nil:
		l, err := find(v.Listeners, "ListenerArn", in.ListenerArn, elb.ARNListener)
		if err != nil {
			return nil, err
		}
		found = append(v.RulesOf(l.ARN), defaultRule(l))
	case len(in.RuleArns) > 0:
		if err := checkARNs(in.RuleArns, elb.ARNRule); err != nil {
			return nil, err
		}
		for _, arn := range in.RuleArns {
			r := findRule(v, arn)
			if r == nil {
				return nil, inventory.NotFound(arn)
			}
			found = append(found, r)
		}
	default:
		return nil, elb.Errorf(elb.CodeValidation, "You must specify either listener rule ARNs or a listener ARN")
	}
	key := func(r *inventory.Rule) string {
		place := r.Priority
		if r.IsDefault() {
			place = rule.MaxPriority + 1
		}
		return fmt.Sprintf("%s %05d", r.Listener, place)
	}
	part, next, err := page(ordered(found, key), key, in.Marker, in.PageSize)
	return &elbv2.DescribeRulesOutput{Rules: each(part, toldRule), NextMarker: next}, err
}

func (a api) modifyRule(ctx context.Context, in *elbv2.ModifyRuleInput) (*elbv2.ModifyRuleOutput, error) {
	arn, err := a.changeable(in.RuleArn, "modified")
	if err != nil {
		return nil, err
	}
	if in.Conditions == nil && in.Actions == nil && in.Transforms == nil && in.ResetTransforms == nil {
		return nil, elb.Errorf(elb.CodeValidation, "Either conditions, actions or transforms must be specified")
	}
	wanted := inventory.RuleChange{ResetTransforms: aws.ToBool(in.ResetTransforms)}
	if wanted.ResetTransforms && in.Transforms != nil {
		return nil, elb.Errorf(elb.CodeValidation, "Transforms and ResetTransforms cannot be specified at the same time")
	}
	if wanted.Conditions, err = conditionsFrom(in.Conditions); err != nil {
		return nil, err
	}
	if wanted.Actions, err = actionsFrom(in.Actions); err != nil {
		return nil, err
	}
	if wanted.Transforms, err = transformsFrom(in.Transforms); err != nil {
		return nil, err
	}
	made, err := change(ctx, a, func(e *inventory.Edit) (*inventory.Rule, error) { return e.ModifyRule(arn, wanted) })
	if err != nil {
		return nil, err
	}
	return &elbv2.ModifyRuleOutput{Rules: []types.Rule{toldRule(made)}}, nil
}

func (a api) deleteRule(ctx context.Context, in *elbv2.DeleteRuleInput) (*elbv2.DeleteRuleOutput, error) {
	arn, err := a.changeable(in.RuleArn, "deleted")
	if err != nil {
		return nil, err
	}
	return &elbv2.DeleteRuleOutput{}, a.balancer.Change(ctx, func(e *inventory.Edit) error { return e.DeleteRule(arn) })
}

func (a api) setRulePriorities(ctx context.Context, in *elbv2.SetRulePrioritiesInput) (*elbv2.SetRulePrioritiesOutput, error) {
	if err := required("RulePriorities", len(in.RulePriorities) > 0); err != nil {
		return nil, err
	}
	priorities := make(map[string]int, len(in.RulePriorities))
	for _, pair := range in.RulePriorities {
		if err := first(required("RulePriorities.Priority", pair.Priority != nil), atLeast("RulePriorities.Priority", pair.Priority, 1)); err != nil {
			return nil, err
		}
		arn, err := a.changeable(pair.RuleArn, "given a priority")
		if err != nil {
			return nil, err
		}
		if _, twice := priorities[arn]; twice {
			return nil, elb.Errorf(elb.CodeValidation, "Rule '%s' was provided multiple times", arn)
		}
		priorities[arn] = int(*pair.Priority)
	}
	changed, err := change(ctx, a, func(e *inventory.Edit) ([]*inventory.Rule, error) { return e.SetPriorities(priorities) })
	if err != nil {
		return nil, err
	}
	return &elbv2.SetRulePrioritiesOutput{Rules: each(changed, toldRule)}, nil
}

// changeable returns the ARN of a rule that is not a default one.
func (a api) changeable(given *string, how string) (string, error) {
	arn, err := arnAt("RuleArn", given, elb.ARNRule)
	if err != nil {
		return "", err
	}
	if r := findRule(a.balancer.Inventory(), arn); r != nil && r.IsDefault() {
		return "", elb.Errorf("OperationNotPermitted", "Default rule '%s' cannot be %s", arn, how)
	}
	return arn, nil
}

// findRule returns a rule by its ARN, a default one too; nil if there is none.
func findRule(v *inventory.Inventory, arn string) *inventory.Rule {
	if r := v.Rules[arn]; r != nil {
		return r
	}
	parsed, err := elb.ParseARN(arn)
	if err != nil {
		return nil
	}
	l := v.Listeners[parsed.OfListener().String()]
	if l == nil || defaultRule(l).ARN != arn {
		return nil
	}
	return defaultRule(l)
}

// defaultRule is a listener's default action as the API shows it: a rule without
// conditions. Its id is made of the listener's, so that it stays the same.
func defaultRule(l *inventory.Listener) *inventory.Rule {
	sum := sha256.Sum256([]byte(l.ARN))
	return &inventory.Rule{ARN: elb.RuleARN(l.ARN, hex.EncodeToString(sum[:8])), Listener: l.ARN, Rule: rule.Rule{Actions: l.Default}}
}

func toldRule(r *inventory.Rule) types.Rule {
	told := types.Rule{
		RuleArn: &r.ARN, Priority: new("default"), IsDefault: new(r.IsDefault()),
		Conditions: each(r.Conditions, condition), Actions: each(r.Actions, action),
	}
	if !r.IsDefault() {
		told.Priority = new(strconv.Itoa(r.Priority))
	}
	if len(r.Transforms) > 0 {
		told.Transforms = each(r.Transforms, transform)
	}
	return told
}
