package serve

import (
	"fmt"
	"net"
	"os"

	"github.com/coreos/go-systemd/v22/activation"
)

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
