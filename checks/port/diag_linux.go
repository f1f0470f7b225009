package port

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Sizes and kinds of the messages of sock_diag(7).
const (
	sockDiagByFamily = 20
	inetRequestSize  = 56 // struct inet_diag_req_v2
	inetMessageSize  = 72 // struct inet_diag_msg
	unixRequestSize  = 24 // struct unix_diag_req
	unixMessageSize  = 16 // struct unix_diag_msg
	unixName         = 0  // UNIX_DIAG_NAME
	unixQueue        = 4  // UNIX_DIAG_RQLEN
	showName         = 1  // UDIAG_SHOW_NAME
	showQueue        = 16 // UDIAG_SHOW_RQLEN
	listenBit        = 1 << 10
)

// diagnose asks by netlink for the sockets that listen.
func (c *Check) diagnose(ctx context.Context) ([]listener, error) {
	if c.Socket != "" {
		request := make([]byte, unixRequestSize)
		request[0] = unix.AF_UNIX
		binary.NativeEndian.PutUint32(request[4:], listenBit)
		binary.NativeEndian.PutUint32(request[12:], showName|showQueue)
		return dump(ctx, request, parseUnixDiag)
	}
	var all []listener
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		request := make([]byte, inetRequestSize)
		request[0], request[1] = family, unix.IPPROTO_TCP
		binary.NativeEndian.PutUint32(request[4:], listenBit)
		some, err := dump(ctx, request, parseInetDiag)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// dump sends one request and reads messages until the last one.
func dump(ctx context.Context, request []byte, parse func([]byte) (listener, bool)) ([]listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	// The kernel answers at once; this is for one that does not.
	patience := 5 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, max(time.Until(deadline), time.Millisecond))
	}
	timeout := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return nil, err
	}
	message := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(request))
	message = append(message, request...)
	binary.NativeEndian.PutUint32(message, uint32(len(message))) //nolint:gosec // less than a hundred
	binary.NativeEndian.PutUint16(message[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(message[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var all []listener
	buf := make([]byte, 64<<10)
	for ctx.Err() == nil {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		some, done, err := parseDump(buf[:n], parse)
		all = append(all, some...)
		if done || err != nil {
			return all, err
		}
	}
	return nil, ctx.Err()
}

var errDiag = errors.New("sock_diag is not available")

// parseDump reads one packet of netlink messages; done is true at the last.
func parseDump(packet []byte, parse func([]byte) (listener, bool)) (all []listener, done bool, err error) {
	for len(packet) >= unix.NLMSG_HDRLEN {
		length := int(binary.NativeEndian.Uint32(packet))
		if length < unix.NLMSG_HDRLEN || length > len(packet) {
			return nil, true, errDiag
		}
		switch binary.NativeEndian.Uint16(packet[4:]) {
		case unix.NLMSG_DONE:
			return all, true, nil
		case unix.NLMSG_ERROR:
			return nil, true, errDiag
		case sockDiagByFamily:
			if l, ok := parse(packet[unix.NLMSG_HDRLEN:length]); ok {
				all = append(all, l)
			}
		}
		packet = packet[min(aligned(length), len(packet)):]
	}
	return all, false, nil
}

// aligned rounds up to the four bytes on which messages and attributes begin.
func aligned(n int) int { return (n + 3) &^ 3 }

// parseInetDiag reads struct inet_diag_msg: family, state, timer, retransmits;
// struct inet_diag_sockid of source and destination port, source and
// destination address of 16 bytes each, interface and a cookie of 8; then
// expires, the queues for receiving and sending, user and inode. Of a socket
// that listens, the queues are connections that wait, and how many may.
func parseInetDiag(body []byte) (listener, bool) {
	if len(body) < inetMessageSize {
		return listener{}, false
	}
	address := netip.AddrFrom16([16]byte(body[8:24])).Unmap()
	if body[0] == unix.AF_INET {
		address = netip.AddrFrom4([4]byte(body[8:12]))
	}
	return listener{
		address: address,
		port:    int(binary.BigEndian.Uint16(body[4:])),
		waiting: binary.NativeEndian.Uint32(body[56:]),
		limit:   binary.NativeEndian.Uint32(body[60:]),
		inode:   uint64(binary.NativeEndian.Uint32(body[68:])),
	}, true
}

// parseUnixDiag reads struct unix_diag_msg: family, type, state, a byte of
// nothing, inode and a cookie of 8; then attributes, each with its length and
// kind.
func parseUnixDiag(body []byte) (listener, bool) {
	const header = 4
	if len(body) < unixMessageSize {
		return listener{}, false
	}
	l := listener{inode: uint64(binary.NativeEndian.Uint32(body[4:]))}
	rest := body[unixMessageSize:]
	for len(rest) >= header {
		length := int(binary.NativeEndian.Uint16(rest))
		if length < header || length > len(rest) {
			return listener{}, false
		}
		switch value := rest[header:length]; binary.NativeEndian.Uint16(rest[2:]) {
		case unixName:
			name := string(value)
			if strings.HasPrefix(name, "\x00") {
				name = "@" + name[1:]
			}
			l.path = clean(strings.TrimRight(name, "\x00"))
		case unixQueue:
			if len(value) >= 8 {
				l.waiting, l.limit = binary.NativeEndian.Uint32(value), binary.NativeEndian.Uint32(value[4:])
			}
		}
		rest = rest[min(aligned(length), len(rest)):]
	}
	return l, l.path != ""
}
