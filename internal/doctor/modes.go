package doctor

import (
	"regexp"
	"slices"
)

//go:generate go run hale/internal/doctor/reference/write

// Mode is one way in which health checks are known to fail.
type Mode struct {
	// ID names it for good: in JSON, in documents, as the directory of its fixes.
	ID    string
	Layer Layer
	// Title is a short phrase, at most 60 characters.
	Title string
	// Because is the cause in one sentence: a template of fixData.
	Because string
	// Source is where the fact is from: a public thread as owner/name#number,
	// a guide, or the programs it was reproduced with.
	Source string
}

// Layer is how deep in the handling of a request a fault sits. A fault can be
// seen only when nothing fails in the layers before its own.
type Layer int

// Layers, in the order in which a request meets them.
const (
	LayerSocket       Layer = iota // the process, its socket, and the way there
	LayerFirstBytes                // TLS, HTTP version, PROXY header, a wrong protocol
	LayerEdgeRefusal               // firewall of requests, lists of addresses, passwords, limits
	LayerVirtualHost               // which site of the web server answers
	LayerEdgeRedirect              // redirects of the web server
	LayerProxy                     // from the web server to the app
	LayerAppHost                   // the app's list of allowed hosts
	LayerAppHTTPS                  // the app's redirect to https
	LayerAppRedirect               // its redirects to another host, language or slash
	LayerAppLogin                  // its sign-in
	LayerRoute                     // path and method
	LayerHandler                   // what the handler does, and what it needs
	LayerAcceptance                // which answer counts, and when
)

var layerNames = [...]string{
	LayerSocket:       "process and socket",
	LayerFirstBytes:   "first bytes",
	LayerEdgeRefusal:  "refusal at the edge",
	LayerVirtualHost:  "virtual host",
	LayerEdgeRedirect: "redirect at the edge",
	LayerProxy:        "proxy to app",
	LayerAppHost:      "app's allowed hosts",
	LayerAppHTTPS:     "app's https redirect",
	LayerAppRedirect:  "app's other redirects",
	LayerAppLogin:     "app's sign-in",
	LayerRoute:        "route and method",
	LayerHandler:      "handler and dependencies",
	LayerAcceptance:   "acceptance and time",
}

func (l Layer) String() string {
	if l < 0 || int(l) >= len(layerNames) {
		return "no such layer"
	}
	return layerNames[l]
}

// Modes returns all known modes, in the order of the way from the connection
// to the platform around it.
func Modes() []Mode {
	return slices.Concat(connectModes, helloModes, hostModes, redirectModes, refusalModes, routeModes, failureModes, timeModes)
}

// findMode returns the mode with an id.
func findMode(id string) (Mode, bool) {
	for _, modes := range [...][]Mode{connectModes, helloModes, hostModes, redirectModes, refusalModes, routeModes, failureModes, timeModes} {
		if i := slices.IndexFunc(modes, func(m Mode) bool { return m.ID == id }); i >= 0 {
			return modes[i], true
		}
	}
	return Mode{}, false
}

// Cause returns the cause, in one sentence about any site.
func (m Mode) Cause() string { return m.because(fixData{}) }

// because returns the cause, in one sentence about this site. What is said in
// brackets of an app or a program that is not known is left out.
func (m Mode) because(data fixData) string {
	return bracketed.ReplaceAllString(render(m.ID, m.Because, data), "")
}

// bracketed is a placeholder in brackets: there is nothing to put there in a cause.
var bracketed = regexp.MustCompile(` \(<[^()]*>\)`)
