// Package docs is the documentation, for the program to show.
package docs

import _ "embed" // for the pages

// Checks is checks.md: a section for each type of check.
//
//go:embed checks.md
var Checks string

// Configuration is configuration.md: every key of hale.yaml.
//
//go:embed configuration.md
var Configuration string
