package checks

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// StatusSet is a set of HTTP status codes, written "200", "200-299,301". The
// zero value is empty.
type StatusSet struct{ ranges []statusRange }

type statusRange struct{ low, high int }

// Contains reports whether the set holds a status code.
func (s StatusSet) Contains(status int) bool {
	for _, r := range s.ranges {
		if r.low <= status && status <= r.high {
			return true
		}
	}
	return false
}

// IsZero reports whether the set is empty.
func (s StatusSet) IsZero() bool { return len(s.ranges) == 0 }

// Or returns the set, or, if it is empty, another.
func (s StatusSet) Or(other StatusSet) StatusSet {
	if s.IsZero() {
		return other
	}
	return s
}

// Statuses returns the set of the codes from low to high.
func Statuses(low, high int) StatusSet { return StatusSet{[]statusRange{{low, high}}} }

// String returns the set in ascending order, adjacent ranges joined.
func (s StatusSet) String() string {
	var b strings.Builder
	for i, r := range s.ranges {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(r.low))
		if r.high > r.low {
			b.WriteString("-" + strconv.Itoa(r.high))
		}
	}
	return b.String()
}

// MarshalText implements encoding.TextMarshaler.
func (s StatusSet) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts codes from 100 to 599 and ranges of them, with commas
// between.
func (s *StatusSet) UnmarshalText(b []byte) error {
	var ranges []statusRange
	for part := range strings.SplitSeq(string(b), ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		low, lowErr := parseStatus(from)
		high, highErr := low, lowErr
		if isRange {
			high, highErr = parseStatus(to)
		}
		if err := cmp.Or(lowErr, highErr); err != nil {
			return err
		}
		if low > high {
			return fmt.Errorf("%d-%d runs backwards: write %d-%d", low, high, high, low)
		}
		ranges = append(ranges, statusRange{low, high})
	}
	s.ranges = join(ranges)
	return nil
}

func parseStatus(text string) (int, error) {
	text = strings.TrimSpace(text)
	n, err := strconv.Atoi(text)
	if err != nil || n < 100 || n > 599 || len(text) != 3 {
		return 0, fmt.Errorf("%q is not a status code from 100 to 599: write 200, or a set such as 200-299,301", text)
	}
	return n, nil
}

// join sorts ranges and merges those that touch.
func join(ranges []statusRange) []statusRange {
	slices.SortFunc(ranges, func(a, b statusRange) int { return cmp.Compare(a.low, b.low) })
	joined := ranges[:0]
	for _, r := range ranges {
		if n := len(joined); n > 0 && r.low <= joined[n-1].high+1 {
			joined[n-1].high = max(joined[n-1].high, r.high)
			continue
		}
		joined = append(joined, r)
	}
	return joined
}
