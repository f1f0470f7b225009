package targetgroup

import (
	"context"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// Everything is what one account has in a region, as the ELBv2 API tells it.
type Everything struct {
	// Endpoint is the host that was asked.
	Endpoint      string
	LoadBalancers []types.LoadBalancer
	Listeners     map[string][]types.Listener // by the load balancer's ARN
	Rules         map[string][]types.Rule     // by the listener's
	Groups        []types.TargetGroup
	Health        map[string][]types.TargetHealthDescription // by the group's
	// Scaling are the Auto Scaling groups, in the order in which they were told, and
	// Unscaled why they, or what they did, were not; nil: they were.
	Scaling  []ScalingGroup
	Unscaled error
}

// List asks the ELBv2 API for all load balancers and target groups, and Auto
// Scaling's for its groups, without which the rest is told, too; a Group in the
// options is not looked at. The error is one line, as Read's.
func List(ctx context.Context, o Options) (*Everything, error) {
	if o.Lookup == nil {
		o.Lookup = os.Getenv
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	r, err := newReader(ctx, o, "")
	if err != nil {
		return nil, err
	}
	defer r.close()
	all := &Everything{
		Endpoint: r.endpoint, Listeners: make(map[string][]types.Listener),
		Rules: make(map[string][]types.Rule), Health: make(map[string][]types.TargetHealthDescription),
	}
	if err := r.list(ctx, all); err != nil {
		return nil, err
	}
	if all.Scaling, all.Unscaled = r.listScaling(ctx); ctx.Err() != nil {
		return nil, all.Unscaled
	}
	return all, nil
}

func (r *reader) list(ctx context.Context, all *Everything) (err error) {
	all.LoadBalancers, err = paged(func(marker *string) ([]types.LoadBalancer, *string, error) {
		out, err := r.client.DescribeLoadBalancers(ctx, &elbv2.DescribeLoadBalancersInput{Marker: marker})
		if err != nil {
			return nil, nil, r.explain(ctx, "DescribeLoadBalancers", err)
		}
		return out.LoadBalancers, out.NextMarker, nil
	})
	if err != nil {
		return err
	}
	for _, b := range all.LoadBalancers {
		if err := r.listListeners(ctx, aws.ToString(b.LoadBalancerArn), all); err != nil {
			return err
		}
	}
	all.Groups, err = paged(func(marker *string) ([]types.TargetGroup, *string, error) {
		out, err := r.client.DescribeTargetGroups(ctx, &elbv2.DescribeTargetGroupsInput{Marker: marker})
		if err != nil {
			return nil, nil, r.explain(ctx, "DescribeTargetGroups", err)
		}
		return out.TargetGroups, out.NextMarker, nil
	})
	if err != nil {
		return err
	}
	for _, g := range all.Groups {
		out, err := r.client.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: g.TargetGroupArn})
		if err != nil {
			return r.explain(ctx, "DescribeTargetHealth", err)
		}
		all.Health[aws.ToString(g.TargetGroupArn)] = out.TargetHealthDescriptions
	}
	return nil
}

func (r *reader) listListeners(ctx context.Context, balancer string, all *Everything) error {
	listeners, err := paged(func(marker *string) ([]types.Listener, *string, error) {
		out, err := r.client.DescribeListeners(ctx, &elbv2.DescribeListenersInput{LoadBalancerArn: &balancer, Marker: marker})
		if err != nil {
			return nil, nil, r.explain(ctx, "DescribeListeners", err)
		}
		return out.Listeners, out.NextMarker, nil
	})
	if err != nil {
		return err
	}
	all.Listeners[balancer] = listeners
	for _, l := range listeners {
		rules, err := paged(func(marker *string) ([]types.Rule, *string, error) {
			out, err := r.client.DescribeRules(ctx, &elbv2.DescribeRulesInput{ListenerArn: l.ListenerArn, Marker: marker})
			if err != nil {
				return nil, nil, r.explain(ctx, "DescribeRules", err)
			}
			return out.Rules, out.NextMarker, nil
		})
		if err != nil {
			return err
		}
		all.Rules[aws.ToString(l.ListenerArn)] = rules
	}
	return nil
}

// paged collects pages, up to a number that no account has.
func paged[T any](ask func(marker *string) (page []T, next *string, err error)) ([]T, error) {
	var (
		all    []T
		marker *string
	)
	for range mostPages {
		page, next, err := ask(marker)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if aws.ToString(next) == "" {
			break
		}
		marker = next
	}
	return all, nil
}
