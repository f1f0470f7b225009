package yamlfile

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// ValueError says what is wrong with a value without repeating it: the value
// may come from the environment, and only the decoder knows whether it may be
// shown. The text goes on after the value: "is not a size; write 64KiB".
type ValueError string

func (e ValueError) Error() string { return "the value " + string(e) }

// Address is where to listen: "host:port" or ":port". Empty means off, where
// off is allowed.
type Address string

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Address) UnmarshalText(b []byte) error {
	s := string(b)
	if IsDigits(s) {
		return ValueError(`is a port without an address; put a colon before it, as in ":8080"`)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return ValueError(`is not an address; write ":8080" or "127.0.0.1:8080"`)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return ValueError(`has no port from 0 to 65535; write ":8080" or "127.0.0.1:8080"`)
	}
	if host != "" && !IsHost(host) {
		return ValueError(`has no valid host before the port; write ":8080" or "127.0.0.1:8080"`)
	}
	*a = Address(s)
	return nil
}

// LogTarget is where a log goes: LogStdout, LogStderr, or the name of a file.
// Empty means off.
type LogTarget string

// Targets that are not files.
const (
	LogOff    LogTarget = ""
	LogStdout LogTarget = "stdout"
	LogStderr LogTarget = "stderr"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LogTarget) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return ValueError("names no file; write a file name, stdout, stderr or off")
	}
	*l = LogTarget(b)
	return nil
}

// IsDigits tells whether s is made of digits alone.
func IsDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// IsHost tells whether s is an IP address or a name made of the letters that
// host names have (RFC 1123), and of underscores, which some networks use.
func IsHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// Overlap tells whether two addresses cannot be listened on at once.
func Overlap(a, b string) bool {
	aHost, aPort, aErr := net.SplitHostPort(a)
	bHost, bPort, bErr := net.SplitHostPort(b)
	if aErr != nil || bErr != nil || aPort != bPort || aPort == "0" {
		return false
	}
	return IsAny(aHost) || IsAny(bHost) || strings.EqualFold(aHost, bHost)
}

// IsAny tells whether host stands for all addresses of a machine.
func IsAny(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// IsLoopback tells whether host is this machine alone.
func IsLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}
