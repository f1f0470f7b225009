package api

import (
	"context"
	"slices"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"hale/internal/autoscaling"
	"hale/internal/elb"
)

// Limits of a tag, in characters (API, Tag).
const (
	mostTagKey   = 128
	mostTagValue = 256
)

const tagged = "auto-scaling-group"

func (a api) createOrUpdateTags(_ context.Context, in *sdk.CreateOrUpdateTagsInput) (*sdk.CreateOrUpdateTagsOutput, error) {
	return &sdk.CreateOrUpdateTagsOutput{}, a.groups.Change(func(e *autoscaling.Edit) error {
		for _, t := range in.Tags {
			tags, err := tagsFrom([]types.Tag{t})
			if err != nil {
				return err
			}
			if err := e.SetTags(aws.ToString(t.ResourceId), tags); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a api) deleteTags(_ context.Context, in *sdk.DeleteTagsInput) (*sdk.DeleteTagsOutput, error) {
	return &sdk.DeleteTagsOutput{}, a.groups.Change(func(e *autoscaling.Edit) error {
		for _, t := range in.Tags {
			if err := e.RemoveTags(aws.ToString(t.ResourceId), []string{aws.ToString(t.Key)}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a api) describeTags(_ context.Context, in *sdk.DescribeTagsInput) (*sdk.DescribeTagsOutput, error) {
	s := a.groups.State()
	var found []types.TagDescription
	for _, name := range s.Names() {
		for _, t := range s.Groups[name].Tags {
			told := tagOf(s.Groups[name], t)
			ok, err := matchesTag(told, in.Filters)
			if err != nil {
				return nil, err
			}
			if ok {
				found = append(found, told)
			}
		}
	}
	found, next, err := after(found, func(t types.TagDescription) string { return *t.ResourceId + ":" + *t.Key }, in.NextToken, in.MaxRecords)
	return &sdk.DescribeTagsOutput{Tags: found, NextToken: next}, err
}

// matchesTag tells whether a tag is what all filters want.
func matchesTag(t types.TagDescription, filters []types.Filter) (bool, error) {
	values := map[string]string{
		"auto-scaling-group": *t.ResourceId, "key": *t.Key, "value": *t.Value, "propagate-at-launch": boolean(*t.PropagateAtLaunch),
	}
	for _, f := range filters {
		value, ok := values[aws.ToString(f.Name)]
		if !ok {
			return false, elb.Errorf(elb.CodeValidation, "Filter '%s' is none: there are auto-scaling-group, key, value and propagate-at-launch", aws.ToString(f.Name))
		}
		if !slices.Contains(f.Values, value) {
			return false, nil
		}
	}
	return true, nil
}

func boolean(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

func tagOf(g *autoscaling.Group, t autoscaling.Tag) types.TagDescription {
	return types.TagDescription{Key: &t.Key, Value: &t.Value, PropagateAtLaunch: &t.PropagateAtLaunch, ResourceId: &g.Name, ResourceType: new(tagged)}
}

func tagsFrom(given []types.Tag) ([]autoscaling.Tag, error) {
	var tags []autoscaling.Tag
	for _, t := range given {
		tag := autoscaling.Tag{Key: aws.ToString(t.Key), Value: aws.ToString(t.Value), PropagateAtLaunch: aws.ToBool(t.PropagateAtLaunch)}
		switch kind := aws.ToString(t.ResourceType); {
		case kind != "" && kind != tagged:
			return nil, elb.Errorf(elb.CodeValidation, "Tags are of resources of type %s, not of '%s'", tagged, kind)
		case tag.Key == "" || utf8.RuneCountInString(tag.Key) > mostTagKey:
			return nil, elb.Errorf(elb.CodeValidation, "A tag key has 1 to %d characters: '%s'", mostTagKey, tag.Key)
		case utf8.RuneCountInString(tag.Value) > mostTagValue:
			return nil, elb.Errorf(elb.CodeValidation, "A tag value has %d characters at most: '%s'", mostTagValue, tag.Value)
		}
		tags = append(tags, tag)
	}
	return tags, nil
}
