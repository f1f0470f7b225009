package health

import (
	"fmt"
	"slices"
	"strings"
)

// The profiles that are there without being named.
const (
	ProfileReady   = "ready"   // counts for /health and /health/ready
	ProfileStartup = "startup" // counts for /health/startup
)

// usual are the profiles of a check that names none.
var usual = []string{ProfileReady, ProfileStartup}

// longestProfile bounds the names of profiles, in bytes.
const longestProfile = 40

// wrongProfile says why a check cannot have a profile of that name, or nothing.
func wrongProfile(name string) string {
	switch {
	case slices.Contains(usual, name):
		return ""
	case name == "live":
		return "is not to be had: /health/live depends on no check, since what answers a failure there is a restart, which mends nothing outside the process; use ready"
	case name == "checks" || name == "metrics":
		return "is a path of its own; choose another word"
	case !isProfileWord(name):
		return fmt.Sprintf("is no lower-case word; write ready, startup, or a word of your own such as deep, which becomes the path /health/deep (at most %d of a-z, 0-9, - and _, a letter first)", longestProfile)
	}
	if near := nearest(name, append(usual, "live")); near != "" {
		return fmt.Sprintf("would be an endpoint of its own; did you mean %s?", near)
	}
	return ""
}

func isProfileWord(s string) bool {
	return s != "" && len(s) <= longestProfile && s[0] >= 'a' && s[0] <= 'z' &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// endpoints returns the profiles of the checks that are not usual ones, in the
// order in which they are first named.
func endpoints(items []item) []string {
	var own []string
	for i := range items {
		for _, p := range items[i].Profiles {
			if !slices.Contains(usual, p) && !slices.Contains(own, p) {
				own = append(own, p)
			}
		}
	}
	return own
}

// countsFor reports whether the result counts for a profile.
func (r *Result) countsFor(profile string) bool {
	if len(r.Profiles) == 0 {
		return slices.Contains(usual, profile)
	}
	return slices.Contains(r.Profiles, profile)
}

// ofProfile returns the results that count for a profile, which may be all.
func ofProfile(results []Result, profile string) []Result {
	other := func(r Result) bool { return !r.countsFor(profile) }
	if !slices.ContainsFunc(results, other) {
		return results
	}
	return slices.DeleteFunc(slices.Clone(results), other)
}

// ownProfiles names the profiles of a result, unless they are the usual ones.
func ownProfiles(r *Result) string {
	if slices.Equal(r.Profiles, usual) {
		return ""
	}
	return strings.Join(r.Profiles, ",")
}
