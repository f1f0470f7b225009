package migrations

import (
	"strings"
	"unicode/utf8"
)

// literal is a value in Python's source as far as it can be known without
// running it: a string, or a list, tuple or set of values. Of anything else only
// its place is known.
type literal struct {
	kind  literalKind
	text  string
	items []literal
}

type literalKind int

const (
	otherLiteral literalKind = iota
	textLiteral
	listLiteral
)

// texts returns the strings of a list, or the one string; a tuple of one may
// have been meant.
func (l literal) texts() []string {
	if l.kind == textLiteral {
		return []string{l.text}
	}
	var all []string
	for _, item := range l.items {
		if item.kind == textLiteral {
			all = append(all, item.text)
		}
	}
	return all
}

// assignment is a name that a module, or a class at its top, gives a value.
type assignment struct {
	class string // empty for the module itself
	name  string
	value literal
}

// readAssignments finds the assignments to plain names in a module, and in the
// classes at its top. It understands as much of Python's lexical structure
// (https://docs.python.org/3/reference/lexical_analysis.html) as that takes, and
// takes any input.
func readAssignments(source []byte) []assignment {
	var all []assignment
	class, indent := "", 0 // of the class's body; 0: not seen yet
	for _, line := range logicalLines(lex(string(source))) {
		first := line[0]
		if first.column == 0 {
			class, indent = "", 0
			if first.is("class") && len(line) > 1 && line[1].kind == nameToken {
				class = line[1].text
			}
		} else if class == "" {
			continue
		} else if indent == 0 {
			indent = first.column
		}
		if first.kind != nameToken || first.column != indent {
			continue
		}
		if value := assigned(line); value != nil {
			p := literalParser{value}
			all = append(all, assignment{class, first.text, p.tuple()})
		}
	}
	return all
}

// assigned returns the right side of NAME = VALUE or NAME: TYPE = VALUE; nil if
// the line is something else.
func assigned(line []token) []token {
	depth := 0
	for i, t := range line[1:] {
		switch {
		case t.opens():
			depth++
		case t.closes():
			depth--
		case depth == 0 && t.is("="):
			return line[i+2:]
		}
		if i == 0 && !t.is(":") && !t.is("=") {
			return nil
		}
	}
	return nil
}

// literalParser takes tokens off its front.
type literalParser struct{ tokens []token }

// tuple reads a value, or several with commas between them.
func (p *literalParser) tuple() literal {
	first := p.value(0)
	if len(p.tokens) == 0 || !p.tokens[0].is(",") {
		return first
	}
	l := literal{kind: listLiteral, items: []literal{first}}
	for len(p.tokens) > 0 && p.tokens[0].is(",") {
		p.tokens = p.tokens[1:]
		if len(p.tokens) > 0 {
			l.items = append(l.items, p.value(0))
		}
	}
	return l
}

// value reads up to the next comma or closing bracket that is not its own.
func (p *literalParser) value(depth int) literal {
	var l literal
	parts := 0 // more than one make an expression, but for strings
	for len(p.tokens) > 0 {
		t := p.tokens[0]
		if t.is(",") || t.closes() {
			break
		}
		p.tokens = p.tokens[1:]
		parts++
		switch {
		case t.kind == textToken && (parts == 1 || l.kind == textLiteral):
			l = literal{kind: textLiteral, text: l.text + t.text}
		case t.opens():
			inner := p.items(depth + 1)
			if parts > 1 || t.is("{") && inner.kind != listLiteral {
				inner = literal{}
			}
			l = inner
		default:
			l = literal{}
		}
	}
	return l
}

// items reads the inside of brackets, and the closing one. Parentheses around
// one value are that value.
func (p *literalParser) items(depth int) literal {
	l := literal{kind: listLiteral}
	comma := false
	for len(p.tokens) > 0 {
		t := p.tokens[0]
		switch {
		case t.closes():
			p.tokens = p.tokens[1:]
			if t.is(")") && len(l.items) == 1 && !comma {
				return l.items[0]
			}
			return l
		case t.is(","):
			p.tokens = p.tokens[1:]
			comma = true
		case depth > maxNesting:
			p.tokens = p.tokens[1:]
		default:
			l.items = append(l.items, p.value(depth))
		}
	}
	return l
}

// token is a word, a string, or a character of Python's source.
type token struct {
	kind   tokenKind
	text   string
	column int
	breaks bool // a line ends before it
}

type tokenKind int

const (
	signToken tokenKind = iota
	nameToken
	textToken
)

func (t token) is(text string) bool { return t.kind != textToken && t.text == text }
func (t token) opens() bool         { return t.is("(") || t.is("[") || t.is("{") }
func (t token) closes() bool        { return t.is(")") || t.is("]") || t.is("}") }

