package checks_test

import (
	"testing"
	"time"

	"hale/checks"
)

func TestSpan(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in    string
		want  time.Duration
		shown string
		err   string
	}{
		{in: "21d", want: 504 * time.Hour, shown: "21d"},
		{in: " 1d ", want: 24 * time.Hour, shown: "1d"},
		{in: "0.5d", want: 12 * time.Hour, shown: "12h"},
		{in: "1d12h", want: 36 * time.Hour, shown: "36h"},
		{in: "48h", want: 48 * time.Hour, shown: "2d"},
		{in: "90s", want: 90 * time.Second, shown: "1m30s"},
		{in: "0", want: 0, shown: "0s"},
		{in: "0d", want: 0, shown: "0s"},
		{in: "", err: `"" is not a length of time: write it as 21d or 36h`},
		{in: "21", err: `"21" is not a length of time: write it as 21d or 36h`},
		{in: "d", err: `"d" is not a length of time: write it as 21d or 36h`},
		{in: "-1d", err: `"-1d" is not a length of time: write it as 21d or 36h`},
		{in: "-1h", err: `"-1h" is negative: write it as 21d or 36h`},
		{in: "1d-1h", err: `"1d-1h" is negative: write it as 21d or 36h`},
		{in: "1d+1h", err: `"1d+1h" is not a length of time: write it as 21d or 36h`},
		{in: "3 weeks", err: `"3 weeks" is not a length of time: write it as 21d or 36h`},
		{in: "1e3d", err: `"1e3d" is not a length of time: write it as 21d or 36h`},
		{in: "200000d", err: `"200000d" is too long`},
	} {
		var got checks.Span
		err := got.UnmarshalText([]byte(test.in))
		if test.err != "" {
			if err == nil || err.Error() != test.err {
				t.Errorf("%q: error = %v, want %s", test.in, err, test.err)
			}
			continue
		}
		if err != nil || time.Duration(got) != test.want || got.String() != test.shown {
			t.Errorf("%q: got %v (%d), %v; want %v", test.in, got, got, err, test.shown)
		}
		var again checks.Span
		if text, _ := got.MarshalText(); again.UnmarshalText(text) != nil || again != got {
			t.Errorf("%q is marshalled as %q, which is %v", test.in, text, again)
		}
	}
}

func TestSpanCoarse(t *testing.T) {
	t.Parallel()
	for in, want := range map[time.Duration]string{
		73*24*time.Hour + 5*time.Hour: "73d", 47 * time.Hour: "47h", 2 * time.Hour: "2h", 119 * time.Minute: "119m",
		90*time.Second + time.Millisecond: "1m30s", 0: "0s",
	} {
		if got := checks.Span(in).Coarse(); got != want {
			t.Errorf("%v is %q, want %q", in, got, want)
		}
	}
}

func FuzzSpan(f *testing.F) {
	f.Add("1d12h")
	f.Add("0.000000001d")
	f.Fuzz(func(t *testing.T, text string) {
		var s, again checks.Span
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		if written, _ := s.MarshalText(); s < 0 || again.UnmarshalText(written) != nil || again != s {
			t.Errorf("%q is %v, written %q, which is %v", text, s, written, again)
		}
	})
}
