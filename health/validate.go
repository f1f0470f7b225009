package health

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// deepest bounds how deep groups may lie within groups.
const deepest = 8

// CheckError is a field of a Check that cannot work. NewMonitor returns them
// joined, as by errors.Join.
type CheckError struct {
	Check   string // its name
	Field   string // of Check: "DependsOn"
	Value   string // the element that is wrong, if the field is a list of names
	Problem string // what is wrong, and the way out; of a list, what is said of Value
}

func (e *CheckError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("check %q: %s", e.Check, e.Problem)
	}
	return fmt.Sprintf("check %q: %s: %q %s", e.Check, e.Field, e.Value, e.Problem)
}

// faults collects what is wrong with checks.
type faults []error

func (f *faults) add(c *Check, field, value, format string, args ...any) {
	*f = append(*f, &CheckError{c.Name, field, value, fmt.Sprintf(format, args...)})
}

func (f faults) err() error { return errors.Join(f...) }

// validate returns all that is wrong with the checks of one Monitor, joined.
func validate(options Options, checks []Check) error {
	var f faults
	if int(options.SharedFailure) >= len(sharedFailureNames) {
		f = append(f, fmt.Errorf("shared failure %v: use SharedFails or SharedWarns", options.SharedFailure))
	}
	seen := map[string]bool{}
	var look func(checks []Check, group *Check, depth int)
	look = func(checks []Check, group *Check, depth int) {
		for i := range checks {
			c := &checks[i]
			c.validate(&f, group)
			if seen[c.Name] {
				f.add(c, "Name", "", "another check has the same name")
			}
			seen[c.Name] = true
			if members := c.members(); len(members) > 0 && depth == deepest {
				f.add(c, "Any", "", "groups lie more than %d deep within groups", deepest)
			} else {
				look(members, c, depth+1)
			}
		}
	}
	look(checks, nil, 1)
	if len(f) == 0 || onlyProfiles(f) {
		f.dependencies(checks)
	}
	return f.err()
}

// onlyProfiles tells whether the faults leave the names of the checks in order.
func onlyProfiles(f faults) bool {
	return !slices.ContainsFunc(f, func(err error) bool {
		wrong, ok := errors.AsType[*CheckError](err)
		return ok && (wrong.Field == "Name" || wrong.Field == "Any")
	})
}

// validate adds all that is wrong with c itself, which is a member of group if
// that is not nil.
func (c *Check) validate(f *faults, group *Check) {
	if why := unusableName(c.Name); why != "" {
		f.add(c, "Name", "", "name %s; it is used in the path /health/checks/NAME", why)
	}
	switch {
	case len(c.Any) > 0 && len(c.All) > 0:
		f.add(c, "Any", "", "both Any and All are set: a group is one of them; put one into the other")
	case c.isGroup() && c.Run != nil:
		f.add(c, "Run", "", "a group asks nothing itself: set Run, Any or All, not two of them")
	case c.isGroup() && (c.Interval != 0 || c.Timeout != 0):
		f.add(c, "Interval", "", "a group has no interval and no time-out: set those of its members")
	case !c.isGroup() && c.Run == nil:
		f.add(c, "Run", "", "nothing to run: set Run")
	}
	duration := func(field, what string, d, byDefault fmt.Stringer, wrong bool) {
		if wrong {
			f.add(c, field, "", "%s %v: must be above 0 and at most a year; 0 means %v", what, d, byDefault)
		}
	}
	duration("Interval", "interval", c.Interval, DefaultInterval, c.Interval < 0 || c.Interval > longest)
	duration("Timeout", "time-out", c.Timeout, DefaultTimeout, c.Timeout < 0 || c.Timeout > longest)
	if c.Rise < 0 {
		f.add(c, "Rise", "", "rise %d: must be at least 1; 0 means 1", c.Rise)
	}
	if c.Fall < 0 {
		f.add(c, "Fall", "", "fall %d: must be at least 1; 0 means 1", c.Fall)
	}
	if int(c.Impact) >= len(impactNames) {
		f.add(c, "Impact", "", "impact %v: use Critical or Degraded", c.Impact)
	}
	if int(c.Scope) >= len(scopeNames) {
		f.add(c, "Scope", "", "scope %v: use Instance or Shared", c.Scope)
	}
	for _, p := range c.Profiles {
		if wrong := wrongProfile(p); wrong != "" {
			f.add(c, "Profiles", p, "%s", wrong)
		}
	}
	if group != nil {
		c.validateMember(f, group)
	}
}

