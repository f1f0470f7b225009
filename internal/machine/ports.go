package machine

import (
	"fmt"
	"strconv"
	"strings"

	"hale/internal/proc"
)

// LocalPorts returns the range from which Linux takes a port where a program
// asks for none (net.ipv4.ip_local_port_range, ip(7)): a server that listens
// there has probably been told no port. A task of ECS whose host port is 0 gets
// one of these, too.
func LocalPorts() (first, last uint16, err error) {
	const name = "proc/sys/net/ipv4/ip_local_port_range"
	if err := supported(); err != nil {
		return 0, 0, err
	}
	content, err := proc.FS{}.Read(name)
	if err != nil {
		return 0, 0, err
	}
	first, last, ok := parsePortRange(content)
	if !ok {
		return 0, 0, fmt.Errorf("not in the form that is known: /%s", name)
	}
	return first, last, nil
}

// FirstUnprivilegedPort returns the lowest port that a process may listen on
// without root's rights or CAP_NET_BIND_SERVICE
// (net.ipv4.ip_unprivileged_port_start, Linux 4.11 and newer; mostly 1024).
func FirstUnprivilegedPort() (uint16, error) {
	const name = "proc/sys/net/ipv4/ip_unprivileged_port_start"
	if err := supported(); err != nil {
		return 0, err
	}
	content, err := proc.FS{}.Read(name)
	if err != nil {
		return 0, err
	}
	port, err := strconv.ParseUint(strings.TrimSpace(content), 10, 16)
	if err != nil {
		return 0, fmt.Errorf("not in the form that is known: /%s", name)
	}
	return uint16(port), nil
}
