package supervise

import (
	"fmt"
	"strings"
)

// envParser reads an environment file by the rules of a shell's words (POSIX,
// "Shell Command Language", 2.2 Quoting and 2.6 Word Expansions).
type envParser struct {
	file      string
	src       string
	pos, line int
	lookup    func(string) string
	values    map[string]string // what the file has set so far
	variables []Variable
	errs      []error
}

// statement reads one line, or more where a value goes on over its end: a
// comment, or assignments.
func (p *envParser) statement() error {
	p.blanks()
	switch c := p.peek(); {
	case p.atLineEnd():
		p.skipLine()
		return nil
	case c == '#' || c == ';':
		p.skipLine()
		return nil
	}
	start := p.pos
	if p.identifier() == "export" && (p.peek() == ' ' || p.peek() == '\t') {
		return p.exports()
	}
	p.pos = start
	return p.assignments()
}

// assignments reads NAME=value to the end of the line: several of them as a
// shell would, or one whose bare value holds blanks, as systemd would.
func (p *envParser) assignments() error {
	for n := 0; ; n++ {
		line := p.line
		name, err := p.assignee()
		if err != nil {
			return err
		}
		value, err := p.word(true)
		if err != nil {
			return err
		}
		gap := p.blanks()
		if !p.atWordsEnd() && !p.atAssignment() {
			if n > 0 {
				return p.errorf(line, "a command follows the assignments: put each NAME=value on a line of its own")
			}
			if value, err = p.moreWords(value, gap); err != nil {
				return err
			}
		}
		p.set(name, value, line)
		if p.atWordsEnd() {
			p.skipLine()
			return nil
		}
	}
}

// moreWords reads the rest of a bare value that holds blanks.
func (p *envParser) moreWords(value, gap string) (string, error) {
	var b strings.Builder
	b.WriteString(value)
	for !p.atWordsEnd() {
		word, err := p.word(false)
		if err != nil {
			return "", err
		}
		// What is empty leaves no blanks behind, nor do those after the equals sign.
		if b.Len() > 0 && word != "" {
			b.WriteString(gap)
		}
		b.WriteString(word)
		gap = p.blanks()
	}
	return b.String(), nil
}

// exports reads what follows export: NAME=value and NAME, any number of them.
func (p *envParser) exports() error {
	for p.blanks(); !p.atWordsEnd(); p.blanks() {
		line := p.line
		if !p.atAssignment() {
			name := p.identifier()
			if name == "" || !p.atLineEnd() && p.peek() != ' ' && p.peek() != '\t' {
				return p.errorf(line, "export takes NAME or NAME=value; put a value with blanks into quotes")
			}
			continue // every variable is exported anyway
		}
		name, err := p.assignee()
		if err != nil {
			return err
		}
		value, err := p.word(true)
		if err != nil {
			return err
		}
		p.set(name, value, line)
	}
	p.skipLine()
	return nil
}

// assignee reads NAME and the equals sign.
func (p *envParser) assignee() (string, error) {
	start := p.pos
	name := p.identifier()
	if name != "" && p.peek() == '=' {
		p.pos++
		return name, nil
	}
	// No text of the file goes into a message: this may be a line of a key whose
	// quotes were forgotten.
	line, _, _ := strings.Cut(p.src[start:], "\n")
	before, _, assigned := strings.Cut(line, "=")
	trimmed := strings.TrimRight(before, " \t")
	switch {
	case assigned && isIdentifier(strings.TrimSuffix(before, "+")):
		return "", p.errorf(p.line, `+= needs bash: write NAME="$NAME..."`)
	case assigned && isIdentifier(trimmed):
		return "", p.errorf(p.line, "blanks before the equals sign: write NAME=value without any")
	case assigned && !strings.ContainsAny(trimmed, " \t'\"`$;&|<>(){}"):
		return "", p.errorf(p.line, "what stands before the equals sign is no variable name: letters, digits and _ alone, no digit first")
	default:
		return "", p.errorf(p.line, "neither NAME=value nor a comment: a command needs a shell, run it in the script that starts hale, or as a before command; a value of several lines needs quotes")
	}
}

// word reads one word and takes its quotes away. In the value of an assignment
// a ~ at the start, and after a colon, is the home directory.
func (p *envParser) word(tilde bool) (string, error) {
	var b strings.Builder
	home := tilde
	for !p.atLineEnd() {
		c := p.peek()
		atHome := home
		home = tilde && c == ':'
		switch c {
		case ' ', '\t':
			return b.String(), nil
		case '\'':
			text, err := p.singleQuoted()
			if err != nil {
				return "", err
			}
			b.WriteString(text)
		case '"':
			if err := p.doubleQuoted(&b); err != nil {
				return "", err
			}
		case '\\':
			p.pos++
			if p.pos == len(p.src) { // a backslash that ends the file stands for itself
				b.WriteByte('\\')
				return b.String(), nil
			}
			if next := p.next(); next != '\n' {
				b.WriteByte(next)
			} else {
				home = atHome // the line goes on as if it had not ended
			}
		case '$':
			if err := p.dollar(&b, false); err != nil {
				return "", err
			}
		case '~':
			p.pos++
			if !atHome {
				b.WriteByte('~')
				break
			}
			if next := p.peek(); !p.atLineEnd() && !strings.ContainsRune(" \t/:", rune(next)) {
				return "", p.errorf(p.line, "~ before a name needs a shell: write the path in full, or put the value into single quotes")
			}
			if dir := p.value("HOME"); dir != "" {
				b.WriteString(dir)
			} else {
				b.WriteByte('~')
			}
		case '`':
			return "", p.errorf(p.line, "command substitution needs a shell: write the value itself, or put it into single quotes")
		case ';', '&', '|', '<', '>', '(', ')':
			return "", p.errorf(p.line, "a bare %q means something to a shell: put the value into single quotes", c)
		default:
			b.WriteByte(p.next())
		}
	}
	return b.String(), nil
}

