package autoscaling

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hale/internal/elb"
)

// Wish is a group as a configuration wants it.
type Wish struct {
	Name string
	Settings
	TargetGroups []string // ARNs
	Hooks        []Hook
	Tags         []Tag
}

// Change is one thing that was done so that the groups are as wished. Its text is
// for people, with the API's names.
type Change struct {
	Verb   string // create, modify or delete
	Group  string
	Detail string // what is changed
}

// Apply makes the groups be as a configuration wants them, and returns what was
// done. What an earlier configuration made and this one no longer names is deleted,
// with its instances. What the API made is left alone, and also what the API changed
// of the configuration's groups, for as long as the configuration says the same of
// them.
func (e *Edit) Apply(wishes []Wish) ([]Change, error) {
	var changes []Change
	wanted := make(map[string]bool)
	for _, w := range wishes {
		if wanted[w.Name] {
			return nil, elb.Errorf(elb.CodeValidation, "Auto Scaling group %s is there twice", w.Name)
		}
		wanted[w.Name] = true
		change, err := e.fulfil(w)
		if err != nil {
			return nil, fmt.Errorf("auto scaling group %s: %w", w.Name, err)
		}
		if change.Verb != "" {
			changes = append(changes, change)
		}
	}
	for _, name := range e.next.Names() {
		if g := e.next.Groups[name]; !wanted[name] && g.Wished != "" && !g.Deleting {
			if err := e.DeleteGroup(name, true); err != nil {
				return nil, fmt.Errorf("auto scaling group %s: %w", name, err)
			}
			changes = append(changes, Change{"delete", name, ""})
		}
	}
	return changes, nil
}

// fulfil makes one group be as wished. A change without a verb is none.
func (e *Edit) fulfil(w Wish) (Change, error) {
	wish := w.fingerprint()
	g := e.next.Groups[w.Name]
	change := Change{"create", w.Name, ""}
	switch {
	case g == nil:
		var err error
		if g, err = e.CreateGroup(w.Name, w.Settings); err != nil {
			return Change{}, err
		}
	case g.Wished == "":
		return Change{}, elb.Errorf("AlreadyExists", "it was made through the API, and a file does not change that: give the file's another name, or delete it there")
	case g.Wished == wish:
		return Change{}, nil
	default:
		before := g
		if err := e.UpdateGroup(w.Name, w.complete()); err != nil {
			return Change{}, err
		}
		g = e.next.Groups[w.Name]
		change = Change{"modify", w.Name, difference(before, g, w)}
	}
	if err := e.attachments(g, w); err != nil {
		return Change{}, err
	}
	g.Wished = wish
	return change, nil
}

// attachments makes a group's target groups, hooks and tags be as wished.
func (e *Edit) attachments(g *Group, w Wish) error {
	var gone []string
	for _, s := range g.Sources {
		if s.State != Removing && !slices.Contains(w.TargetGroups, s.ARN) {
			gone = append(gone, s.ARN)
		}
	}
	if err := e.Detach(g.Name, gone); err != nil {
		return err
	}
	for some := range slices.Chunk(w.TargetGroups, mostSourcesOfCall) {
		if err := e.Attach(g.Name, some); err != nil {
			return err
		}
	}
	for _, h := range slices.Clone(g.Hooks) {
		if !slices.ContainsFunc(w.Hooks, func(o Hook) bool { return o.Name == h.Name }) {
			if err := e.DeleteHook(g.Name, h.Name); err != nil {
				return err
			}
		}
	}
	for _, h := range w.Hooks {
		if err := e.PutHook(g.Name, h); err != nil {
			return err
		}
	}
	g.Tags = nil
	return e.SetTags(g.Name, w.Tags)
}

// complete has the API's defaults for all that a wish does not say, save the
// capacity, which then stays as it is within the limits.
func (w Wish) complete() Settings {
	s := w.Settings
	orElse(&s.Subnets, "")
	orElse(&s.HealthCheckType, defaultHealthCheck)
	orElse(&s.Grace, 0)
	orElse(&s.Warmup, -time.Second)
	orElse(&s.Cooldown, defaultCooldown)
	orElse(&s.ProtectNew, false)
	if s.Policies == nil {
		s.Policies = defaultPolicies()
	}
	return s
}

func orElse[T any](value **T, usual T) {
	if *value == nil {
		*value = &usual
	}
}

// fingerprint tells one wish from another.
func (w Wish) fingerprint() string {
	text, err := json.Marshal(w)
	if err != nil {
		panic(err) // texts and numbers alone
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// difference says what a wish changes of a group's settings.
func difference(before, after *Group, w Wish) string {
	was, is := described(before), described(after)
	is["TargetGroups"], is["Hooks"], is["Tags"] = fmt.Sprint(w.TargetGroups), fmt.Sprint(w.Hooks), fmt.Sprint(w.Tags)
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(is)) {
		switch {
		case was[key] == is[key]:
		case strings.HasPrefix(is[key], "["):
			parts = append(parts, key)
		default:
			parts = append(parts, fmt.Sprintf("%s %s -> %s", key, was[key], is[key]))
		}
	}
	return strings.Join(parts, ", ")
}

func described(g *Group) map[string]string {
	var arns []string
	for _, s := range g.Sources {
		if s.State != Removing {
			arns = append(arns, s.ARN)
		}
	}
	warmup := "none"
	if g.Warmup != nil {
		warmup = g.Warmup.String()
	}
	return map[string]string{
		"MinSize": fmt.Sprint(g.Min), "MaxSize": fmt.Sprint(g.Max), "DesiredCapacity": fmt.Sprint(g.Desired),
		"LaunchTemplate": g.Template.String(), "HealthCheckType": g.HealthCheckType, "HealthCheckGracePeriod": g.Grace.String(),
		"DefaultInstanceWarmup": warmup, "DefaultCooldown": g.Cooldown.String(),
		"NewInstancesProtectedFromScaleIn": fmt.Sprint(g.ProtectNew), "VPCZoneIdentifier": g.Subnets,
		"AvailabilityZones": fmt.Sprint(g.Zones), "TerminationPolicies": fmt.Sprint(g.Policies),
		"TargetGroups": fmt.Sprint(arns), "Hooks": fmt.Sprint(g.Hooks), "Tags": fmt.Sprint(g.Tags),
	}
}
