package rule

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Target is what is asked of the target in place of what the client asked.
type Target struct {
	Host, Path, RawQuery string
	Changed              bool // whether any transform's expression matched
}

// ErrTransform is why a request is answered with 500: a transform's expression
// matched, and what came out is no host or no path.
var ErrTransform = errors.New("a transform of the rule makes a host or a URL that is not valid")

// Which of the two it was. Both are an ErrTransform.
var (
	ErrTransformHost = fmt.Errorf("%w: the host", ErrTransform)
	ErrTransformURL  = fmt.Errorf("%w: the URL", ErrTransform)
)

// Transform returns the request's host, path and query as the rule's transforms
// make them. An expression that does not match changes nothing; one that matches
// and yields no valid host or URL is an ErrTransform, for which ELB answers 500
// (guide of Application Load Balancers, "Transforms for listener rules").
//
// An expression is looked for once, and its first match replaced (unconfirmed).
// A host is compared as sent. A URL is the path, and its query behind a question
// mark if there is one: the guide lets a transform change both.
func (e *Entry) Transform(r *Request) (Target, error) {
	t := Target{Host: r.Host, Path: r.Path, RawQuery: r.RawQuery}
	if e.host != nil {
		if host, matched := e.host.apply(r.Host); matched {
			if !validHost(host) {
				return t, ErrTransformHost
			}
			t.Host, t.Changed = host, true
		}
	}
	if e.url != nil {
		url := r.Path
		if r.RawQuery != "" {
			url += "?" + r.RawQuery
		}
		if url, matched := e.url.apply(url); matched {
			if !validURL(url) {
				return t, ErrTransformURL
			}
			t.Path, t.RawQuery, _ = strings.Cut(url, "?")
			t.Changed = true
		}
	}
	return t, nil
}

// HasTransforms tells whether the rule has any transform.
func (e *Entry) HasTransforms() bool { return e.host != nil || e.url != nil }

// validHost: what can be in a Host field (RFC 3986, 3.2.2), and does not make it
// another URL's.
func validHost(host string) bool {
	for _, c := range []byte(host) {
		if classes[c]&inHost == 0 {
			return false
		}
	}
	return host != ""
}

// validURL: a path from its slash, with a query or without; visible ASCII, and no
// fragment.
func validURL(url string) bool {
	for _, c := range []byte(url) {
		if c <= ' ' || c > '~' || c == '#' {
			return false
		}
	}
	return strings.HasPrefix(url, "/")
}

// rewrite is a Rewrite made ready.
type rewrite struct {
	regex *regexp.Regexp
	parts []replacement
}

// replacement is text, or a group of the expression.
type replacement struct {
	text  string
	group int // of parts without text; 0 is all that matched
}

// newRewrite reads the replacement: $ and a number, of one digit or two if there
// is such a group, stands for a group; any other $ for itself (unconfirmed).
func newRewrite(w Rewrite) (*rewrite, error) {
	re, err := regexp.Compile(w.Regex)
	if err != nil {
		return nil, err
	}
	made := &rewrite{regex: re}
	text := func(s string) {
		if s != "" {
			made.parts = append(made.parts, replacement{text: s})
		}
	}
	rest := w.Replace
	for i := 0; i < len(rest); {
		if rest[i] != '$' || i+1 == len(rest) || !isDigit(rest[i+1]) {
			i++
			continue
		}
		group, end := int(rest[i+1]-'0'), i+2
		if end < len(rest) && isDigit(rest[end]) {
			if two := group*10 + int(rest[end]-'0'); two <= re.NumSubexp() {
				group, end = two, end+1
			}
		}
		text(rest[:i])
		made.parts = append(made.parts, replacement{group: group})
		rest, i = rest[end:], 0
	}
	text(rest)
	return made, nil
}

// missing returns an error if the replacement names a group that the expression
// does not have. That ELB refuses that is unconfirmed.
func (w *rewrite) missing() error {
	for _, p := range w.parts {
		if p.group > w.regex.NumSubexp() {
			return fmt.Errorf("the regular expression has no group $%d", p.group)
		}
	}
	return nil
}

func (w *rewrite) apply(s string) (changed string, matched bool) {
	at := w.regex.FindStringSubmatchIndex(s)
	if at == nil {
		return s, false
	}
	var b strings.Builder
	b.WriteString(s[:at[0]])
	for _, p := range w.parts {
		switch {
		case p.text != "":
			b.WriteString(p.text)
		case 2*p.group < len(at) && at[2*p.group] >= 0:
			b.WriteString(s[at[2*p.group]:at[2*p.group+1]])
		}
	}
	b.WriteString(s[at[1]:])
	return b.String(), true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
