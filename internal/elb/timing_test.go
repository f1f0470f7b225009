package elb

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

const s = time.Second

// albDefaults is the clock of an Application Load Balancer that nobody has set.
var albDefaults = HealthCheck{}.WithDefaults(Kind{Protocol: HTTP}).Clock()

func TestRows(t *testing.T) {
	t.Parallel()
	quick := Clock{Interval: 10 * s, Timeout: 5 * s, Healthy: 2, Unhealthy: 2, First: 1}
	type bounds struct{ best, worst time.Duration }
	for _, test := range []struct {
		name   string
		timing Timing
		want   map[string]bounds // by the event
	}{
		{
			"ELB's defaults, nothing measured: the time-out counts in full",
			Timing{Clock: albDefaults},
			map[string]bounds{
				"a dead instance is taken out": {30 * s, 65 * s},
				"a new instance takes traffic": {0, 35 * s},
				"a recovered instance is back": {120 * s, 155 * s},
			},
		},
		{
			"a measured answer takes the place of the time-out, but a dead instance does not answer",
			Timing{Clock: quick, P99: s},
			map[string]bounds{
				"a dead instance is taken out": {10 * s, 25 * s},
				"a new instance takes traffic": {0, 11 * s},
				"a recovered instance is back": {10 * s, 21 * s},
			},
		},
		{
			"no answer that counts takes longer than the time-out",
			Timing{Clock: quick, P99: 60 * s},
			map[string]bounds{"a new instance takes traffic": {0, 15 * s}, "a recovered instance is back": {10 * s, 25 * s}},
		},
		{
			"a start shorter than one interval: one probe fails at most",
			Timing{Clock: quick, P99: s, StartUp: 8 * s},
			map[string]bounds{"a new instance takes traffic": {8 * s, 19 * s}},
		},
		{
			"a start within which two probes may fail: then it needs two passes",
			Timing{Clock: quick, P99: s, StartUp: 12 * s},
			map[string]bounds{"a new instance takes traffic": {12 * s, 33 * s}},
		},
		{
			"a start within which two probes fail surely",
			Timing{Clock: quick, P99: s, StartUp: 20 * s},
			map[string]bounds{"a new instance takes traffic": {30 * s, 41 * s}},
		},
		{
			"other load balancers want more than one pass of a new one",
			Timing{Clock: Clock{Interval: 10 * s, Timeout: s, Healthy: 3, Unhealthy: 3, First: 3}},
			map[string]bounds{"a new instance takes traffic": {20 * s, 31 * s}},
		},
		{
			"slow start, draining, and an instance that stops by itself",
			Timing{Clock: quick, P99: s, SlowStart: 30 * s, Deregistration: Known(300 * s), Instance: Instance{Notice: Known(25 * s)}},
			map[string]bounds{
				"a new one has its full share":                 {30 * s, 41 * s},
				"requests of a removed instance may go on for": {300 * s, 300 * s},
				"an instance that stops gets no more requests": {10 * s, 21 * s},
			},
		},
		{
			"hale's own thresholds come on top, of the check that takes longest",
			Timing{Clock: quick, P99: s, Instance: Instance{Checks: []Check{
				{Name: "disk", Interval: 5 * s, Timeout: s},
				{Name: "database", Interval: 5 * s, Timeout: 2 * s, Rise: 2, Fall: 3},
				{Name: "page", Interval: 2 * s, Timeout: 4 * s, Rise: 1, Fall: 1},
			}}},
			map[string]bounds{
				"what database checks breaks: the instance is taken out": {10*s + 10*s, 17*s + 21*s},
				"what database checks works again: the instance is back": {5*s + 10*s, 12*s + 21*s},
			},
		},
		{
			"runs that take longer than their interval follow one another",
			Timing{Clock: quick, P99: s, Instance: Instance{Checks: []Check{{Name: "page", Interval: 2 * s, Timeout: 4 * s, Fall: 2}}}},
			map[string]bounds{"what page checks breaks: the instance is taken out": {2*s + 10*s, 12*s + 21*s}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows := map[string]Row{}
			for _, row := range test.timing.Rows() {
				rows[row.Event] = row
				if row.How == "" || row.Best > row.Worst {
					t.Errorf("%+v", row)
				}
			}
			for event, want := range test.want {
				row, ok := rows[event]
				if got := (bounds{row.Best, row.Worst}); !ok || got != want {
					t.Errorf("%s: %v to %v, want %v to %v (%s)", event, row.Best, row.Worst, want.best, want.worst, row.How)
				}
			}
		})
	}
}

func TestRowsSayHow(t *testing.T) {
	t.Parallel()
	rows := Timing{Clock: albDefaults, Balancer: Network, P99: 240 * time.Millisecond, StartUp: 8 * s}.Rows()
	for i, want := range []Row{
		{Event: "a dead instance is taken out", Best: 30 * s, Worst: 65 * s, How: "unhealthy threshold 2 x interval 30s + time-out 5s of the last probe"},
		{
			Event: "a new instance takes traffic", Best: 8 * s, Worst: 38*s + 240*time.Millisecond, How: "start 8s, then 1 pass x interval 30s + 240ms for the answer",
			Note: "plus the registration, which takes a Network Load Balancer up to a few minutes",
		},
	} {
		if rows[i] != want {
			t.Errorf("= %+v\nwant %+v", rows[i], want)
		}
	}
}

func TestRowAsJSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(Timing{Clock: albDefaults}.Rows()[0])
	want := `{"event":"a dead instance is taken out","best_seconds":30,"worst_seconds":65,"how":"unhealthy threshold 2 x interval 30s + time-out 5s of the last probe"}`
	if err != nil || string(got) != want {
		t.Errorf("= %s, %v\nwant %s", got, err, want)
	}
}

func TestContradictions(t *testing.T) {
	t.Parallel()
	quick := Clock{Interval: 10 * s, Timeout: 5 * s, Healthy: 2, Unhealthy: 2, First: 1}
	for _, test := range []struct {
		name   string
		timing Timing
		ids    []string // "" for one without a name
		say    []string // in this order, parts of what they say
	}{
		{"ELB's defaults alone", Timing{Clock: albDefaults, Deregistration: Known(300 * s)}, nil, nil},
		{"quick answers", Timing{Clock: quick, P99: s}, nil, nil},
		{"answers close to the time-out", Timing{Clock: quick, P99: 2 * s}, []string{""}, []string{"3 x p99 of the answer, 6s"}},
		{"answers that take longer", Timing{Clock: quick, P99: 5 * s}, []string{"tight-timeout-flapping"}, []string{"p99 of the answer 5s"}},
		{"interval as long as the time-out", Timing{Clock: Clock{Interval: 5 * s, Timeout: 5 * s, Healthy: 2, Unhealthy: 2}, Balancer: Application}, []string{""}, []string{"the next probe begins before"}},
		{"the same of a Network Load Balancer", Timing{Clock: Clock{Interval: 5 * s, Timeout: 5 * s, Healthy: 2, Unhealthy: 2}, Balancer: Network}, nil, nil},
		{
			"grace shorter than the start",
			Timing{Clock: quick, P99: s, StartUp: 60 * s, Grace: Known(30 * s)},
			[]string{"asg-cold-start-vs-grace"},
			[]string{"grace period 30s: 1m21s until it is healthy"},
		},
		{"the API's default is no grace at all", Timing{Clock: quick, StartUp: 60 * s, Grace: Known(0)}, []string{"asg-cold-start-vs-grace"}, []string{"grace period 0s"}},
		{"long enough", Timing{Clock: quick, P99: s, StartUp: 60 * s, Grace: Known(82 * s)}, nil, nil},
		{"a grace that nobody knows", Timing{Clock: quick, StartUp: 60 * s}, nil, nil},
		{"a start too short to turn unhealthy needs no grace", Timing{Clock: quick, StartUp: 9 * s, Grace: Known(0)}, nil, nil},
		{
			"hale's notice shorter than the load balancer takes to notice",
			Timing{Clock: quick, P99: s, Instance: Instance{Notice: Known(20 * s)}},
			[]string{"shutdown-order-502"},
			[]string{"drain notice 20s: 21s", "{notice: 22s}"},
		},
		{"long enough, again", Timing{Clock: quick, P99: s, Instance: Instance{Notice: Known(21 * s)}}, nil, nil},
		{"no draining", Timing{Clock: quick, Deregistration: Known(0)}, []string{""}, []string{"deregistration delay 0s"}},
		{"draining shorter than a request", Timing{Clock: quick, Deregistration: Known(30 * s), Request: 45 * s}, []string{""}, []string{"slowest request 45s", "to 45 or more"}},
		{
			"draining shorter than hale's",
			Timing{Clock: quick, Deregistration: Known(27 * s), Instance: Instance{Finish: Known(30 * s)}},
			[]string{""},
			[]string{"drain finish 30s"},
		},
		{"idle time-out shorter than a request", Timing{Clock: quick, Idle: 60 * s, Request: 61 * s}, []string{""}, []string{"504"}},
		{
			"the old gone before the new is found out",
			Timing{Clock: albDefaults, Deregistration: Known(30 * s)},
			[]string{""},
			[]string{"deregistration delay 30s: 1m5s until a failing instance is taken out"},
		},
		{
			"hale slower than the load balancer",
			Timing{Clock: quick, Instance: Instance{Checks: []Check{{Name: "database", Interval: 10 * s, Timeout: 2 * s, Fall: 3}}}},
			[]string{""},
			[]string{"check database: fall 3, interval 10s, time-out 2s: up to 32s"},
		},
		{"hale as quick", Timing{Clock: quick, Instance: Instance{Checks: []Check{{Name: "database", Interval: 10 * s, Timeout: 2 * s, Fall: 2}}}}, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var ids, texts []string
			for _, c := range test.timing.Contradictions() {
				ids = append(ids, c.ID)
				texts = append(texts, c.What+"; "+c.Have+": "+c.Need+"; "+c.Way)
			}
			if !slices.Equal(ids, test.ids) {
				t.Errorf("ids %q, want %q: %q", ids, test.ids, texts)
			}
			all := strings.Join(texts, "\n")
			for _, say := range test.say {
				if !strings.Contains(all, say) {
					t.Errorf("not said: %s\nbut: %s", say, all)
				}
			}
		})
	}
}

// The zero Timing is of a load balancer of which nothing is known; nothing may
// come of it but zeroes.
func TestNothingKnown(t *testing.T) {
	t.Parallel()
	for _, row := range (Timing{}).Rows() {
		if row.Worst != 0 {
			t.Errorf("%+v", row)
		}
	}
	if c := (Timing{}).Contradictions(); c != nil {
		t.Errorf("%+v", c)
	}
}
