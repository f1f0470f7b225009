package serve

import (
	"net"
	"os"
	"syscall"
	"testing"

	"hale/internal/config"
)

// What keeps hale from listening is told with the key and the way out.
func TestCannotListen(t *testing.T) {
	bind := func(err error) error {
		return &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", err)}
	}
	for _, tt := range []struct {
		name    string
		key     string
		address config.Address
		err     error
		want    string
	}{
		{"taken", "listen", ":8080", bind(syscall.EADDRINUSE), "listen: :8080 is taken by another program; stop it, or set listen in hale.yaml to a free one: address already in use"},
		{"not allowed", "listen", ":80", bind(syscall.EACCES), "listen: :80 needs a right that hale does not have; use a port above 1023, systemd's socket, or CAP_NET_BIND_SERVICE: permission denied"},
		{"another machine's", "admin", "203.0.113.1:8086", bind(syscall.EADDRNOTAVAIL), "admin: this machine does not have the address of 203.0.113.1:8086; set admin in hale.yaml to one that it has, or to the port alone for all: cannot assign requested address"},
		{"no name", "listen", "web.invalid:80", &net.OpError{Op: "listen", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "web.invalid"}}, "listen: the name in web.invalid:80 does not resolve; set listen in hale.yaml to an address of this machine, or to the port alone for all: listen tcp: lookup web.invalid: no such host"},
		{"else", "listen", ":80", bind(syscall.ENOBUFS), "listen: listen tcp: bind: no buffer space available"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := cannotListen(tt.key, tt.address, tt.err).Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
