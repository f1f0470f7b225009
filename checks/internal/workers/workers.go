// Package workers judges how much the workers of a server have to do, so that a
// server that is busy is told apart from one that is broken.
package workers

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"time"

	"hale/checks"
	"hale/checks/internal/report"
	"hale/internal/listenqueue"
)

// Load is what a server's workers have to do at a moment.
type Load struct {
	What    string // what serves a request each, "workers" or "threads"
	Busy    int
	Workers int // 0: not known
	Queue   Queue

	// Silent says that no worker was free to tell any of this but the queue.
	Silent bool

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

// Serving returns how many connections the programs behind the sockets have
// accepted and not closed yet, and a number that stands for just these: while it
// stays the same, none of them has come to its end.
func Serving(sockets []listenqueue.Socket) (n int, which uint64, err error) {
	hash := fnv.New64a()
	for _, s := range sockets {
		inodes, err := listenqueue.Accepted(s)
		if err != nil {
			return 0, 0, err
		}
		n += len(inodes)
		for _, inode := range inodes {
			_ = binary.Write(hash, binary.NativeEndian, inode) // never fails
		}
	}
	return n, hash.Sum64(), nil
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

// String is such as "4 waiting in a queue of 10".
func (q Queue) String() string {
	if q.Limit > 0 {
		return fmt.Sprintf("%d waiting in a queue of %d", q.Waiting, q.Limit)
	}
	return fmt.Sprintf("%d waiting", q.Waiting)
}

func percent(part, whole int) checks.Percent {
	if whole <= 0 {
		return 0
	}
	return checks.Percent(float64(part) / float64(whole) * 100)
}

// String is such as "2 of 2 workers busy, 4 waiting in a queue of 10".
func (l Load) String() string {
	switch {
	case l.Silent:
		return fmt.Sprintf("no worker was free to answer, %v", l.Queue)
	case l.Workers == 0:
		return l.Queue.String()
	default:
		return fmt.Sprintf("%d of %d %s busy, %v", l.Busy, l.Workers, cmp.Or(l.What, "workers"), l.Queue)
	}
}

// overloaded reports whether requests wait since nobody is free.
func (l Load) overloaded() bool {
	return l.Queue.Waiting > 0 && (l.Silent || l.Workers > 0 && l.Busy >= l.Workers)
}

// Watch remembers from run to run since when no request has been finished. The
// zero value has seen nothing.
type Watch struct {
	since    time.Time // zero: nobody waited when last looked at
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

// stuck returns for how long requests have waited and none was finished, be it
// that all workers are at work on others, or that none takes them.
func (w *Watch) stuck(now time.Time, load Load) time.Duration {
	if load.Queue.Waiting == 0 {
		w.since = time.Time{}
		return 0
	}
	if w.since.IsZero() || load.Finished != w.finished {
		w.since, w.finished = now, load.Finished
	}
	return now.Sub(w.since)
}
