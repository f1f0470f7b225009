package elbapi

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
)

// Limits of a tag, in characters (ELBv2 API, Tag).
const (
	mostTagKey   = 128
	mostTagValue = 256
)

func (a api) addTags(ctx context.Context, in *elbv2.AddTagsInput) (*elbv2.AddTagsOutput, error) {
	if err := first(tagged(in.ResourceArns), required("Tags", len(in.Tags) > 0)); err != nil {
		return nil, err
	}
	tags, err := tagsFrom(in.Tags)
	if err != nil {
		return nil, err
	}
	return &elbv2.AddTagsOutput{}, a.balancer.Change(ctx, func(e *inventory.Edit) error { return e.AddTags(in.ResourceArns, tags) })
}

func (a api) removeTags(ctx context.Context, in *elbv2.RemoveTagsInput) (*elbv2.RemoveTagsOutput, error) {
	if err := first(tagged(in.ResourceArns), required("TagKeys", len(in.TagKeys) > 0)); err != nil {
		return nil, err
	}
	return &elbv2.RemoveTagsOutput{}, a.balancer.Change(ctx, func(e *inventory.Edit) error { return e.RemoveTags(in.ResourceArns, in.TagKeys) })
}

func (a api) describeTags(_ context.Context, in *elbv2.DescribeTagsInput) (*elbv2.DescribeTagsOutput, error) {
	if err := tagged(in.ResourceArns); err != nil {
		return nil, err
	}
	v := a.balancer.Inventory()
	out := &elbv2.DescribeTagsOutput{}
	for _, arn := range in.ResourceArns {
		tags, ok := v.Tagged(arn)
		if !ok && findRule(v, arn) == nil { // a default rule has none
			return nil, inventory.NotFound(arn)
		}
		out.TagDescriptions = append(out.TagDescriptions, types.TagDescription{ResourceArn: &arn, Tags: each(tags, func(t inventory.Tag) types.Tag {
			return types.Tag{Key: &t.Key, Value: &t.Value}
		})})
	}
	return out, nil
}

// tagged refuses a list of things that cannot be.
func tagged(arns []string) error {
	if len(arns) > mostNamed {
		return elb.Errorf(elb.CodeValidation, "You can specify %d resources at most", mostNamed)
	}
	return required("ResourceArns", len(arns) > 0)
}

func tagsFrom(given []types.Tag) ([]inventory.Tag, error) {
	var tags []inventory.Tag
	for _, t := range given {
		key, value := aws.ToString(t.Key), aws.ToString(t.Value)
		switch {
		case t.Key == nil:
			return nil, required("Tags.Key", false)
		case key == "" || utf8.RuneCountInString(key) > mostTagKey:
			return nil, elb.Errorf(elb.CodeValidation, "A tag key has 1 to %d characters: '%s'", mostTagKey, key)
		case utf8.RuneCountInString(value) > mostTagValue:
			return nil, elb.Errorf(elb.CodeValidation, "A tag value has %d characters at most: '%s'", mostTagValue, value)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return nil, elb.Errorf(elb.CodeValidation, "Tag keys that begin with aws: are AWS's own: '%s'", key)
		case strings.ContainsFunc(key+value, notOfTags):
			return nil, elb.Errorf(elb.CodeValidation, "Tags consist of letters, spaces, numbers, and + - = . _ : / @: '%s', '%s'", key, value)
		}
		tags = append(tags, inventory.Tag{Key: key, Value: value})
	}
	return tags, nil
}

func notOfTags(r rune) bool {
	return !unicode.In(r, unicode.L, unicode.Z, unicode.N) && !strings.ContainsRune("_.:/=+-@", r)
}
