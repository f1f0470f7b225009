package checks_test

import (
	"encoding"
	"math"
	"strings"
	"testing"

	"hale/checks"
)

// text is a value that reads and writes text, as all option types do.
type text interface {
	encoding.TextUnmarshaler
	encoding.TextMarshaler
	String() string
}

func TestText(t *testing.T) {
	t.Parallel()
	percent := func() text { return new(checks.Percent) }
	size := func() text { return new(checks.Size) }
	pattern := func() text { return new(checks.Pattern) }
	status := func() text { return new(checks.StatusSet) }
	for _, test := range []struct {
		make    func() text
		in      string
		marshal string // what MarshalText writes
		shown   string // what String writes; empty: the same
		err     string
	}{
		{make: percent, in: "85%", marshal: "85%"},
		{make: percent, in: "85", marshal: "85%"},
		{make: percent, in: " 99.5 % ", marshal: "99.5%"},
		{make: percent, in: "0", marshal: "0%"},
		{make: percent, in: "100%", marshal: "100%"},
		{make: percent, in: "101", err: `"101" is more than 100%`},
		{make: percent, in: "-1", err: `"-1" is not a percentage: write it as 85%`},
		{make: percent, in: "1e1", err: `"1e1" is not a percentage: write it as 85%`},
		{make: percent, in: "NaN", err: `"NaN" is not a percentage: write it as 85%`},
		{make: percent, in: "", err: `"" is not a percentage: write it as 85%`},
		{make: percent, in: "1.2.3", err: `"1.2.3" is not a percentage: write it as 85%`},

		{make: size, in: "0", marshal: "0", shown: "0B"},
		{make: size, in: "1", marshal: "1", shown: "1B"},
		{make: size, in: "4096", marshal: "4KiB"},
		{make: size, in: "64KiB", marshal: "64KiB"},
		{make: size, in: "64 kib", marshal: "64KiB"},
		{make: size, in: "10MB", marshal: "10000000", shown: "9.5MiB"},
		{make: size, in: "1.5GiB", marshal: "1536MiB", shown: "1.5GiB"},
		{make: size, in: "1048575", marshal: "1048575", shown: "1MiB"},
		{make: size, in: "1023B", marshal: "1023", shown: "1023B"},
		{make: size, in: "7PiB", marshal: "7PiB"},
		{make: size, in: "9007199254740993", marshal: "9007199254740993", shown: "8PiB"},
		{make: size, in: "10M", err: `"10M" has an unclear unit: write MiB (powers of 1024) or MB (powers of 1000)`},
		{make: size, in: "10k", err: `"10k" has an unclear unit: write KiB (powers of 1024) or KB (powers of 1000)`},
		{make: size, in: "10 elephants", err: `"10 elephants" is not a size: write it as 64KiB, 10MB or a number of bytes`},
		{make: size, in: "-1", err: `"-1" is not a size: write it as 64KiB, 10MB or a number of bytes`},
		{make: size, in: "KiB", err: `"KiB" is not a size: write it as 64KiB, 10MB or a number of bytes`},
		{make: size, in: "", err: `"" is not a size: write it as 64KiB, 10MB or a number of bytes`},
		{make: size, in: "9000000PB", err: `"9000000PB" is too large`},

		{make: pattern, in: "", marshal: ""},
		{make: pattern, in: `^\d+$`, marshal: `^\d+$`},
		{make: pattern, in: "(", err: "not a regular expression: missing closing ): `(`"},

		{make: status, in: "200", marshal: "200"},
		{make: status, in: "200-299,301", marshal: "200-299,301"},
		{make: status, in: "301, 200 - 204", marshal: "200-204,301"},
		{make: status, in: "200-250,251-299,260,404", marshal: "200-299,404"},
		{make: status, in: "", err: `"" is not a status code from 100 to 599: write 200, or a set such as 200-299,301`},
		{make: status, in: "200,", err: `"" is not a status code from 100 to 599: write 200, or a set such as 200-299,301`},
		{make: status, in: "2xx", err: `"2xx" is not a status code from 100 to 599: write 200, or a set such as 200-299,301`},
		{make: status, in: "99", err: `"99" is not a status code from 100 to 599: write 200, or a set such as 200-299,301`},
		{make: status, in: "600", err: `"600" is not a status code from 100 to 599: write 200, or a set such as 200-299,301`},
		{make: status, in: "+20", err: `"+20" is not a status code from 100 to 599: write 200, or a set such as 200-299,301`},
		{make: status, in: "299-200", err: "299-200 runs backwards: write 200-299"},
	} {
		v := test.make()
		err := v.UnmarshalText([]byte(test.in))
		if test.err != "" {
			if err == nil || err.Error() != test.err {
				t.Errorf("%T %q: error = %v\nwant %s", v, test.in, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%T %q: %v", v, test.in, err)
			continue
		}
		if got, err := v.MarshalText(); err != nil || string(got) != test.marshal {
			t.Errorf("%T %q is written %q, %v; want %q", v, test.in, got, err, test.marshal)
		}
		if test.shown == "" {
			test.shown = test.marshal
		}
		if got := v.String(); got != test.shown {
			t.Errorf("%T %q is shown as %q, want %q", v, test.in, got, test.shown)
		}
	}
}

func TestStatusSetContains(t *testing.T) {
	t.Parallel()
	var set checks.StatusSet
	if set.Contains(200) || !set.IsZero() {
		t.Error("the zero set is not empty")
	}
	if !set.Or(checks.Statuses(200, 204)).Contains(204) {
		t.Error("Or does not stand in for the zero set")
	}
	if err := set.UnmarshalText([]byte("200-204,301")); err != nil {
		t.Fatal(err)
	}
	for status, want := range map[int]bool{199: false, 200: true, 202: true, 204: true, 205: false, 301: true, 302: false} {
		if set.Contains(status) != want {
			t.Errorf("%v contains %d: %v, want %v", set, status, !want, want)
		}
	}
}

func TestPatternMatch(t *testing.T) {
	t.Parallel()
	var none checks.Pattern
	if !none.IsZero() || !none.Match([]byte("anything")) || !none.Match(nil) {
		t.Error("no pattern does not match everything")
	}
	if p := checks.MustPattern("^a"); p.IsZero() || !p.Match([]byte("ab")) || p.Match([]byte("ba")) {
		t.Error("^a does not match as it should")
	}
}

// What is written is read as the same.
func FuzzText(f *testing.F) {
	for _, s := range []string{"85%", "1.5GiB", "200-299,301", "10M", "9223372036854775807", "0.1", "100-599"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var percent checks.Percent
		if percent.UnmarshalText([]byte(s)) == nil && !(percent >= 0 && percent <= 100) {
			t.Errorf("percent %q is read as %v", s, float64(percent))
		}
		var size checks.Size
		if size.UnmarshalText([]byte(s)) == nil {
			var again checks.Size
			written, _ := size.MarshalText()
			if err := again.UnmarshalText(written); err != nil || size < 0 || again != size {
				t.Errorf("size %q is read as %d, written %q, and read as %d (%v)", s, size, written, again, err)
			}
		}
		var set checks.StatusSet
		if set.UnmarshalText([]byte(s)) == nil {
			var again checks.StatusSet
			written, _ := set.MarshalText()
			if err := again.UnmarshalText(written); err != nil || again.String() != set.String() {
				t.Errorf("set %q is written %q and read as %v (%v)", s, written, again, err)
			}
			for status := range 700 {
				if set.Contains(status) && !strings.ContainsAny(s, "12345") {
					t.Errorf("set %q contains %d", s, status)
				}
			}
		}
	})
}

func TestSizeString(t *testing.T) {
	t.Parallel()
	for size, want := range map[checks.Size]string{
		0: "0B", -5: "-5B", 1024: "1KiB", 1536: "1.5KiB", 1<<20 - 1: "1MiB", math.MaxInt64: "8192PiB",
	} {
		if got := size.String(); got != want {
			t.Errorf("%d is shown as %q, want %q", size, got, want)
		}
	}
}
