package listenqueue

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// What sock_diag(7) is asked with, and answers with; of <linux/sock_diag.h>,
// <linux/inet_diag.h>, <linux/unix_diag.h> and <linux/tcp.h>.
const (
	sockDiagByFamily = 20

	stateEstablished = 1
	stateListen      = 10

	inetMessage    = 72  // size of struct inet_diag_msg
	inetInfo       = 2   // INET_DIAG_INFO
	inetSkMemInfo  = 7   // INET_DIAG_SKMEMINFO
	inetV6Only     = 11  // INET_DIAG_SKV6ONLY
	infoReceived   = 128 // offset of tcpi_bytes_received in struct tcp_info
	memInfoDrops   = 8   // SK_MEMINFO_DROPS, an index of 32-bit numbers
	unixMessage    = 16  // size of struct unix_diag_msg
	unixShowName   = 1 << 0
	unixShowVFS    = 1 << 1
	unixShowQueue  = 1 << 4
	unixAttrName   = 0
	unixAttrVFS    = 1
	unixAttrQueue  = 4
	netlinkHeader  = 16
	attributeAlign = 4
)

var order = binary.NativeEndian

// listeningTCP returns the sockets that listen on a port, or on any for 0.
func listeningTCP(port uint16) ([]Socket, error) {
	var all []Socket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		err := ask(inetRequest(family, 1<<stateListen, port, inetSkMemInfo), func(message []byte) {
			if s, ok := parseInet(message); ok {
				all = append(all, s)
			}
		})
		if err != nil {
			// A service without the right to netlink (RestrictAddressFamilies=
			// of systemd), or a kernel without inet_diag, still has /proc.
			return listeningProc(port, err)
		}
	}
	return all, nil
}

// acceptedTCP returns the inodes of the connections that came to an address and
// were accepted. One that waits has no inode yet. It makes the kernel go through
// its table of all connections, which takes milliseconds where that is large.
func acceptedTCP(bound netip.AddrPort) ([]uint32, error) {
	family := uint8(unix.AF_INET)
	if bound.Addr().Is6() {
		family = unix.AF_INET6 // that of connections over IPv4, too
	}
	var inodes []uint32
	err := ask(inetRequest(family, 1<<stateEstablished, bound.Port(), inetSkMemInfo), func(message []byte) {
		s, ok := parseInet(message)
		if !ok || s.Inode == 0 {
			return
		}
		if to := bound.Addr(); to.IsUnspecified() || to == s.bound.Addr() {
			inodes = append(inodes, s.Inode)
		}
	})
	return inodes, err
}

// inetRequest is a struct inet_diag_req_v2 for the TCP sockets in some states, a
// bit each, whose own port is port, or any for 0. It asks for one attribute more
// of each.
func inetRequest(family uint8, states uint32, port uint16, attribute int) []byte {
	b := make([]byte, 56)
	b[0], b[1], b[2] = family, unix.IPPROTO_TCP, 1<<(attribute-1)
	order.PutUint32(b[4:], states)
	binary.BigEndian.PutUint16(b[8:], port)
	return b
}

// parseInet reads a struct inet_diag_msg and the attributes behind it.
func parseInet(b []byte) (Socket, bool) {
	if len(b) < inetMessage {
		return Socket{}, false
	}
	addr := netip.AddrFrom4([4]byte(b[8:]))
	if b[0] == unix.AF_INET6 {
		addr = netip.AddrFrom16([16]byte(b[8:]))
	}
	s := Socket{
		bound:   netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[4:])),
		Waiting: int(order.Uint32(b[56:])),
		Limit:   int(order.Uint32(b[60:])),
		Inode:   order.Uint32(b[68:]),
	}
	s.Address = s.bound.String()
	for kind, value := range attributes(b[inetMessage:]) {
		switch {
		case kind == inetSkMemInfo && len(value) >= 4*(memInfoDrops+1):
			s.Drops = order.Uint32(value[4*memInfoDrops:])
		case kind == inetV6Only && len(value) > 0:
			s.V6Only = value[0] != 0
		}
	}
	return s, true
}

