package checktest_test

import (
	"testing"
	"time"

	"hale/test/checktest"
)

func TestOnTime(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		message string
		timeout time.Duration
		want    string
	}{
		{"no answer within 1s: 127.0.0.1:1", time.Second, "no answer within 1s: 127.0.0.1:1"},
		{"no answer within 950ms: 127.0.0.1:1", time.Second, "no answer within 1s: 127.0.0.1:1"},
		{"no answer within 250ms, or within 1.9s", 300 * time.Millisecond, "no answer within 300ms, or within 1.9s"},
		{"no answer within 2.8s", 6 * time.Second, "no answer within 3s"},
		{"no answer within 1.4s", 2 * time.Second, "no answer within 1.5s"},
		{"no answer within 500ms", 3 * time.Minute, "no answer within 500ms"},
		{"no answer within 2s", time.Second, "no answer within 2s"},
		{"not within 1 MiB", time.Second, "not within 1 MiB"},
	} {
		if got := checktest.OnTime(test.message, test.timeout); got != test.want {
			t.Errorf("%q with a time-out of %v: %q, want %q", test.message, test.timeout, got, test.want)
		}
	}
}
