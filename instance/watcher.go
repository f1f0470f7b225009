package instance

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultRefresh is the time between two looks where Watcher.Refresh is zero.
const DefaultRefresh = time.Minute

// Watcher keeps what is known of this machine fresh. Its exported fields are
// set before Run and not changed after; all its methods may be called at any
// time, from any goroutine. The zero value is useful.
type Watcher struct {
	Options Options

	// Refresh is the time between two looks; zero means DefaultRefresh.
	Refresh time.Duration

	// OnTermination is told, once, that this machine is about to be taken away:
	// Spot interrupts it, or its Auto Scaling group terminates it. It is the
	// moment to drain. It is called from Run's goroutine and must not block.
	// Nil means that nobody asks for notices.
	OnTermination func(Termination)

	// Logger is told of changes only. Nil means none.
	Logger *slog.Logger

	current   atomic.Pointer[snapshot]
	once      sync.Once
	knownChan chan struct{}
}

type snapshot struct {
	instance Instance
	addrs    []netip.Addr
}

// Run looks, and looks again, until ctx is done; it then returns nil. A source
// that fails for a time keeps what it last knew.
func (w *Watcher) Run(ctx context.Context) error {
	log := w.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	refresh := w.Refresh
	if refresh <= 0 {
		refresh = DefaultRefresh
	}
	state := watch{watcher: w, log: log}
	state.look(ctx)

	again := time.NewTicker(refresh)
	defer again.Stop()
	notices := time.NewTicker(noticeInterval)
	defer notices.Stop()
	if w.OnTermination == nil || w.Options.Metadata == Off {
		notices.Stop()
	}
	poll := newNotices(w.Options)
	defer poll.close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			state.look(ctx)
		case <-notices.C:
			if !state.onEC2() {
				continue
			}
			if t, ok := poll.ask(ctx); ok && ctx.Err() == nil {
				notices.Stop()
				log.Warn("instance is about to be taken away", "source", t.Source, "action", t.Action, "at", t.Time)
				w.OnTermination(t)
			}
		}
	}
}

// Addresses returns this machine's addresses as last known: one atomic load,
// for use with every request. The caller must not change the slice. It is nil
// before the first look has ended.
func (w *Watcher) Addresses() []netip.Addr {
	if s := w.current.Load(); s != nil {
		return s.addrs
	}
	return nil
}

// Instance returns all that is known; the zero Instance before the first look
// has ended.
func (w *Watcher) Instance() Instance {
	if s := w.current.Load(); s != nil {
		return s.instance
	}
	return Instance{}
}

// Known is closed when the first look has ended, with or without success.
func (w *Watcher) Known() <-chan struct{} {
	w.once.Do(func() { w.knownChan = make(chan struct{}) })
	return w.knownChan
}

// watch is the state of one Run.
type watch struct {
	watcher *Watcher
	log     *slog.Logger
	last    map[Source]answer // the last useful answer of each source
	failing map[Source]string // and what it said when it failed, as logged
}

// look asks all sources and publishes what is known then.
func (s *watch) look(ctx context.Context) {
	o := s.watcher.Options
	bounded, cancel := context.WithTimeout(ctx, o.timeout())
	defer cancel()
	answers := ask(bounded, o.sources())
	first := s.watcher.current.Load() == nil
	if ctx.Err() != nil && !first {
		return // a stop is no news
	}
	in, _ := merge(s.keep(answers)) // what went wrong is in the reports
	before := s.watcher.Instance()
	s.watcher.current.Store(&snapshot{in, in.Addrs()})
	switch {
	case first:
		s.log.Info("instance known", "id", in.ID.Value, "zone", in.Zone.Value, "addresses", in.Addrs(), "sources", found(in))
		close(s.watcher.known())
	case !slices.Equal(before.Addrs(), in.Addrs()):
		s.log.Info("instance addresses changed", "addresses", in.Addrs(), "were", before.Addrs())
	}
}

// known returns the channel of Known, to close it.
func (w *Watcher) known() chan struct{} {
	w.Known()
	return w.knownChan
}

// keep puts what a source last knew in the place of a failure, and beside what
// was learnt only in part. Sources are told apart by what they are, not by
// version: one that falls back from version 2 to 1 is the same.
func (s *watch) keep(answers []answer) []answer {
	if s.last == nil {
		s.last, s.failing = make(map[Source]answer), make(map[Source]string)
	}
	kept := slices.Clone(answers)
	for i := range kept {
		a := &kept[i]
		key := a.source
		if key == EC2v1 {
			key = EC2v2
		}
		last, known := s.last[key]
		s.tell(key, *a, known)
		switch {
		case a.found && a.partial && known && last.id == a.id:
			a.fill(last)
		case !a.found && known:
			err, fatal := a.err, a.fatal
			*a = last
			a.err, a.fatal = err, fatal
		}
		if a.found {
			s.last[key] = *a
		}
	}
	return kept
}

// tell logs when a source that was of use begins or ceases to fail.
func (s *watch) tell(key Source, a answer, known bool) {
	_, failing := s.failing[key]
	switch {
	case a.found && failing:
		delete(s.failing, key)
		s.log.Info("instance source answers again", "source", a.source)
	case !a.found && !failing && (known || a.fatal):
		s.failing[key] = a.err.Error()
		s.log.Warn("instance source does not answer", "source", key, "error", a.err, "kept", known)
	}
}

// onEC2 says whether the EC2 metadata service has answered so far: only there
// are notices to be had.
func (s *watch) onEC2() bool {
	_, ok := s.last[EC2v2]
	return ok
}

// fill adds what was known before and was not learnt this time.
func (a *answer) fill(last answer) {
	a.zone = firstNonEmpty(a.zone, last.zone)
	a.region = firstNonEmpty(a.region, last.region)
	a.kind = firstNonEmpty(a.kind, last.kind)
	a.hostname = firstNonEmpty(a.hostname, last.hostname)
	a.task = firstNonEmpty(a.task, last.task)
	a.taskID = firstNonEmpty(a.taskID, last.taskID)
	a.private = union(last.private, a.private)
	a.public = union(last.public, a.public)
}

// union keeps the order of before: its first address may be the primary one.
func union(before, now []netip.Addr) []netip.Addr {
	all := slices.Clone(before)
	for _, addr := range now {
		if !slices.Contains(all, addr) {
			all = append(all, addr)
		}
	}
	return all
}

func found(in Instance) []Source {
	var sources []Source
	for _, r := range in.Reports {
		if r.Found {
			sources = append(sources, r.Source)
		}
	}
	return sources
}
