package accesslog

import (
	"testing"
	"time"
)

// A time is written as package time would.
func TestStamp(t *testing.T) {
	for _, at := range []time.Time{
		time.Date(2018, 7, 2, 22, 23, 0, 186641999, time.UTC),
		time.Date(1999, 12, 31, 23, 59, 59, 999, time.UTC),
		time.Date(2026, 1, 1, 0, 30, 0, 1000, time.FixedZone("", 3600)),
	} {
		if got, want := string(stamp(nil, at)), at.UTC().Format("2006-01-02T15:04:05.000000Z "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
