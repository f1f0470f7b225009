package workers_test

import (
	"context"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/internal/report"
	"hale/checks/internal/workers"
	"hale/health"
	"hale/internal/listenqueue"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		load   workers.Load
		limits checks.BusyLimits
		status health.Status
		want   string
	}{
		{"idle", load(0, 4, 0, 100), checks.BusyLimits{}, health.Pass, "0 of 4 workers busy, 0 waiting in a queue of 100"},
		{"all busy, nobody waits", load(4, 4, 0, 100), checks.BusyLimits{}, health.Pass, "4 of 4 workers busy, 0 waiting in a queue of 100"},
		{"all busy, one waits", load(4, 4, 1, 100), checks.BusyLimits{}, health.Warn, "4 of 4 workers busy, 1 waiting in a queue of 100"},
		{"on its way to a free worker", load(3, 4, 1, 100), checks.BusyLimits{}, health.Pass, "3 of 4 workers busy, 1 waiting in a queue of 100"},
		{"queue at half", load(4, 4, 50, 100), checks.BusyLimits{}, health.Warn, "4 of 4 workers busy, 50 waiting in a queue of 100"},
		{"queue above half", load(4, 4, 51, 100), checks.BusyLimits{}, health.Warn, "4 of 4 workers busy, 51 waiting in a queue of 100: more than 50% of the queue is taken"},
		{"queue nearly full", load(4, 4, 91, 100), checks.BusyLimits{}, health.Fail, "4 of 4 workers busy, 91 waiting in a queue of 100: more than 90% of the queue is taken"},
		{"one more than the queue holds", load(4, 4, 11, 10), checks.BusyLimits{MaxQueue: 100}, health.Warn, "4 of 4 workers busy, 11 waiting in a queue of 10: more than 50% of the queue is taken"},
		{"threads", workers.Load{What: "threads", Busy: 1, Workers: 8}, checks.BusyLimits{}, health.Pass, "1 of 8 threads busy, 0 waiting"},
		{"workers not known", workers.Load{Queue: workers.Queue{Waiting: 3, Limit: 10}}, checks.BusyLimits{}, health.Pass, "3 waiting in a queue of 10"},
		{"workers not known, queue full", workers.Load{Queue: workers.Queue{Waiting: 10, Limit: 10}}, checks.BusyLimits{}, health.Fail, "10 waiting in a queue of 10: more than 90% of the queue is taken"},
		{"queue not known", load(4, 4, 5000, 0), checks.BusyLimits{}, health.Warn, "4 of 4 workers busy, 5000 waiting"},
		{"nobody tells", workers.Load{Silent: true, Queue: workers.Queue{Waiting: 3, Limit: 10}}, checks.BusyLimits{}, health.Warn, "no worker was free to answer, 3 waiting in a queue of 10"},
		{"warn_busy", load(4, 5, 0, 100), checks.BusyLimits{WarnBusy: 75}, health.Warn, "4 of 5 workers busy, 0 waiting in a queue of 100: more than 75%"},
		{"warn_busy not reached", load(3, 4, 0, 100), checks.BusyLimits{WarnBusy: 75}, health.Pass, "3 of 4 workers busy, 0 waiting in a queue of 100"},
		{"max_busy", load(5, 5, 0, 100), checks.BusyLimits{MaxBusy: 99}, health.Fail, "5 of 5 workers busy, 0 waiting in a queue of 100: more than 99%"},
		{"a lower max_queue lowers warn_queue", load(4, 4, 30, 100), checks.BusyLimits{MaxQueue: 20}, health.Fail, "4 of 4 workers busy, 30 waiting in a queue of 100: more than 20% of the queue is taken"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var r report.Report
			new(workers.Watch).Judge(&r, time.Now(), test.load, test.limits)
			expect(t, &r, test.status, test.want)
		})
	}
}

// Busy turns into broken when nothing gets done any more, and not before.
func TestStuck(t *testing.T) {
	t.Parallel()
	var watch workers.Watch
	start := time.Now()
	for _, step := range []struct {
		name     string
		at       time.Duration
		waiting  int
		finished uint64
		status   health.Status
		want     string
	}{
		{"busy", 0, 1, 7, health.Warn, "2 of 2 workers busy, 1 waiting in a queue of 100"},
		{"still busy", 50 * time.Second, 2, 7, health.Warn, "2 of 2 workers busy, 2 waiting in a queue of 100"},
		{"one was finished", 59 * time.Second, 2, 8, health.Warn, "2 of 2 workers busy, 2 waiting in a queue of 100"},
		{"not a minute since", 110 * time.Second, 2, 8, health.Warn, "2 of 2 workers busy, 2 waiting in a queue of 100"},
		{"a minute since", 119 * time.Second, 3, 8, health.Fail, "2 of 2 workers busy, 3 waiting in a queue of 100: stuck, no request was finished for 1m0s"},
		{"stays stuck", 130 * time.Second, 3, 8, health.Fail, "2 of 2 workers busy, 3 waiting in a queue of 100: stuck, no request was finished for 1m11s"},
		{"works again", 140 * time.Second, 3, 9, health.Warn, "2 of 2 workers busy, 3 waiting in a queue of 100"},
		{"nobody waits", 150 * time.Second, 0, 9, health.Pass, "2 of 2 workers busy, 0 waiting in a queue of 100"},
		{"from anew", 300 * time.Second, 1, 9, health.Warn, "2 of 2 workers busy, 1 waiting in a queue of 100"},
	} {
		var r report.Report
		l := load(2, 2, step.waiting, 100)
		l.Finished = step.finished
		watch.Judge(&r, start.Add(step.at), l, checks.BusyLimits{})
		t.Run(step.name, func(t *testing.T) { expect(t, &r, step.status, step.want) })
	}
}

func TestFullest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		sockets []listenqueue.Socket
		want    workers.Queue
	}{
		{"none", nil, workers.Queue{}},
		{"one", []listenqueue.Socket{{Waiting: 0, Limit: 10}}, workers.Queue{Limit: 10}},
		{"by share", []listenqueue.Socket{{Waiting: 9, Limit: 10}, {Waiting: 20, Limit: 100}}, workers.Queue{Waiting: 9, Limit: 10}},
	} {
		if got := workers.Fullest(test.sockets); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func load(busy, all, waiting, limit int) workers.Load {
	return workers.Load{Busy: busy, Workers: all, Queue: workers.Queue{Waiting: waiting, Limit: limit}}
}

func expect(t *testing.T, r *report.Report, status health.Status, want string) {
	t.Helper()
	run := func(context.Context) (string, error) { return r.Result() }
	got := health.RunOnce(t.Context(), nil, health.Check{Name: "it", Run: run})[0]
	if got.Status != status || got.Output != want {
		t.Errorf("%v %q\nwant %v %q", got.Status, got.Output, status, want)
	}
}
