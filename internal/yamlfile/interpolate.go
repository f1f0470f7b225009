package yamlfile

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// maxNested bounds ${A:-${B:-...}}.
const maxNested = 16

// maxText bounds a value after interpolation: variables may be long, and one
// value may name them often.
const maxText = 1 << 20

// Expansion is a value with its variables filled in.
type Expansion struct {
	Text   string
	names  []string // of the variables that it was made from
	values []string // what each of them was, never to be shown
}

// VariableError is a variable that is not there.
type VariableError struct{ text string }

func (e *VariableError) Error() string { return e.text }

// Expand fills in the variables of s:
//
//	${NAME}            its value; unset is an error
//	${NAME:-default}   its value, or the default where it is unset or empty
//	${NAME:?message}   its value; unset or empty is an error with the message
//	$$                 a dollar sign
//
// Any other dollar sign stands for itself, since regular expressions and
// passwords have them. Values are not looked through for further variables;
// defaults are.
func Expand(s string, lookup func(string) (string, bool)) (*Expansion, error) {
	e := &Expansion{}
	text, err := e.expand(s, lookup, 0)
	e.Text = text
	return e, err
}

func (e *Expansion) expand(s string, lookup func(string) (string, bool), depth int) (string, error) {
	if depth > maxNested {
		return "", fmt.Errorf("variables are nested more than %d deep", maxNested)
	}
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "$")
		out.WriteString(before)
		switch {
		case !ok:
			return out.String(), nil
		case strings.HasPrefix(rest, "$"):
			out.WriteByte('$')
			s = rest[1:]
			continue
		case !strings.HasPrefix(rest, "{"):
			out.WriteByte('$')
			s = rest
			continue
		}
		body, after, ok := cutBrace(rest[1:])
		if !ok {
			return "", errors.New("${ is never closed; write ${NAME}, or $${ for the two characters themselves")
		}
		value, err := e.variable(body, lookup, depth)
		if err != nil {
			return "", err
		}
		if out.Len()+len(value) > maxText {
			return "", errors.New("is longer than 1 MiB with its variables filled in")
		}
		out.WriteString(value)
		s = after
	}
}

// variable returns the value of what stands between ${ and }.
func (e *Expansion) variable(body string, lookup func(string) (string, bool), depth int) (string, error) {
	name, operand := body, ""
	if i := strings.IndexFunc(body, func(c rune) bool { return !isNameChar(c) }); i >= 0 {
		name, operand = body[:i], body[i:]
	}
	if name == "" || IsDigits(name[:1]) {
		return "", fmt.Errorf("${%s} names no variable; write ${NAME}, or $${ for the two characters themselves", Brief(body))
	}
	value, set := lookup(name)
	fallback, hasFallback := strings.CutPrefix(operand, ":-")
	message, hasMessage := strings.CutPrefix(operand, ":?")
	switch {
	case operand != "" && !hasFallback && !hasMessage:
		return "", fmt.Errorf("${%s} is not understood; write ${%s}, ${%s:-default} or ${%s:?message}", Brief(body), name, name, name)
	case hasFallback && value == "":
		return e.expand(fallback, lookup, depth+1)
	case hasMessage && value == "":
		return "", &VariableError{fmt.Sprintf("${%s} is not set: %s", name, Brief(message))}
	case !set:
		return "", &VariableError{fmt.Sprintf("${%s} is not set in the environment; set it, or write ${%s:-default}", name, name)}
	}
	e.names = append(e.names, name)
	e.values = append(e.values, value)
	return value, nil
}

// cutBrace splits s around the } that closes it, minding ${ } within.
func cutBrace(s string) (body, after string, ok bool) {
	for depth, i := 1, 0; i < len(s); i++ {
		switch {
		case s[i] == '}':
			if depth--; depth == 0 {
				return s[:i], s[i+1:], true
			}
		case strings.HasPrefix(s[i:], "${"):
			depth++
			i++
		}
	}
	return "", "", false
}

func isNameChar(c rune) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// Brief shortens a text from the file for a fault.
func Brief(s string) string {
	const most = 60
	s = OneLine(s)
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

// OneLine takes out what would break a line or move a terminal's cursor.
func OneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)
}
