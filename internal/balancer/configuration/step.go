package configuration

import "strings"

// Step is one thing that is done so that an inventory is as a file says. Its text
// is for people, with ELB's names.
type Step struct {
	Verb   Verb   `json:"verb"`
	Kind   string `json:"kind"`             // "target group", "listener"
	Name   string `json:"name"`             // of the thing: "web", "site:80", "site:80 rule 10"
	Detail string `json:"detail,omitempty"` // what is changed, or why
}

// Verb is what is done.
type Verb string

// Verbs. Keep does nothing: it tells why something stays that the file no longer
// names.
const (
	Create     Verb = "create"
	Modify     Verb = "modify"
	Replace    Verb = "replace"
	Delete     Verb = "delete"
	Register   Verb = "register"
	Deregister Verb = "deregister"
	Keep       Verb = "keep"
)

// String returns the step as a line: "modify target group web: Port ...".
func (s Step) String() string {
	line := string(s.Verb) + " " + s.Kind + " " + s.Name
	if s.Detail != "" {
		line += ": " + s.Detail
	}
	return line
}

// Changes tells whether steps do anything.
func Changes(steps []Step) bool {
	for _, s := range steps {
		if s.Verb != Keep {
			return true
		}
	}
	return false
}

// difference collects what is not as it should be.
type difference []string

// add adds a setting if it differs.
func (d *difference) add(setting, is, shall string) {
	if is != shall {
		*d = append(*d, setting+" "+orNone(is)+" -> "+orNone(shall))
	}
}

// say adds a setting that differs, and is too long to be shown.
func (d *difference) say(setting string, differs bool) {
	if differs {
		*d = append(*d, setting)
	}
}

func (d difference) String() string { return strings.Join(d, ", ") }

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
