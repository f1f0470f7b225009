package targetgroup

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/elb"
	"hale/internal/explain"
)

// Asked tells what became of a question to another service.
type Asked int

// The question was not asked; it was answered, be it that there is nothing; it
// was not answered, or not in full.
const (
	NotAsked Asked = iota
	Answered
	Unanswered
)

// Limits of what other services are asked.
const (
	// surroundingsTime is how long they may take in all.
	surroundingsTime = 30 * time.Second
	// mostQuestions bounds the questions to ECS, which does not know a service by
	// its target group: all are looked at, ten at once (API: DescribeServices).
	mostQuestions  = 60
	servicesAtOnce = 10
	// valuesAtOnce is how many values a filter has at most; EC2 takes 200.
	valuesAtOnce = 100
)

// surroundings asks other services what they know of the group's targets, where
// it is of use and no file told it: who replaces them, where instances are, and
// which security groups stand before those that the load balancer does not hear.
// What cannot be read is told in Unread; the error is for who was interrupted.
func (r *reader) surroundings(ctx context.Context, g *Group, vpc string) error {
	within, cancel := context.WithTimeout(ctx, surroundingsTime)
	defer cancel()
	if g.Kind.Targets == elb.Instances || g.Kind.Targets == elb.Addresses {
		r.readScaling(within, g)
		r.readService(within, g)
		r.locate(within, g, vpc)
		r.readWalls(within, g)
	}
	if err := ctx.Err(); err != nil {
		return r.explain(ctx, "DescribeTargetGroups", err)
	}
	return nil
}

// ask makes one question to a service. The error is one line, as Read's.
func (r *reader) ask(ctx context.Context, s service, action string, do func(*caller) error) error {
	c, err := r.caller(ctx, s)
	if err != nil {
		return err
	}
	if err := do(c); err != nil {
		return explained(ctx, question{s, action, c.host, r.group, surroundingsTime}, err)
	}
	return nil
}

// unread notes what was not read, why, and which command prints it for a file.
func (g *Group) unread(what string, why error, command string) {
	g.Unread = append(g.Unread, Undecided{
		"not read: " + what,
		why.Error() + "; or write what " + command + " prints to a file, and give it with --settings FILE beside --target-group",
	})
}

// ailing tells whether a target is not well, or not yet: then it matters who
// replaces it.
func (g *Group) ailing() bool { return len(g.inState(elb.Unhealthy, elb.Initial)) > 0 }

// readScaling looks for the Auto Scaling group. Its targets are instances.
func (r *reader) readScaling(ctx context.Context, g *Group) {
	if g.Kind.Targets != elb.Instances || g.Scaling != nil {
		return
	}
	const action = "DescribeAutoScalingGroups"
	all, err := pages(func(token *string) ([]scalingDocument, *string, error) {
		var out struct {
			Groups []scalingDocument `xml:"DescribeAutoScalingGroupsResult>AutoScalingGroups>member"`
			Next   string            `xml:"DescribeAutoScalingGroupsResult>NextToken"`
		}
		err := r.ask(ctx, autoScalingAPI, action, func(c *caller) error {
			form := url.Values{"MaxRecords": {"100"}}
			if token != nil {
				form.Set("NextToken", *token)
			}
			return c.query(ctx, action, form, &out)
		})
		return out.Groups, &out.Next, err
	})
	if err != nil {
		g.ScalingAsked = Unanswered
		if g.ailing() {
			g.unread("whether Auto Scaling replaces instances, and how long it leaves new ones alone (asg-cold-start-vs-grace)", err, "aws autoscaling describe-auto-scaling-groups")
		}
		return
	}
	g.ScalingAsked = Answered
	all = slices.DeleteFunc(all, func(s scalingDocument) bool { return !s.registersWith(g.ARN) })
	(&document{AutoScalingGroups: all}).fillAround(g)
}

