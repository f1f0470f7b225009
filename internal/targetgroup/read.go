package targetgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"hale/internal/explain"
)

// Options are where a group is read from.
type Options struct {
	// Group is the target group's ARN; a name will do, too, where the region is
	// known.
	Group string
	// Endpoint is the API's URL, for another one than AWS's own; empty: as the
	// environment and the profile say. One on loopback needs no credentials.
	Endpoint string
	// Region and Profile go before what the environment says; an ARN's region
	// goes before both.
	Region, Profile string
	// Beside is a file of what other services say of the group, as Settings takes
	// it, BesideName its name for messages. What it tells is not asked for.
	Beside     []byte
	BesideName string
	// Lookup finds a variable of the environment; nil: os.Getenv.
	Lookup func(name string) string
}

// longest is how long reading may take in all.
const longest = time.Minute

// Limits of what is read, so that no answer keeps the reader for good.
const (
	mostPages = 200
	// balancersAtOnce is how many load balancers may be asked for by name (API:
	// DescribeLoadBalancers).
	balancersAtOnce = 20
)

// Read asks the ELBv2 API for a target group and all that belongs to it, and EC2,
// Auto Scaling and ECS for what they know of its targets. What is refused besides
// settings and health is left out, and told in Unread. The error is one line that
// says what was asked, where, and what to do.
func Read(ctx context.Context, o Options) (Group, error) {
	if o.Lookup == nil {
		o.Lookup = os.Getenv
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	region, err := regionOf(o.Group)
	if err != nil {
		return Group{}, err
	}
	r, err := newReader(ctx, o, region)
	if err != nil {
		return Group{}, err
	}
	defer r.close()
	return r.read(ctx)
}

var (
	arnPattern  = regexp.MustCompile(`^arn:[\w-]+:elasticloadbalancing:([\w-]*):\d*:targetgroup/[\w-]+/[\w-]+$`)
	namePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9-]{0,31}$`)
)

// regionOf checks what names the group, and returns the region in it, "" for a
// name.
func regionOf(group string) (string, error) {
	if arn := arnPattern.FindStringSubmatch(group); arn != nil {
		return arn[1], nil
	}
	if namePattern.MatchString(group) {
		return "", nil
	}
	const form = "arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID, as aws elbv2 describe-target-groups prints it"
	kind := "no target group"
	switch {
	case strings.Contains(group, ":loadbalancer/"):
		kind = "the ARN of a load balancer, not of a target group"
	case strings.Contains(group, ":listener"):
		kind = "the ARN of a listener or a rule, not of a target group"
	}
	return "", fmt.Errorf("%q is %s: give %s", explain.Line(group), kind, form)
}

// reader asks for one group.
type reader struct {
	client   *elbv2.Client
	endpoint string // the ELBv2 API's host, for messages
	group    string

	// What callers of other services are made of.
	options   Options
	profile   profile
	region    string
	keys      aws.Credentials
	http      bounded
	fips      aws.FIPSEndpointState
	dualStack aws.DualStackEndpointState
}

func (r *reader) close() { r.http.transport.CloseIdleConnections() }

func (r *reader) read(ctx context.Context) (Group, error) {
	asked := &elbv2.DescribeTargetGroupsInput{TargetGroupArns: []string{r.group}}
	if !strings.HasPrefix(r.group, "arn:") {
		asked = &elbv2.DescribeTargetGroupsInput{Names: []string{r.group}}
	}
	groups, err := r.client.DescribeTargetGroups(ctx, asked)
	if err != nil {
		return Group{}, r.explain(ctx, "DescribeTargetGroups", err)
	}
	if len(groups.TargetGroups) != 1 {
		return Group{}, fmt.Errorf("DescribeTargetGroups at %s: %d target groups for %s: is this the ELBv2 API?", r.endpoint, len(groups.TargetGroups), r.group)
	}
	from := groups.TargetGroups[0]
	g, err := groupOf(from)
	if err != nil {
		return Group{}, fmt.Errorf("DescribeTargetGroups at %s: %w", r.endpoint, err)
	}
	health, err := r.client.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: from.TargetGroupArn})
	if err != nil {
		return Group{}, r.explain(ctx, "DescribeTargetHealth", err)
	}
	g.addTargets(health.TargetHealthDescriptions)
	for _, more := range []func(context.Context, *Group, types.TargetGroup) error{r.attributes, r.tags, r.balancers} {
		if err := more(ctx, &g, from); err != nil {
			return Group{}, err
		}
	}
	if len(r.options.Beside) > 0 {
		told, err := decode(r.options.Beside)
		if err != nil {
			return Group{}, fmt.Errorf("%s: %w", r.options.BesideName, err)
		}
		told.fillAround(&g)
	}
	if err := r.surroundings(ctx, &g, aws.ToString(from.VpcId)); err != nil {
		return Group{}, err
	}
	return g, nil
}

func (r *reader) attributes(ctx context.Context, g *Group, from types.TargetGroup) error {
	out, err := r.client.DescribeTargetGroupAttributes(ctx, &elbv2.DescribeTargetGroupAttributesInput{TargetGroupArn: from.TargetGroupArn})
	if err != nil {
		return r.without(ctx, g, "DescribeTargetGroupAttributes", "how long the group drains, and its other attributes", err)
	}
	g.Attributes = make(map[string]string)
	for _, a := range out.Attributes {
		g.Attributes[aws.ToString(a.Key)] = explain.Line(aws.ToString(a.Value))
	}
	return nil
}

func (r *reader) tags(ctx context.Context, g *Group, from types.TargetGroup) error {
	out, err := r.client.DescribeTags(ctx, &elbv2.DescribeTagsInput{ResourceArns: []string{aws.ToString(from.TargetGroupArn)}})
	if err != nil {
		return r.without(ctx, g, "DescribeTags", "whether the group belongs to Elastic Beanstalk or Kubernetes", err)
	}
	g.Tags = make(map[string]string)
	for _, resource := range out.TagDescriptions {
		for _, tag := range resource.Tags {
			g.Tags[aws.ToString(tag.Key)] = explain.Line(aws.ToString(tag.Value))
		}
	}
	return nil
}

// balancers reads who uses the group: the load balancers that it names, their
// listeners, and the listeners' rules.
func (r *reader) balancers(ctx context.Context, g *Group, from types.TargetGroup) error {
	if len(from.LoadBalancerArns) == 0 {
		g.RoutesKnown = true
		return nil
	}
	arns := from.LoadBalancerArns[:min(len(from.LoadBalancerArns), balancersAtOnce)]
	found, err := pages(func(marker *string) ([]types.LoadBalancer, *string, error) {
		out, err := r.client.DescribeLoadBalancers(ctx, &elbv2.DescribeLoadBalancersInput{LoadBalancerArns: arns, Marker: marker})
		if err != nil {
			return nil, nil, err
		}
		return out.LoadBalancers, out.NextMarker, nil
	})
	if err != nil {
		return r.without(ctx, g, "DescribeLoadBalancers", "the load balancer's state, zones and security groups", err)
	}
	before := len(g.Unread)
	for _, one := range found {
		b := balancerOf(one)
		if err := r.balancerAttributes(ctx, g, &b); err != nil {
			return err
		}
		g.Balancers = append(g.Balancers, b)
	}
	beforeRoutes := len(g.Unread)
	for _, b := range g.Balancers {
		if err := r.routes(ctx, g, b); err != nil {
			return err
		}
	}
	g.RoutesKnown = len(g.Unread) == beforeRoutes && before <= beforeRoutes
	return nil
}

func (r *reader) balancerAttributes(ctx context.Context, g *Group, b *Balancer) error {
	out, err := r.client.DescribeLoadBalancerAttributes(ctx, &elbv2.DescribeLoadBalancerAttributesInput{LoadBalancerArn: aws.String(b.ARN)})
	if err != nil {
		return r.without(ctx, g, "DescribeLoadBalancerAttributes", "the load balancer's idle time-out", err)
	}
	b.Attributes = make(map[string]string)
	for _, a := range out.Attributes {
		b.Attributes[aws.ToString(a.Key)] = explain.Line(aws.ToString(a.Value))
	}
	return nil
}

func (r *reader) routes(ctx context.Context, g *Group, b Balancer) error {
	listeners, err := pages(func(marker *string) ([]types.Listener, *string, error) {
		out, err := r.client.DescribeListeners(ctx, &elbv2.DescribeListenersInput{LoadBalancerArn: aws.String(b.ARN), Marker: marker})
		if err != nil {
			return nil, nil, err
		}
		return out.Listeners, out.NextMarker, nil
	})
	if err != nil {
		return r.without(ctx, g, "DescribeListeners", "whether a listener forwards to the group", err)
	}
	for _, l := range listeners {
		rules, err := pages(func(marker *string) ([]types.Rule, *string, error) {
			out, err := r.client.DescribeRules(ctx, &elbv2.DescribeRulesInput{ListenerArn: l.ListenerArn, Marker: marker})
			if err != nil {
				return nil, nil, err
			}
			return out.Rules, out.NextMarker, nil
		})
		if err != nil {
			return r.without(ctx, g, "DescribeRules", "which rules forward to the group", err)
		}
		if len(rules) == 0 { // listeners of other load balancers than ALBs have no rules of their own
			rules = []types.Rule{{Priority: aws.String("default"), Actions: l.DefaultActions}}
		}
		g.addRoutes(b.Name, l, rules)
	}
	return nil
}

// without goes on without an answer that the API refused; other errors end the
// reading.
func (r *reader) without(ctx context.Context, g *Group, action, what string, err error) error {
	explained := r.explain(ctx, action, err)
	refused, ok := errors.AsType[*Error](explained)
	if !ok || refused.Code == "" {
		return explained
	}
	g.Unread = append(g.Unread, Undecided{What: "not read: " + what, How: refused.Error()})
	return nil
}

// pages collects the parts of a list. It ends at one that points nowhere new.
func pages[T any](next func(marker *string) ([]T, *string, error)) ([]T, error) {
	var all []T
	var marker *string
	seen := map[string]bool{}
	for range mostPages {
		part, following, err := next(marker)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
		if following == nil || *following == "" || seen[*following] {
			return all, nil
		}
		seen[*following] = true
		marker = following
	}
	return all, nil
}
