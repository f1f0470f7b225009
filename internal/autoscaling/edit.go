package autoscaling

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"hale/internal/elb"
)

// Place is where the groups are, and what they can name.
type Place struct {
	Region, Account string // of ARNs
	// TargetGroup refuses what instances cannot be registered with. Nil: there are
	// no target groups.
	TargetGroup func(arn string) error
}

// Edit is the next state in the making. Its methods change it, or refuse with an
// *elb.Error; an edit that has refused is to be dropped. It belongs to one
// goroutine.
type Edit struct {
	place Place
	now   time.Time
	next  *State
}

// State returns what the edit has come to. The edit must not be used again.
func (e *Edit) State() *State { return e.next }

// Group returns a group, or refuses.
func (e *Edit) Group(name string) (*Group, error) {
	g := e.next.Groups[name]
	if g == nil {
		return nil, NotFound(name)
	}
	return g, nil
}

// NotFound is the refusal of a name that no group has.
func NotFound(name string) error {
	return elb.Errorf(elb.CodeValidation, "AutoScalingGroup name not found - AutoScalingGroup: %s not found", name)
}

// changeable returns a group that is not being deleted.
func (e *Edit) changeable(name string) (*Group, error) {
	g, err := e.Group(name)
	if err == nil && g.Deleting {
		return nil, elb.Errorf("ScalingActivityInProgress", "AutoScalingGroup %s is being deleted", name)
	}
	return g, err
}

// Settings are what CreateAutoScalingGroup and UpdateAutoScalingGroup set. What is
// nil stays as it is, or has the API's default.
type Settings struct {
	Min, Max, Desired *int
	Template          *TemplateRef
	Zones             []string
	Subnets           *string
	HealthCheckType   *string
	Grace             *time.Duration // default 0
	Warmup            *time.Duration // negative: none any more
	Cooldown          *time.Duration // default 300 s
	Policies          []string
	ProtectNew        *bool
}

const (
	defaultCooldown    = 300 * time.Second
	defaultHealthCheck = "EC2"
	mostInstances      = 1000 // a machine has no more ports than a group of this size can do with
	mostGrace          = 24 * time.Hour
)

func defaultPolicies() []string { return []string{"Default"} }

// groupName is what the API takes for a name (XmlStringMaxLen255), without what
// would be misread in ARNs and files.
var groupName = regexp.MustCompile(`^[A-Za-z0-9 !-.0-9;-~]{1,255}$`)

// CreateGroup makes a group. Sources, hooks and tags are attached by their own
// methods.
func (e *Edit) CreateGroup(name string, s Settings) (*Group, error) {
	switch {
	case !groupName.MatchString(name) || strings.TrimSpace(name) == "" || strings.ContainsAny(name, ":/"):
		return nil, elb.Errorf(elb.CodeValidation, "Group name %q: a name has 1 to 255 printable characters, without : and /", name)
	case e.next.Groups[name] != nil:
		return nil, elb.Errorf("AlreadyExists", "AutoScalingGroup by this name already exists - A group with the name %s already exists", name)
	case s.Template == nil:
		return nil, elb.Errorf(elb.CodeValidation, "Valid requests must contain a LaunchTemplate: name one of the balancer's configuration")
	case s.Min == nil || s.Max == nil:
		return nil, elb.Errorf(elb.CodeValidation, "MinSize and MaxSize are required")
	}
	g := &Group{
		Name: name, Created: e.now, HealthCheckType: defaultHealthCheck, Cooldown: defaultCooldown,
		ARN:      fmt.Sprintf("arn:aws:autoscaling:%s:%s:autoScalingGroup:%s:autoScalingGroupName/%s", e.place.Region, e.place.Account, uuid(), name),
		Policies: defaultPolicies(),
	}
	if s.Desired == nil {
		s.Desired = s.Min
	}
	if err := e.set(g, s); err != nil {
		return nil, err
	}
	e.next.Groups[name] = g
	return g, nil
}

// UpdateGroup changes a group's settings. Instances that run stay as they are.
func (e *Edit) UpdateGroup(name string, s Settings) error {
	g, err := e.changeable(name)
	if err != nil {
		return err
	}
	next := g.clone()
	if s.Desired == nil { // it follows the limits
		desired := next.Desired
		if s.Max != nil {
			desired = min(desired, *s.Max)
		}
		if s.Min != nil {
			desired = max(desired, *s.Min)
		}
		s.Desired = &desired
	}
	if err := e.set(next, s); err != nil {
		return err
	}
	e.next.Groups[name] = next
	return nil
}

