package site

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Fault is one way in which the site can be broken, for demonstrations. A fault
// is the real thing wherever that can be had without harm to the machine: the
// file is away, the write fails with ENOSPC.
type Fault string

// The faults.
const (
	DatabaseGone     Fault = "database"   // the database's file is moved away
	PageBroken       Fault = "page"       // the home page's template has a mistake: 500
	MigrationsBehind Fault = "migrations" // the last migration is taken back; of a shared database, in a copy
	PageSlow         Fault = "slow"       // the home page takes SlowPage
	DiskFull         Fault = "disk"       // the journal is on a full disk: /dev/full
	AppHangs         Fault = "hang"       // no request is answered any more
)

// Faults returns all faults.
func Faults() []Fault {
	return []Fault{DatabaseGone, MigrationsBehind, PageBroken, PageSlow, DiskFull, AppHangs}
}

// SlowPage is how long the home page takes while it is slow.
const SlowPage = 4 * time.Second

// takeBack undoes the last migration.
//
//go:embed take_back.sql
var takeBack string

// faults is which faults there are now.
type faults struct {
	page, slow atomic.Bool                   // read by every request, as is
	hung       atomic.Pointer[chan struct{}] // which is closed when the app hangs no more; nil: it does not

	mu     sync.Mutex // held while one is made or mended; guards what follows
	broken map[Fault]bool
}

// Break makes a fault. A fault that is there already stays as it is.
func (s *Site) Break(ctx context.Context, f Fault) error {
	return s.turn(ctx, f, true)
}

// Mend takes a fault away again, if it is there.
func (s *Site) Mend(ctx context.Context, f Fault) error {
	return s.turn(ctx, f, false)
}

// Broken says whether the fault is there.
func (s *Site) Broken(f Fault) bool {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.faults.broken[f]
}

func (s *Site) turn(ctx context.Context, f Fault, on bool) error {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if s.faults.broken[f] == on {
		return nil
	}
	if err := s.turnLocked(ctx, f, on); err != nil {
		return fmt.Errorf("fault %s: %w", f, err)
	}
	if s.faults.broken == nil {
		s.faults.broken = make(map[Fault]bool)
	}
	s.faults.broken[f] = on
	return nil
}

func (s *Site) turnLocked(ctx context.Context, f Fault, on bool) error {
	switch f {
	case DatabaseGone:
		if on {
			return os.Rename(s.book.path, s.book.path+away)
		}
		return os.Rename(s.book.path+away, s.book.path)
	case MigrationsBehind:
		if s.faults.broken[DatabaseGone] {
			return errors.New("the database is gone: bring it back first")
		}
		switch {
		case s.book.shared != "" && on:
			return s.book.fallBehind(ctx)
		case s.book.shared != "":
			return s.book.link()
		case !on:
			return s.book.migrate(ctx)
		}
		_, err := s.book.db.ExecContext(ctx, takeBack)
		return err
	case PageBroken:
		s.faults.page.Store(on)
		return nil
	case PageSlow:
		s.faults.slow.Store(on)
		return nil
	case AppHangs:
		if on {
			s.faults.hung.Store(new(make(chan struct{})))
			return nil
		}
		close(*s.faults.hung.Swap(nil))
		return nil
	case DiskFull:
		if on {
			return s.journal.replace(fillDisk)
		}
		return s.journal.replace(emptyDisk)
	}
	return errors.New("there is no such fault")
}

// link makes the path a link to the shared database, whatever it is now.
func (b *book) link() error {
	if target, err := os.Readlink(b.path); err == nil && target == b.shared {
		return nil
	}
	for _, old := range []string{b.path, b.path + away} {
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("link to the shared database: %w", err)
		}
	}
	if err := os.Symlink(b.shared, b.path); err != nil {
		return fmt.Errorf("link to the shared database: %w", err)
	}
	return nil
}

// fallBehind puts a copy in the place of the link, which the last migration has not
// reached: a replica that does not follow any more.
func (b *book) fallBehind(ctx context.Context) error {
	replica := b.path + ".replica"
	if err := os.Remove(replica); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := b.db.ExecContext(ctx, "vacuum into ?", replica); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	db, err := sql.Open("sqlite", (&book{path: replica}).dsn("rw"))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, takeBack)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return os.Rename(replica, b.path)
}

// fullDevice fails every write with ENOSPC, see full(4).
const fullDevice = "/dev/full"

func fillDisk(path string) error {
	if _, err := os.Stat(fullDevice); err != nil {
		return fmt.Errorf("this system has no full disk to offer: %w", err)
	}
	if err := os.Rename(path, path+away); err != nil {
		return err
	}
	return os.Symlink(fullDevice, path)
}

func emptyDisk(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.Rename(path+away, path)
}

// away ends the names of files that a fault put away.
const away = ".away"

// putBack mends what a run that ended in the middle of a fault left in its
// files. What else there are of faults ended with it, or is a migration.
func putBack(database, journal string) error {
	if _, err := os.Lstat(database); errors.Is(err, fs.ErrNotExist) {
		if err := os.Rename(database+away, database); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("put the database back: %w", err)
		}
	}
	if target, err := os.Readlink(journal); err == nil && target == fullDevice {
		if err := emptyDisk(journal); err != nil {
			return fmt.Errorf("put the journal back: %w", err)
		}
	}
	return nil
}

// delay waits while the home page is slow. Its error is the context's.
func (f *faults) delay(ctx context.Context) error {
	if !f.slow.Load() {
		return nil
	}
	select {
	case <-time.After(SlowPage):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// hang waits while the app hangs. Its error is the context's.
func (f *faults) hang(ctx context.Context) error {
	hung := f.hung.Load()
	if hung == nil {
		return nil
	}
	select {
	case <-*hung:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *faults) homeTemplate() string {
	if f.page.Load() {
		return "broken.html"
	}
	return "home.html"
}