// validateMember refuses what only the group can say.
func (c *Check) validateMember(f *faults, group *Check) {
	for _, said := range []struct {
		field string
		set   bool
	}{
		{"Impact", c.Impact != Critical},
		{"Scope", c.Scope != Instance},
		{"DependsOn", len(c.DependsOn) > 0},
		{"Profiles", len(c.Profiles) > 0},
	} {
		if said.set {
			f.add(c, said.field, "", "%s is the group's to say: it is a member of %q, and only the group counts", said.field, group.Name)
		}
	}
}

// unusableName says why name cannot be a segment of a URL's path, or nothing.
// A slash can be escaped, but many proxies unescape it on the way.
func unusableName(name string) string {
	switch {
	case name == "":
		return "is empty"
	case name == "." || name == "..":
		return "is a relative path segment"
	case !utf8.ValidString(name):
		return "is not valid UTF-8"
	case strings.ContainsAny(name, `/\`):
		return "has a slash or backslash"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "has a control character"
	case strings.TrimSpace(name) != name:
		return "begins or ends with a space"
	}
	return ""
}

// dependencies adds what is wrong with DependsOn: names of no check, and circles.
func (f *faults) dependencies(checks []Check) {
	byName := map[string]*Check{}
	names := make([]string, 0, len(checks))
	for i := range checks {
		byName[checks[i].Name] = &checks[i]
		names = append(names, checks[i].Name)
	}
	for i := range checks {
		c := &checks[i]
		for j, name := range c.DependsOn {
			switch {
			case name == c.Name:
				f.add(c, "DependsOn", name, "is the check itself")
			case slices.Contains(c.DependsOn[:j], name):
				f.add(c, "DependsOn", name, "is there twice")
			case byName[name] != nil:
			default:
				f.add(c, "DependsOn", name, "%s", notACheck(name, names, checks))
			}
		}
	}
	f.circles(checks, byName)
}

// notACheck says why a name cannot be depended on.
func notACheck(name string, names []string, checks []Check) string {
	for i := range checks {
		if hasMember(&checks[i], name) {
			return fmt.Sprintf("is a member of the group %q; depend on the group", checks[i].Name)
		}
	}
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("is no check; did you mean %q?", near)
	}
	return "is no check"
}

func hasMember(c *Check, name string) bool {
	return slices.ContainsFunc(c.members(), func(m Check) bool { return m.Name == name || hasMember(&m, name) })
}

// circles adds each circle of dependencies once, at the check of it that comes
// first.
func (f *faults) circles(checks []Check, byName map[string]*Check) {
	done := map[string]bool{}
	var path []string
	var follow func(c *Check)
	follow = func(c *Check) {
		if done[c.Name] {
			return
		}
		path = append(path, c.Name)
		for _, name := range c.DependsOn {
			next := byName[name]
			if next == nil || name == c.Name { // reported already
				continue
			}
			if at := slices.Index(path, name); at >= 0 {
				circle := append(slices.Clone(path[at:]), name)
				f.add(next, "DependsOn", circle[1], "leads back to it: %s", strings.Join(circle, " -> "))
				continue
			}
			follow(next)
		}
		path = path[:len(path)-1]
		done[c.Name] = true
	}
	for i := range checks {
		follow(&checks[i])
	}
}

// nearest returns the word that s was probably meant to be, or "": a third of
// its letters may be wrong, missing or too many.
func nearest(s string, words []string) string {
	best, least := "", 0
	for _, w := range words {
		n := distance(strings.ToLower(s), strings.ToLower(w))
		if n <= max(1, len(w)/3) && n < len(w) && (best == "" || n < least) {
			best, least = w, n
		}
	}
	return best
}

// distance is Levenshtein's, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
