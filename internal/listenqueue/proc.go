package listenqueue

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// listeningProc is listeningTCP by proc_pid_net(5), which knows no limits and
// no drops. It returns err if there is no /proc either.
func listeningProc(port uint16, err error) ([]Socket, error) {
	var all []Socket
	found := false
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		content, readErr := os.ReadFile(file)
		if readErr != nil {
			continue // no IPv6, for one
		}
		found = true
		for _, s := range parseProc(string(content)) {
			if port == 0 || s.bound.Port() == port {
				all = append(all, s)
			}
		}
	}
	if !found {
		return nil, err
	}
	return all, nil
}

// parseProc reads the listening sockets of a table such as /proc/net/tcp.
func parseProc(table string) []Socket {
	var all []Socket
	for line := range strings.Lines(table) {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != "0A" {
			continue
		}
		bound, err := parseHexAddress(fields[1])
		_, queue, _ := strings.Cut(fields[4], ":")
		waiting, queueErr := strconv.ParseUint(queue, 16, 31)
		inode, inodeErr := strconv.ParseUint(fields[9], 10, 32)
		if err != nil || queueErr != nil || inodeErr != nil {
			continue
		}
		all = append(all, Socket{Address: bound.String(), bound: bound, Waiting: int(waiting), Inode: uint32(inode)})
	}
	return all
}

// parseHexAddress reads 0100007F:1F90. The address is in 32-bit words, each in
// the machine's order of bytes.
func parseHexAddress(text string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if len(b)%4 == 0 {
		for i := 0; i < len(b); i += 4 {
			binary.BigEndian.PutUint32(b[i:], order.Uint32(b[i:]))
		}
	}
	addr, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.AddrPort{}, errNoAddress
	}
	return netip.AddrPortFrom(addr, uint16(number)), nil
}

var errNoAddress = errors.New("neither an IPv4 nor an IPv6 address")
