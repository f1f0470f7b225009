package doctor

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"hale/internal/probe"
)

// class is what kind of answer a probe met: the transport's outcome, the
// status, and for a redirect what it changes. Two answers of one class from
// the same software are taken for the same fault.
type class string

// Classes, in the order in which a request meets their causes.
const (
	classUnreachable    class = "unreachable"
	classConnectTimeout class = "connect time-out"
	classRefused        class = "refused"
	classEmpty          class = "closed without a byte"
	classKilled         class = "closed without a byte after a while"
	classNotHTTP        class = "bytes that are not HTTP"
	classTLS            class = "TLS error"
	classTLSPort        class = "plain HTTP to a TLS port"
	classSilent         class = "no byte before the time-out"
	classCut            class = "answer cut off"
	classSlowBody       class = "body without an end"
	classUnauthorised   class = "401"
	classForbidden      class = "403"
	classLimited        class = "429"
	classNotFound       class = "404"
	classMethod         class = "405"
	classBadRequest     class = "400"
	classRedirectHTTPS  class = "redirect to https"
	classRedirectHost   class = "redirect to another host"
	classRedirectSlash  class = "redirect to the path with or without its slash"
	classRedirectLogin  class = "redirect to a login"
	classRedirectLocale class = "redirect to a language"
	classRedirectSetup  class = "redirect to an installer"
	classRedirect       class = "redirect"
	classServerError    class = "500"
	classBadGateway     class = "502"
	classUnavailable    class = "503"
	classGatewayTimeout class = "504"
	classUnexpected     class = "a success that does not count"
	classOther          class = "another answer"
	classHealthy        class = "healthy"
)

// redirects tells whether a class is one of a 3xx.
func (c class) redirects() bool { return strings.HasPrefix(string(c), "redirect") }

// transport tells whether a class is one without a whole HTTP answer.
func (c class) transport() bool {
	return c.in(classUnreachable, classConnectTimeout, classRefused, classEmpty, classKilled, classNotHTTP,
		classTLS, classSilent, classCut, classSlowBody)
}

// in tells whether a class is one of several.
func (c class) in(several ...class) bool { return slices.Contains(several, c) }

// moment is where "at once" ends: a server that closes later than this waited
// for something.
const moment = 700 * time.Millisecond

// classOf tells what kind of answer a probe met.
func classOf(p probe.Probe, a *probe.Answer) class {
	if a.Healthy {
		return classHealthy
	}
	switch a.Outcome {
	case probe.Unresolved, probe.Unreachable:
		return classUnreachable
	case probe.ConnectTimeout:
		return classConnectTimeout
	case probe.Refused:
		return classRefused
	case probe.TLSFailed, probe.TLSTimeout:
		return classTLS
	case probe.Empty:
		if a.Times.Total > moment {
			return classKilled
		}
		return classEmpty
	case probe.Silent:
		return classSilent
	case probe.NotHTTP:
		return classNotHTTP
	case probe.HeadCut, probe.BodyCut:
		if a.Outcome == probe.HeadCut && p.Timeout > 0 && a.Times.Total >= p.Timeout {
			return classSilent // as good as nothing
		}
		return classCut
	case probe.BodyTimeout:
		return classSlowBody
	case probe.Answered, probe.Connected:
	}
	if plainToTLS(a) {
		return classTLSPort
	}
	switch s := a.Status; {
	case s >= 200 && s < 300:
		return classUnexpected
	case s >= 300 && s < 400:
		return redirectClass(p, a)
	case s == 400, s == 422, s == 421:
		return classBadRequest
	case s == 401:
		return classUnauthorised
	case s == 403, s == 406:
		return classForbidden
	case s == 404:
		return classNotFound
	case s == 405, s == 501:
		return classMethod
	case s == 429:
		return classLimited
	case s == 500:
		return classServerError
	case s == 502:
		return classBadGateway
	case s == 503:
		return classUnavailable
	case s == 504:
		return classGatewayTimeout
	}
	return classOther
}

