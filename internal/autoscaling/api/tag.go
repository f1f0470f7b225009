package api

import (
	"context"
	"slices"
	"strconv"
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
	if err := filters(in.Filters, func(name string) bool { return tagFilters[name] != nil }, "auto-scaling-group, key, value and propagate-at-launch"); err != nil {
		return nil, err
	}
	s := a.groups.State()
	var found []types.TagDescription
	for _, name := range s.Names() {
		for _, t := range s.Groups[name].Tags {
			if told := tagOf(s.Groups[name], t); matchesTag(told, in.Filters) {
				found = append(found, told)
			}
		}
	}
	found, next, err := after(found, func(t types.TagDescription) string { return *t.ResourceId + ":" + *t.Key }, in.NextToken, in.MaxRecords)
	return &sdk.DescribeTagsOutput{Tags: found, NextToken: next}, err
}

// tagFilters are what DescribeTags can filter by.
var tagFilters = map[string]func(types.TagDescription) string{
	"auto-scaling-group":  func(t types.TagDescription) string { return *t.ResourceId },
	"key":                 func(t types.TagDescription) string { return *t.Key },
	"value":               func(t types.TagDescription) string { return *t.Value },
	"propagate-at-launch": func(t types.TagDescription) string { return strconv.FormatBool(*t.PropagateAtLaunch) },
}

// matchesTag tells whether a tag is what all filters want.
func matchesTag(t types.TagDescription, filters []types.Filter) bool {
	return !slices.ContainsFunc(filters, func(f types.Filter) bool {
		return !slices.Contains(f.Values, tagFilters[*f.Name](t))
	})
}

// filters refuses those whose names are none.
func filters(given []types.Filter, known func(name string) bool, names string) error {
	for _, f := range given {
		if err := required("Filters.Name", f.Name); err != nil {
			return err
		}
		if !known(*f.Name) {
			return elb.Errorf(elb.CodeValidation, "Filter '%s' is none: there are %s", *f.Name, names)
		}
	}
	return nil
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
