// Package env checks that environment variables are set.
package env

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"hale/checks"
)

// Check looks at environment variables.
//
// It proves that each is set, is not empty, and looks as it should. It sees the
// environment of its own process, unless Lookup shows it another, that of the
// app for one. It costs nothing, needs no rights, and never prints a value.
//
//	&env.Check{Names: []string{"SECRET_KEY", "DATABASE_URL"}}
type Check struct {
	Names   []string       `yaml:"names" jsonschema:"required" jsonschema_description:"The variables that must be set and not empty."`
	Matches checks.Pattern `yaml:"matches" jsonschema_description:"A regular expression that each value must match."`

	// Lookup finds a variable; nil means os.LookupEnv.
	Lookup func(name string) (value string, ok bool) `yaml:"-"`
}

// Validate refuses a list without names, and names that no variable can have.
func (c *Check) Validate() error {
	if len(c.Names) == 0 {
		return checks.Optionf("names", "is missing: list the variables that must be set")
	}
	var errs []error
	for _, name := range c.Names {
		if name == "" || strings.ContainsAny(name, "= \t\n$") {
			// The name is not repeated: it may be NAME=secret.
			errs = append(errs, checks.Optionf("names", "holds something that is not a variable's name: write the name alone, without = or $"))
		}
	}
	return errors.Join(errs...)
}

// Run names every variable that is not as it should be.
func (c *Check) Run(context.Context) (string, error) {
	lookup := c.Lookup
	if lookup == nil {
		lookup = os.LookupEnv
	}
	var unset, empty, odd []string
	for _, name := range c.Names {
		switch value, ok := lookup(name); {
		case !ok:
			unset = append(unset, name)
		case value == "":
			empty = append(empty, name)
		case !c.Matches.Match([]byte(value)):
			odd = append(odd, name)
		}
	}
	var faults []string
	for _, fault := range []struct {
		text  string
		names []string
	}{
		{"not set", unset},
		{"empty", empty},
		{fmt.Sprintf("does not match %q", c.Matches), odd},
	} {
		if len(fault.names) > 0 {
			faults = append(faults, fault.text+": "+strings.Join(fault.names, ", "))
		}
	}
	if len(faults) > 0 {
		return "", errors.New(strings.Join(faults, "; "))
	}
	return fmt.Sprintf("set: %s", strings.Join(c.Names, ", ")), nil
}
