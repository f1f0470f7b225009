package admin

import (
	"time"

	"hale/internal/autoscaling"
	"hale/internal/balancer"
)

// Scaling is what is looked at of Auto Scaling groups.
type Scaling interface {
	State() *autoscaling.State
}

// Status is all there is to look at, at one moment: what /status.json has.
type Status struct {
	balancer.Snapshot

	AutoScaling []ScalingGroup `json:"auto_scaling_groups"` // by name
}

// ScalingGroup is an Auto Scaling group. Its words are those of EC2 Auto Scaling's
// API.
type ScalingGroup struct {
	Name            string   `json:"name"`
	ARN             string   `json:"arn"`
	Min             int      `json:"min_size"`
	Max             int      `json:"max_size"`
	Desired         int      `json:"desired_capacity"`
	InService       int      `json:"in_service"` // instances
	TargetGroups    []string `json:"target_groups"`
	LaunchTemplate  string   `json:"launch_template"`
	Version         int      `json:"launch_template_version,omitempty"` // of the next instance; absent: the latest
	HealthCheckType string   `json:"health_check_type"`
	GraceSeconds    float64  `json:"health_check_grace_seconds"`
	Suspended       []string `json:"suspended_processes,omitempty"`
	Deleting        bool     `json:"deleting,omitempty"`
	// Instances are by launch, Activities the last ones, the newest first.
	Instances  []ScalingInstance `json:"instances"`
	Activities []ScalingActivity `json:"activities"`
}

// ScalingInstance is an instance of a group.
type ScalingInstance struct {
	ID             string                     `json:"id"`
	Zone           string                     `json:"zone,omitempty"`
	Address        string                     `json:"address"` // where it listens, with the port
	State          autoscaling.LifecycleState `json:"lifecycle_state"`
	Health         string                     `json:"health_status"`       // Healthy or Unhealthy
	Unhealthy      string                     `json:"unhealthy,omitempty"` // why
	Protected      bool                       `json:"protected_from_scale_in,omitempty"`
	LaunchTemplate string                     `json:"launch_template"`
	Version        int                        `json:"launch_template_version"`
	Launched       time.Time                  `json:"launched"`
	PID            int                        `json:"pid,omitempty"` // of its process, absent before there is one
}

// ScalingActivity is what a group did.
type ScalingActivity struct {
	Started     time.Time `json:"started"`
	Ended       time.Time `json:"ended,omitzero"` // absent: it goes on
	Status      string    `json:"status"`         // Successful, Failed or InProgress
	Instance    string    `json:"instance,omitempty"`
	Description string    `json:"description"`
	Cause       string    `json:"cause"`
	Message     string    `json:"message,omitempty"`
}

// mostActivities are shown of a group.
const mostActivities = 10

// status puts together what is looked at.
func status(b Balancer, scaling Scaling) *Status {
	s := &Status{Snapshot: *b.Snapshot(), AutoScaling: []ScalingGroup{}}
	if scaling == nil {
		return s
	}
	names := make(map[string]string)
	for i := range s.Groups {
		names[s.Groups[i].ARN] = s.Groups[i].Name
	}
	state := scaling.State()
	for _, name := range state.Names() {
		s.AutoScaling = append(s.AutoScaling, scalingGroup(state.Groups[name], names))
	}
	return s
}

// scalingGroup tells of a group; names are those of target groups by their ARNs.
func scalingGroup(g *autoscaling.Group, names map[string]string) ScalingGroup {
	s := ScalingGroup{
		Name: g.Name, ARN: g.ARN, Min: g.Min, Max: g.Max, Desired: g.Desired, TargetGroups: []string{},
		LaunchTemplate: g.Template.Name, Version: g.Template.Version,
		HealthCheckType: g.HealthCheckType, GraceSeconds: g.Grace.Seconds(), Deleting: g.Deleting,
		Instances: []ScalingInstance{}, Activities: []ScalingActivity{},
	}
	for _, source := range g.Sources {
		name := names[source.ARN]
		if name == "" {
			name = source.ARN // it is gone
		}
		s.TargetGroups = append(s.TargetGroups, name)
	}
	for _, p := range g.Suspended {
		s.Suspended = append(s.Suspended, p.Process)
	}
	for i := range g.Instances {
		s.Instances = append(s.Instances, scalingInstance(&g.Instances[i]))
		if g.Instances[i].State == autoscaling.InService {
			s.InService++
		}
	}
	for _, a := range g.Activities[:min(len(g.Activities), mostActivities)] {
		s.Activities = append(s.Activities, scalingActivity(a))
	}
	return s
}

func scalingInstance(i *autoscaling.Instance) ScalingInstance {
	s := ScalingInstance{
		ID: i.ID, Zone: i.Zone, Address: i.Address.String(), State: i.State, Health: "Healthy", Unhealthy: i.Unhealthy,
		Protected: i.Protected, LaunchTemplate: i.Template.Name, Version: i.Template.Version, Launched: i.Launched, PID: i.Process.PID,
	}
	if i.Unhealthy != "" {
		s.Health = "Unhealthy"
	}
	return s
}

func scalingActivity(a autoscaling.Activity) ScalingActivity {
	s := ScalingActivity{
		Started: a.Start, Ended: a.End, Status: "InProgress", Instance: a.Instance,
		Description: a.Description, Cause: a.Cause, Message: a.Message,
	}
	switch {
	case a.Failed:
		s.Status = "Failed"
	case !a.End.IsZero():
		s.Status = "Successful"
	}
	return s
}
