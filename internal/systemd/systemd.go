// Package systemd tells systemd how its service is doing (sd_notify(3)).
package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Notify tells systemd of our state (sd_notify(3)); outside systemd it does nothing.
func Notify(logger *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		logger.Warn("systemd could not be told", "state", state, "error", err)
	}
}

// NotifyReloading tells systemd that a reload begins, with the time stamp that
// Type=notify-reload wants.
func NotifyReloading(logger *slog.Logger) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return
	}
	Notify(logger, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/int64(time.Microsecond)))
}

// Watchdog pings systemd's watchdog at half its interval until ctx is done, where
// the unit sets WatchdogSec.
func Watchdog(ctx context.Context, logger *slog.Logger) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			Notify(logger, daemon.SdNotifyWatchdog)
		}
	}
}
