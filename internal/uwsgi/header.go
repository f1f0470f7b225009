package uwsgi

import (
	"iter"
	"strings"
)

// addHeader adds the header fields as variables. Fields of one name become
// one variable, in the place of the first: PEP 3333's environ is a mapping,
// and uWSGI would keep the last one only.
func (p *packet) addHeader(header iter.Seq2[string, string]) {
	i := 0
	for name, value := range header {
		at := i
		i++
		if skipped(name) || seen(header, at, name) {
			continue
		}
		mark := p.openField(name)
		p.b = append(p.b, value...)
		p.joinRest(header, at, name)
		p.close(mark)
	}
}

// openField starts the variable for a header field: HTTP_ and the name in
// upper case with underscores for hyphens, but CONTENT_TYPE without HTTP_.
func (p *packet) openField(name string) (mark int) {
	if strings.EqualFold(name, "Content-Type") {
		return p.open("CONTENT_TYPE")
	}
	nameMark := p.openName()
	p.b = append(p.b, "HTTP_"...)
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case c == '-':
			c = '_'
		}
		p.b = append(p.b, c)
	}
	p.close(nameMark)
	p.b = append(p.b, 0, 0)
	return len(p.b)
}

// openName starts a name whose length is not known yet; close ends it.
func (p *packet) openName() (mark int) {
	p.b = append(p.b, 0, 0)
	return len(p.b)
}

// joinRest appends the values of the later fields of that name.
func (p *packet) joinRest(header iter.Seq2[string, string], at int, name string) {
	separator := ", "
	if strings.EqualFold(name, "Cookie") {
		separator = "; " // RFC 6265, 4.2.1
	}
	i := 0
	for n, value := range header {
		if i > at && len(n) == len(name) && strings.EqualFold(n, name) {
			p.b = append(p.b, separator...)
			p.b = append(p.b, value...)
		}
		i++
	}
}

// seen reports whether one of the first n fields has that name.
func seen(header iter.Seq2[string, string], n int, name string) bool {
	i := 0
	for other := range header {
		if i == n {
			return false
		}
		if len(other) == len(name) && strings.EqualFold(other, name) {
			return true
		}
		i++
	}
	return false
}

// skipped reports whether the field has no variable of its own.
func skipped(name string) bool {
	switch len(name) {
	case len("Host"):
		if strings.EqualFold(name, "Host") {
			return true
		}
	case len("Proxy"):
		if strings.EqualFold(name, "Proxy") {
			return true
		}
	case len("Content-Length"):
		if strings.EqualFold(name, "Content-Length") {
			return true
		}
	}
	return name == "" || strings.IndexByte(name, '_') >= 0
}
