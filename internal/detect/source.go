package detect

import (
	"regexp"
	"strings"
)

// source is the text of one file, for looking things up by line.
type source struct {
	name, text string
}

// source reads a file; an absent one has no text, in which nothing is found.
func (t *tree) source(name string) source {
	text, _ := t.read(name)
	return source{name, text}
}

// match finds a pattern: its groups and its line. Nil means that it is not
// there. Line comments that begin with comment ("" = there are none) count not.
func (s source) match(pattern *regexp.Regexp, comment string) (groups []string, line int) {
	n := 0
	for text := range strings.Lines(s.text) {
		n++
		text = strings.TrimRight(text, "\n")
		if comment != "" && strings.HasPrefix(strings.TrimSpace(text), comment) {
			continue
		}
		if m := pattern.FindStringSubmatch(text); m != nil {
			return m, n
		}
	}
	return nil, 0
}

// matches finds all lines with a pattern.
func (s source) matches(pattern *regexp.Regexp, comment string, found func(groups []string, line int)) {
	n := 0
	for text := range strings.Lines(s.text) {
		n++
		text = strings.TrimRight(text, "\n")
		if comment != "" && strings.HasPrefix(strings.TrimSpace(text), comment) {
			continue
		}
		for _, m := range pattern.FindAllStringSubmatch(text, -1) {
			found(m, n)
		}
	}
}

// sources reads several files.
func (t *tree) sources(names []string) []source {
	all := make([]source, len(names))
	for i, name := range names {
		all[i] = t.source(name)
	}
	return all
}

// inAny returns the first of sources in which a pattern is found.
func inAny(sources []source, pattern *regexp.Regexp, comment string) (s source, groups []string, line int) {
	for _, s := range sources {
		if groups, line := s.match(pattern, comment); groups != nil {
			return s, groups, line
		}
	}
	return source{}, nil, 0
}
