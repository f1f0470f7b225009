package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
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

// watchdog pings systemd's watchdog at half its interval until ctx is done,
// where the unit sets WatchdogSec.
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

// inherited are the sockets that systemd opened for us (sd_listen_fds(3)), by
// the FileDescriptorName= of their units: "admin" is the admin address, the
// first other one is what serves.
type inherited struct{ listen, admin net.Listener }

func inherit() (inherited, error) {
	var got inherited
	if os.Getenv("LISTEN_FDS") == "" {
		return got, nil
	}
	byName, err := activation.ListenersWithNames()
	if err != nil {
		return got, fmt.Errorf("take systemd's sockets: %w", err)
	}
	for name, listeners := range byName {
		for _, l := range listeners {
			switch {
			case l == nil:
				return got, fmt.Errorf("take systemd's socket %q: it is not a stream socket; use ListenStream=", name)
			case name == "admin" && got.admin == nil:
				got.admin = l
			case name != "admin" && got.listen == nil:
				got.listen = l
			default:
				return got, fmt.Errorf("take systemd's sockets: a second one called %q; hale serves one, and one with FileDescriptorName=admin", name)
			}
		}
	}
	return got, nil
}
