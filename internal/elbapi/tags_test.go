package elbapi_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

func TestTags(t *testing.T) {
	add := func(arn string, tags ...types.Tag) ask {
		return asking((*elbv2.Client).AddTags, func(s *site) *elbv2.AddTagsInput {
			return &elbv2.AddTagsInput{ResourceArns: []string{strings.Replace(arn, "LB", s.lb, 1)}, Tags: tags}
		})
	}
	describe := func(arns ...func(*site) string) ask {
		return asking((*elbv2.Client).DescribeTags, func(s *site) *elbv2.DescribeTagsInput {
			in := &elbv2.DescribeTagsInput{}
			for _, arn := range arns {
				in.ResourceArns = append(in.ResourceArns, arn(s))
			}
			return in
		})
	}
	hold(t, []answer{
		{
			"of a load balancer, a listener, a default rule",
			describe(func(s *site) string { return s.lb }, func(s *site) string { return s.listener }, func(s *site) string { return s.defaultRule }),
			`<TagDescriptions><member><ResourceArn>LB</ResourceArn><Tags><member><Key>team</Key><Value>web</Value></member></Tags></member>
			<member><ResourceArn>LISTENER</ResourceArn><Tags></Tags></member><member><ResourceArn>DEFAULT-RULE</ResourceArn><Tags></Tags></member></TagDescriptions>`,
		},
		{"of a rule that is not there", describe(func(*site) string { return ruleNotThere }), "RuleNotFound: One or more rules not found"},
		{"of what is no ARN", describe(func(*site) string { return "site" }), "ValidationError: 'site' is not a valid ARN of a load balancer, listener, rule or target group"},
		{"a tag", add("LB", types.Tag{Key: new("a b.c:/=+-@_"), Value: new("é")}), ""},
		{"a tag without a value", add("LB", types.Tag{Key: new("a")}), ""},
		{"a tag twice", add("LB", types.Tag{Key: new("a")}, types.Tag{Key: new("a")}), "DuplicateTagKeys: Tag key 'a' was given more than once"},
		{"a tag of AWS's", add("LB", types.Tag{Key: new("aws:a")}), "ValidationError: Tag keys that begin with aws: are AWS's own: 'aws:a'"},
		{"a tag with other characters", add("LB", types.Tag{Key: new("a"), Value: new("<b>")}), "ValidationError: Tags consist of letters, spaces, numbers, and + - = . _ : / @: 'a', '<b>'"},
		{"a tag without a name", add("LB", types.Tag{Key: new("")}), "ValidationError: A tag key has 1 to 128 characters: ''"},
		{"a long value", add("LB", types.Tag{Key: new("a"), Value: new(strings.Repeat("é", 257))}), "ValidationError: A tag value has 256 characters at most: '" + strings.Repeat("é", 257) + "'"},
		{"of what is not there", add(notThere, types.Tag{Key: new("a")}), "LoadBalancerNotFound: One or more load balancers not found"},
		{
			"removed, also one that was never there",
			asking((*elbv2.Client).RemoveTags, func(s *site) *elbv2.RemoveTagsInput {
				return &elbv2.RemoveTagsInput{ResourceArns: []string{s.lb}, TagKeys: []string{"team", "x"}}
			}),
			"",
		},
	})
}

// A tag replaces one of its key, and all tags of all things change or none.
func TestTagsComeAndGo(t *testing.T) {
	t.Parallel()
	s, client := newSite(t)
	tags := func() string {
		t.Helper()
		out, err := client.DescribeTags(t.Context(), &elbv2.DescribeTagsInput{ResourceArns: []string{s.lb, s.blue}})
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, of := range out.TagDescriptions {
			for _, tag := range of.Tags {
				texts = append(texts, *tag.Key+"="+aws.ToString(tag.Value))
			}
			texts = append(texts, "|")
		}
		return strings.Join(texts, " ")
	}
	add := func(arns ...string) error {
		_, err := client.AddTags(t.Context(), &elbv2.AddTagsInput{ResourceArns: arns, Tags: []types.Tag{{Key: new("team"), Value: new("api")}, {Key: new("new")}}})
		return err
	}
	if err := add(s.lb, groupNotThere); !refused[*types.TargetGroupNotFoundException](err) {
		t.Errorf("error %v", err)
	}
	if got := tags(); got != "team=web | |" {
		t.Errorf("after a refusal: %s", got)
	}
	if err := add(s.lb, s.blue); err != nil {
		t.Error(err)
	}
	if got := tags(); got != "team=api new= | team=api new= |" {
		t.Errorf("added: %s", got)
	}
	if _, err := client.RemoveTags(t.Context(), &elbv2.RemoveTagsInput{ResourceArns: []string{s.lb}, TagKeys: []string{"team"}}); err != nil {
		t.Error(err)
	}
	if got := tags(); got != "new= | team=api new= |" {
		t.Errorf("removed: %s", got)
	}
}
