package balance

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"hale/internal/handover"
)

// notify tells systemd of our state (sd_notify(3)); outside systemd it does nothing.
func notify(logger *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		logger.Warn("systemd could not be told", "state", state, "error", err)
	}
}

// notifyReloading tells systemd that a reload begins, with the time stamp that
// Type=notify-reload wants.
func notifyReloading(logger *slog.Logger) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return
	}
	notify(logger, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/int64(time.Microsecond)))
}

// watchdog pings systemd's watchdog at half its interval until ctx is done, where
// the unit sets WatchdogSec.
func watchdog(ctx context.Context, logger *slog.Logger) {
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
			notify(logger, daemon.SdNotifyWatchdog)
		}
	}
}

// inherit takes the sockets that systemd opened for us (sd_listen_fds(3)). They
// are for whoever listens at their addresses.
func inherit(sockets *handover.Sockets) error {
	if os.Getenv("LISTEN_FDS") == "" {
		return nil
	}
	listeners, err := activation.Listeners()
	if err != nil {
		return fmt.Errorf("take systemd's sockets: %w", err)
	}
	for _, l := range listeners {
		if l == nil {
			return fmt.Errorf("take systemd's sockets: one is not a stream socket; use ListenStream= in the unit")
		}
		if err := sockets.Inherit(l); err != nil {
			return fmt.Errorf("take systemd's sockets: %w", err)
		}
	}
	return nil
}
