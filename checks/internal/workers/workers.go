// Package workers judges how much the workers of a server have to do, so that a
// server that is busy is told apart from one that is broken.
package workers

import (
	"cmp"
	"fmt"
	"time"

	"hale/checks"
	"hale/checks/internal/listenqueue"
	"hale/checks/internal/report"
)

// Load is what a server's workers have to do at a moment.
type Load struct {
	What    string // what serves a request each, "workers" or "threads"
	Busy    int
	Workers int // 0: not known
	Queue   Queue

	// Finished differs from that of another moment if a request was finished in
	// between.
	Finished uint64
}

// Queue is where requests wait for a worker.
type Queue struct {
	Waiting int
	Limit   int // 0: not known
}

// Fullest returns the queue of the socket whose queue is taken the most.
func Fullest(sockets []listenqueue.Socket) (fullest Queue) {
	for _, s := range sockets {
		fullest = fullest.Or(Queue{s.Waiting, s.Limit})
	}
	return fullest
}

// Or returns the one of two queues that is taken more.
func (q Queue) Or(other Queue) Queue {
	if other.share() > q.share() || other.share() == q.share() && other.Limit > q.Limit {
		return other
	}
	return q
}

// share is how much of the queue is taken. Linux lets one connection more wait
// than the limit says.
func (q Queue) share() checks.Percent { return min(100, percent(q.Waiting, q.Limit)) }

func percent(part, whole int) checks.Percent {
	if whole <= 0 {
		return 0
	}
	return checks.Percent(float64(part) / float64(whole) * 100)
}

// Count is such as "1 worker" or "2 workers".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// String is such as "2 of 2 workers busy, 4 waiting in a queue of 10".
func (l Load) String() string {
	waiting := fmt.Sprintf("%d waiting", l.Queue.Waiting)
	if l.Queue.Limit > 0 {
		waiting += fmt.Sprintf(" in a queue of %d", l.Queue.Limit)
	}
	if l.Workers == 0 {
		return waiting
	}
	return fmt.Sprintf("%d of %d %s busy, %s", l.Busy, l.Workers, cmp.Or(l.What, "workers"), waiting)
}

// overloaded reports whether requests wait since nobody is free.
func (l Load) overloaded() bool {
	return l.Workers > 0 && l.Busy >= l.Workers && l.Queue.Waiting > 0
}

// Watch remembers from run to run since when no request has been finished. The
// zero value has seen nothing.
type Watch struct {
	since    time.Time // zero: not overloaded when last looked at
	finished uint64
}

// Judge holds a load against the limits, and notes the result.
func (w *Watch) Judge(r *report.Report, now time.Time, load Load, limits checks.BusyLimits) {
	stuck := w.stuck(now, load)
	busy, taken := percent(load.Busy, load.Workers), load.Queue.share()
	maxQueue := cmp.Or(limits.MaxQueue, checks.DefaultMaxQueue)
	warnQueue := cmp.Or(limits.WarnQueue, min(checks.DefaultWarnQueue, maxQueue))
	switch {
	case taken > maxQueue:
		r.Failf("%v: more than %v of the queue is taken", load, maxQueue)
	case stuck > 0 && stuck >= cmp.Or(limits.MaxStuck, checks.DefaultMaxStuck):
		r.Failf("%v: stuck, no request was finished for %v", load, stuck.Round(time.Second))
	case limits.MaxBusy > 0 && busy > limits.MaxBusy:
		r.Failf("%v: more than %v", load, limits.MaxBusy)
	case taken > warnQueue:
		r.Warnf("%v: more than %v of the queue is taken", load, warnQueue)
	case load.overloaded():
		r.Warnf("%v", load)
	case limits.WarnBusy > 0 && busy > limits.WarnBusy:
		r.Warnf("%v: more than %v", load, limits.WarnBusy)
	default:
		r.Passf("%v", load)
	}
}

// stuck returns for how long all have been busy, requests have waited and none
// was finished.
func (w *Watch) stuck(now time.Time, load Load) time.Duration {
	if !load.overloaded() {
		w.since = time.Time{}
		return 0
	}
	if w.since.IsZero() || load.Finished != w.finished {
		w.since, w.finished = now, load.Finished
	}
	return now.Sub(w.since)
}
