package config_test

import (
	"reflect"
	"testing"
	"time"

	"hale/internal/elb"
)

// TestClock: only what can fail the load balancer's answer counts, and the
// thresholds of groups add to those of their members.
func TestClock(t *testing.T) {
	const text = `
drain: {notice: 12s, finish: 0s}
health:
  checks:
    - {name: database, type: memory, interval: 5s, timeout: 2s, rise: 2, fall: 3}
    - {name: cache, type: memory, impact: degraded}
    - {name: deep, type: memory, profile: deep}
    - name: disks
      fall: 2
      all:
        - {name: root, type: memory, interval: 1m, timeout: 1s, fall: 3}
        - {name: data, type: memory, interval: 2m, timeout: 1s}
`
	second := time.Second
	want := elb.Instance{
		Notice: elb.Known(12 * second), Finish: elb.Known(0),
		Checks: []elb.Check{
			{Name: "database", Interval: 5 * second, Timeout: 2 * second, Rise: 2, Fall: 3},
			{Name: "disks: root", Interval: time.Minute, Timeout: second, Rise: 1, Fall: 4},
			{Name: "disks: data", Interval: 2 * time.Minute, Timeout: second, Rise: 1, Fall: 2},
		},
	}
	if got := parse(t, text).Clock(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
