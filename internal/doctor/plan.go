package doctor

import (
	"slices"
	"strings"
)

// Planned is what an examination will do about one kind of answer.
type Planned struct {
	// Answer is the kind: "400", "redirect to https", "refused".
	Answer string `json:"answer"`
	// Experiments are the changes that are tried, one at a time, in this order,
	// until one is proven; Modes are the failure modes that they can prove.
	Experiments []string `json:"experiments"`
	Modes       []string `json:"modes"`
}

// Plan tells what Examine would send, without sending anything.
func Plan(o Options) []Planned {
	x := newExamination(o)
	x.first = exchange{probe: o.Probe}
	var all []Planned
	for _, c := range classes {
		x.current = exchange{probe: o.Probe, sign: sign{class: c}}
		p := Planned{Answer: string(c), Experiments: []string{}}
		for i := range hypotheses {
			h := &hypotheses[i]
			if !slices.Contains(h.on, c) || h.inside && !o.Inside {
				continue
			}
			if !slices.Contains(p.Modes, h.id) {
				p.Modes = append(p.Modes, h.id)
			}
			if h.changes == nil {
				continue
			}
			for _, change := range h.changes(x) {
				if !slices.Contains(p.Experiments, change.text) {
					p.Experiments = append(p.Experiments, change.text)
				}
			}
		}
		if len(p.Modes) > 0 {
			all = append(all, p)
		}
	}
	return all
}

// classes are all kinds of answers that are examined, in the order in which a
// request meets their causes.
var classes = []class{
	classUnreachable, classConnectTimeout, classRefused, classEmpty, classKilled, classNotHTTP, classTLS, classTLSPort,
	classSilent, classCut, classSlowBody, classUnauthorised, classForbidden, classLimited, classNotFound, classMethod,
	classBadRequest, classRedirectHTTPS, classRedirectHost, classRedirectSlash, classRedirectLogin, classRedirectLocale,
	classRedirectSetup, classRedirect, classServerError, classBadGateway, classUnavailable, classGatewayTimeout,
	classUnexpected, classOther,
}

// Title is a failure mode's title by its id, "" if there is none.
func Title(id string) string {
	mode, _ := findMode(id)
	return strings.TrimSpace(mode.Title)
}
