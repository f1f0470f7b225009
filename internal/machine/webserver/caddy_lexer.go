package webserver

import "strings"

// caddyLexer cuts a Caddyfile into words, braces and ends of lines
// (semicolonToken), as caddyserver.com/docs/caddyfile/concepts says.
type caddyLexer struct {
	text  string
	pos   int
	line  int // at pos
	start int // line of the last token
}

func (l *caddyLexer) next() (word string, kind tokenKind) {
	for l.pos < len(l.text) {
		l.start = l.line
		switch c := l.text[l.pos]; {
		case c == '\n':
			l.pos++
			l.line++
			return "", semicolonToken
		case c == ' ' || c == '\t' || c == '\r':
			l.pos++
		case c == '#':
			l.pos += lineEnd(l.text[l.pos:])
		case c == '\\' && strings.HasPrefix(l.text[l.pos+1:], "\n"):
			l.pos += 2
			l.line++
		case c == '"' || c == '`':
			return l.quoted(c), wordToken
		case strings.HasPrefix(l.text[l.pos:], "<<"):
			return l.heredoc(), wordToken
		default:
			end := strings.IndexAny(l.text[l.pos:], " \t\r\n")
			if end < 0 {
				end = len(l.text) - l.pos
			}
			word := l.text[l.pos : l.pos+end]
			l.pos += end
			switch word {
			case "{":
				return "", openToken
			case "}":
				return "", closeToken
			}
			return word, wordToken
		}
	}
	return "", endOfFile
}

// lineEnd is where the first line of a text ends.
func lineEnd(text string) int {
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		return i
	}
	return len(text)
}

func (l *caddyLexer) quoted(quote byte) string {
	var b strings.Builder
	for l.pos++; l.pos < len(l.text); l.pos++ {
		c := l.text[l.pos]
		switch {
		case c == quote:
			l.pos++
			return b.String()
		case c == '\\' && quote == '"' && strings.HasPrefix(l.text[l.pos+1:], `"`):
			l.pos++
			c = '"'
		case c == '\n':
			l.line++
		}
		b.WriteByte(c)
	}
	return b.String()
}

// heredoc reads <<NAME, lines, and NAME, behind which the line goes on.
func (l *caddyLexer) heredoc() string {
	rest := l.text[l.pos+2:]
	head := lineEnd(rest)
	name := strings.TrimSpace(rest[:head])
	if name == "" || strings.ContainsAny(name, " \t{}") || head == len(rest) {
		l.pos += 2
		return "<<"
	}
	var b strings.Builder
	end := head + 1
	for end < len(rest) {
		n := lineEnd(rest[end:])
		text := rest[end : end+n]
		l.line++
		indented := strings.TrimLeft(text, " \t")
		if after, ok := strings.CutPrefix(indented, name); ok && strings.TrimLeft(after, " \t\r") != after || ok && after == "" {
			end += len(text) - len(after)
			break
		}
		b.WriteString(strings.TrimSpace(text) + "\n")
		end = min(len(rest), end+n+1)
	}
	l.pos += 2 + end
	return b.String()
}

// expandCaddy puts the values of {$NAME} and {$NAME:default} in their places.
func expandCaddy(text string, env func(string) string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "{$")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		inner, rest, closed := strings.Cut(after, "}")
		if !closed || strings.ContainsAny(inner, " \n") {
			b.WriteString("{$")
			text = after
			continue
		}
		name, fallback, _ := strings.Cut(inner, ":")
		b.WriteString(first(env(name), fallback))
		text = rest
	}
}
