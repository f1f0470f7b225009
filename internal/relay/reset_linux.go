package relay

import (
	"net"

	"golang.org/x/sys/unix"
)

const tcpClose = 7 // TCP_CLOSE, in Linux's tcp_states.h

// wasReset reports whether the other side has reset a connection that we have
// not closed.
func wasReset(nc net.Conn) bool {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	var info *unix.TCPInfo
	_ = raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	return err == nil && info != nil && info.State == tcpClose
}
