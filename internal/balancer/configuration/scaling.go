package configuration

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/autoscaling"
	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/yamlfile"
)

// LaunchTemplate says how an instance is started: here that is a process.
// {port}, {address}, {instance_id} and {group} in Command, Environment and
// Directory stand for the instance's own.
type LaunchTemplate struct {
	// Name of the template, 3 to 128 characters.
	LaunchTemplateName string `yaml:"LaunchTemplateName" jsonschema:"required"`
	// Program and arguments, as a list of words. No shell reads it. {port} is the port that the instance has to listen on.
	Command []string `yaml:"Command" jsonschema:"required"`
	// Variables of its environment besides the balancer's own and PORT, HALE_ADDRESS, HALE_INSTANCE_ID and HALE_GROUP.
	Environment map[string]string `yaml:"Environment"`
	// Directory that it runs in; absent: the balancer's.
	Directory string `yaml:"Directory"`
	// User that it runs as, by name or number; absent: the balancer's. Another one needs root.
	User string `yaml:"User"`
	// Ports that instances listen on, such as 20000-20999; absent: any that is free.
	Ports Ports `yaml:"Ports"`
	// Address that instances listen on, or a network, such as 127.64.0.0/16, of which each has an address of its own; absent: 127.0.0.1.
	Addresses Addresses `yaml:"Addresses"`
	// Seconds from SIGTERM to SIGKILL.
	StopTimeoutSeconds int `yaml:"StopTimeoutSeconds" jsonschema:"default=30,minimum=1,maximum=86400"`
}

// Ports is a port or a range of ports.
type Ports struct{ autoscaling.PortRange }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Ports) UnmarshalText(b []byte) (err error) {
	if p.PortRange, err = autoscaling.ParsePortRange(string(b)); err != nil {
		return yamlfile.ValueError("is no port, nor a range of ports; write 8080 or 20000-20999")
	}
	return nil
}

// Addresses is an address or a network.
type Addresses struct{ netip.Prefix }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Addresses) UnmarshalText(b []byte) (err error) {
	if a.Prefix, err = autoscaling.ParseAddresses(string(b)); err != nil {
		return yamlfile.ValueError("is no address, nor a network; write 127.0.0.1 or 127.64.0.0/16")
	}
	return nil
}

// AutoScalingGroup keeps so many instances running (Auto Scaling API,
// CreateAutoScalingGroup).
type AutoScalingGroup struct {
	// Name, unlike that of any other group.
	AutoScalingGroupName string `yaml:"AutoScalingGroupName" jsonschema:"required"`
	// What instances are started from.
	LaunchTemplate TemplateOf `yaml:"LaunchTemplate" jsonschema:"required"`
	// Fewest instances.
	MinSize int `yaml:"MinSize" jsonschema:"required,minimum=0,maximum=1000"`
	// Most instances.
	MaxSize int `yaml:"MaxSize" jsonschema:"required,minimum=0,maximum=1000"`
	// How many there are to be; absent: MinSize at first, then what the API says.
	DesiredCapacity *int `yaml:"DesiredCapacity" jsonschema:"minimum=0,maximum=1000"`
	// Names of target groups of type instance that instances are registered with.
	TargetGroups []string `yaml:"TargetGroups"`
	// EC2: an instance is replaced when its process ends; ELB: also when a target group holds it for unhealthy.
	HealthCheckType string `yaml:"HealthCheckType" jsonschema:"enum=EC2,enum=ELB,default=EC2"`
	// Seconds from an instance's launch until target groups are listened to.
	HealthCheckGracePeriod *int `yaml:"HealthCheckGracePeriod" jsonschema:"minimum=0,maximum=86400"`
	// Seconds that a new instance takes to warm up; absent: the grace period.
	DefaultInstanceWarmup *int `yaml:"DefaultInstanceWarmup" jsonschema:"minimum=0,maximum=86400"`
	// Seconds between two changes of the size; absent: 300.
	DefaultCooldown *int `yaml:"DefaultCooldown" jsonschema:"minimum=0,maximum=86400"`
	// Zones of the instances, such as us-east-1a.
	AvailabilityZones []string `yaml:"AvailabilityZones"`
	// Subnets in place of zones, as "subnet-a,subnet-b".
	VPCZoneIdentifier *string `yaml:"VPCZoneIdentifier"`
	// Which instance ends first: Default, OldestInstance, NewestInstance, OldestLaunchTemplate.
	TerminationPolicies []string `yaml:"TerminationPolicies"`
	// Whether new instances are left alone when the group gets smaller.
	NewInstancesProtectedFromScaleIn *bool `yaml:"NewInstancesProtectedFromScaleIn"`
	// Hooks that hold instances up until somebody says that they may go on.
	LifecycleHooks []LifecycleHook `yaml:"LifecycleHooks"`
	// Tags by their keys.
	Tags map[string]string `yaml:"Tags"`
}