// logicalLines joins the lines that brackets hold together, and splits at
// semicolons.
func logicalLines(tokens []token) [][]token {
	var lines [][]token
	var line []token
	depth, column := 0, 0
	for _, t := range tokens {
		switch {
		case depth > 0:
		case t.breaks || len(lines)+len(line) == 0:
			column = t.column
		case len(line) == 0:
			t.column = column // behind a semicolon
		}
		if depth == 0 && (t.breaks || t.is(";")) && len(line) > 0 {
			lines = append(lines, line)
			line = nil
		}
		if depth == 0 && t.is(";") {
			continue
		}
		if t.opens() {
			depth++
		} else if t.closes() && depth > 0 {
			depth--
		}
		line = append(line, t)
	}
	if len(line) > 0 {
		lines = append(lines, line)
	}
	return lines
}

// lex cuts source into tokens, without comments and white space.
func lex(source string) []token {
	l := lexer{rest: source}
	for l.next() {
	}
	return l.tokens
}

type lexer struct {
	rest   string
	column int
	breaks bool
	tokens []token
}

// advance passes over n bytes.
func (l *lexer) advance(n int) {
	passed := l.rest[:n]
	if i := strings.LastIndexByte(passed, '\n'); i >= 0 {
		l.column = n - i - 1
	} else {
		l.column += n
	}
	l.rest = l.rest[n:]
}

func (l *lexer) emit(kind tokenKind, text string, length int) {
	l.tokens = append(l.tokens, token{kind, text, l.column, l.breaks})
	l.breaks = false
	l.advance(length)
}

// next takes one thing off the source.
func (l *lexer) next() bool {
	if l.rest == "" {
		return false
	}
	switch c := l.rest[0]; {
	case c == '\n' || c == '\r':
		l.breaks = true
		l.advance(1)
	case c == ' ' || c == '\t' || c == '\f':
		l.advance(1)
	case strings.HasPrefix(l.rest, "\\\n"):
		l.advance(2)
	case strings.HasPrefix(l.rest, "\\\r\n"):
		l.advance(3)
	case strings.HasPrefix(l.rest, "\uFEFF"):
		l.rest = l.rest[len("\uFEFF"):] // a byte order mark has no column
	case c == '#':
		end := strings.IndexAny(l.rest, "\r\n")
		if end < 0 {
			end = len(l.rest)
		}
		l.advance(end)
	case c == '"' || c == '\'':
		l.quoted("")
	case isWord(c):
		end := 1
		for end < len(l.rest) && isWord(l.rest[end]) {
			end++
		}
		word := l.rest[:end]
		if end < len(l.rest) && (l.rest[end] == '"' || l.rest[end] == '\'') && isStringPrefix(word) {
			l.quoted(word)
			return true
		}
		l.emit(nameToken, word, end)
	case strings.HasPrefix(l.rest, "==") || strings.HasPrefix(l.rest, ":="):
		l.emit(signToken, l.rest[:2], 2)
	case strings.HasPrefix(l.rest, "+="): // both make a list longer, at worst
		l.emit(signToken, "=", 2)
	default:
		_, size := utf8.DecodeRuneInString(l.rest)
		l.emit(signToken, l.rest[:size], size)
	}
	return true
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

func isStringPrefix(word string) bool {
	return len(word) <= 2 && strings.Trim(strings.ToLower(word), "rbuf") == ""
}

// quoted reads a string whose prefix stands before it. One that is cut off goes
// to the end of its line, or of the source.
func (l *lexer) quoted(prefix string) {
	raw := strings.ContainsAny(prefix, "rR")
	body := l.rest[len(prefix):]
	quote := body[:1]
	long := strings.HasPrefix(body, strings.Repeat(quote, 3))
	if long {
		quote = body[:3]
	}
	var text strings.Builder
	i := len(quote)
	for i < len(body) && !strings.HasPrefix(body[i:], quote) {
		if !long && body[i] == '\n' {
			break
		}
		if body[i] == '\\' && i+1 < len(body) {
			text.WriteString(unescape(body[i:i+2], raw))
			i += 2
			continue
		}
		text.WriteByte(body[i])
		i++
	}
	end := min(i+len(quote), len(body))
	if i < len(body) && !strings.HasPrefix(body[i:], quote) {
		end = i
	}
	kind := textToken
	if strings.ContainsAny(prefix, "fFbB") && prefix != "" {
		kind = signToken // its value is not known, or not a text
	}
	l.emit(kind, text.String(), len(prefix)+end)
}

// unescape reads a backslash and what follows it. Names of migrations and apps
// hold no other escapes.
func unescape(pair string, raw bool) string {
	if raw {
		return pair
	}
	switch pair[1] {
	case '\n':
		return ""
	case '\\', '\'', '"':
		return pair[1:]
	case 'n':
		return "\n"
	case 't':
		return "\t"
	default:
		return pair
	}
}
