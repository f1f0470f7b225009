package elb

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Matcher is the codes that count as success: statuses of HTTP, or codes of
// gRPC (ELBv2 API, Matcher). The zero Matcher matches none.
type Matcher struct{ ranges []codeRange }

// codeRange is the codes from first to last, both included.
type codeRange struct{ first, last int }

// highestCode is the last code that any matcher can name: three digits.
const highestCode = 999

// ParseMatcher reads codes and ranges between commas: "200", "200,202",
// "200-299,404". Which codes a kind of target group may have is not decided here.
func ParseMatcher(text string) (Matcher, error) {
	var m Matcher
	if strings.TrimSpace(text) == "" {
		return m, errors.New(`no codes; write them as in "200" or "200-299,404"`)
	}
	for part := range strings.SplitSeq(text, ",") {
		r, err := parseRange(strings.TrimSpace(part))
		if err != nil {
			return Matcher{}, err
		}
		m.ranges = append(m.ranges, r)
	}
	return m, nil
}

func parseRange(text string) (codeRange, error) {
	first, last, isRange := strings.Cut(text, "-")
	from, err := parseCode(first, text)
	if err != nil || !isRange {
		return codeRange{from, from}, err
	}
	to, err := parseCode(last, text)
	if err != nil {
		return codeRange{}, err
	}
	if to < from {
		return codeRange{}, fmt.Errorf("the range %s runs backwards; write %d-%d", text, to, from)
	}
	return codeRange{from, to}, nil
}

func parseCode(digits, within string) (int, error) {
	code, err := strconv.Atoi(strings.TrimSpace(digits))
	if err != nil || code < 0 || code > highestCode || strings.ContainsAny(digits, "+-") {
		return 0, fmt.Errorf(`%q is no code and no range of codes; write them as in "200" or "200-299,404"`, within)
	}
	return code, nil
}

// Matches tells whether a code counts as success.
func (m Matcher) Matches(code int) bool {
	for _, r := range m.ranges {
		if r.first <= code && code <= r.last {
			return true
		}
	}
	return false
}

// Lowest returns the lowest code that matches, 0 of the zero Matcher.
func (m Matcher) Lowest() int {
	lowest := 0
	for i, r := range m.ranges {
		if i == 0 || r.first < lowest {
			lowest = r.first
		}
	}
	return lowest
}

// Highest returns the highest code that matches, 0 of the zero Matcher.
func (m Matcher) Highest() int {
	highest := 0
	for _, r := range m.ranges {
		highest = max(highest, r.last)
	}
	return highest
}

// String returns the matcher as ParseMatcher reads it.
func (m Matcher) String() string {
	texts := make([]string, len(m.ranges))
	for i, r := range m.ranges {
		texts[i] = strconv.Itoa(r.first)
		if r.last != r.first {
			texts[i] += "-" + strconv.Itoa(r.last)
		}
	}
	return strings.Join(texts, ",")
}