// readService looks for the service of ECS whose tasks the targets are. Instances
// have tasks where no Auto Scaling group registers them.
func (r *reader) readService(ctx context.Context, g *Group) {
	if g.Service != nil || g.Scaling != nil || g.Tags["elbv2.k8s.aws/cluster"] != "" {
		return
	}
	s := search{reader: r, group: g}
	found, err := s.run(ctx)
	if err != nil {
		g.ServiceAsked = Unanswered
		if g.ailing() {
			g.unread("whether ECS ends tasks, and how long it leaves new ones alone (ecs-kill-loop)", err, "aws ecs describe-services --cluster CLUSTER --services SERVICE")
		}
		return
	}
	g.ServiceAsked = Answered
	found.fillAround(g)
}

// search goes through the services of ECS, until one registers its tasks with
// the group.
type search struct {
	*reader
	group             *Group
	questions, looked int
}

// errEnough ends a search that has asked often enough.
var errEnough = errors.New("enough was asked")

func (s *search) ask(ctx context.Context, action string, in map[string]any, key string, into any) error {
	if s.questions == mostQuestions {
		return errEnough
	}
	s.questions++
	return s.reader.ask(ctx, ecsAPI, action, func(c *caller) error { return c.json(ctx, action, in, key, into) })
}

// run returns what was found, which is nothing if no service fits. A cluster that
// may not be looked into is gone without; the error is for a search that found
// nothing, and did not see all.
func (s *search) run(ctx context.Context) (document, error) {
	var refused error
	for clusters, err := range s.lists(ctx, "ListClusters", "", "clusterArns") {
		if err != nil {
			return document{}, s.ended(err)
		}
		for _, cluster := range clusters {
			found, err := s.within(ctx, cluster)
			switch {
			case len(found.Services) > 0:
				return found, nil
			case errors.Is(err, errEnough):
				return document{}, s.ended(err)
			case refused == nil:
				refused = err
			}
		}
	}
	return document{}, refused
}

func (s *search) ended(err error) error {
	if errors.Is(err, errEnough) {
		return fmt.Errorf("ECS was asked %d times, and none of the %d services that were seen registers its tasks with the group; there are more", s.questions, s.looked)
	}
	return err
}

// within looks at the services of one cluster.
func (s *search) within(ctx context.Context, cluster string) (document, error) {
	for services, err := range s.lists(ctx, "ListServices", cluster, "serviceArns") {
		if err != nil {
			return document{}, err
		}
		for some := range slices.Chunk(services, servicesAtOnce) {
			var out document
			if err := s.ask(ctx, "DescribeServices", map[string]any{"cluster": cluster, "services": some}, "services", &out); err != nil {
				return document{}, err
			}
			s.looked += len(some)
			if i := slices.IndexFunc(out.Services, func(d serviceDocument) bool { return d.registersWith(s.group.ARN) }); i >= 0 {
				found := document{Services: out.Services[i : i+1]}
				s.task(ctx, &found)
				return found, nil
			}
		}
	}
	return document{}, nil
}

// task adds the task definition of the service that was found.
func (s *search) task(ctx context.Context, found *document) {
	var out struct {
		Task taskDocument `json:"taskDefinition"`
	}
	name := found.Services[0].Task
	if name == "" {
		return
	}
	err := s.ask(ctx, "DescribeTaskDefinition", map[string]any{"taskDefinition": name}, "taskDefinition", &out)
	switch {
	case err == nil:
		found.TaskDefinitions = []taskDocument{out.Task}
	case s.group.ailing() && !errors.Is(err, errEnough):
		s.group.unread("which ports the service's tasks have, and which checks of their own", err, "aws ecs describe-task-definition --task-definition "+explain.Line(name))
	}
}

// lists are the pages of a list of ARNs; one with an error is the last.
func (s *search) lists(ctx context.Context, action, cluster, key string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		in := map[string]any{"maxResults": 100}
		if cluster != "" {
			in["cluster"] = cluster
		}
		for {
			var out struct {
				Clusters []string `json:"clusterArns"`
				Services []string `json:"serviceArns"`
				Next     string   `json:"nextToken"`
			}
			if err := s.ask(ctx, action, in, key, &out); err != nil {
				yield(nil, err)
				return
			}
			if !yield(slices.Concat(out.Clusters, out.Services), nil) || out.Next == "" {
				return
			}
			in["nextToken"] = out.Next
		}
	}
}

