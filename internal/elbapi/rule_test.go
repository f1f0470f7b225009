package elbapi_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

const (
	ruleAsXML = `<member><Actions>` + toGreen + `</Actions>
		<Conditions><member><Field>path-pattern</Field><PathPatternConfig><Values><member>/api/*</member></Values></PathPatternConfig><Values><member>/api/*</member></Values></member></Conditions>
		<IsDefault>false</IsDefault><Priority>10</Priority><RuleArn>RULE</RuleArn></member>`
	defaultAsXML = `<member><Actions>` + toBlue + `</Actions><Conditions></Conditions><IsDefault>true</IsDefault><Priority>default</Priority><RuleArn>DEFAULT-RULE</RuleArn></member>`
	toGreen      = `<member><Type>forward</Type><ForwardConfig><TargetGroupStickinessConfig><Enabled>false</Enabled></TargetGroupStickinessConfig>
		<TargetGroups><member><TargetGroupArn>GREEN</TargetGroupArn><Weight>1</Weight></member></TargetGroups></ForwardConfig><TargetGroupArn>GREEN</TargetGroupArn></member>`
	ruleNotThere = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/none/0123456789abcdef/0123456789abcdef/0123456789abcdef"
)

// ruleWith is a new rule as XML, with these conditions and what comes behind the
// default.
func ruleWith(conditions, transforms string) string {
	return `<Rules><member><Actions>` + toBlue + `</Actions><Conditions>` + conditions + `</Conditions><IsDefault>false</IsDefault><Priority>20</Priority>
		<RuleArn>arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/site/#/#/#</RuleArn>` + transforms + `</member></Rules>`
}