// TemplateOf names a version of a template.
type TemplateOf struct {
	// Name of the template.
	LaunchTemplateName string `yaml:"LaunchTemplateName" jsonschema:"required"`
	// Version; absent, $Latest or $Default: the latest.
	Version TemplateVersion `yaml:"Version"`
}

// TemplateVersion is the version of a template; 0 is the latest.
type TemplateVersion int

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *TemplateVersion) UnmarshalText(b []byte) error {
	if string(b) == "$Latest" || string(b) == "$Default" {
		*v = 0
		return nil
	}
	n, err := strconv.Atoi(string(b))
	if err != nil || n < 1 {
		return yamlfile.ValueError("is no version; write a number from 1, or $Latest")
	}
	*v = TemplateVersion(n)
	return nil
}

// LifecycleHook holds instances up (Auto Scaling API, PutLifecycleHook).
type LifecycleHook struct {
	// Name of the hook.
	LifecycleHookName string `yaml:"LifecycleHookName" jsonschema:"required"`
	// When it holds instances up.
	LifecycleTransition string `yaml:"LifecycleTransition" jsonschema:"required,enum=autoscaling:EC2_INSTANCE_LAUNCHING,enum=autoscaling:EC2_INSTANCE_TERMINATING"`
	// Seconds until DefaultResult is taken; absent: 3600.
	HeartbeatTimeout int `yaml:"HeartbeatTimeout" jsonschema:"minimum=30,maximum=7200"`
	// What is done when nobody says anything.
	DefaultResult string `yaml:"DefaultResult" jsonschema:"enum=CONTINUE,enum=ABANDON"`
	// Text that is told with the hook.
	NotificationMetadata string `yaml:"NotificationMetadata"`
}

// Templates returns the launch templates.
func (f *File) Templates() []autoscaling.LaunchTemplate {
	var all []autoscaling.LaunchTemplate
	for i := range f.LaunchTemplates {
		all = append(all, f.LaunchTemplates[i].wish())
	}
	return all
}

func (t *LaunchTemplate) wish() autoscaling.LaunchTemplate {
	return autoscaling.LaunchTemplate{
		Name: t.LaunchTemplateName, Command: t.Command, Environment: t.Environment, Directory: t.Directory, User: t.User,
		Addresses: t.Addresses.Prefix, Ports: t.Ports.PortRange, StopTimeout: seconds(t.StopTimeoutSeconds),
	}
}

// Scaling returns the Auto Scaling groups, with the target groups of an inventory
// that the file has been applied to.
func (f *File) Scaling(v *inventory.Inventory) []autoscaling.Wish {
	var all []autoscaling.Wish
	for i := range f.AutoScalingGroups {
		all = append(all, f.AutoScalingGroups[i].wish(func(name string) string {
			if g := groupNamed(v, name); g != nil {
				return g.ARN
			}
			return name
		}))
	}
	return all
}

