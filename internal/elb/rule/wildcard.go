package rule

import "strings"

// A wildcard is a pattern with * for any number of characters and ? for exactly
// one. It is cut at its stars: the text before the first has to begin a subject,
// that after the last to end it, and those between are looked for one after the
// other, each at its first place. Taking the first place never loses a match, so
// nothing is tried twice, and the work is at most the product of the lengths, of
// which the pattern's is 128 at most.
//
// A character is a byte: patterns are of visible ASCII (guide of Application Load
// Balancers, "Condition types for listener rules").
type wildcard struct {
	texts []text // without a star: one
	least int    // length of the shortest subject that matches
	fold  bool   // whether upper and lower case are the same
}

// text is a part of a pattern without stars. anyChar stands for ?.
type text struct {
	of    string
	plain bool // no anyChar in it
}

// anyChar is no character of a pattern.
const anyChar = '\x00'

// newWildcard reads a pattern. With escapes, \ before *, ? and \ makes them
// ordinary.
func newWildcard(pattern string, fold, escapes bool) wildcard {
	w := wildcard{fold: fold}
	if fold {
		pattern = lower(pattern)
	}
	var part []byte
	end := func() {
		w.texts = append(w.texts, text{of: string(part), plain: strings.IndexByte(string(part), anyChar) < 0})
		w.least += len(part)
		part = part[:0]
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*':
			end()
		case c == '?':
			part = append(part, anyChar)
		case escapes && c == '\\' && i+1 < len(pattern) && strings.IndexByte(`*?\`, pattern[i+1]) >= 0:
			i++
			part = append(part, pattern[i])
		default:
			part = append(part, c)
		}
	}
	end()
	return w
}

// matches tells whether the whole of a subject matches.
func (w *wildcard) matches(subject string) bool {
	if len(subject) < w.least {
		return false
	}
	first, last := &w.texts[0], &w.texts[len(w.texts)-1]
	if len(w.texts) == 1 {
		return len(subject) == len(first.of) && first.at(subject, w.fold)
	}
	tail := len(subject) - len(last.of)
	if !first.at(subject, w.fold) || !last.at(subject[tail:], w.fold) {
		return false
	}
	rest := subject[len(first.of):tail]
	for i := range w.texts[1 : len(w.texts)-1] {
		t := &w.texts[1+i]
		n := t.find(rest, w.fold)
		if n < 0 {
			return false
		}
		rest = rest[n+len(t.of):]
	}
	return true
}

// at tells whether s, which is at least as long, begins with the text.
func (t *text) at(s string, fold bool) bool {
	if t.plain && !fold {
		return s[:len(t.of)] == t.of
	}
	for i := range len(t.of) {
		c := s[i]
		if fold {
			c = lowerByte(c)
		}
		if want := t.of[i]; c != want && want != anyChar {
			return false
		}
	}
	return true
}

// find returns where the text is in s for the first time, or -1.
func (t *text) find(s string, fold bool) int {
	if t.plain && !fold {
		return strings.Index(s, t.of)
	}
	for i := 0; i+len(t.of) <= len(s); i++ {
		if t.at(s[i:], fold) {
			return i
		}
	}
	return -1
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// lower is of ASCII alone: what Unicode folds into ASCII is another character.
func lower(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = lowerByte(b[i])
			}
			return string(b)
		}
	}
	return s
}

// wildcards counts the stars and question marks of a pattern.
func wildcards(pattern string, escapes bool) int {
	n := 0
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*', c == '?':
			n++
		case escapes && c == '\\':
			i++
		}
	}
	return n
}
