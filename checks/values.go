package checks

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Percent is a share of a whole, 0 to 100, written "85%" or "85".
type Percent float64

// String returns the share with its sign, as in "85%".
func (p Percent) String() string { return strconv.FormatFloat(float64(p), 'f', -1, 64) + "%" }

// MarshalText implements encoding.TextMarshaler.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText accepts a number between 0 and 100, with or without "%".
func (p *Percent) UnmarshalText(b []byte) error {
	s := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(b)), "%"))
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !decimal(s) {
		return fmt.Errorf("%q is not a percentage: write it as 85%%", b)
	}
	if v > 100 {
		return fmt.Errorf("%q is more than 100%%", b)
	}
	*p = Percent(v)
	return nil
}

// Size is a number of bytes, written "64KiB", "10MB", "1.5GiB" or "4096".
type Size int64

// units are those that Size reads. The two families are 1000 and 1024 apart,
// and a bare letter ("10M") means the one to some programs and the other to
// others, so it is refused.
var units = []struct {
	name string
	size float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"PiB", 1 << 50},
	{"kB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"PB", 1e15},
	{"B", 1},
}

// String returns the size with the largest binary unit that leaves it at least
// 1, rounded to one decimal, as in "1.5GiB".
func (s Size) String() string {
	v := math.Abs(float64(s))
	for i := 4; i >= 0; i-- {
		// Rounding must not end in 1024KiB.
		if n := math.Round(float64(s)/units[i].size*10) / 10; v >= units[i].size-units[i].size/2048 && math.Abs(n) >= 1 {
			return strconv.FormatFloat(n, 'f', -1, 64) + units[i].name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText implements encoding.TextMarshaler. It is exact, unlike String.
func (s Size) MarshalText() ([]byte, error) {
	for i := 4; i >= 0; i-- {
		if unit := int64(units[i].size); s != 0 && int64(s)%unit == 0 {
			return fmt.Appendf(nil, "%d%s", int64(s)/unit, units[i].name), nil
		}
	}
	return strconv.AppendInt(nil, int64(s), 10), nil
}

// UnmarshalText accepts a number of bytes with a unit: B, kB, MB, GB, TB, PB
// (powers of 1000), KiB, MiB, GiB, TiB, PiB (powers of 1024), in any case, or
// none.
func (s *Size) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	number, unit := text, 1.0
	for _, u := range units {
		if cut := len(text) - len(u.name); cut > 0 && strings.EqualFold(text[cut:], u.name) {
			number, unit = strings.TrimSpace(text[:cut]), u.size
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !decimal(number) {
		if letter := strings.TrimLeft(text, "0123456789. "); len(letter) == 1 && strings.ContainsAny(letter, "kKmMgGtTpP") {
			upper := strings.ToUpper(letter)
			return fmt.Errorf("%q has an unclear unit: write %siB (powers of 1024) or %sB (powers of 1000)", b, upper, upper)
		}
		return fmt.Errorf("%q is not a size: write it as 64KiB, 10MB or a number of bytes", b)
	}
	if v *= unit; v >= math.MaxInt64 {
		return fmt.Errorf("%q is too large", b)
	}
	*s = Size(v)
	// Whole numbers are exact beyond the 53 bits of a float.
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		*s = Size(n * int64(unit))
	}
	return nil
}

// decimal reports whether s is plain digits with at most a fraction: no sign,
// exponent, infinity or underscore, which strconv.ParseFloat would take.
func decimal(s string) bool {
	return s != "" && strings.Trim(s, "0123456789.") == ""
}

// Pattern is a regular expression in Go's syntax (RE2,
// https://pkg.go.dev/regexp/syntax), which takes time in proportion to the text
// whatever the expression. The zero value is no pattern.
type Pattern struct{ re *regexp.Regexp }

// MustPattern returns the pattern of a regular expression known to be good.
func MustPattern(expression string) Pattern { return Pattern{regexp.MustCompile(expression)} }

// IsZero reports whether there is no pattern.
func (p Pattern) IsZero() bool { return p.re == nil }

// Match reports whether b contains a match. No pattern matches anything.
func (p Pattern) Match(b []byte) bool { return p.re == nil || p.re.Match(b) }

// String returns the expression.
func (p Pattern) String() string {
	if p.re == nil {
		return ""
	}
	return p.re.String()
}

// MarshalText implements encoding.TextMarshaler.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText accepts a regular expression. An empty one is no pattern.
func (p *Pattern) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		p.re = nil
		return nil
	}
	re, err := regexp.Compile(string(b))
	if err != nil {
		return fmt.Errorf("not a regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	p.re = re
	return nil
}
