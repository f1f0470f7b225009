package checks

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Span is a length of time that is often counted in days, written "21d",
// "1d12h" or in the way of Go, "504h". A day has 24 hours.
type Span time.Duration

// Day is 24 hours.
const Day = Span(24 * time.Hour)

// String returns the span in whole days where it is that, as in "21d", or else
// as time.Duration does, without zero minutes and seconds at its end.
func (s Span) String() string {
	if s != 0 && s%Day == 0 {
		return strconv.FormatInt(int64(s/Day), 10) + "d"
	}
	text := time.Duration(s).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-len("0s")]
		}
	}
	return text
}

// MarshalText implements encoding.TextMarshaler.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts a number of days ("21d"), a duration of Go ("504h"), or
// the one followed by the other ("1d12h"). It refuses negative ones.
func (s *Span) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	var days float64
	rest := text
	if number, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || !decimal(number) {
			return fmt.Errorf("%q is not a length of time: write it as 21d or 36h", b)
		}
		days, rest = n, after
	}
	var d time.Duration
	if rest != "" || text == "" {
		var err error
		if d, err = time.ParseDuration(rest); err != nil || strings.HasPrefix(rest, "+") {
			return fmt.Errorf("%q is not a length of time: write it as 21d or 36h", b)
		}
	}
	total := days*float64(Day) + float64(d)
	switch {
	case d < 0:
		return fmt.Errorf("%q is negative: write it as 21d or 36h", b)
	case total >= math.MaxInt64:
		return fmt.Errorf("%q is too long", b)
	}
	*s = Span(days*float64(Day)) + Span(d)
	return nil
}

// Coarse returns the span for people, in the largest unit of which there are at
// least two, rounded down: "73d", "30h", "12m", "5s".
func (s Span) Coarse() string {
	d := time.Duration(s)
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Duration(Day), "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= 2*unit.size {
			return strconv.FormatInt(int64(d/unit.size), 10) + unit.name
		}
	}
	return d.Truncate(time.Second).String()
}