// unheard tells whether the load balancer gets no answer from a target, or does
// not say what it gets: something may stand between them.
func unheard(t Target) bool {
	return t.State == elb.Unhealthy && (t.Reason == elb.Timeout || t.Reason == elb.FailedHealthChecks)
}

// locate asks EC2 where the instances are that are to be probed, and which
// security groups stand before the targets that the load balancer does not hear.
func (r *reader) locate(ctx context.Context, g *Group, vpc string) {
	var instances, v4, v6 []string
	for _, t := range g.Unhealthy() {
		switch {
		case len(t.SecurityGroups) > 0:
		case strings.HasPrefix(t.ID, "i-"):
			instances = append(instances, t.ID)
		case unheard(t) && t.Address.Is4():
			v4 = append(v4, t.ID)
		case unheard(t) && t.Address.Is6():
			v6 = append(v6, t.ID)
		}
	}
	const interfaces, worn = "DescribeNetworkInterfaces", "which security groups the targets have"
	for _, one := range []struct {
		action, filter, vpc string // the same address may be in several VPCs
		values              []string
		what, command       string
	}{
		{"DescribeInstances", "instance-id", "", instances, "the instances' addresses, and " + worn, "aws ec2 describe-instances --instance-ids "},
		{interfaces, "addresses.private-ip-address", vpc, v4, worn, "aws ec2 describe-network-interfaces --filters Name=addresses.private-ip-address,Values="},
		{interfaces, "ipv6-addresses.ipv6-address", vpc, v6, worn, "aws ec2 describe-network-interfaces --filters Name=ipv6-addresses.ipv6-address,Values="},
	} {
		found, err := r.describe(ctx, one.action, one.filter, one.values, one.vpc)
		if err != nil {
			g.unread(one.what, err, one.command+one.values[0])
		}
		found.fillAround(g)
	}
}

// readWalls asks EC2 for the rules of those security groups.
func (r *reader) readWalls(ctx context.Context, g *Group) {
	var ids []string
	for _, t := range slices.DeleteFunc(slices.Clone(g.Targets), func(t Target) bool { return !unheard(t) }) {
		for _, id := range t.SecurityGroups {
			known := slices.ContainsFunc(g.SecurityGroups, func(s SecurityGroup) bool { return s.ID == id })
			if !known && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	found, err := r.describe(ctx, "DescribeSecurityGroups", "group-id", ids, "")
	if err != nil {
		g.unread("whether the targets' security groups let the load balancer in", err, "aws ec2 describe-security-groups --group-ids "+strings.Join(ids, " "))
	}
	found.fillAround(g)
}

// describe asks EC2 for what has one of the values, in a VPC if one is named.
// Filters, unlike lists of ids, take those that are not there any more.
func (r *reader) describe(ctx context.Context, action, filter string, values []string, vpc string) (document, error) {
	var all document
	for some := range slices.Chunk(values, valuesAtOnce) {
		form := url.Values{"Filter.1.Name": {filter}}
		for i, value := range some {
			form.Set("Filter.1.Value."+strconv.Itoa(i+1), value)
		}
		if vpc != "" {
			form.Set("Filter.2.Name", "vpc-id")
			form.Set("Filter.2.Value.1", vpc)
		}
		found, err := pages(func(token *string) ([]computingAnswer, *string, error) {
			var out computingAnswer
			if token != nil {
				form.Set("NextToken", *token)
			}
			err := r.ask(ctx, ec2API, action, func(c *caller) error { return c.query(ctx, action, form, &out) })
			return []computingAnswer{out}, &out.Next, err
		})
		if err != nil {
			return document{}, err
		}
		for _, answer := range found {
			all.Reservations = append(all.Reservations, answer.Reservations...)
			all.NetworkInterfaces = append(all.NetworkInterfaces, answer.Interfaces...)
			all.SecurityGroups = append(all.SecurityGroups, answer.Groups...)
		}
	}
	return all, nil
}

// computingAnswer is of any of EC2's actions that are asked for: each has one of
// the lists.
type computingAnswer struct {
	Reservations []reservationDocument `xml:"reservationSet>item"`
	Interfaces   []interfaceDocument   `xml:"networkInterfaceSet>item"`
	Groups       []securityDocument    `xml:"securityGroupInfo>item"`
	Next         string                `xml:"nextToken"`
}
