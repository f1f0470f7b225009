package command

import (
	"fmt"
	"slices"
	"strings"

	"hale/health"
	"hale/internal/yamlfile"
)

// selectChecks returns the checks that are asked for, which count for the
// profile ready, whatever they count for otherwise, and what they depend on,
// directly or through others, which does not.
func selectChecks(all []health.Check, o *checkOptions) ([]health.Check, error) {
	wanted := slices.Clone(all)
	var err error
	switch {
	case o.profile != "":
		wanted, err = ofProfile(all, o.profile)
	case len(o.names) > 0:
		wanted, err = named(all, o.names)
	}
	for i := range wanted {
		wanted[i].Profiles = []string{health.ProfileReady}
	}
	return withCauses(wanted, all), err
}

// asCause reports whether a check is only asked since others depend on it.
func asCause(r *health.Result) bool { return !slices.Contains(r.Profiles, health.ProfileReady) }

// withCauses adds to the wanted checks those that they depend on. A member that
// is wanted by itself gives way to its group.
func withCauses(wanted, all []health.Check) []health.Check {
	for i := 0; i < len(wanted); i++ { // it grows
		for _, name := range wanted[i].DependsOn {
			if slices.ContainsFunc(wanted, func(c health.Check) bool { return c.Name == name }) {
				continue
			}
			at := slices.IndexFunc(all, func(c health.Check) bool { return c.Name == name })
			if at < 0 { // no valid configuration
				continue
			}
			cause := all[at]
			cause.Profiles = []string{health.ProfileStartup}
			wanted = append(wanted, cause)
		}
	}
	within := map[string]bool{}
	for _, c := range wanted {
		each(c.Any, func(m health.Check) { within[m.Name] = true })
		each(c.All, func(m health.Check) { within[m.Name] = true })
	}
	return slices.DeleteFunc(wanted, func(c health.Check) bool { return within[c.Name] })
}

// ofProfile returns the checks that count for a profile.
func ofProfile(all []health.Check, profile string) ([]health.Check, error) {
	usual := []string{health.ProfileReady, health.ProfileStartup}
	profiles := slices.Clone(usual)
	var wanted []health.Check
	for _, c := range all {
		of := c.Profiles
		if len(of) == 0 {
			of = usual
		}
		if slices.Contains(of, profile) {
			wanted = append(wanted, c)
		}
		for _, p := range of {
			if !slices.Contains(profiles, p) {
				profiles = append(profiles, p)
			}
		}
	}
	if len(wanted) == 0 {
		return nil, fmt.Errorf("no check is of the profile %q; %s", profile, suggest(profile, profiles))
	}
	return wanted, nil
}

// named returns the checks of some names, in the order of the names: groups with
// their members, and members by themselves, which depend on what their group
// does and count as it does.
func named(all []health.Check, names []string) ([]health.Check, error) {
	var known []string
	found := map[string]health.Check{}
	for _, top := range all {
		each([]health.Check{top}, func(c health.Check) {
			known = append(known, c.Name)
			c.DependsOn, c.Impact, c.Scope = top.DependsOn, top.Impact, top.Scope
			found[c.Name] = c
		})
	}
	var wanted []health.Check
	for _, name := range names {
		c, ok := found[name]
		if !ok {
			return nil, fmt.Errorf("no check is called %q; %s", name, suggest(name, known))
		}
		if !slices.ContainsFunc(wanted, func(c health.Check) bool { return c.Name == name }) {
			wanted = append(wanted, c)
		}
	}
	return wanted, nil
}

// each calls f with each check and each member of a group.
func each(checks []health.Check, f func(health.Check)) {
	for _, c := range checks {
		f(c)
		each(c.Any, f)
		each(c.All, f)
	}
}

// mostNames bounds how many names a message lists.
const mostNames = 12

// suggest says which word was probably meant, or which there are.
func suggest(word string, known []string) string {
	if near := yamlfile.Nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if more := len(known) - mostNames; more > 0 {
		return fmt.Sprintf("there are: %s and %d more", strings.Join(known[:mostNames], ", "), more)
	}
	return "there are: " + strings.Join(known, ", ")
}
