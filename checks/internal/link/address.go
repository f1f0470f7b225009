package link

import (
	"net"
	"strconv"

	"hale/checks"
)

// ValidateAddress refuses an option that is neither host:port nor, if sockets
// are allowed, the absolute path of a unix socket. Example is a good one.
func ValidateAddress(key, address, example string, sockets bool) error {
	or := ""
	if sockets {
		or = " or the path of a unix socket"
	}
	if address == "" {
		return checks.Optionf(key, "is missing: write host:port%s, such as %s", or, example)
	}
	if sockets && Network(address) == "unix" {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return checks.Optionf(key, "%q is not host:port%s: write it as %s", address, or, example)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return checks.Optionf(key, "%q has no port from 1 to 65535", address)
	}
	return nil
}

// Host returns the host of an address, by which its certificate goes; localhost
// for a unix socket.
func Host(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "localhost"
	}
	return host
}
