package port

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"hale/checks"
	"hale/internal/listenqueue"
)

// listener is a socket that listens.
type listener struct {
	address netip.Addr // of a port
	port    int
	path    string // of a unix socket
	inode   uint64

	// Connections that wait to be accepted, and how many may; 0 if that is not
	// known.
	waiting, limit int
}

// taken is the share of the queue that is taken.
func (l listener) taken() checks.Percent {
	if l.limit == 0 {
		return 0
	}
	return checks.Percent(min(float64(l.waiting)/float64(l.limit)*100, 100))
}

// listening asks the kernel for the sockets that listen: by netlink, which tells
// the length of the queues too, or where that is not allowed, by the files of
// /proc/net. There may be others among them than those asked for.
func (c *Check) listening(ctx context.Context) ([]listener, error) {
	if c.fs.Root == "" && c.protocol() == "tcp" {
		all, err := c.diagnose(ctx)
		if err == nil || ctx.Err() != nil {
			return all, err
		}
	}
	if c.Socket != "" {
		content, err := c.fs.Read("proc/net/unix")
		if err != nil {
			return nil, err
		}
		return parseUnix(content), nil
	}
	content, err := c.fs.Read("proc/net/" + c.protocol())
	if err != nil {
		return nil, err
	}
	all := parseInet(content, c.protocol())
	if content, err := c.fs.Read("proc/net/" + c.protocol() + "6"); err == nil { // none without IPv6
		all = append(all, parseInet(content, c.protocol())...)
	}
	return all, nil
}

// diagnose asks by netlink.
func (c *Check) diagnose(ctx context.Context) ([]listener, error) {
	var sockets []listenqueue.Socket
	var err error
	if c.Socket != "" {
		sockets, err = listenqueue.At(ctx, c.Socket)
		if errors.Is(err, listenqueue.ErrAbsent) || errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	} else {
		sockets, err = listenqueue.OnPort(uint16(c.Port)) //nolint:gosec // Validate bounds it
	}
	if err != nil {
		return nil, err
	}
	var all []listener
	for _, s := range sockets {
		all = append(all, listener{
			address: s.Bound().Addr().Unmap(), port: c.Port, path: c.Socket, inode: uint64(s.Inode),
			waiting: s.Waiting, limit: s.Limit,
		})
	}
	return all, nil
}

// States of sockets in the tables (include/net/tcp_states.h). A UDP socket
// without a peer is in that of a closed one.
const (
	stateListen = "0A"
	stateClosed = "07"
)

// parseInet reads /proc/net/tcp, tcp6, udp or udp6: "0: 0100007F:1F90
// 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 ...", which
// are a number, the local and remote addresses, the state, the queues for
// sending and receiving, timers, the user and the inode (proc(5)).
func parseInet(content, protocol string) []listener {
	state := stateListen
	if protocol == "udp" {
		state = stateClosed
	}
	var all []listener
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != state {
			continue
		}
		address, port, err := parseEnd(fields[1])
		inode, inodeErr := strconv.ParseUint(fields[9], 10, 64)
		_, queue, _ := strings.Cut(fields[4], ":")
		waiting, queueErr := strconv.ParseUint(queue, 16, 31)
		if err != nil || inodeErr != nil || queueErr != nil {
			continue
		}
		l := listener{address: address, port: port, inode: inode}
		if protocol == "tcp" { // for UDP it counts bytes
			l.waiting = int(waiting)
		}
		all = append(all, l)
	}
	return all
}

// parseEnd reads an address and a port: 32-bit words in hexadecimal, each in
// the machine's own order, which is little-endian wherever Linux is common.
func parseEnd(text string) (netip.Addr, int, error) {
	words, number, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(words)
	if err != nil {
		return netip.Addr{}, 0, err
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	address, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.Addr{}, 0, errors.New("not an address")
	}
	port, err := strconv.ParseUint(number, 16, 16)
	return address.Unmap(), int(port), err
}

// parseUnix reads /proc/net/unix: "ffff8881: 00000002 00000000 00010000 0001 01
// 12345 /run/app.sock", of which the fourth are flags, the fifth and sixth type
// and state, then the inode and the path. Abstract names begin with "@".
func parseUnix(content string) []listener {
	const accepts = 1 << 16 // SO_ACCEPTCON
	var all []listener
	for line := range strings.Lines(content) {
		// A path may have spaces.
		fields := strings.SplitN(strings.TrimRight(strings.Join(strings.Fields(line), " "), "\n"), " ", 8)
		if len(fields) < 8 {
			continue
		}
		flags, err := strconv.ParseUint(fields[3], 16, 64)
		inode, inodeErr := strconv.ParseUint(fields[6], 10, 64)
		if err != nil || inodeErr != nil || flags&accepts == 0 {
			continue
		}
		all = append(all, listener{path: clean(fields[7]), inode: inode})
	}
	return all
}

// clean is a path in its shortest form; abstract names are no paths.
func clean(path string) string {
	if strings.HasPrefix(path, "/") {
		return filepath.Clean(path)
	}
	return path
}

// samePath tells whether a socket that was bound to one path is found at
// another, through symbolic links: /var/run is /run.
func samePath(bound, path string) bool {
	path = clean(path)
	if bound == path {
		return true
	}
	if !strings.HasPrefix(bound, "/") || filepath.Base(bound) != filepath.Base(path) {
		return false
	}
	a, err := filepath.EvalSymlinks(bound)
	b, otherErr := filepath.EvalSymlinks(path)
	return err == nil && otherErr == nil && a == b
}
