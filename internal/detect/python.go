package detect

import (
	"strconv"
	"strings"
)

// A Python module is read token by token, far enough to know its assignments
// and its calls without running it ("The Python Language Reference", 2 Lexical
// analysis).

// kind of a token.
type kind uint8

const (
	nameToken kind = iota
	stringToken
	numberToken
	operatorToken // one character: the longer ones matter nowhere here
)

type token struct {
	kind kind
	text string // of a string, what is in it
	line int
}

func (t token) is(op string) bool { return t.kind == operatorToken && t.text == op }

// statement is a logical line: brackets keep it open over line ends.
type statement struct {
	indent int
	tokens []token
}

// pythonStatements splits a module into its statements. It never fails: text
// that is no Python gives odd statements, that match nothing.
func pythonStatements(src string) []statement {
	s := &pythonScanner{src: src, line: 1}
	for s.pos < len(s.src) {
		s.step()
	}
	s.end()
	return s.done
}

type pythonScanner struct {
	src       string
	pos, line int
	depth     int // of open brackets
	started   bool
	current   statement
	done      []statement
}

func (s *pythonScanner) end() {
	if len(s.current.tokens) > 0 {
		s.done = append(s.done, s.current)
	}
	s.current, s.started, s.depth = statement{}, false, 0
}

func (s *pythonScanner) add(k kind, text string, line int) {
	s.started = true
	s.current.tokens = append(s.current.tokens, token{k, text, line})
}

// step reads one token or what stands between two.
func (s *pythonScanner) step() {
	c := s.src[s.pos]
	switch {
	case c == '\n':
		s.line++
		s.pos++
		if s.depth == 0 {
			s.end()
		}
	case c == ' ' || c == '\t' || c == '\f':
		if !s.started {
			s.current.indent++
		}
		s.pos++
	case c == '#':
		for s.pos < len(s.src) && s.src[s.pos] != '\n' {
			s.pos++
		}
	case c == '\\' && strings.HasPrefix(s.src[s.pos:], "\\\n"):
		s.line++
		s.pos += 2
	case c == '"' || c == '\'':
		s.str("")
	case isWord(c) && !isDigit(c):
		start := s.pos
		for s.pos < len(s.src) && isWord(s.src[s.pos]) {
			s.pos++
		}
		word := s.src[start:s.pos]
		if s.pos < len(s.src) && (s.src[s.pos] == '"' || s.src[s.pos] == '\'') && isStringPrefix(word) {
			s.str(strings.ToLower(word))
			return
		}
		s.add(nameToken, word, s.line)
	case isDigit(c):
		start := s.pos
		for s.pos < len(s.src) && (isWord(s.src[s.pos]) || s.src[s.pos] == '.') {
			s.pos++
		}
		s.add(numberToken, s.src[start:s.pos], s.line)
	case c == ';' && s.depth == 0:
		indent := s.current.indent
		s.end()
		s.current.indent, s.started = indent, true
		s.pos++
	default:
		switch c {
		case '(', '[', '{':
			s.depth++
		case ')', ']', '}':
			s.depth = max(0, s.depth-1)
		}
		s.add(operatorToken, string(c), s.line)
		s.pos++
	}
}

// str reads a string literal.
func (s *pythonScanner) str(prefix string) {
	line := s.line
	quote := s.src[s.pos : s.pos+1]
	if strings.HasPrefix(s.src[s.pos:], strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	s.pos += len(quote)
	var b strings.Builder
	for s.pos < len(s.src) && !strings.HasPrefix(s.src[s.pos:], quote) {
		c := s.src[s.pos]
		if c == '\n' {
			if len(quote) == 1 {
				break // never closed: no Python
			}
			s.line++
		}
		if c == '\\' && s.pos+1 < len(s.src) && !strings.Contains(prefix, "r") {
			s.pos++
			c = unescape(s.src[s.pos])
			if s.src[s.pos] == '\n' {
				s.line++
				s.pos++
				continue
			}
		}
		b.WriteByte(c)
		s.pos++
	}
	if strings.HasPrefix(s.src[s.pos:], quote) {
		s.pos += len(quote)
	}
	if strings.Contains(prefix, "f") && strings.Contains(b.String(), "{") {
		s.add(nameToken, "f-string", line) // made at run time: not known here
		return
	}
	s.add(stringToken, b.String(), line)
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	}
	return c
}

func isStringPrefix(s string) bool {
	switch strings.ToLower(s) {
	case "r", "b", "u", "f", "br", "rb", "fr", "rf":
		return true
	}
	return false
}

func isWord(c byte) bool {
	return c == '_' || c >= 0x80 || isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// integer evaluates a number, or a product of numbers such as 60 * 60 * 24.
func integer(tokens []token) (int, bool) {
	product := 1
	for i, t := range tokens {
		switch {
		case i%2 == 1 && t.is("*"):
		case i%2 == 0 && t.kind == numberToken:
			n, err := strconv.Atoi(strings.ReplaceAll(t.text, "_", ""))
			if err != nil || n > 1<<31/max(product, 1) {
				return 0, false
			}
			product *= n
		default:
			return 0, false
		}
	}
	return product, len(tokens)%2 == 1
}

// split cuts tokens at the operator op outside of all brackets.
func split(tokens []token, op string) [][]token {
	var parts [][]token
	depth, start := 0, 0
	for i, t := range tokens {
		switch {
		case t.is("(") || t.is("[") || t.is("{"):
			depth++
		case t.is(")") || t.is("]") || t.is("}"):
			depth--
		case depth == 0 && t.is(op):
			parts = append(parts, tokens[start:i])
			start = i + 1
		}
	}
	if start < len(tokens) {
		parts = append(parts, tokens[start:])
	}
	return parts
}

// bracketed returns what is between the bracket at tokens[i] and its partner,
// and the partner's index; -1 where there is none.
func bracketed(tokens []token, i int) (inner []token, end int) {
	depth := 0
	for j := i; j < len(tokens); j++ {
		switch t := tokens[j]; {
		case t.is("(") || t.is("[") || t.is("{"):
			depth++
		case t.is(")") || t.is("]") || t.is("}"):
			if depth--; depth == 0 {
				return tokens[i+1 : j], j
			}
		}
	}
	return nil, -1
}
