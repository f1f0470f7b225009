package machine

import (
	"cmp"
	"net/netip"
	"slices"

	"hale/internal/listenqueue"
	"hale/internal/proc"
)

// Connections are what some processes are connected with.
type Connections struct {
	// Outgoing are the servers that they are clients of, with the most
	// connections first.
	Outgoing []Outgoing
	// Inbound is how many clients are connected; of these, Idle have not sent a
	// byte yet, which holds a worker that serves one connection at a time.
	// IdleKnown tells that the kernel said so.
	Inbound, Idle int
	IdleKnown     bool
	// CloseWait is how many connections the other side has closed and these
	// processes have not: many mean that they leak or are stuck.
	CloseWait int
}

// Outgoing are the connections to one server.
type Outgoing struct {
	Remote netip.AddrPort
	// Established is how many there are, Connecting how many have no answer yet
	// (SYN-SENT): where these stay, something drops them on the way.
	Established, Connecting int
}

// ConnectionsOf looks at the connections of some processes together, such as a
// server and its workers (Family). The error is fs.ErrPermission where none of
// them may be looked into.
func ConnectionsOf(pids ...int) (Connections, error) {
	if err := supported(); err != nil {
		return Connections{}, err
	}
	held := make(map[uint64]bool)
	var refused error
	seen := false
	for _, pid := range pids {
		inodes, err := proc.FS{}.Sockets(pid)
		if err != nil {
			refused = err
			continue
		}
		seen = true
		for inode := range inodes {
			held[inode] = true
		}
	}
	if !seen {
		return Connections{}, refused
	}
	listeners, err := listenqueue.All()
	if err != nil {
		return Connections{}, err
	}
	ports := make(map[uint16]bool) // on which they are servers
	for _, s := range listeners {
		if !s.Unix() && held[uint64(s.Inode)] {
			ports[s.Bound().Port()] = true
		}
	}
	all, err := listenqueue.Connections()
	if err != nil {
		return Connections{}, err
	}
	return summarise(all, held, ports), nil
}

// summarise counts the connections that are held, by the ports at which clients
// come in.
func summarise(all []listenqueue.Connection, held map[uint64]bool, ports map[uint16]bool) Connections {
	c := Connections{IdleKnown: true}
	remotes := make(map[netip.AddrPort]*Outgoing)
	for _, conn := range all {
		if !held[uint64(conn.Inode)] {
			continue
		}
		switch inbound := ports[conn.Local.Port()]; {
		case conn.State == listenqueue.CloseWait:
			c.CloseWait++
		case conn.State != listenqueue.Established && conn.State != listenqueue.SynSent:
		case inbound:
			c.Inbound++
			switch conn.Received {
			case 0:
				c.Idle++
			case -1:
				c.IdleKnown = false
			}
		default:
			if remotes[conn.Remote] == nil {
				remotes[conn.Remote] = &Outgoing{Remote: conn.Remote}
			}
			if conn.State == listenqueue.SynSent {
				remotes[conn.Remote].Connecting++
			} else {
				remotes[conn.Remote].Established++
			}
		}
	}
	for _, o := range remotes {
		c.Outgoing = append(c.Outgoing, *o)
	}
	slices.SortFunc(c.Outgoing, func(a, b Outgoing) int {
		return cmp.Or(cmp.Compare(b.Established+b.Connecting, a.Established+a.Connecting), a.Remote.Compare(b.Remote))
	})
	return c
}

// HalfOpen returns from whom connections to a port are half-open (SYN-RECEIVED):
// their first packet came in, and the answer to ours did not, which is what a
// rule that lets nothing out looks like. One at a time is usual.
func HalfOpen(port uint16) ([]netip.Addr, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	all, err := listenqueue.Connections()
	if err != nil {
		return nil, err
	}
	var from []netip.Addr
	for _, conn := range all {
		if conn.State == listenqueue.SynReceived && conn.Local.Port() == port {
			from = append(from, conn.Remote.Addr())
		}
	}
	return from, nil
}
