package grpc

import (
	"testing"
	"time"
)

func TestTimeout(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]string{
		1500 * time.Millisecond:         "1500m",
		300 * time.Microsecond:          "1m",
		-time.Second:                    "1m",
		99_999_999 * time.Millisecond:   "99999999m",
		100_000_000 * time.Millisecond:  "100000S",
		200_000_000 * time.Second:       "99999999S",
		2*time.Second + time.Nanosecond: "2000m",
	} {
		if got := timeout(left); got != want {
			t.Errorf("%v is %s, want %s", left, got, want)
		}
	}
}

func TestUnescape(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "100%25 %C3%A9": "100% é", "100%": "100%", "a+b": "a+b"} {
		if got := unescape(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"\x00\x00\x00\x00\x00",
		"\x00\x00\x00\x00\x02\x08\x01",
		"\x01\x00\x00\x00\x02\x08\x01",
		"\x00\x00\x00\x00\x05\x12\x03new",
		"\x00\x00\x00\x00\x09\x19abcdefgh",
		"\x00\x00\x00\x00\x05\x25abcd",
		"\x00\x00\x00\x00\x0c\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"\x00\x00\x00\x00\x01\x0b",
		"\x00\xff\xff\xff\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, frame string) {
		status, err := parse([]byte(frame))
		if err != nil && (status != 0 || err.Error() == "") {
			t.Errorf("%q: %v with %v", frame, status, err)
		}
		if err == nil && status.String() == "" {
			t.Errorf("%q: a status without a name", frame)
		}
	})
}