func (g *AutoScalingGroup) wish(arn func(name string) string) autoscaling.Wish {
	w := autoscaling.Wish{Name: g.AutoScalingGroupName, Settings: autoscaling.Settings{
		Min: &g.MinSize, Max: &g.MaxSize, Desired: g.DesiredCapacity,
		Template: &autoscaling.TemplateRef{Name: g.LaunchTemplate.LaunchTemplateName, Version: int(g.LaunchTemplate.Version)},
		Zones:    g.AvailabilityZones, Subnets: g.VPCZoneIdentifier, HealthCheckType: &g.HealthCheckType,
		Grace: duration(g.HealthCheckGracePeriod), Warmup: duration(g.DefaultInstanceWarmup), Cooldown: duration(g.DefaultCooldown),
		Policies: g.TerminationPolicies, ProtectNew: g.NewInstancesProtectedFromScaleIn,
	}}
	for _, name := range g.TargetGroups {
		w.TargetGroups = append(w.TargetGroups, arn(name))
	}
	for _, h := range g.LifecycleHooks {
		w.Hooks = append(w.Hooks, autoscaling.Hook{
			Name: h.LifecycleHookName, Transition: autoscaling.Transition(h.LifecycleTransition),
			Heartbeat: seconds(h.HeartbeatTimeout), Default: h.DefaultResult, Metadata: h.NotificationMetadata,
		})
	}
	for _, t := range tagsOf(g.Tags) {
		w.Tags = append(w.Tags, autoscaling.Tag{Key: t.Key, Value: t.Value})
	}
	return w
}

func duration(n *int) *time.Duration {
	if n == nil {
		return nil
	}
	return new(seconds(*n))
}

// scaling reports what is wrong with templates and Auto Scaling groups.
func (r *reader) scaling() {
	names, inOrder := seen{}, []autoscaling.LaunchTemplate{}
	for i := range r.file.LaunchTemplates {
		t, at := r.file.LaunchTemplates[i].wish(), yamlfile.ElementPath("LaunchTemplates", i)
		r.name(names, yamlfile.Join(at, "LaunchTemplateName"), t.Name, "launch template")
		if !r.OK(at) {
			continue
		}
		if r.refusedOf(at, t.Check()); r.OK(at) {
			inOrder = append(inOrder, t)
		}
	}
	templates := make([]string, len(r.file.LaunchTemplates))
	for i, t := range r.file.LaunchTemplates {
		templates[i] = t.LaunchTemplateName
	}
	var groups []string
	for _, g := range r.file.TargetGroups {
		groups = append(groups, g.Name)
	}
	names = seen{}
	for i := range r.file.AutoScalingGroups {
		g, at := &r.file.AutoScalingGroups[i], yamlfile.ElementPath("AutoScalingGroups", i)
		r.name(names, yamlfile.Join(at, "AutoScalingGroupName"), g.AutoScalingGroupName, "Auto Scaling group")
		r.known(yamlfile.Join(at, "LaunchTemplate.LaunchTemplateName"), g.LaunchTemplate.LaunchTemplateName, templates, "launch template", "LaunchTemplates")
		for j, name := range g.TargetGroups {
			path := yamlfile.ElementPath(yamlfile.Join(at, "TargetGroups"), j)
			r.known(path, name, groups, aGroup, "TargetGroups")
			if n := slices.Index(groups, name); n >= 0 && r.file.TargetGroups[n].kind().Targets != elb.Instances {
				r.FaultNear(path, "the targets of this group are addresses; write TargetType: instance there")
			}
		}
		if r.OK(at) && r.OK("LaunchTemplates") {
			r.refusedOf(at, r.tryScaling(g, inOrder))
		}
	}
}

// tryScaling returns what Auto Scaling refuses of a group.
func (r *reader) tryScaling(g *AutoScalingGroup, templates []autoscaling.LaunchTemplate) error {
	place := autoscaling.Place{Region: r.file.Region, Account: string(r.file.Account), TargetGroup: func(string) error { return nil }}
	edit := new(autoscaling.State).Begin(place, time.Time{})
	if err := edit.SetTemplates(templates); err != nil {
		return err
	}
	w := g.wish(func(name string) string {
		return elb.GroupARN(r.file.Region, string(r.file.Account), name, strings.Repeat("0", 16))
	})
	w.Template.Version = 0 // which versions there are, is seen when it is applied
	_, err := edit.Apply([]autoscaling.Wish{w})
	if refused, ok := errors.AsType[*elb.Error](err); ok {
		return refused // without the group's name, which the fault's path has
	}
	return err
}