// connections is Connections by sock_diag.
func connections() ([]Connection, error) {
	const all = 1<<12 - 1
	var found []Connection
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		err := ask(inetRequest(family, all&^(1<<stateListen), 0, inetInfo), func(message []byte) {
			if c, ok := parseConnection(message); ok {
				found = append(found, c)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// parseConnection reads a struct inet_diag_msg and the struct tcp_info behind it.
func parseConnection(b []byte) (Connection, bool) {
	s, ok := parseInet(b)
	if !ok {
		return Connection{}, false
	}
	addr := netip.AddrFrom4([4]byte(b[24:]))
	if b[0] == unix.AF_INET6 {
		addr = netip.AddrFrom16([16]byte(b[24:])).Unmap()
	}
	c := Connection{
		Local:    netip.AddrPortFrom(s.bound.Addr().Unmap(), s.bound.Port()),
		Remote:   netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[6:])),
		State:    State(b[1]),
		Inode:    s.Inode,
		Received: -1,
	}
	for kind, value := range attributes(b[inetMessage:]) {
		if kind == inetInfo && len(value) >= infoReceived+8 {
			c.Received = int64(min(order.Uint64(value[infoReceived:]), math.MaxInt64))
		}
	}
	return c, true
}

// unixSocket is a Socket with the inode of the file it is bound to, 0 if there
// is none.
type unixSocket struct {
	Socket
	file uint32
}

func listeningUnix() ([]unixSocket, error) {
	var all []unixSocket
	err := ask(unixRequest(stateListen), func(message []byte) {
		if s, ok := parseUnix(message); ok {
			all = append(all, s)
		}
	})
	return all, err
}

// acceptedUnix returns the inodes of the connections that came to a name and
// were accepted: those bear the listener's name, and the kernel leaves out what
// still waits.
func acceptedUnix(name string) ([]uint32, error) {
	var inodes []uint32
	err := ask(unixRequest(stateEstablished), func(message []byte) {
		if s, ok := parseUnix(message); ok && s.Address == name {
			inodes = append(inodes, s.Inode)
		}
	})
	return inodes, err
}

// unixRequest is a struct unix_diag_req for the sockets in a state.
func unixRequest(state uint) []byte {
	b := make([]byte, 24)
	b[0] = unix.AF_UNIX
	order.PutUint32(b[4:], 1<<state)
	order.PutUint32(b[12:], unixShowName|unixShowVFS|unixShowQueue)
	return b
}

// parseUnix reads a struct unix_diag_msg and the attributes behind it.
func parseUnix(b []byte) (unixSocket, bool) {
	if len(b) < unixMessage {
		return unixSocket{}, false
	}
	s := unixSocket{Socket: Socket{Inode: order.Uint32(b[4:]), unix: true}}
	for kind, value := range attributes(b[unixMessage:]) {
		switch {
		case kind == unixAttrName:
			// An abstract name begins with a zero byte, and is written with @.
			s.Address = strings.TrimRight(string(value), "\x00")
			if name, ok := strings.CutPrefix(s.Address, "\x00"); ok {
				s.Address = "@" + name
			}
		case kind == unixAttrVFS && len(value) >= 8:
			s.file = order.Uint32(value)
		case kind == unixAttrQueue && len(value) >= 8:
			s.Waiting, s.Limit = int(order.Uint32(value)), int(order.Uint32(value[4:]))
		}
	}
	return s, true
}

// attributes yields the netlink attributes in b.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			size := int(order.Uint16(b))
			if size < 4 || size > len(b) {
				return
			}
			if !yield(order.Uint16(b[2:]), b[4:size]) {
				return
			}
			b = b[min(len(b), align(size)):]
		}
	}
}

func align(n int) int { return (n + attributeAlign - 1) &^ (attributeAlign - 1) }

// ask sends a request for a dump, and hands over each message of the answer.
func ask(request []byte, each func(message []byte)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	// The kernel answers while it is asked; nobody else can keep us waiting.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	message := make([]byte, netlinkHeader, netlinkHeader+len(request))
	order.PutUint32(message, uint32(netlinkHeader+len(request))) //nolint:gosec // 72 at most
	order.PutUint16(message[4:], sockDiagByFamily)
	order.PutUint16(message[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	message = append(message, request...)
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return os.NewSyscallError("recvfrom", err)
		}
		done, err := messages(buf[:n], each)
		if done || err != nil {
			return err
		}
	}
}

// messages hands over each message in b; done means that the last one of the
// answer was among them.
func messages(b []byte, each func(message []byte)) (done bool, err error) {
	for len(b) >= netlinkHeader {
		size := int(order.Uint32(b))
		if size < netlinkHeader || size > len(b) {
			return true, errShort
		}
		body := b[netlinkHeader:size]
		switch order.Uint16(b[4:]) {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return true, errShort
			}
			return true, unix.Errno(-int32(order.Uint32(body))) //nolint:gosec // an error number, negated
		case sockDiagByFamily:
			each(body)
		}
		b = b[min(len(b), align(size)):]
	}
	return false, nil
}

var errShort = errors.New("a cut message of netlink")