// singleQuoted reads '...', which holds everything as it is.
func (p *envParser) singleQuoted() (string, error) {
	text, _, closed := strings.Cut(p.src[p.pos+1:], "'")
	if !closed {
		return "", p.unclosed("single")
	}
	p.line += strings.Count(text, "\n")
	p.pos += len(text) + 2
	return text, nil
}

// doubleQuoted reads "...", in which $ and a backslash before $ ` " \ and a
// line's end keep their meaning.
func (p *envParser) doubleQuoted(b *strings.Builder) error {
	opened := envParser{file: p.file, pos: p.pos, line: p.line}
	p.pos++
	for p.pos < len(p.src) {
		switch c := p.peek(); c {
		case '"':
			p.pos++
			return nil
		case '\\':
			p.pos++
			switch next := p.peek(); next {
			case '$', '`', '"', '\\':
				b.WriteByte(p.next())
			case '\n':
				p.next()
			default:
				b.WriteByte('\\')
			}
		case '$':
			if err := p.dollar(b, true); err != nil {
				return err
			}
		case '`':
			return p.errorf(p.line, "command substitution needs a shell: write the value itself, or put a backslash before the `")
		default:
			b.WriteByte(p.next())
		}
	}
	p.line = opened.line
	return p.unclosed("double")
}

// unclosed reports a quote that is open at the end of the file, all of which it
// has swallowed.
func (p *envParser) unclosed(kind string) error {
	err := p.errorf(p.line, "the %s quote that opens here is never closed", kind)
	p.pos = len(p.src)
	return err
}

// dollar reads what begins with $.
func (p *envParser) dollar(b *strings.Builder, quoted bool) error {
	p.pos++
	switch c := p.peek(); {
	case c == '{':
		p.pos++
		name := p.identifier()
		if name == "" || p.peek() != '}' {
			return p.errorf(p.line, "${...} with more than a name needs a shell: write ${NAME}, or put the value into single quotes")
		}
		p.pos++
		b.WriteString(p.value(name))
	case c == '(':
		return p.errorf(p.line, "$(...) needs a shell: write the value itself, or put it into single quotes")
	case isNameByte(c) && !isDigit(c):
		b.WriteString(p.value(p.identifier()))
	case isDigit(c) || c != 0 && strings.IndexByte("@*#?-$!", c) >= 0:
		return p.errorf(p.line, "$%c is a shell's own: write \\$%c, or put the value into single quotes", c, c)
	case !quoted && (c == '\'' || c == '"'):
		return p.errorf(p.line, "$%c means different things to different shells: leave the $ out, or write \\$", c)
	default:
		b.WriteByte('$')
	}
	return nil
}

// value returns a variable as it is at this point of the file.
func (p *envParser) value(name string) string {
	if v, ok := p.values[name]; ok {
		return v
	}
	return p.lookup(name)
}

func (p *envParser) set(name, value string, line int) {
	p.values[name] = value
	p.variables = append(p.variables, Variable{name, value, line})
}

// peek returns the next byte, 0 at the end.
func (p *envParser) peek() byte {
	if p.pos == len(p.src) {
		return 0
	}
	return p.src[p.pos]
}

// next takes the next byte; there must be one.
func (p *envParser) next() byte {
	c := p.src[p.pos]
	p.pos++
	if c == '\n' {
		p.line++
	}
	return c
}

// blanks skips blanks, and line ends that a backslash takes away, and returns
// the blanks.
func (p *envParser) blanks() string {
	var b strings.Builder
	for {
		switch {
		case p.peek() == ' ' || p.peek() == '\t':
			b.WriteByte(p.next())
		case strings.HasPrefix(p.src[p.pos:], "\\\n"):
			p.next()
			p.next()
		default:
			return b.String()
		}
	}
}

// skipLine goes to the start of the next line.
func (p *envParser) skipLine() {
	for p.pos < len(p.src) {
		if p.next() == '\n' {
			return
		}
	}
}

func (p *envParser) atLineEnd() bool { return p.pos == len(p.src) || p.src[p.pos] == '\n' }

// atWordsEnd says whether no further word follows on this line; a # where a
// word would begin starts a comment.
func (p *envParser) atWordsEnd() bool { return p.atLineEnd() || p.peek() == '#' }

// atAssignment says whether NAME= follows.
func (p *envParser) atAssignment() bool {
	start := p.pos
	defer func() { p.pos = start }()
	return p.identifier() != "" && p.peek() == '='
}

// identifier takes a name, "" where none follows.
func (p *envParser) identifier() string {
	start := p.pos
	if isDigit(p.peek()) {
		return ""
	}
	for isNameByte(p.peek()) {
		p.pos++
	}
	return p.src[start:p.pos]
}

func (p *envParser) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", p.file, line, fmt.Sprintf(format, args...))
}

func isIdentifier(s string) bool {
	p := envParser{src: s}
	return s != "" && p.identifier() == s
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isNameByte(c byte) bool {
	return c == '_' || isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