func (e *Edit) set(g *Group, s Settings) error {
	given(&g.Min, s.Min)
	given(&g.Max, s.Max)
	before := g.Desired
	given(&g.Desired, s.Desired)
	given(&g.Subnets, s.Subnets)
	given(&g.HealthCheckType, s.HealthCheckType)
	given(&g.Grace, s.Grace)
	given(&g.Cooldown, s.Cooldown)
	given(&g.ProtectNew, s.ProtectNew)
	if s.Warmup != nil {
		g.Warmup = s.Warmup
		if *s.Warmup < 0 {
			g.Warmup = nil
		}
	}
	if s.Policies != nil {
		g.Policies = s.Policies
	}
	if s.Template != nil {
		g.Template = *s.Template
	}
	if s.Zones != nil {
		g.Zones = s.Zones
	}
	if s.Subnets != nil && s.Zones == nil {
		g.Zones = e.zonesOf(*s.Subnets)
	}
	if len(g.Zones) == 0 {
		g.Zones = []string{e.place.Region + "a"}
	}
	if before != g.Desired {
		g.Scaled = e.now
	}
	return e.check(g)
}

func given[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// zonesOf returns the zones of subnets: the last letter of their names, as
// elsewhere in the balancer.
func (e *Edit) zonesOf(subnets string) []string {
	var zones []string
	for subnet := range strings.SplitSeq(subnets, ",") {
		subnet = strings.TrimSpace(subnet)
		if letter, ok := strings.CutPrefix(subnet, "subnet-"); ok && len(letter) == 1 && letter >= "a" && letter <= "f" && !slices.Contains(zones, e.place.Region+letter) {
			zones = append(zones, e.place.Region+letter)
		}
	}
	return zones
}

func (e *Edit) check(g *Group) error {
	refuse := func(format string, args ...any) error { return elb.Errorf(elb.CodeValidation, format, args...) }
	t, _ := e.next.find(g.Template)
	switch {
	case t == nil:
		return refuse("The specified launch template, with template name %s, does not exist here: launch templates are those of the balancer's configuration (LaunchTemplates)", g.Template)
	case g.Min < 0 || g.Max < g.Min:
		return refuse("Max bound, %d, must be greater than or equal to minimum bound, %d", g.Max, g.Min)
	case g.Max > mostInstances:
		return refuse("Max bound, %d: a group has %d instances at most on one machine", g.Max, mostInstances)
	case g.Desired < g.Min || g.Desired > g.Max:
		return refuse("Desired capacity:%d must be between the specified min size:%d and max size:%d", g.Desired, g.Min, g.Max)
	case g.Grace < 0 || g.Grace > mostGrace || g.Cooldown < 0 || g.Cooldown > mostGrace || g.Warmup != nil && *g.Warmup > mostGrace:
		return refuse("HealthCheckGracePeriod, DefaultCooldown and DefaultInstanceWarmup are 0 to %d seconds", int(mostGrace.Seconds()))
	}
	for zone := range slices.Values(g.Zones) {
		letter, ok := strings.CutPrefix(zone, e.place.Region)
		if !ok || len(letter) != 1 || letter < "a" || letter > "f" {
			return refuse("Availability Zone '%s' is not one of %sa to %[2]sf", zone, e.place.Region)
		}
	}
	for policy := range slices.Values(g.Policies) {
		if _, ok := policies[policy]; !ok {
			return refuse("Termination policy '%s' is none that is known here: Default, OldestInstance, NewestInstance, OldestLaunchTemplate", policy)
		}
	}
	for kind := range strings.SplitSeq(g.HealthCheckType, ",") {
		switch strings.TrimSpace(kind) {
		case "EC2", "ELB":
		default:
			return refuse("Health check type '%s' is none that is offered here: EC2, ELB, or both of them separated by a comma", kind)
		}
	}
	return nil
}

// String returns the name and, if it is a certain one, the version.
func (r TemplateRef) String() string {
	if r.Version == 0 {
		return r.Name
	}
	return fmt.Sprintf("%s and version %d", r.Name, r.Version)
}

// asksBalancer tells whether load balancers' verdicts count.
func (g *Group) asksBalancer() bool { return strings.Contains(g.HealthCheckType, "ELB") }

// SetDesired sets how many instances there are to be. Honour refuses that until
// the cooldown is over.
func (e *Edit) SetDesired(name string, desired int, honour bool) error {
	g, err := e.changeable(name)
	switch {
	case err != nil:
		return err
	case desired < g.Min:
		return elb.Errorf(elb.CodeValidation, "New SetDesiredCapacity value %d is below min value %d for the AutoScalingGroup.", desired, g.Min)
	case desired > g.Max:
		return elb.Errorf(elb.CodeValidation, "New SetDesiredCapacity value %d is above max value %d for the AutoScalingGroup.", desired, g.Max)
	case honour && e.now.Before(g.Scaled.Add(g.Cooldown)):
		return elb.Errorf("ScalingActivityInProgress", "AutoScalingGroup %s is in its cooldown until %s", name, g.Scaled.Add(g.Cooldown).Format(time.RFC3339))
	}
	if g.Desired != desired {
		g.Desired, g.Scaled = desired, e.now
	}
	return nil
}

// DeleteGroup removes a group. One with instances is refused, or with force set
// to end them all, without hooks; it is gone when they are.
func (e *Edit) DeleteGroup(name string, force bool) error {
	g, err := e.Group(name)
	switch {
	case err != nil:
		return err
	case len(g.Instances) == 0:
		delete(e.next.Groups, name)
		return nil
	case !force && g.Desired == 0 && g.Active() == 0:
		return elb.Errorf("ScalingActivityInProgress", "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group.")
	case !force:
		return elb.Errorf("ResourceInUse", "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.")
	}
	g.Deleting, g.Min, g.Desired = true, 0, 0
	g.Hooks = nil
	for i := range g.Instances {
		g.Instances[i].Waits = nil
	}
	g.endRefreshes(RefreshCancelled, "The group is being deleted", e.now)
	return nil
}

// SetTags adds tags to a group, and replaces those of the same keys.
func (e *Edit) SetTags(name string, tags []Tag) error {
	g, err := e.changeable(name)
	if err != nil {
		return err
	}
	for _, t := range tags {
		g.Tags = slices.DeleteFunc(g.Tags, func(o Tag) bool { return o.Key == t.Key })
		g.Tags = append(g.Tags, t)
	}
	if len(g.Tags) > mostTags {
		return elb.Errorf("LimitExceeded", "A group can have %d tags at most", mostTags)
	}
	slices.SortFunc(g.Tags, func(a, b Tag) int { return cmp.Compare(a.Key, b.Key) })
	return nil
}

const mostTags = 50 // EC2 Auto Scaling, CreateOrUpdateTags

// RemoveTags removes tags by their keys. One that is not there is no error.
func (e *Edit) RemoveTags(name string, keys []string) error {
	g, err := e.changeable(name)
	if err != nil {
		return err
	}
	g.Tags = slices.DeleteFunc(g.Tags, func(t Tag) bool { return slices.Contains(keys, t.Key) })
	return nil
}

// Processes are what a group does by itself, and can be suspended (API,
// ScalingProcessQuery).
func Processes() []string {
	return []string{
		"Launch", "Terminate", "AddToLoadBalancer", "AlarmNotification", "AZRebalance",
		"HealthCheck", "InstanceRefresh", "ReplaceUnhealthy", "ScheduledActions",
	}
}

// Suspend stops processes of a group; without names, all of them.
func (e *Edit) Suspend(name string, processes []string) error {
	g, processes, err := e.processes(name, processes)
	if err != nil {
		return err
	}
	for _, process := range processes {
		if !g.suspends(process) {
			g.Suspended = append(g.Suspended, Suspension{process, "User suspended at " + e.now.Format(time.RFC3339)})
		}
	}
	return nil
}

// Resume has processes of a group go on; without names, all of them.
func (e *Edit) Resume(name string, processes []string) error {
	g, processes, err := e.processes(name, processes)
	if err != nil {
		return err
	}
	g.Suspended = slices.DeleteFunc(g.Suspended, func(s Suspension) bool { return slices.Contains(processes, s.Process) })
	return nil
}

func (e *Edit) processes(name string, processes []string) (*Group, []string, error) {
	g, err := e.changeable(name)
	if err != nil {
		return nil, nil, err
	}
	for _, process := range processes {
		if !slices.Contains(Processes(), process) {
			return nil, nil, elb.Errorf(elb.CodeValidation, "'%s' is no scaling process: those are %s", process, strings.Join(Processes(), ", "))
		}
	}
	if len(processes) == 0 {
		processes = Processes()
	}
	return g, processes, nil
}

// uuid returns a random one (RFC 9562, version 4).
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// instanceID returns a new one.
func instanceID() string {
	var b [9]byte
	_, _ = rand.Read(b[:]) // never fails
	return "i-" + hex.EncodeToString(b[:])[:17]
}
