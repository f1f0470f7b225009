// Package checktype is the table of the check types that hale.yaml knows. A
// new type is a package under checks/ and a row here.
package checktype

import "hale/checks"

// Type is one row: a type of check.
type Type struct {
	Name    string // as written in hale.yaml
	Summary string // what it asks, in a sentence

	// New returns a pointer to the type's options with the site's defaults in
	// place, for the configuration to fill in by their yaml tags.
	New func(Site) checks.Check
}

// Site is what a check may take for granted about the app it is to check.
type Site struct {
	AppURL string // where the app answers, as app.url; empty for a sidecar
	Host   string // the app's public name: the first exact one of hosts.allow; may be empty
	Dir    string // directory of hale.yaml, to which relative file names relate
}

// Types returns the table, in the order in which it is to be shown.
func Types() []Type {
	return []Type{}
}
