package balance

import (
	"fmt"
	"os"

	"github.com/coreos/go-systemd/v22/activation"

	"hale/internal/handover"
)

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