func TestRules(t *testing.T) {
	create := func(change func(*elbv2.CreateRuleInput)) ask {
		return asking((*elbv2.Client).CreateRule, func(s *site) *elbv2.CreateRuleInput {
			in := &elbv2.CreateRuleInput{
				ListenerArn: &s.listener, Priority: aws.Int32(20),
				Conditions: []types.RuleCondition{{Field: new("host-header"), HostHeaderConfig: &types.HostHeaderConditionConfig{Values: []string{"*.example.com"}}}},
				Actions:    []types.Action{{Type: types.ActionTypeEnumForward, TargetGroupArn: &s.blue}},
			}
			change(in)
			return in
		})
	}
	where := func(condition types.RuleCondition) ask {
		return create(func(in *elbv2.CreateRuleInput) { in.Conditions = []types.RuleCondition{condition} })
	}
	describe := func(in func(*site) *elbv2.DescribeRulesInput) ask { return asking((*elbv2.Client).DescribeRules, in) }
	modify := func(change func(*site, *elbv2.ModifyRuleInput)) ask {
		return asking((*elbv2.Client).ModifyRule, func(s *site) *elbv2.ModifyRuleInput {
			in := &elbv2.ModifyRuleInput{RuleArn: &s.rule}
			change(s, in)
			return in
		})
	}
	priorities := func(pairs ...any) ask {
		return asking((*elbv2.Client).SetRulePriorities, func(s *site) *elbv2.SetRulePrioritiesInput {
			in := &elbv2.SetRulePrioritiesInput{}
			for i := 0; i < len(pairs); i += 2 {
				arn := strings.NewReplacer("DEFAULT", s.defaultRule, "RULE", s.rule).Replace(pairs[i].(string))
				in.RulePriorities = append(in.RulePriorities, types.RulePriorityPair{RuleArn: &arn, Priority: aws.Int32(int32(pairs[i+1].(int)))})
			}
			return in
		})
	}
	hold(t, []answer{
		{
			"by host",
			create(func(*elbv2.CreateRuleInput) {}),
			ruleWith(`<member><Field>host-header</Field><HostHeaderConfig><Values><member>*.example.com</member></Values></HostHeaderConfig><Values><member>*.example.com</member></Values></member>`, ""),
		},
		{
			"by path, in the old form",
			where(types.RuleCondition{Field: new("path-pattern"), Values: []string{"/a"}}),
			ruleWith(`<member><Field>path-pattern</Field><PathPatternConfig><Values><member>/a</member></Values></PathPatternConfig><Values><member>/a</member></Values></member>`, ""),
		},
		{
			"by a header's expression",
			where(types.RuleCondition{Field: new("http-header"), HttpHeaderConfig: &types.HttpHeaderConditionConfig{HttpHeaderName: new("X-Kind"), RegexValues: []string{"^a+$"}}}),
			ruleWith(`<member><Field>http-header</Field><HttpHeaderConfig><HttpHeaderName>X-Kind</HttpHeaderName><RegexValues><member>^a+$</member></RegexValues></HttpHeaderConfig></member>`, ""),
		},
		{
			"by method",
			where(types.RuleCondition{Field: new("http-request-method"), HttpRequestMethodConfig: &types.HttpRequestMethodConditionConfig{Values: []string{"GET", "HEAD"}}}),
			ruleWith(`<member><Field>http-request-method</Field><HttpRequestMethodConfig><Values><member>GET</member><member>HEAD</member></Values></HttpRequestMethodConfig></member>`, ""),
		},
		{
			"by query",
			where(types.RuleCondition{Field: new("query-string"), QueryStringConfig: &types.QueryStringConditionConfig{Values: []types.QueryStringKeyValuePair{{Key: new("v"), Value: new("2")}, {Value: new("x*")}}}}),
			ruleWith(`<member><Field>query-string</Field><QueryStringConfig><Values><member><Key>v</Key><Value>2</Value></member><member><Value>x*</Value></member></Values></QueryStringConfig></member>`, ""),
		},
		{
			"by address",
			where(types.RuleCondition{Field: new("source-ip"), SourceIpConfig: &types.SourceIpConditionConfig{Values: []string{"10.0.0.0/8"}}}),
			ruleWith(`<member><Field>source-ip</Field><SourceIpConfig><Values><member>10.0.0.0/8</member></Values></SourceIpConfig></member>`, ""),
		},
		{
			"as it is told: values in both places",
			where(types.RuleCondition{Field: new("path-pattern"), Values: []string{"/a"}, PathPatternConfig: &types.PathPatternConditionConfig{Values: []string{"/a"}}}),
			ruleWith(`<member><Field>path-pattern</Field><PathPatternConfig><Values><member>/a</member></Values></PathPatternConfig><Values><member>/a</member></Values></member>`, ""),
		},
		{
			"a rewritten path",
			create(func(in *elbv2.CreateRuleInput) {
				in.Transforms = []types.RuleTransform{{Type: types.TransformTypeEnumUrlRewrite, UrlRewriteConfig: &types.UrlRewriteConfig{Rewrites: []types.RewriteConfig{{Regex: new("^/old/(.*)$"), Replace: new("/new/$1")}}}}}
			}),
			ruleWith(`<member><Field>host-header</Field><HostHeaderConfig><Values><member>*.example.com</member></Values></HostHeaderConfig><Values><member>*.example.com</member></Values></member>`,
				`<Transforms><member><Type>url-rewrite</Type><UrlRewriteConfig><Rewrites><member><Regex>^/old/(.*)$</Regex><Replace>/new/$1</Replace></member></Rewrites></UrlRewriteConfig></member></Transforms>`),
		},
		{
			"a transform with another's settings",
			create(func(in *elbv2.CreateRuleInput) {
				in.Transforms = []types.RuleTransform{{Type: types.TransformTypeEnumHostHeaderRewrite, UrlRewriteConfig: &types.UrlRewriteConfig{}}}
			}),
			"ValidationError: A transform of type 'host-header-rewrite' has its own configuration, and no other: HostHeaderRewriteConfig or UrlRewriteConfig",
		},
		{
			"values in two places that differ",
			where(types.RuleCondition{Field: new("path-pattern"), Values: []string{"/a"}, PathPatternConfig: &types.PathPatternConditionConfig{Values: []string{"/b"}}}),
			"ValidationError: A condition of type 'path-pattern' has its values in two places, and they differ",
		},
		{
			"another field's values",
			where(types.RuleCondition{Field: new("path-pattern"), HostHeaderConfig: &types.HostHeaderConditionConfig{Values: []string{"a.example.com"}}}),
			"ValidationError: You cannot provide 'HostHeaderConfig' for a condition of type 'path-pattern'",
		},
		{
			"values that belong elsewhere",
			where(types.RuleCondition{Field: new("source-ip"), Values: []string{"10.0.0.0/8"}}),
			"ValidationError: You cannot provide 'Values' for a condition of type 'source-ip': it has a configuration of its own",
		},
		{
			"an unknown field",
			where(types.RuleCondition{Field: new("colour"), Values: []string{"blue"}}),
			"ValidationError: Condition field 'colour' must be one of 'http-header, http-request-method, host-header, path-pattern, query-string, source-ip'",
		},
		{
			"an unknown action",
			create(func(in *elbv2.CreateRuleInput) { in.Actions[0].Type = "drop" }),
			"ValidationError: 1 validation error detected: Value 'drop' at 'actions.Type' failed to satisfy constraint: Member must satisfy enum value set: [forward, authenticate-oidc, authenticate-cognito, redirect, fixed-response, jwt-validation]",
		},
		{"a priority that is taken", create(func(in *elbv2.CreateRuleInput) { in.Priority = aws.Int32(10) }), "PriorityInUse: Priority '10' is currently in use"},
		{
			"a priority of 0",
			create(func(in *elbv2.CreateRuleInput) { in.Priority = aws.Int32(0) }),
			"ValidationError: 1 validation error detected: Value '0' at 'priority' failed to satisfy constraint: Member must have value greater than or equal to 1",
		},
		{
			"a listener that is not there",
			create(func(in *elbv2.CreateRuleInput) { in.ListenerArn = new(listenerNotThere) }),
			"ListenerNotFound: One or more listeners not found",
		},
		{
			"all of a listener: the default one comes last",
			describe(func(s *site) *elbv2.DescribeRulesInput { return &elbv2.DescribeRulesInput{ListenerArn: &s.listener} }),
			"<Rules>" + ruleAsXML + defaultAsXML + "</Rules>",
		},
		{
			"some, each once",
			describe(func(s *site) *elbv2.DescribeRulesInput {
				return &elbv2.DescribeRulesInput{RuleArns: []string{s.defaultRule, s.defaultRule}}
			}),
			"<Rules>" + defaultAsXML + "</Rules>",
		},
		{
			"one that is not there",
			describe(func(*site) *elbv2.DescribeRulesInput {
				return &elbv2.DescribeRulesInput{RuleArns: []string{ruleNotThere}}
			}),
			"RuleNotFound: One or more rules not found",
		},
		{
			"none in particular",
			describe(func(*site) *elbv2.DescribeRulesInput { return &elbv2.DescribeRulesInput{} }),
			"ValidationError: You must specify either listener rule ARNs or a listener ARN",
		},
		{
			"other actions",
			modify(func(s *site, in *elbv2.ModifyRuleInput) {
				in.Actions = []types.Action{{Type: types.ActionTypeEnumForward, TargetGroupArn: &s.blue}}
			}),
			"<Rules>" + replaced(ruleAsXML, toGreen, toBlue) + "</Rules>",
		},
		{"nothing", modify(func(*site, *elbv2.ModifyRuleInput) {}), "ValidationError: Either conditions, actions or transforms must be specified"},
		{
			"no conditions at all",
			modify(func(_ *site, in *elbv2.ModifyRuleInput) { in.Conditions = []types.RuleCondition{} }),
			"ValidationError: A rule must have at least one condition",
		},
		{
			"the default one cannot be modified",
			modify(func(s *site, in *elbv2.ModifyRuleInput) {
				in.RuleArn, in.Conditions = &s.defaultRule, []types.RuleCondition{}
			}),
			"OperationNotPermitted: Default rule 'DEFAULT-RULE' cannot be modified",
		},
		{
			"nor deleted",
			asking((*elbv2.Client).DeleteRule, func(s *site) *elbv2.DeleteRuleInput { return &elbv2.DeleteRuleInput{RuleArn: &s.defaultRule} }),
			"OperationNotPermitted: Default rule 'DEFAULT-RULE' cannot be deleted",
		},
		{"nor given a priority", priorities("DEFAULT", 1), "OperationNotPermitted: Default rule 'DEFAULT-RULE' cannot be given a priority"},
		{
			"deleted",
			asking((*elbv2.Client).DeleteRule, func(s *site) *elbv2.DeleteRuleInput { return &elbv2.DeleteRuleInput{RuleArn: &s.rule} }),
			"",
		},
		{
			"deleted, although it is not there",
			asking((*elbv2.Client).DeleteRule, func(*site) *elbv2.DeleteRuleInput { return &elbv2.DeleteRuleInput{RuleArn: new(ruleNotThere)} }),
			"RuleNotFound: One or more rules not found",
		},
		{"another priority", priorities("RULE", 5), "<Rules>" + replaced(ruleAsXML, "<Priority>10<", "<Priority>5<") + "</Rules>"},
		{"two priorities for one", priorities("RULE", 5, "RULE", 6), "ValidationError: Rule 'RULE' was provided multiple times"},
		{"a rule that is not there", priorities(ruleNotThere, 5), "RuleNotFound: One or more rules not found"},
	})
}
