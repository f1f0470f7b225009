package doctor

import (
	"cmp"
	"html"
	"net"
	"net/netip"
	"regexp"
	"strings"
)

// dependencyNames are how programs name what they cannot reach: the host, and
// where there is one, the port.
var dependencyNames = []*regexp.Regexp{
	// libpq from 14 on: connection to server at "db" (10.0.3.9), port 5432 failed
	regexp.MustCompile(`connection to server at "([^"\s]+)"(?: \([^)]*\))?, port (\d+) failed`),
	// libpq before: Is the server running on host "db" (10.0.3.9) and accepting TCP/IP connections on port 5432?
	regexp.MustCompile(`running on host "([^"\s]+)"(?: \([^)]*\))? and accepting\s+TCP/IP connections on port (\d+)`),
	regexp.MustCompile(`could not translate host name "([^"\s]+)"`),
	regexp.MustCompile(`Can't connect to (?:MySQL |MariaDB )?server on '([^':\s]+)(?::(\d+))?'`),
	// redis-py
	regexp.MustCompile(`Error -?\d+ connecting to ([^\s:]+):(\d+)`),
	// connectsInVain
	regexp.MustCompile(`^to \[?([0-9a-fA-F.:]+?)\]?:(\d+), without an answer`),
	// Go
	regexp.MustCompile(`dial tcp \[?([0-9a-fA-F.:]+?)\]?:(\d+): `),
	regexp.MustCompile(`dial tcp: lookup ([\w.-]+)`),
	// Node.js
	regexp.MustCompile(`ECONNREFUSED ([0-9a-fA-F.:]*[0-9a-fA-F]):(\d+)`),
	regexp.MustCompile(`getaddrinfo (?:ENOTFOUND|EAI_AGAIN) ([\w.-]+)`),
}

// escapedQuote is a quote as JSON has it, once or several times over.
var escapedQuote = regexp.MustCompile(`\\+"|\\+u0027|\\+'`)

// dependencyIn returns what a text says that its program cannot reach, as
// host:port or a host alone; "" if it names nothing.
func dependencyIn(text string) string {
	text = escapedQuote.ReplaceAllStringFunc(html.UnescapeString(text), func(quote string) string {
		if strings.HasSuffix(quote, `"`) {
			return `"`
		}
		return "'"
	})
	for _, pattern := range dependencyNames {
		if m := pattern.FindStringSubmatch(text); m != nil {
			if len(m) > 2 && m[2] != "" {
				return net.JoinHostPort(m[1], m[2])
			}
			return m[1]
		}
	}
	return ""
}

// isOwn tells whether a dependency is each machine's own: at localhost.
func isOwn(dependency string) bool {
	host := dependency
	if h, _, err := net.SplitHostPort(dependency); err == nil {
		host = h
	}
	host = strings.ToLower(cmp.Or(host, "localhost"))
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasPrefix(host, "localhost.") || err == nil && usualLoopback(ip.Unmap())
}
