package listenqueue

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// Connection is one end of a TCP connection on this machine, or of what may
// become one.
type Connection struct {
	Local, Remote netip.AddrPort
	State         State
	Inode         uint32 // 0: no process has it, since it waits to be accepted, or was closed
	// Received is how many bytes the other end has sent; -1: not known.
	Received int64
}

// State is what a TCP connection is at (RFC 9293, 3.3.2).
type State uint8

// States, with Linux's numbers (include/net/tcp_states.h).
const (
	Established State = iota + 1
	SynSent
	SynReceived
	FinWait1
	FinWait2
	TimeWait
	Closed
	CloseWait
	LastAck
	listening
	Closing
	newSynReceived // how sock_diag tells of SynReceived
)

// String is the state's name as ss(8) and the documents have it.
func (s State) String() string {
	names := []string{"", "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING"}
	if s == 0 || int(s) >= len(names) {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return names[s]
}

// Connections returns the TCP connections of this network namespace. It makes
// the kernel go through its table of them, which takes milliseconds where that
// is large. Errors are explained.
func Connections() ([]Connection, error) {
	all, err := connections()
	if err != nil {
		all, err = connectionsProc(err)
	}
	if err != nil {
		return nil, cannotAsk(err)
	}
	for i := range all {
		if all[i].State == newSynReceived {
			all[i].State = SynReceived
		}
	}
	return all, nil
}

// connectionsProc is connections by proc_pid_net(5), which does not know how
// much came. It returns err if there is no /proc either.
func connectionsProc(err error) ([]Connection, error) {
	var all []Connection
	found := false
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if content, readErr := os.ReadFile(file); readErr == nil {
			found = true
			all = append(all, parseConnections(string(content))...)
		}
	}
	if !found {
		return nil, err
	}
	return all, nil
}

// parseConnections reads what does not listen of a table such as /proc/net/tcp.
func parseConnections(table string) []Connection {
	var all []Connection
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 10 {
			continue
		}
		local, localErr := parseHexAddress(fields[1])
		remote, remoteErr := parseHexAddress(fields[2])
		state, stateErr := strconv.ParseUint(fields[3], 16, 8)
		inode, inodeErr := strconv.ParseUint(fields[9], 10, 32)
		if localErr != nil || remoteErr != nil || stateErr != nil || inodeErr != nil || State(state) == listening {
			continue
		}
		all = append(all, Connection{
			Local:    netip.AddrPortFrom(local.Addr().Unmap(), local.Port()),
			Remote:   netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port()),
			State:    State(state),
			Inode:    uint32(inode),
			Received: -1,
		})
	}
	return all
}
