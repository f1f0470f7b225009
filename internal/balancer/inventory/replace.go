package inventory

import (
	"slices"

	"hale/internal/elb/rule"
)

// ReplaceGroup deletes a group and makes another one in its place, under a new
// ARN, for settings that ELB cannot change: those who use the old group use the
// new one then. The new group has no targets. CheckUse tells whether all who use
// it can; they may still be about to change.
func (e *Edit) ReplaceGroup(arn string, n NewGroup) (*Group, error) {
	old := e.next.Groups[arn]
	if old == nil {
		return nil, groupNotFound()
	}
	delete(e.next.Groups, arn)
	g, err := e.CreateGroup(n)
	if err != nil {
		e.next.Groups[arn] = old
		return nil, err
	}
	for _, l := range e.next.Listeners {
		if slices.Contains(groupsOf(l.Default), arn) {
			changed := *l
			changed.Default = redirected(l.Default, arn, g.ARN)
			e.next.Listeners[l.ARN] = &changed
		}
	}
	for _, r := range e.next.Rules {
		if slices.Contains(groupsOf(r.Actions), arn) {
			changed := *r
			changed.Actions = redirected(r.Actions, arn, g.ARN)
			e.next.Rules[r.ARN] = &changed
		}
	}
	return g, nil
}

// redirected returns a copy of actions that forward to another group in place of
// one.
func redirected(actions []rule.Action, from, to string) []rule.Action {
	next := slices.Clone(actions)
	for i, a := range next {
		if a.ForwardConfig == nil {
			continue
		}
		forward := *a.ForwardConfig
		forward.TargetGroups = slices.Clone(forward.TargetGroups)
		for j := range forward.TargetGroups {
			if forward.TargetGroups[j].TargetGroupArn == from {
				forward.TargetGroups[j].TargetGroupArn = to
			}
		}
		next[i].ForwardConfig = &forward
	}
	return next
}

// CheckUse refuses a group that a listener uses, by its default actions or a rule,
// and cannot send to.
func (e *Edit) CheckUse(arn string) error {
	g := e.next.Groups[arn]
	if g == nil {
		return groupNotFound()
	}
	for _, l := range e.next.Listeners {
		uses := slices.Contains(groupsOf(l.Default), arn) || slices.ContainsFunc(e.next.RulesOf(l.ARN), func(r *Rule) bool {
			return slices.Contains(groupsOf(r.Actions), arn)
		})
		if uses {
			if err := compatible(l, g); err != nil {
				return err
			}
		}
	}
	return nil
}
