// Package listenqueue asks the kernel of Linux how many connections wait on a
// listening socket, which is how a server that is too busy looks from outside:
// the kernel has taken its clients' connections, and the server has not.
//
// It asks by sock_diag(7), as ss(8) does. That takes no rights, costs the server
// nothing, and sees the sockets of this network namespace only.
package listenqueue

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"hale/internal/explain"
	"hale/internal/proc"
)

// Socket is a listening socket.
type Socket struct {
	Address string // host:port, or what a unix socket was bound to: mostly its path
	Inode   uint32
	Waiting int    // connections that the server has not accepted yet
	Limit   int    // how many may wait before more are refused; 0: not known
	Drops   uint32 // connections turned away so far, since the queue was full; TCP alone. It may wrap around.
	// V6Only tells that a socket on an IPv6 address takes no connections over
	// IPv4. Where Limit is not known, neither is this.
	V6Only bool

	unix  bool
	bound netip.AddrPort // TCP
}

// ErrAbsent means that nobody listens.
var ErrAbsent = errors.New("nobody listens")

// At returns the sockets that listen at an address, host:port, the absolute path
// of a unix socket or @ and its abstract name: more than one where several share
// a port (SO_REUSEPORT). If there is none, the error is ErrAbsent. Errors are
// explained.
func At(ctx context.Context, address string) ([]Socket, error) {
	switch {
	case strings.HasPrefix(address, "/"):
		return atPath(address)
	case strings.HasPrefix(address, "@"):
		return atName(address)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, explain.Network(err, address)
	}
	all, err := listeningTCP(uint16(number))
	if err != nil {
		return nil, cannotAsk(err)
	}
	return found(among(all, addrs, uint16(number)), address)
}

// OnPort returns the sockets that listen on a TCP port, on whatever addresses;
// none if there is none. Errors are explained.
func OnPort(port uint16) ([]Socket, error) {
	all, err := listeningTCP(port)
	if err != nil {
		return nil, cannotAsk(err)
	}
	return slices.DeleteFunc(all, func(s Socket) bool { return s.bound.Port() != port }), nil
}

// Bound is the address and port that a TCP socket listens on.
func (s Socket) Bound() netip.AddrPort { return s.bound }

// Unix tells whether it is a unix socket.
func (s Socket) Unix() bool { return s.unix }

// among picks the sockets that connections to one of the addresses come to: as
// the kernel does, one bound to just that address before one bound to all.
func among(all []Socket, addrs []netip.Addr, port uint16) []Socket {
	for _, addr := range addrs {
		addr = addr.Unmap().WithZone("")
		var exact, wide []Socket
		for _, s := range all {
			switch bound := s.bound.Addr().Unmap(); {
			case s.bound.Port() != port:
			case bound == addr:
				exact = append(exact, s)
			case bound.IsUnspecified() && (bound.Is4() == addr.Is4() || bound.Is6() && !s.V6Only):
				wide = append(wide, s)
			}
		}
		if len(exact) > 0 {
			return exact
		}
		if len(wide) > 0 {
			return wide
		}
	}
	return nil
}

// atPath finds the socket that a path leads to: by the file's inode, since the
// name may be that of an older server, whose file was replaced; else by name.
func atPath(path string) ([]Socket, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return nil, explain.Network(err, path)
	}
	all, err := listeningUnix()
	if err != nil {
		return nil, cannotAsk(err)
	}
	var byFile, byName []Socket
	for _, s := range all {
		switch {
		case filepath.Base(s.Address) != filepath.Base(path):
		case uint64(s.file) == st.Ino:
			byFile = append(byFile, s.Socket)
		case s.Address == path:
			byName = append(byName, s.Socket)
		}
	}
	if len(byFile) > 0 {
		return byFile, nil
	}
	return found(byName, path)
}

func atName(name string) ([]Socket, error) {
	all, err := listeningUnix()
	if err != nil {
		return nil, cannotAsk(err)
	}
	var named []Socket
	for _, s := range all {
		if s.Address == name {
			named = append(named, s.Socket)
		}
	}
	return found(named, name)
}

func found(sockets []Socket, address string) ([]Socket, error) {
	if len(sockets) == 0 {
		return nil, &explain.Error{Text: "nobody listens on this machine: " + address, Err: ErrAbsent}
	}
	return sockets, nil
}

func cannotAsk(err error) error {
	return &explain.Error{Text: "the kernel does not tell of its listening sockets: " + explain.Innermost(err), Err: err}
}

// Of returns the listening sockets that a process holds, in the order of their
// addresses. It takes the right to look into the process: its user, or root.
func Of(pid int) ([]Socket, error) {
	inodes, err := proc.FS{}.Sockets(pid)
	if err != nil {
		return nil, err
	}
	all, err := All()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(s Socket) bool { return !inodes[uint64(s.Inode)] }), nil
}

// All returns the sockets that listen in this network namespace, in the order of
// their addresses. Errors are explained.
func All() ([]Socket, error) {
	all, err := listeningTCP(0)
	if err != nil {
		return nil, cannotAsk(err)
	}
	unix, err := listeningUnix()
	if err != nil {
		return nil, cannotAsk(err)
	}
	for _, s := range unix {
		all = append(all, s.Socket)
	}
	slices.SortFunc(all, func(a, b Socket) int { return cmp.Compare(a.Address, b.Address) })
	return all, nil
}

// Accepted returns the inodes of the connections to a listening socket that its
// server has accepted and not closed yet, in ascending order.
func Accepted(s Socket) ([]uint32, error) {
	var inodes []uint32
	var err error
	if s.unix {
		inodes, err = acceptedUnix(s.Address)
	} else {
		inodes, err = acceptedTCP(s.bound)
	}
	if err != nil {
		return nil, cannotAsk(err)
	}
	slices.Sort(inodes)
	return inodes, nil
}
