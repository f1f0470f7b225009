package elbapi

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// actionsFrom reads actions; none are nil, an empty list is an empty one. What
// does not go together is refused by package rule.
func actionsFrom(given []types.Action) ([]rule.Action, error) {
	if given == nil {
		return nil, nil
	}
	actions := make([]rule.Action, len(given))
	for i, one := range given {
		var err error
		if actions[i], err = actionFrom(one); err != nil {
			return nil, err
		}
	}
	return actions, nil
}

func actionFrom(given types.Action) (rule.Action, error) {
	a := rule.Action{Type: rule.ActionType(given.Type), Order: int(aws.ToInt32(given.Order))}
	if err := first(
		required("Actions.Type", given.Type != ""), among("Actions.Type", given.Type), atLeast("Actions.Order", given.Order, 1),
	); err != nil {
		return a, err
	}
	var err error
	if a.ForwardConfig, err = forwardFrom(given.TargetGroupArn, given.ForwardConfig); err != nil {
		return a, err
	}
	if c := given.RedirectConfig; c != nil {
		if err := first(required("Actions.RedirectConfig.StatusCode", c.StatusCode != ""), among("Actions.RedirectConfig.StatusCode", c.StatusCode)); err != nil {
			return a, err
		}
		a.RedirectConfig = &rule.RedirectConfig{
			Protocol: aws.ToString(c.Protocol), Host: aws.ToString(c.Host), Port: aws.ToString(c.Port),
			Path: aws.ToString(c.Path), Query: aws.ToString(c.Query), StatusCode: string(c.StatusCode),
		}
	}
	if c := given.FixedResponseConfig; c != nil {
		if err := required("Actions.FixedResponseConfig.StatusCode", c.StatusCode != nil); err != nil {
			return a, err
		}
		a.FixedResponseConfig = &rule.FixedResponseConfig{
			StatusCode: *c.StatusCode, ContentType: aws.ToString(c.ContentType), MessageBody: aws.ToString(c.MessageBody),
		}
	}
	return a, nil
}

// forwardFrom reads where to forward to, in one of the two forms of the API or in
// both at once, as it tells them.
func forwardFrom(group *string, config *types.ForwardActionConfig) (*rule.ForwardConfig, error) {
	switch {
	case group == nil && config == nil:
		return nil, nil
	case group != nil:
		if err := checkARN(*group, elb.ARNGroup); err != nil {
			return nil, err
		}
	}
	if config == nil || len(config.TargetGroups) == 0 && group != nil {
		return rule.ForwardTo(*group).ForwardConfig, nil
	}
	forward := &rule.ForwardConfig{}
	for _, t := range config.TargetGroups {
		arn, err := arnAt("Actions.ForwardConfig.TargetGroups.TargetGroupArn", t.TargetGroupArn, elb.ARNGroup)
		if err := first(err, atLeast("Actions.ForwardConfig.TargetGroups.Weight", t.Weight, 0)); err != nil {
			return nil, err
		}
		weight := 1
		if t.Weight != nil {
			weight = int(*t.Weight)
		}
		forward.TargetGroups = append(forward.TargetGroups, rule.TargetGroup{TargetGroupArn: arn, Weight: weight})
	}
	if s := config.TargetGroupStickinessConfig; s != nil {
		forward.TargetGroupStickinessConfig = rule.TargetGroupStickinessConfig{Enabled: aws.ToBool(s.Enabled), DurationSeconds: int(aws.ToInt32(s.DurationSeconds))}
	}
	if group != nil && (len(forward.TargetGroups) != 1 || forward.TargetGroups[0].TargetGroupArn != *group) {
		return nil, elb.Errorf(elb.CodeValidation, "With a target group ARN beside it, a ForwardConfig can have that one target group alone")
	}
	return forward, nil
}

// action tells an action. A forward to one group has it in both forms, as AWS
// does.
func action(a rule.Action) types.Action {
	told := types.Action{Type: types.ActionTypeEnum(a.Type)}
	if a.Order != 0 {
		told.Order = number(a.Order)
	}
	if f := a.ForwardConfig; f != nil {
		config := &types.ForwardActionConfig{TargetGroupStickinessConfig: &types.TargetGroupStickinessConfig{Enabled: new(f.TargetGroupStickinessConfig.Enabled)}}
		if seconds := f.TargetGroupStickinessConfig.DurationSeconds; seconds > 0 {
			config.TargetGroupStickinessConfig.DurationSeconds = number(seconds)
		}
		config.TargetGroups = each(f.TargetGroups, func(g rule.TargetGroup) types.TargetGroupTuple {
			return types.TargetGroupTuple{TargetGroupArn: &g.TargetGroupArn, Weight: number(g.Weight)}
		})
		told.ForwardConfig = config
		if len(f.TargetGroups) == 1 {
			told.TargetGroupArn = &f.TargetGroups[0].TargetGroupArn
		}
	}
	if a.RedirectConfig != nil {
		c := a.RedirectConfig.Filled()
		told.RedirectConfig = &types.RedirectActionConfig{
			Protocol: &c.Protocol, Host: &c.Host, Port: &c.Port, Path: &c.Path, Query: &c.Query,
			StatusCode: types.RedirectActionStatusCodeEnum(c.StatusCode),
		}
	}
	if c := a.FixedResponseConfig; c != nil {
		told.FixedResponseConfig = &types.FixedResponseActionConfig{
			StatusCode: &c.StatusCode, ContentType: text(c.ContentType), MessageBody: text(c.MessageBody),
		}
	}
	return told
}
