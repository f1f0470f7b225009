package health

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// letters writes statuses as one letter each: -, p, w, f.
var letters = map[Status]string{Unknown: "-", Pass: "p", Warn: "w", Fail: "f"}

func TestRiseAndFall(t *testing.T) {
	for _, tt := range []struct {
		name       string
		rise, fall int
		answers    string
		statuses   string
	}{
		{"the first answer decides: pass", 3, 3, "p", "p"},
		{"the first answer decides: warn", 3, 3, "w", "w"},
		{"the first answer decides: fail", 3, 3, "f", "f"},
		{"at once by default", 1, 1, "pfpwf", "pfpwf"},
		{"fall 2: one failure is forgiven", 1, 2, "pfpfp", "ppppp"},
		{"fall 2: two in a row are not", 1, 2, "pffp", "ppfp"},
		{"fall 3: a pass starts the count anew", 1, 3, "pffpfff", "ppppppf"},
		{"fall 3: so does a warning", 1, 3, "pffwfff", "pppwwwf"},
		{"rise 2: one pass is not enough", 2, 1, "fpfpp", "ffffp"},
		{"rise 3: a failure starts the count anew", 3, 1, "fppfppp", "ffffffp"},
		{"rise 2: warnings count as passes", 2, 1, "fwp", "ffp"},
		{"rise 2: the answer that completes the row counts", 2, 1, "fpw", "ffw"},
		{"rise 2, fall 2: up and down", 2, 2, "pfffppff", "ppfffppf"},
		{"pass and warn are one side", 5, 5, "pwpw", "pwpw"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Result{Name: "c"}
			var got strings.Builder
			for i, letter := range tt.answers {
				a := reply{output: string(letter), ended: time.Unix(int64(i), 0)}
				for s, l := range letters {
					if l == string(letter) {
						a.status = s
					}
				}
				was := r.Status
				r.take(a, tt.rise, tt.fall)
				got.WriteString(letters[r.Status])

				if r.Last != a.status || r.LastOutput != a.output || !r.Time.Equal(a.ended) {
					t.Errorf("answer %d: last run is %v %q %v, want %v %q %v", i, r.Last, r.LastOutput, r.Time, a.status, a.output, a.ended)
				}
				if changed := r.Status != was; changed != r.Since.Equal(a.ended) {
					t.Errorf("answer %d: %v after %v since %v", i, r.Status, was, r.Since)
				}
				if explains := r.Output == a.output; explains != (failing(r.Status) == failing(a.status)) {
					t.Errorf("answer %d: %v is explained by %q", i, r.Status, r.Output)
				}
			}
			if got.String() != tt.statuses {
				t.Errorf("answers %s: statuses %s, want %s", tt.answers, got.String(), tt.statuses)
			}
			if failures := strings.Count(tt.answers, "f"); r.Runs != uint64(len(tt.answers)) || r.Failures != uint64(failures) {
				t.Errorf("%d runs, %d failures; want %d, %d", r.Runs, r.Failures, len(tt.answers), failures)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	check := func(name string, s Status, more ...func(*Result)) Result {
		r := Result{Name: name, Status: s, Output: name + " says " + s.String(), passed: true}
		for _, f := range more {
			f(&r)
		}
		return r
	}
	degraded := func(r *Result) { r.Impact = Degraded }
	shared := func(r *Result) { r.Scope = Shared }
	unproven := func(r *Result) { r.passed = false }

	for _, tt := range []struct {
		name     string
		results  []Result
		shared   SharedFailure
		drain    drain
		want     Status
		starting bool
		reason   string
		plain    string
	}{
		{name: "no checks", want: Pass, plain: "ok"},
		{name: "all pass", results: []Result{check("a", Pass), check("b", Pass)}, want: Pass, plain: "ok"},
		{
			name: "one warns", results: []Result{check("a", Pass), check("b", Warn)},
			want: Warn, reason: "b: b says warn", plain: "ok",
		},
		{
			name: "critical ones fail", results: []Result{check("a", Fail), check("b", Warn), check("c", Fail)},
			want: Fail, reason: "a: a says fail; c: c says fail", plain: "fail: a, c",
		},
		{
			name: "a degraded one fails", results: []Result{check("a", Pass), check("b", Fail, degraded)},
			want: Warn, reason: "b: b says fail", plain: "ok",
		},
		{
			name: "a shared one fails", results: []Result{check("a", Fail, shared)},
			want: Fail, reason: "a: a says fail", plain: "fail: a",
		},
		{
			name: "a shared one fails, which only warns", results: []Result{check("a", Fail, shared)}, shared: SharedWarns,
			want: Warn, reason: "a: a says fail", plain: "ok",
		},
		{
			name: "an instance's own fails beside a shared one", results: []Result{check("a", Fail, shared), check("b", Fail)}, shared: SharedWarns,
			want: Fail, reason: "b: b says fail", plain: "fail: b",
		},
		{
			name: "not asked yet", results: []Result{check("a", Pass), check("b", Unknown, unproven), check("c", Unknown, unproven)},
			want: Fail, starting: true, reason: "starting: waiting for b, c", plain: "fail: starting (b, c)",
		},
		{
			name: "failed before it ever passed", results: []Result{check("a", Fail, unproven), check("b", Unknown, unproven)},
			want: Fail, starting: true, reason: "a: a says fail", plain: "fail: a",
		},
		{
			name: "a shared failure before the first pass", results: []Result{check("a", Fail, shared, unproven)}, shared: SharedWarns,
			want: Fail, starting: true, reason: "starting: waiting for a", plain: "fail: starting (a)",
		},
		{
			name: "nobody waits for a degraded one", results: []Result{check("a", Pass), check("b", Unknown, degraded, unproven)},
			want: Pass, plain: "ok",
		},
		{
			name: "draining", results: []Result{check("a", Pass)}, drain: drain{true, "SIGTERM"},
			want: Fail, reason: "draining: SIGTERM", plain: "fail: draining",
		},
		{
			name: "draining without a reason, though a check fails", results: []Result{check("a", Fail)}, drain: drain{true, ""},
			want: Fail, reason: "draining", plain: "fail: draining",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := sortOut(tt.results, tt.shared, ProfileReady)
			v := judge(f, tt.drain)
			if v.Status != tt.want || v.Starting != tt.starting || v.Draining != tt.drain.draining || v.Reason != tt.reason {
				t.Errorf("verdict %v, starting %v, draining %v, %q; want %v, %v, %v, %q",
					v.Status, v.Starting, v.Draining, v.Reason, tt.want, tt.starting, tt.drain.draining, tt.reason)
			}
			if got := plainReady(&v, f); got != tt.plain {
				t.Errorf("plain %q, want %q", got, tt.plain)
			}
		})
	}
}

func TestJudgeOfResults(t *testing.T) {
	well, warned := Result{Status: Pass}, Result{Status: Warn}
	ill, soft, shared := Result{Status: Fail}, Result{Status: Fail, Impact: Degraded}, Result{Status: Fail, Scope: Shared}
	for _, tt := range []struct {
		name    string
		results []Result
		shared  SharedFailure
		want    Status
	}{
		{"none", nil, SharedFails, Pass},
		{"all pass", []Result{well, well}, SharedFails, Pass},
		{"one warns", []Result{well, warned}, SharedFails, Warn},
		{"one fails", []Result{ill, warned, well}, SharedFails, Fail},
		{"a degraded one fails", []Result{well, soft}, SharedFails, Warn},
		{"a shared one fails", []Result{shared, well}, SharedFails, Fail},
		{"a shared one fails, which only warns", []Result{shared, well}, SharedWarns, Warn},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Judge(tt.results, tt.shared); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestExpire(t *testing.T) {
	last := time.Unix(1000, 0)
	for _, tt := range []struct {
		name   string
		status Status
		age    time.Duration
		want   bool
	}{
		{"a young pass", Pass, 16*time.Second - 1, false},
		{"an old pass", Pass, 16 * time.Second, true},
		{"an old warning", Warn, time.Hour, true},
		{"red does not expire", Fail, time.Hour, false},
		{"nor what was never asked", Unknown, time.Hour, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Result{Status: tt.status, Time: last, against: 1}
			now := last.Add(tt.age)
			if got := expire(&r, 16*time.Second, now); got != tt.want || r.Expired != tt.want {
				t.Fatalf("expired %v, result %+v; want %v", got, r, tt.want)
			}
			if tt.want && (r.Status != Fail || !r.Since.Equal(now) || r.against != 0 || r.Output == "") {
				t.Errorf("expired result %+v", r)
			}
		})
	}
	t.Run("it takes rise passes to come back", func(t *testing.T) {
		r := Result{Status: Pass, Time: last, passed: true}
		expire(&r, time.Second, last.Add(time.Minute))
		var got []Status
		for range 2 {
			r.take(reply{status: Pass}, 2, 1)
			got = append(got, r.Status)
		}
		if !slices.Equal(got, []Status{Fail, Pass}) || r.Expired {
			t.Errorf("statuses %v, expired %v; want fail, pass, false", got, r.Expired)
		}
	})
}

func TestWorse(t *testing.T) {
	for _, tt := range []struct {
		from, to Status
		want     bool
	}{
		{Unknown, Pass, false},
		{Unknown, Warn, true},
		{Unknown, Fail, true},
		{Pass, Warn, true},
		{Pass, Fail, true},
		{Warn, Fail, true},
		{Warn, Pass, false},
		{Fail, Warn, false},
		{Fail, Pass, false},
	} {
		if got := (Transition{From: tt.from, To: tt.to}).Worse(); got != tt.want {
			t.Errorf("%v -> %v: worse %v, want %v", tt.from, tt.to, got, tt.want)
		}
	}
}
