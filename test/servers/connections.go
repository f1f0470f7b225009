package servers

import (
	"encoding/hex"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Connections counts the connections that the kernel holds for the server on an
// address of 127.0.0.1, host:port: those that are open, those that wait for the
// server to accept them, and those that the client has closed and the server
// has not. It is for servers that cannot tell themselves.
func Connections(t testing.TB, address string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(file)
		if err != nil {
			missing(t, err.Error())
		}
		for line := range strings.Lines(string(table)) {
			// sl local_address rem_address st: proc_pid_net(5).
			fields := strings.Fields(line)
			if len(fields) < 4 {
				continue
			}
			const established, closeWait = "01", "08"
			if st := fields[3]; st == established || st == closeWait {
				if local, ok := portOf(fields[1]); ok && local == port {
					n++
				}
			}
		}
	}
	return n
}

// portOf reads the port of 0100007F:1F90.
func portOf(hexAddress string) (port string, ok bool) {
	_, digits, _ := strings.Cut(hexAddress, ":")
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != 2 {
		return "", false
	}
	return strconv.Itoa(int(b[0])<<8 | int(b[1])), true
}
