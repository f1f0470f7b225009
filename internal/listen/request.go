package listen

import (
	"bytes"
	"slices"
	"strings"

	"hale/internal/probe"
)

// Versions that the request line does not write so.
const (
	http09Version = "HTTP/0.9" // a request line without a version
	http2Version  = "HTTP/2"
)

// headScan finds the end of a head whose bytes come one after another.
type headScan struct {
	line    int // where the line begins that has not ended yet
	started bool
}

// scan looks at all that has come so far. It returns where the head ends, 0 if
// it has not ended; ok is false if these are not the bytes of HTTP.
func (s *headScan) scan(b []byte) (end int, ok bool) {
	for {
		rest := b[s.line:]
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			method, _, _ := bytes.Cut(bytes.TrimPrefix(rest, []byte("\r")), []byte(" "))
			return 0, s.started || len(method) == 0 || isToken(string(method))
		}
		line := bytes.TrimSuffix(rest[:i], []byte("\r"))
		s.line += i + 1
		switch {
		case len(line) == 0 && s.started:
			return s.line, true
		case len(line) == 0: // RFC 9112, 2.2: empty lines before a request are to be ignored
		case s.started:
		default:
			_, _, version, ok := requestLine(string(line))
			if !ok {
				return 0, false
			}
			if version == http09Version {
				return s.line, true
			}
			s.started = true
		}
	}
}

// isControl tells whether a character is in no line of text.
func isControl[C byte | rune](c C) bool {
	return c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f
}

// requestLine takes a request line apart. It takes more than it should: what is
// wrong with it is told by flaws.
func requestLine(line string) (method, target, version string, ok bool) {
	parts := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	switch {
	case len(parts) == 2 && parts[0] == "GET" && strings.HasPrefix(parts[1], "/"):
		return parts[0], parts[1], http09Version, true
	case len(parts) < 3 || !isToken(parts[0]):
		return "", "", "", false
	}
	last := len(parts) - 1
	if !strings.HasPrefix(strings.ToUpper(parts[last]), "HTTP/") {
		return "", "", "", false
	}
	return parts[0], strings.Join(parts[1:last], " "), parts[last], true
}

// isToken tells whether s can be a method or the name of a field (RFC 9110,
// 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		b := s[i]
		if (b < '0' || b > '9') && (b|0x20 < 'a' || b|0x20 > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(b)) {
			return false
		}
	}
	return s != ""
}

// parseRequest reads a head that headScan found.
func parseRequest(head []byte) *Request {
	r := &Request{}
	begun, bare := false, false
	for line := range strings.Lines(string(head)) {
		text := strings.TrimSuffix(line, "\n")
		if text == strings.TrimSuffix(text, "\r") {
			bare = true
		}
		text = strings.TrimSuffix(text, "\r")
		switch {
		case !begun && text == "":
			r.flaw("an empty line before the request")
		case !begun:
			begun = true
			r.Method, r.Target, r.Version, _ = requestLine(text)
			r.judgeLine(text)
		case text != "":
			r.addLine(text)
		}
	}
	if bare {
		r.flaw(`lines that end with \n alone`)
	}
	r.judgeHeader()
	return r
}

// addLine reads a line of the header.
func (r *Request) addLine(line string) {
	if strings.ContainsFunc(line, func(c rune) bool { return isControl(c) || c == '\r' }) {
		r.flaw("a control character in the header")
	}
	if line[0] == ' ' || line[0] == '\t' {
		r.flaw("a folded line of the header")
		if last := len(r.Fields) - 1; last >= 0 {
			r.Fields[last].Value = strings.TrimSpace(r.Fields[last].Value + " " + strings.TrimSpace(line))
		}
		return
	}
	name, value, ok := strings.Cut(line, ":")
	switch {
	case !ok:
		r.flaw("a line of the header without a colon")
	case strings.TrimRight(name, " \t") != name:
		r.flaw("a space before the colon")
		name = strings.TrimRight(name, " \t")
	case !isToken(name):
		r.flaw("a field whose name is none")
	}
	r.Fields = append(r.Fields, probe.Field{Name: name, Value: strings.Trim(value, " \t")})
}

// judgeLine tells what is wrong with the request line.
func (r *Request) judgeLine(line string) {
	switch {
	case r.Version == http09Version:
	case strings.Join([]string{r.Method, r.Target, r.Version}, " ") != line:
		r.flaw("more than one space in the request line")
	case strings.Contains(r.Target, " "):
		r.flaw("a space in the path")
	}
	if strings.ContainsFunc(r.Target, func(c rune) bool { return isControl(c) || c == '\r' }) {
		r.flaw("a control character in the path")
	}
	if r.Method != strings.ToUpper(r.Method) {
		r.flaw("a method in lower case")
	}
	switch r.Version {
	case "HTTP/1.1", "HTTP/1.0", http09Version:
	default:
		r.flaw("the version is none of HTTP/1")
	}
	if !strings.HasPrefix(r.Target, "/") && r.Target != "*" {
		r.flaw("what it asks for does not begin with a slash")
	}
}

// judgeHeader tells what is wrong with the header as a whole.
func (r *Request) judgeHeader() {
	count := map[string]int{}
	for _, f := range r.Fields {
		count[strings.ToLower(f.Name)]++
	}
	if count["host"] > 1 {
		r.flaw("two Hosts")
	}
	if count["content-length"] > 0 && count["transfer-encoding"] > 0 {
		r.flaw("Content-Length beside Transfer-Encoding")
	}
	if count["content-length"] > 1 {
		r.flaw("two Content-Lengths")
	}
}

// flaw notes what is wrong, once.
func (r *Request) flaw(text string) {
	if !slices.Contains(r.Flaws, text) {
		r.Flaws = append(r.Flaws, text)
	}
}
