package targetgroup

import (
	"context"
	"net/url"
	"strings"
	"time"
)

// ScalingGroup is an Auto Scaling group, in the words of its API (DescribeAutoScalingGroups,
// DescribeScalingActivities). Its texts are as they came.
type ScalingGroup struct {
	Name         string            `xml:"AutoScalingGroupName"`
	ARN          string            `xml:"AutoScalingGroupARN"`
	Min          int               `xml:"MinSize"`
	Max          int               `xml:"MaxSize"`
	Desired      int               `xml:"DesiredCapacity"`
	Type         string            `xml:"HealthCheckType"`
	Grace        int               `xml:"HealthCheckGracePeriod"` // seconds
	Status       string            `xml:"Status"`                 // while it is being deleted
	TargetGroups []string          `xml:"TargetGroupARNs>member"`
	Instances    []ScalingInstance `xml:"Instances>member"`
	Activities   []ScalingActivity `xml:"-"` // the last ones, the newest first
}

// ScalingInstance is an instance of a group.
type ScalingInstance struct {
	ID       string `xml:"InstanceId"`
	Zone     string `xml:"AvailabilityZone"`
	State    string `xml:"LifecycleState"`
	Health   string `xml:"HealthStatus"`
	Template string `xml:"LaunchTemplate>LaunchTemplateName"`
	Version  string `xml:"LaunchTemplate>Version"`
	// Launched is when its launch began; the zero time if that was too long ago for
	// the activities that are told.
	Launched time.Time `xml:"-"`
}

// ScalingActivity is something that a group did.
type ScalingActivity struct {
	Group       string    `xml:"AutoScalingGroupName"`
	Description string    `xml:"Description"`
	Cause       string    `xml:"Cause"`
	Started     time.Time `xml:"StartTime"`
	Ended       time.Time `xml:"EndTime"` // the zero time while it goes on
	Status      string    `xml:"StatusCode"`
	Message     string    `xml:"StatusMessage"`
}

// launching begins the description of a launch; the instance's id ends it.
const launching = "Launching a new EC2 instance: "

// listScaling asks for the Auto Scaling groups, and what they did last.
func (r *reader) listScaling(ctx context.Context) ([]ScalingGroup, error) {
	const describe, activities = "DescribeAutoScalingGroups", "DescribeScalingActivities"
	groups, err := pages(func(token *string) ([]ScalingGroup, *string, error) {
		var out struct {
			Groups []ScalingGroup `xml:"DescribeAutoScalingGroupsResult>AutoScalingGroups>member"`
			Next   string         `xml:"DescribeAutoScalingGroupsResult>NextToken"`
		}
		err := r.ask(ctx, autoScalingAPI, describe, func(c *caller) error {
			form := url.Values{"MaxRecords": {"100"}}
			if token != nil {
				form.Set("NextToken", *token)
			}
			return c.query(ctx, describe, form, &out)
		})
		return out.Groups, &out.Next, err
	})
	if err != nil || len(groups) == 0 {
		return nil, err
	}
	var out struct {
		Activities []ScalingActivity `xml:"DescribeScalingActivitiesResult>Activities>member"`
	}
	err = r.ask(ctx, autoScalingAPI, activities, func(c *caller) error {
		return c.query(ctx, activities, url.Values{"MaxRecords": {"100"}}, &out) // of all groups
	})
	for n := range groups {
		groups[n].take(out.Activities)
	}
	return groups, err
}

// take gives a group its activities among all, and its instances their launches.
func (g *ScalingGroup) take(all []ScalingActivity) {
	launched := make(map[string]time.Time)
	for _, a := range all {
		if a.Group != g.Name {
			continue
		}
		g.Activities = append(g.Activities, a)
		if id, ok := strings.CutPrefix(a.Description, launching); ok {
			launched[id] = a.Started
		}
	}
	for n := range g.Instances {
		g.Instances[n].Launched = launched[g.Instances[n].ID]
	}
}