// tlsPortTexts are what servers answer to plain HTTP on a port of TLS.
var tlsPortTexts = []string{
	"plain HTTP request was sent to HTTPS port",        // nginx
	"speaking plain HTTP to an SSL-enabled server",     // Apache
	"Client sent an HTTP request to an HTTPS server",   // Go, Caddy
	"This combination of host and port requires TLS",   // Tomcat
	"The plain HTTP request was sent to HTTPS port",    // nginx's kin
	"HTTP request was sent to HTTPS",                   // lighttpd's kin
	"Bad Request: plain HTTP request to a TLS port",    // others
	"client sent plain HTTP request to HTTPS listener", // others
}

func plainToTLS(a *probe.Answer) bool {
	if a.Status/100 != 4 || a.TLS != nil {
		return false
	}
	for _, text := range tlsPortTexts {
		if bytes.Contains(a.Body, []byte(text)) {
			return true
		}
	}
	return false
}

var (
	loginWords  = regexp.MustCompile(`(?i)log[-_]?in|log[-_]?on\b|sign[-_]?in|/auth\b|authorize|authenticate|/sso\b|oauth|/oidc|/saml|/cas\b|/account|/session`)
	loginHosts  = regexp.MustCompile(`(?i)^(login|logon|signin|auth|sso|idp|oauth|accounts?|identity|keycloak)\d*\.`)
	localeStart = regexp.MustCompile(`^/[a-z]{2}(-[A-Za-z]{2,4})?(/|$)`)
	setupWords  = regexp.MustCompile(`(?i)/(wp-admin/)?(install|setup)(\.php)?(/|\?|$)`)
)

// redirectClass tells what a redirect changes, in the order of the table that
// tells the most: the scheme, a login, the host, the slash, a language.
func redirectClass(p probe.Probe, a *probe.Answer) class {
	location := a.Get("Location")
	if location == "" {
		return classRedirect
	}
	from := urlOf(p)
	to, err := from.Parse(location)
	if err != nil {
		return classRedirect
	}
	// To who was told that the user came over https, that is the request's scheme.
	claimed := strings.EqualFold(p.Get("X-Forwarded-Proto"), "https") && (to.Path != from.Path || !strings.EqualFold(hostOnly(to.Host), hostOnly(from.Host)))
	sameHost := strings.EqualFold(to.Hostname(), from.Hostname()) || strings.HasPrefix(location, "https:///")
	switch {
	case setupWords.MatchString(to.Path):
		return classRedirectSetup
	case loginWords.MatchString(to.Path) && to.Path != from.Path && !loginWords.MatchString(from.Path), !sameHost && loginHosts.MatchString(to.Host), comesBack(from, to):
		return classRedirectLogin
	case to.Scheme == "https" && from.Scheme == "http" && !claimed:
		return classRedirectHTTPS
	case !sameHost || to.Scheme == from.Scheme && to.Port() != from.Port():
		return classRedirectHost
	case to.Path != from.Path && strings.TrimSuffix(to.Path, "/") == strings.TrimSuffix(from.Path, "/"):
		return classRedirectSlash
	case localeStart.MatchString(to.Path) && !localeStart.MatchString(from.Path):
		return classRedirectLocale
	}
	return classRedirect
}

// comesBack tells a page that is told where the user wanted to go.
func comesBack(from, to *url.URL) bool {
	if from.Path == "/" || to.Path == from.Path {
		return false
	}
	for name, values := range to.Query() {
		for _, value := range values {
			if back, err := url.Parse(value); err == nil && back.Path == from.Path && name != "path" {
				return true
			}
		}
	}
	return false
}

// urlOf returns the URL that a probe asks for, as the server understands it.
func urlOf(p probe.Probe) *url.URL {
	scheme := "http"
	if p.Protocol.Secure() {
		scheme = "https"
	}
	host := p.SentHost()
	if host == "" {
		host = p.Address.String()
	}
	u := &url.URL{Scheme: scheme, Host: host}
	u.Path, u.RawQuery, _ = strings.Cut(p.Path, "?")
	if u.Path == "" {
		u.Path = "/"
	}
	return u
}

