package uwsgi

import "strings"

// addHeader adds the header fields as variables. Fields of one name become
// one variable, in the place of the first: PEP 3333's environ is a mapping,
// and uWSGI would keep the last one only.
func (p *packet) addHeader(header []Field) {
	for i, f := range header {
		if skipped(f.Name) || seen(header[:i], f.Name) {
			continue
		}
		mark := p.openField(f.Name)
		p.b = append(p.b, f.Value...)
		p.joinRest(header[i+1:], f.Name)
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
func (p *packet) joinRest(later []Field, name string) {
	separator := ", "
	if strings.EqualFold(name, "Cookie") {
		separator = "; " // RFC 6265, 4.2.1
	}
	for _, f := range later {
		if same(f.Name, name) {
			p.b = append(p.b, separator...)
			p.b = append(p.b, f.Value...)
		}
	}
}

// seen reports whether one of the fields has that name.
func seen(fields []Field, name string) bool {
	for _, f := range fields {
		if same(f.Name, name) {
			return true
		}
	}
	return false
}

func same(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// skipped reports whether the field has no variable of its own.
func skipped(name string) bool {
	return name == "" || same(name, "Host") || same(name, "Proxy") || same(name, "Content-Length") ||
		strings.IndexByte(name, '_') >= 0
}
