package gateway

import (
	"strconv"
	"strings"
)

// redirect is how plain http is sent to https.
type redirect struct {
	status int    // for GET and HEAD; 0 is off
	other  int    // for other methods
	port   string // with its colon; "" if 443
}

func newRedirect(status, port int, m *mistakes) redirect {
	r := redirect{status: status, other: status}
	switch status {
	case 0, 307, 308:
	case 301:
		r.other = 308
	case 302:
		r.other = 307
	default:
		m.add("Redirect", -1, status, "is not a redirect's status; write 301, 302, 307 or 308, or 0 for none")
	}
	switch {
	case port < 0 || port > 65535:
		m.add("HTTPSPort", -1, port, "is not a port; write one from 1 to 65535, or 0 for 443")
	case port != 0 && port != 443:
		r.port = ":" + strconv.Itoa(port)
	}
	return r
}

// sendToHTTPS makes d a redirect of r to https.
func (g *Gateway) sendToHTTPS(d *Decision, r *Request, asked host) {
	name := g.redirectHost(asked)
	if name == "" {
		g.refuse(d, NoHost, noHost)
		return
	}
	d.Kind, d.Status = Redirect, g.redirect.status
	if r.Method != "GET" && r.Method != "HEAD" {
		d.Status = g.redirect.other
	}
	d.Location = location(name, g.redirect.port, r)
	d.Body = "this site is served over https\n"
	d.Response = g.response.redirect
}

// redirectHost is the host of a redirect; "" if nobody knows one. By now asked
// has been allowed.
func (g *Gateway) redirectHost(asked host) string {
	listed := asked.name != ""
	if asked.addr.IsValid() {
		_, listed = g.hosts.addrs[asked.addr]
	}
	if !listed && g.hosts.main != "" {
		return g.hosts.main
	}
	return lower(asked.name)
}

// location is a redirect's URL. Its path follows a host and begins with a
// slash, so nothing in it (//, \, @) can be taken for another host; it holds no
// controls, spaces or fragment, which were refused. Bytes beyond ASCII are
// escaped, since a URL cannot hold them (RFC 3986, 2.1); all others stay.
func location(name, port string, r *Request) string {
	var b strings.Builder
	b.Grow(len("https://") + len(name) + len(port) + len(r.Path) + len("?") + len(r.RawQuery))
	b.WriteString("https://")
	b.WriteString(name)
	b.WriteString(port)
	writeEscaped(&b, r.Path)
	if r.RawQuery != "" || r.ForceQuery {
		b.WriteByte('?')
		writeEscaped(&b, r.RawQuery)
	}
	return b.String()
}

func writeEscaped(b *strings.Builder, s string) {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if c < 0x80 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
}
