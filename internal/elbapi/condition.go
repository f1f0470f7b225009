package elbapi

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// conditionsFrom reads conditions; none are nil, an empty list is an empty one.
func conditionsFrom(given []types.RuleCondition) ([]rule.Condition, error) {
	if given == nil {
		return nil, nil
	}
	conditions := make([]rule.Condition, len(given))
	for i, one := range given {
		var err error
		if conditions[i], err = conditionFrom(one); err != nil {
			return nil, err
		}
	}
	return conditions, nil
}

// conditionFrom reads a condition, whose values are in the structure of its
// field or, for some fields, in the condition itself. Both at once have to be
// the same, as they are where the API tells them.
func conditionFrom(given types.RuleCondition) (rule.Condition, error) {
	c := rule.Condition{Field: rule.Field(aws.ToString(given.Field)), Values: given.Values, RegexValues: given.RegexValues}
	elsewhere := []rule.Field{rule.HTTPHeader, rule.HTTPRequestMethod, rule.SourceIP, rule.QueryString}
	if given.Values != nil && slices.Contains(elsewhere, c.Field) {
		return c, elb.Errorf(elb.CodeValidation, "You cannot provide 'Values' for a condition of type '%s': it has a configuration of its own", c.Field)
	}
	values := func(values, regexes []string) error {
		if values != nil && c.Values != nil && !slices.Equal(values, c.Values) || regexes != nil && c.RegexValues != nil && !slices.Equal(regexes, c.RegexValues) {
			return elb.Errorf(elb.CodeValidation, "A condition of type '%s' has its values in two places, and they differ", c.Field)
		}
		if values != nil {
			c.Values = values
		}
		if regexes != nil {
			c.RegexValues = regexes
		}
		return nil
	}
	var err error
	for _, config := range []struct {
		name  string
		field rule.Field
		there bool
		take  func() error
	}{
		{"HostHeaderConfig", rule.HostHeader, given.HostHeaderConfig != nil, func() error {
			return values(given.HostHeaderConfig.Values, given.HostHeaderConfig.RegexValues)
		}},
		{"PathPatternConfig", rule.PathPattern, given.PathPatternConfig != nil, func() error {
			return values(given.PathPatternConfig.Values, given.PathPatternConfig.RegexValues)
		}},
		{"HttpHeaderConfig", rule.HTTPHeader, given.HttpHeaderConfig != nil, func() error {
			c.HTTPHeaderName = aws.ToString(given.HttpHeaderConfig.HttpHeaderName)
			return values(given.HttpHeaderConfig.Values, given.HttpHeaderConfig.RegexValues)
		}},
		{"HttpRequestMethodConfig", rule.HTTPRequestMethod, given.HttpRequestMethodConfig != nil, func() error {
			return values(given.HttpRequestMethodConfig.Values, nil)
		}},
		{"SourceIpConfig", rule.SourceIP, given.SourceIpConfig != nil, func() error {
			return first(notOffered("SourceIpConfig.IpAddressType", given.SourceIpConfig.IpAddressType != ""), values(given.SourceIpConfig.Values, nil))
		}},
		{"QueryStringConfig", rule.QueryString, given.QueryStringConfig != nil, func() error {
			for _, pair := range given.QueryStringConfig.Values {
				c.QueryStringValues = append(c.QueryStringValues, rule.KeyValue{Key: aws.ToString(pair.Key), Value: aws.ToString(pair.Value)})
			}
			return nil
		}},
	} {
		switch {
		case !config.there:
		case c.Field != config.field:
			err = first(err, elb.Errorf(elb.CodeValidation, "You cannot provide '%s' for a condition of type '%s'", config.name, c.Field))
		default:
			err = first(err, config.take())
		}
	}
	return c, err
}

// condition tells a condition: its values in the structure of its field, and
// those of the two oldest fields in the condition as well, as AWS does.
func condition(c rule.Condition) types.RuleCondition {
	told := types.RuleCondition{Field: new(string(c.Field))}
	switch c.Field {
	case rule.HostHeader:
		told.Values, told.RegexValues = c.Values, c.RegexValues
		told.HostHeaderConfig = &types.HostHeaderConditionConfig{Values: c.Values, RegexValues: c.RegexValues}
	case rule.PathPattern:
		told.Values, told.RegexValues = c.Values, c.RegexValues
		told.PathPatternConfig = &types.PathPatternConditionConfig{Values: c.Values, RegexValues: c.RegexValues}
	case rule.HTTPHeader:
		told.HttpHeaderConfig = &types.HttpHeaderConditionConfig{HttpHeaderName: &c.HTTPHeaderName, Values: c.Values, RegexValues: c.RegexValues}
	case rule.HTTPRequestMethod:
		told.HttpRequestMethodConfig = &types.HttpRequestMethodConditionConfig{Values: c.Values}
	case rule.SourceIP:
		told.SourceIpConfig = &types.SourceIpConditionConfig{Values: c.Values}
	case rule.QueryString:
		told.QueryStringConfig = &types.QueryStringConditionConfig{Values: each(c.QueryStringValues, func(pair rule.KeyValue) types.QueryStringKeyValuePair {
			return types.QueryStringKeyValuePair{Key: text(pair.Key), Value: &pair.Value}
		})}
	}
	return told
}

// transformsFrom reads transforms; none are nil, an empty list is an empty one.
func transformsFrom(given []types.RuleTransform) ([]rule.Transform, error) {
	if given == nil {
		return nil, nil
	}
	transforms := make([]rule.Transform, len(given))
	for i, one := range given {
		if err := first(required("Transforms.Type", one.Type != ""), among("Transforms.Type", one.Type)); err != nil {
			return nil, err
		}
		t := rule.Transform{Type: rule.TransformType(one.Type)}
		host, url := one.HostHeaderRewriteConfig, one.UrlRewriteConfig
		switch {
		case host != nil && t.Type == rule.HostHeaderRewrite && url == nil:
			t.Rewrites = rewritesFrom(host.Rewrites)
		case url != nil && t.Type == rule.URLRewrite && host == nil:
			t.Rewrites = rewritesFrom(url.Rewrites)
		default:
			return nil, elb.Errorf(elb.CodeValidation, "A transform of type '%s' has its own configuration, and no other: HostHeaderRewriteConfig or UrlRewriteConfig", t.Type)
		}
		transforms[i] = t
	}
	return transforms, nil
}

func rewritesFrom(given []types.RewriteConfig) []rule.Rewrite {
	return each(given, func(r types.RewriteConfig) rule.Rewrite {
		return rule.Rewrite{Regex: aws.ToString(r.Regex), Replace: aws.ToString(r.Replace)}
	})
}

func transform(t rule.Transform) types.RuleTransform {
	told := types.RuleTransform{Type: types.TransformTypeEnum(t.Type)}
	rewrites := each(t.Rewrites, func(r rule.Rewrite) types.RewriteConfig {
		return types.RewriteConfig{Regex: &r.Regex, Replace: &r.Replace}
	})
	if t.Type == rule.HostHeaderRewrite {
		told.HostHeaderRewriteConfig = &types.HostHeaderRewriteConfig{Rewrites: rewrites}
	} else {
		told.UrlRewriteConfig = &types.UrlRewriteConfig{Rewrites: rewrites}
	}
	return told
}
