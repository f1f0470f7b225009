package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"hale/internal/machine"
)

// DefaultAddress is where Bind listens if it is told nothing.
const DefaultAddress = ":8080"

// Bind listens on an address as people write it: ":8080", "8080",
// "127.0.0.1:8080", "[::1]:8080"; "" is DefaultAddress, and port 0 one that is
// free. The error says who has the port, and the way out.
func Bind(ctx context.Context, address string) (net.Listener, error) {
	host, port, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	where := net.JoinHostPort(host, strconv.Itoa(int(port)))
	var config net.ListenConfig
	ln, err := config.Listen(ctx, "tcp", where)
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: %s has the port; stop it for the time, or take another port: hale listen %s",
			where, holder(port), net.JoinHostPort(host, strconv.Itoa(int(nextFree(ctx, host, port)))))
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("listen on %s: only root may listen on so low a port; use sudo, or a port from 1024: hale listen %s",
			where, net.JoinHostPort(host, "8080"))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("listen on %s: this machine has no such address, but %s; leave the address out to take all: hale listen :%d",
			where, strings.Join(ownAddresses(), ", "), port)
	}
	return nil, fmt.Errorf("listen on %s: %w; write [HOST]:PORT, such as :8080 or 127.0.0.1:8080", where, errors.Unwrap(err))
}

// nextFree returns the next port on which one can listen; 0, which is any, if
// none of the next many is free.
func nextFree(ctx context.Context, host string, port uint16) uint16 {
	const many = 100
	var config net.ListenConfig
	for p := int(port) + 1; p <= min(int(port)+many, 65535); p++ {
		if ln, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(p))); err == nil {
			_ = ln.Close()
			return uint16(p) //nolint:gosec // at most 65535
		}
	}
	return 0
}

// parseAddress takes an address apart.
func parseAddress(address string) (host string, port uint16, err error) {
	if address == "" {
		address = DefaultAddress
	}
	wrong := fmt.Errorf("%q is no address to listen on: write [HOST]:PORT, such as :8080 or 127.0.0.1:8080", address)
	number := address
	if strings.Contains(address, ":") {
		if host, number, err = net.SplitHostPort(address); err != nil {
			return "", 0, wrong
		}
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || strings.ContainsAny(host, "/ ") {
		return "", 0, wrong
	}
	return host, uint16(n), nil
}

// holder names the program that listens on a port.
func holder(port uint16) string {
	sockets, err := machine.ListenersOn(port)
	if err == nil {
		for _, s := range sockets {
			if o := s.Owner(); o.PID != 0 {
				return fmt.Sprintf("%s (pid %d)", printable(o.Program), o.PID)
			}
		}
		if len(sockets) > 0 {
			return fmt.Sprintf("another user's program (sudo ss -ltnp 'sport = :%d' tells which)", port)
		}
	}
	return "another program"
}

// ownAddresses are this machine's addresses, without those of single links.
func ownAddresses() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var own []string
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
			own = append(own, p.Addr().String())
		}
	}
	return own
}

// Reached tells where clients reach a listener, as host:port: an address of each
// kind that this machine has, loopback last.
func Reached(ln net.Listener) []string {
	at := addressOf(ln.Addr())
	if !at.Addr().IsUnspecified() {
		return []string{at.String()}
	}
	var far, near []string
	for _, own := range ownAddresses() {
		ip := netip.MustParseAddr(own)
		where := netip.AddrPortFrom(ip, at.Port()).String()
		if ip.IsLoopback() {
			near = append(near, where)
		} else {
			far = append(far, where)
		}
	}
	return slices.Concat(far, near)
}
