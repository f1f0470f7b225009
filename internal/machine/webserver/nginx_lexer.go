package webserver

import "strings"

type tokenKind uint8

const (
	wordToken tokenKind = iota
	semicolonToken
	openToken
	closeToken
	endOfFile
)

// nginxLexer cuts a file into words, as ngx_conf_read_token() does.
type nginxLexer struct {
	text  string
	pos   int
	line  int // at pos
	start int // line of the last token
}

// next returns the next token. Quotes are taken off words.
func (l *nginxLexer) next() (word string, kind tokenKind) {
	l.skipBlanks()
	l.start = l.line
	if l.pos >= len(l.text) {
		return "", endOfFile
	}
	switch c := l.text[l.pos]; c {
	case ';':
		l.pos++
		return "", semicolonToken
	case '{':
		l.pos++
		return "", openToken
	case '}':
		l.pos++
		return "", closeToken
	case '"', '\'':
		l.pos++
		return l.quoted(c), wordToken
	}
	return l.bare(), wordToken
}

func (l *nginxLexer) skipBlanks() {
	for l.pos < len(l.text) {
		switch l.text[l.pos] {
		case '\n':
			l.line++
		case ' ', '\t', '\r':
		case '#':
			end := strings.IndexByte(l.text[l.pos:], '\n')
			if end < 0 {
				l.pos = len(l.text)
				return
			}
			l.pos += end
			continue
		default:
			return
		}
		l.pos++
	}
}

func (l *nginxLexer) quoted(quote byte) string {
	var b strings.Builder
	for l.pos < len(l.text) {
		c := l.text[l.pos]
		l.pos++
		switch c {
		case quote:
			return b.String()
		case '\\':
			l.escape(&b)
			continue
		case '\n':
			l.line++
		}
		b.WriteByte(c)
	}
	return b.String()
}

func (l *nginxLexer) bare() string {
	var b strings.Builder
	for l.pos < len(l.text) {
		c := l.text[l.pos]
		switch c {
		case ' ', '\t', '\r', '\n', ';':
			return b.String()
		case '{':
			// A block, unless it is that of ${name}.
			if l.pos == 0 || l.text[l.pos-1] != '$' {
				return b.String()
			}
		case '\\':
			l.pos++
			l.escape(&b)
			continue
		}
		b.WriteByte(c)
		l.pos++
	}
	return b.String()
}

// escape writes what a backslash and the byte behind it stand for: both, unless
// nginx knows it.
func (l *nginxLexer) escape(b *strings.Builder) {
	if l.pos >= len(l.text) {
		b.WriteByte('\\')
		return
	}
	c := l.text[l.pos]
	l.pos++
	switch c {
	case '"', '\'', '\\':
	case 't':
		c = '\t'
	case 'r':
		c = '\r'
	case 'n':
		c = '\n'
	case '\n':
		l.line++
		b.WriteByte('\\')
	default:
		b.WriteByte('\\')
	}
	b.WriteByte(c)
}

// skipLua skips to the brace that ends a block of Lua. Braces in its strings and
// comments do not count.
func (l *nginxLexer) skipLua() {
	depth := 1
	for l.pos < len(l.text) && depth > 0 {
		rest := l.text[l.pos:]
		c := rest[0]
		l.pos++
		switch {
		case c == '\n':
			l.line++
		case c == '{':
			depth++
		case c == '}':
			depth--
		case c == '"' || c == '\'':
			l.quoted(c)
		case strings.HasPrefix(rest, "--[[") || strings.HasPrefix(rest, "[["):
			end := strings.Index(rest, "]]")
			if end < 0 {
				end = len(rest) - 2
			}
			l.line += strings.Count(rest[:end+2], "\n")
			l.pos += end + 1
		case strings.HasPrefix(rest, "--"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			l.pos += end - 1
		}
	}
}
