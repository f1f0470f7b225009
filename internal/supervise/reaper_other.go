//go:build unix && !linux

package supervise

import (
	"context"
	"log/slog"
)

// Reaper waits for orphans on Linux; elsewhere process 1 is the system's own,
// and it has nothing to do.
type Reaper struct {
	Subreaper bool
	Leaders   *Leaders
	Logger    *slog.Logger
}

// Run returns at once.
func (Reaper) Run(context.Context) error { return nil }
