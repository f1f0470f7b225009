package machine

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"hale/internal/listenqueue"
	"hale/internal/proc"
)

// Socket is a socket that listens: of TCP, or a unix socket.
type Socket struct {
	// Address is where a TCP socket listens; Path is a unix socket's, which
	// begins with @ where it is an abstract name.
	Address netip.AddrPort
	Path    string
	Inode   uint32
	// Waiting is how many connections its server has not accepted yet; more than
	// Backlog may not wait, 0: not known. Who comes then is dropped by the
	// kernel without an answer, as by a firewall.
	Waiting, Backlog int
	// Drops counts those, of TCP; it may wrap around.
	Drops uint32
	// V6Only tells that [::] does not stand for the IPv4 addresses, too.
	V6Only bool
	// Owners are the processes that hold it, a parent before its children; none
	// where this process has no right to know.
	Owners []Owner
}

// Owner is a process that holds a socket.
type Owner struct {
	PID     int
	Program string // as the kernel has it: at most 15 bytes
}

// String is the address or the path.
func (s Socket) String() string {
	if s.Path != "" {
		return s.Path
	}
	return s.Address.String()
}

// Owner is the process that opened the socket, the first of its owners; the zero
// value if that is not known.
func (s Socket) Owner() Owner {
	if len(s.Owners) == 0 {
		return Owner{}
	}
	return s.Owners[0]
}

// Full tells whether the queue has no room left: the kernel drops who comes now.
// Linux lets one more wait than the backlog says.
func (s Socket) Full() bool { return s.Backlog > 0 && s.Waiting > s.Backlog }

// Accepts tells whether connections to an address of this machine, at the
// socket's port, may reach it. Another socket may be nearer: the kernel prefers
// one that is bound to just that address.
func (s Socket) Accepts(ip netip.Addr) bool {
	bound, ip := s.Address.Addr().Unmap(), ip.Unmap().WithZone("")
	switch {
	case s.Path != "" || !bound.IsValid():
		return false
	case !bound.IsUnspecified():
		return bound.WithZone("") == ip
	default:
		return bound.Is4() == ip.Is4() || bound.Is6() && !s.V6Only
	}
}

// Listeners returns the sockets that listen on this machine, as far as this
// network namespace sees them: TCP's by their ports, then unix sockets by their
// paths.
func Listeners() ([]Socket, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	all, err := listenqueue.All()
	if err != nil {
		return nil, err
	}
	owners := ownersOf()
	sockets := make([]Socket, 0, len(all))
	for _, found := range all {
		s := Socket{
			Inode: found.Inode, Waiting: found.Waiting, Backlog: found.Limit, Drops: found.Drops,
			V6Only: found.V6Only, Owners: owners[uint64(found.Inode)],
		}
		if found.Unix() {
			s.Path = found.Address
		} else {
			s.Address = found.Bound()
		}
		sockets = append(sockets, s)
	}
	slices.SortStableFunc(sockets, func(a, b Socket) int {
		return cmp.Or(
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Address.Port(), b.Address.Port()),
			a.Address.Addr().Compare(b.Address.Addr()),
			cmp.Compare(a.Owner().PID, b.Owner().PID),
		)
	})
	return sockets, nil
}

// ListenersOn returns the TCP sockets that listen on a port; none if there is
// none.
func ListenersOn(port uint16) ([]Socket, error) {
	all, err := Listeners()
	return slices.DeleteFunc(all, func(s Socket) bool { return s.Path != "" || s.Address.Port() != port }), err
}

// ListenerAt returns the sockets that connections to an address come to: as the
// kernel chooses, one bound to just that address before one bound to all; several
// where they share the port (SO_REUSEPORT); none if nobody listens there.
func ListenerAt(address netip.AddrPort) ([]Socket, error) {
	all, err := ListenersOn(address.Port())
	all = slices.DeleteFunc(all, func(s Socket) bool { return !s.Accepts(address.Addr()) })
	if near := slices.DeleteFunc(slices.Clone(all), func(s Socket) bool { return s.Address.Addr().IsUnspecified() }); len(near) > 0 {
		return near, err
	}
	return all, err
}

// ownersOf returns the processes that hold each socket, by its inode, as far as
// they let themselves be seen.
func ownersOf() map[uint64][]Owner {
	owners := make(map[uint64][]Owner)
	all, err := proc.FS{}.Processes()
	if err != nil {
		return owners
	}
	holds := make(map[int]map[uint64]bool)
	for _, p := range all {
		if inodes, err := (proc.FS{}).Sockets(p.PID); err == nil {
			holds[p.PID] = inodes
		}
	}
	// First those who have it from nobody: numbers start anew one day, so that a
	// child's may be below its parent's.
	for _, heir := range []bool{false, true} {
		for _, p := range all {
			for inode := range holds[p.PID] {
				if holds[p.Parent][inode] == heir {
					owners[inode] = append(owners[inode], Owner{p.PID, p.Name})
				}
			}
		}
	}
	return owners
}

// Counters are how often, since the machine or the container was started, the
// kernel turned a connection away from a socket that listens (of all programs).
type Counters struct {
	// Overflows counts those that found the queue full, Drops these and all
	// others (TcpExtListenOverflows, TcpExtListenDrops of /proc/net/netstat).
	Overflows, Drops uint64
}

// ReadCounters reads them. A queue that is full makes them grow from one probe to
// the next; a firewall does not.
func ReadCounters() (Counters, error) {
	if err := supported(); err != nil {
		return Counters{}, err
	}
	content, err := proc.FS{}.Read("proc/net/netstat")
	if err != nil {
		return Counters{}, err
	}
	c, ok := parseCounters(content)
	if !ok {
		return Counters{}, fmt.Errorf("not in the form that is known: /proc/net/netstat")
	}
	return c, nil
}