// sign is an answer's signature: same sign, same fault.
type sign struct {
	class    class
	status   int
	location string // what a redirect changes, without the host
	by       string // the software whose page it is
	body     string // its beginning
}

func signOf(p probe.Probe, a *probe.Answer) sign {
	s := sign{class: classOf(p, a), status: a.Status}
	if s.class.redirects() {
		if to, err := urlOf(p).Parse(a.Get("Location")); err == nil {
			s.location = to.Scheme + " " + path.Clean("/"+to.Path)
		}
	}
	if !s.class.transport() {
		s.by = author(a)
		s.body = title(a.Body)
	}
	return s
}

var titleText = regexp.MustCompile(`(?is)<title[^>]*>\s*([^<]{0,80})`)

// title returns what names a page: its title, or how a plain text begins.
func title(body []byte) string {
	if m := titleText.FindSubmatch(body); m != nil {
		return strings.TrimSpace(string(m[1]))
	}
	line, _, _ := bytes.Cut(bytes.TrimSpace(body), []byte("\n"))
	if len(line) > 40 {
		line = line[:40]
	}
	return string(line)
}

// brief tells an answer in a few words, as evidence shows it; of one that was
// redirected to, from where.
func brief(p probe.Probe, a *probe.Answer) string {
	if n := len(a.Followed); n > 0 {
		from := &a.Followed[n-1]
		return fmt.Sprintf("%d to %s, followed: %s", from.Status, printable(from.Get("Location"), 120), briefLast(p, a))
	}
	return briefLast(p, a)
}

func briefLast(p probe.Probe, a *probe.Answer) string {
	switch a.Outcome {
	case probe.Answered:
		if a.GRPC >= 0 {
			return fmt.Sprintf("gRPC %d", a.GRPC)
		}
		if location := a.Get("Location"); location != "" && a.Status/100 == 3 {
			return fmt.Sprintf("%d to %s", a.Status, printable(location, 120))
		}
		return fmt.Sprint(a.Status)
	case probe.Connected:
		return "connected"
	case probe.Unresolved:
		return "name does not resolve"
	case probe.Unreachable:
		return "unreachable"
	case probe.Refused:
		return "connection refused"
	case probe.ConnectTimeout:
		return "no answer to the connection within " + p.Timeout.String()
	case probe.TLSFailed:
		return "TLS handshake failed" + cause(a)
	case probe.TLSTimeout:
		return "TLS handshake without an answer within " + p.Timeout.String()
	case probe.Empty:
		return "closed without a byte after " + rough(a.Times.Total)
	case probe.Silent:
		return "connected, no byte within " + p.Timeout.String()
	case probe.NotHTTP:
		return "an answer that is not HTTP"
	case probe.HeadCut:
		return "cut off within the header"
	case probe.BodyCut:
		return fmt.Sprintf("%d, cut off after %d bytes of body", a.Status, a.BodySize)
	case probe.BodyTimeout:
		return fmt.Sprintf("%d, body not at its end within %v", a.Status, p.Timeout)
	}
	return "no answer"
}

func cause(a *probe.Answer) string {
	if a.Err == nil {
		return ""
	}
	return ": " + printable(a.Err.Error(), 120)
}

func rough(d time.Duration) string {
	if d < 10*time.Millisecond {
		return "a few ms"
	}
	return d.Round(10 * time.Millisecond).String()
}

// printable makes a stranger's text fit for one line of a terminal.
func printable(text string, most int) string {
	var b strings.Builder
	for _, r := range text {
		if b.Len() >= most {
			b.WriteString("...")
			break
		}
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			b.WriteByte('.')
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isAddress tells whether a host is an IP, with or without a port.
func isAddress(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return net.ParseIP(strings.Trim(host, "[]")) != nil
}
