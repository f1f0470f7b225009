package config

import (
	"errors"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"hale/gateway"
	"hale/internal/upstream"
)

// The types below each hold one kind of value and refuse the wrong ones.

// valueError says what is wrong with a value without repeating it: the value
// may come from the environment, and only the decoder knows whether it may be
// shown. The text goes on after the value: "is not a size; write 64KiB".
type valueError string

func (e valueError) Error() string { return "the value " + string(e) }

// Address is where to listen: "host:port" or ":port". Empty means off, where
// off is allowed.
type Address string

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Address) UnmarshalText(b []byte) error {
	s := string(b)
	if isDigits(s) {
		return valueError(`is a port without an address; put a colon before it, as in ":8080"`)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return valueError(`is not an address; write ":8080" or "127.0.0.1:8080"`)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return valueError(`has no port from 0 to 65535; write ":8080" or "127.0.0.1:8080"`)
	}
	if host != "" && !isHost(host) {
		return valueError(`has no valid host before the port; write ":8080" or "127.0.0.1:8080"`)
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
		return valueError("names no file; write a file name, stdout, stderr or off")
	}
	*l = LogTarget(b)
	return nil
}

// AppURL is where the app answers, as upstream.Parse reads it. Empty means that
// there is no app to proxy to.
type AppURL string

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *AppURL) UnmarshalText(b []byte) error {
	if _, err := upstream.Parse(string(b)); err != nil {
		return valueError("is not where an app can answer; " + err.Error())
	}
	*u = AppURL(b)
	return nil
}

// HostPattern is one of the hosts that may be asked for, as gateway.Settings.Hosts
// reads it.
type HostPattern string

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *HostPattern) UnmarshalText(b []byte) error {
	*h = HostPattern(b)
	return asGatewaySays(gateway.Settings{Hosts: []string{string(b)}})
}

// asGatewaySays returns what the gateway has against its settings.
func asGatewaySays(s gateway.Settings) error {
	_, err := gateway.New(s)
	if wrong, ok := errors.AsType[*gateway.SettingError](err); ok {
		return valueError(wrong.Problem)
	}
	return err
}

// InstanceAddress says where the instance's own addresses are learnt from:
// InstanceAddressAuto, or "file:" and the name of a file. Empty means off.
type InstanceAddress string

// InstanceAddressAuto asks metadata services, then the network interfaces.
const InstanceAddressAuto InstanceAddress = "auto"

// File returns the name of the file with the addresses, if there is one.
func (a InstanceAddress) File() (name string, ok bool) {
	return strings.CutPrefix(string(a), "file:")
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *InstanceAddress) UnmarshalText(b []byte) error {
	s := InstanceAddress(b)
	if name, ok := s.File(); ok {
		if name == "" {
			return valueError("names no file; write file:/etc/aws/ipv4")
		}
	} else if s != InstanceAddressAuto {
		return valueError("is not known; write auto, off, or file: and the name of a file, as in file:/etc/aws/ipv4")
	}
	*a = s
	return nil
}

// HealthPath is the path of the health answer, without a slash at its end.
type HealthPath string

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *HealthPath) UnmarshalText(b []byte) error {
	s := string(b)
	switch {
	case s == "":
		return valueError("is no path; write /health")
	case strings.Trim(s, "/") == "":
		return valueError("would hide the app's home page; write a path of its own, such as /health")
	case s[0] == '/' && (path.Clean(s) != strings.TrimSuffix(s, "/") || strings.Contains(s, "%")):
		return valueError(`has doubled slashes, dots or escapes in it; write a plain path, such as /health`)
	}
	*p = HealthPath(strings.TrimSuffix(s, "/"))
	return asGatewaySays(gateway.Settings{HealthPath: s})
}

// ReferrerPolicy is a value of the Referrer-Policy header.
type ReferrerPolicy string

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *ReferrerPolicy) UnmarshalText(b []byte) error {
	*r = ReferrerPolicy(b)
	return asGatewaySays(gateway.Settings{ReferrerPolicy: string(b)})
}

// Details says who sees the names and outputs of checks. Either Token is set,
// or Level is one of the constants below.
type Details struct {
	Level string
	Token string // bearer token that a request must bring
}

// Values of Details.Level.
const (
	DetailsNever    = "never"
	DetailsLoopback = "loopback" // requests from this machine
	DetailsPrivate  = "private"  // requests from private networks
	DetailsAlways   = "always"
)

// minToken is the shortest bearer token that is taken: 16 characters of base64
// are 96 bits, too many to guess.
const minToken = 16

// secret implements secret: what is meant to be a token may be wrong.
func (*Details) secret() {}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Details) UnmarshalText(b []byte) error {
	s := string(b)
	words := []string{DetailsNever, DetailsLoopback, DetailsPrivate, DetailsAlways}
	if slices.Contains(words, s) {
		*d = Details{Level: s}
		return nil
	}
	if near := Nearest(s, words); near != "" {
		return valueError("is not known; did you mean " + near + "?")
	}
	if len(s) < minToken {
		return valueError("is too short for a bearer token; write never, loopback, private, always, or a token of at least " + strconv.Itoa(minToken) + " characters")
	}
	// RFC 6750 section 2.1, b64token.
	if strings.Trim(strings.TrimRight(s, "="), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") != "" {
		return valueError("has characters that a bearer token cannot have; write letters, digits and - . _ ~ + / alone")
	}
	*d = Details{Token: s}
	return nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// isHost tells whether s is an IP address or a name made of the letters that
// host names have (RFC 1123), and of underscores, which some networks use.
func isHost(s string) bool {
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
