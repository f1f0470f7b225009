package supervise

import "sync"

// Leaders are the processes that Steps and Children run just now: a Reaper that
// shares them takes none away before its owner has waited for it. The zero value
// is ready, and a nil one knows nobody.
type Leaders struct {
	mu   sync.Mutex
	pids map[int]bool
}

func (l *Leaders) add(pid int) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pids == nil {
		l.pids = make(map[int]bool)
	}
	l.pids[pid] = true
}

func (l *Leaders) remove(pid int) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pids, pid)
}

func (l *Leaders) has(pid int) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pids[pid]
}
