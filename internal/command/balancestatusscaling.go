package command

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	printable "hale/internal/explain"
	"hale/internal/targetgroup"
)

type scalingJSON struct {
	Name            string                `json:"name"`
	ARN             string                `json:"arn"`
	Min             int                   `json:"min_size"`
	Max             int                   `json:"max_size"`
	Desired         int                   `json:"desired_capacity"`
	HealthCheckType string                `json:"health_check_type"`
	GraceSeconds    int                   `json:"health_check_grace_seconds"`
	Status          string                `json:"status,omitempty"` // while it is being deleted
	TargetGroups    []string              `json:"target_groups"`
	Instances       []scaledInstanceJSON  `json:"instances"`
	Activities      []scalingActivityJSON `json:"activities"` // the last ones, the newest first
}

type scaledInstanceJSON struct {
	ID       string   `json:"id"`
	Zone     string   `json:"zone,omitempty"`
	Targets  []string `json:"targets"` // that it is registered as: blue 8080
	State    string   `json:"lifecycle_state"`
	Health   string   `json:"health_status"`
	Template string   `json:"launch_template,omitempty"`
	Version  string   `json:"launch_template_version,omitempty"`
	// Launched is absent if it was too long ago for the activities that are told.
	Launched time.Time `json:"launched,omitzero"`
}

type scalingActivityJSON struct {
	Started     time.Time `json:"started"`
	Ended       time.Time `json:"ended,omitzero"` // absent: it goes on
	Status      string    `json:"status"`
	Description string    `json:"description"`
	Cause       string    `json:"cause"`
	Message     string    `json:"message,omitempty"`
}

// How many activities of a group are shown: for programs, and for people.
const (
	mostActivities  = 10
	activitiesShown = 3
)

// addScaling adds what was told of Auto Scaling groups; names are those of target
// groups by their ARNs. An endpoint that has no Auto Scaling has no groups.
func (status *statusJSON) addScaling(all *targetgroup.Everything, names map[string]string) {
	if refused, ok := errors.AsType[*targetgroup.Error](all.Unscaled); all.Unscaled != nil && (!ok || refused.Code != "InvalidAction") {
		status.Unscaled = printable.Line(all.Unscaled.Error())
	}
	targets := make(map[string][]string) // by the instance
	for _, g := range status.TargetGroups {
		for _, t := range g.Targets {
			if id, port, ok := strings.Cut(t.Target, ":"); ok {
				targets[id] = append(targets[id], g.Name+" "+port)
			}
		}
	}
	for _, g := range all.Scaling {
		one := scalingJSON{
			Name: printable.Line(g.Name), ARN: printable.Line(g.ARN), Min: g.Min, Max: g.Max, Desired: g.Desired,
			HealthCheckType: printable.Line(g.Type), GraceSeconds: g.Grace, Status: printable.Line(g.Status),
			TargetGroups: []string{}, Instances: []scaledInstanceJSON{}, Activities: []scalingActivityJSON{},
		}
		for _, arn := range g.TargetGroups {
			one.TargetGroups = append(one.TargetGroups, cmp.Or(names[arn], printable.Line(arn)))
		}
		for _, i := range g.Instances {
			one.Instances = append(one.Instances, scaledInstanceJSON{
				ID: printable.Line(i.ID), Zone: printable.Line(i.Zone), Targets: append([]string{}, targets[i.ID]...),
				State: printable.Line(i.State), Health: printable.Line(i.Health),
				Template: printable.Line(i.Template), Version: printable.Line(i.Version), Launched: i.Launched,
			})
		}
		for _, a := range g.Activities[:min(len(g.Activities), mostActivities)] {
			one.Activities = append(one.Activities, scalingActivityJSON{
				Started: a.Started, Ended: a.Ended, Status: printable.Line(a.Status),
				Description: printable.Line(a.Description), Cause: printable.Line(a.Cause), Message: printable.Line(a.Message),
			})
		}
		status.Scaling = append(status.Scaling, one)
	}
	slices.SortFunc(status.Scaling, func(a, b scalingJSON) int { return cmp.Compare(a.Name, b.Name) })
}

// scalingTables writes the Auto Scaling groups, and what they did last.
func (status *statusJSON) scalingTables(b *bytes.Buffer, colour bool) {
	if status.Unscaled != "" {
		fmt.Fprintf(b, "Auto Scaling groups: %s\n\n", status.Unscaled)
	}
	if len(status.Scaling) == 0 {
		return
	}
	groups := newTable(b, "AUTO SCALING GROUP", "DESIRED", "MIN", "MAX", "INSTANCE", "TARGET", "STATE", "HEALTH", "TEMPLATE", "LAUNCHED (UTC)")
	activities := newTable(b, "AUTO SCALING GROUP", "STARTED (UTC)", "STATUS", "ACTIVITY", "CAUSE")
	acted := false
	for _, g := range status.Scaling {
		row := []any{g.Name, strconv.Itoa(g.Desired), strconv.Itoa(g.Min), strconv.Itoa(g.Max), "-", "", g.Status, "", "", ""}
		if len(g.Instances) == 0 {
			groups.AppendRow(row)
		}
		for _, i := range g.Instances {
			row[4], row[5], row[6] = i.ID, strings.Join(i.Targets, ", "), instanceText(i.State, "InService", colour)
			row[7], row[8], row[9] = instanceText(i.Health, "Healthy", colour), strings.TrimSpace(i.Template+" "+i.Version), moment(i.Launched)
			groups.AppendRow(slices.Clone(row))
			row[0], row[1], row[2], row[3] = "", "", "", ""
		}
		name := g.Name
		for _, a := range g.Activities[:min(len(g.Activities), activitiesShown)] {
			activities.AppendRow([]any{name, moment(a.Started), instanceText(a.Status, "Successful", colour), a.Description, strings.TrimSpace(a.Cause + " " + a.Message)})
			name, acted = "", true
		}
	}
	groups.Render()
	b.WriteByte('\n')
	if acted {
		activities.Render()
		b.WriteByte('\n')
	}
}

// instanceText paints what is as it should be green, what failed red, all else
// yellow.
func instanceText(word, well string, colour bool) string {
	switch {
	case !colour || word == "":
		return word
	case word == well:
		return text.FgGreen.Sprint(word)
	case word == "Failed" || word == "Unhealthy" || word == "Cancelled":
		return text.FgRed.Sprint(word)
	default:
		return text.FgYellow.Sprint(word)
	}
}

// moment writes a time, nothing for the zero time.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateTime)
}
