package config

import (
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"hale/internal/yamlfile"

	"hale/gateway"
	"hale/internal/upstream"
)

// The types below each hold one kind of value and refuse the wrong ones.

// AppURL is where the app answers, as upstream.Parse reads it. Empty means that
// there is no app to proxy to.
type AppURL string

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *AppURL) UnmarshalText(b []byte) error {
	if _, err := upstream.Parse(string(b)); err != nil {
		return yamlfile.ValueError("is not where an app can answer; " + err.Error())
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
		return yamlfile.ValueError(wrong.Problem)
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
			return yamlfile.ValueError("names no file; write file:/etc/aws/ipv4")
		}
	} else if s != InstanceAddressAuto {
		return yamlfile.ValueError("is not known; write auto, off, or file: and the name of a file, as in file:/etc/aws/ipv4")
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
		return yamlfile.ValueError("is no path; write /health")
	case strings.Trim(s, "/") == "":
		return yamlfile.ValueError("would hide the app's home page; write a path of its own, such as /health")
	case s[0] == '/' && (path.Clean(s) != strings.TrimSuffix(s, "/") || strings.Contains(s, "%")):
		return yamlfile.ValueError(`has doubled slashes, dots or escapes in it; write a plain path, such as /health`)
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

// Secret implements yamlfile.Secret: what is meant to be a token may be wrong.
func (*Details) Secret() {}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Details) UnmarshalText(b []byte) error {
	s := string(b)
	words := []string{DetailsNever, DetailsLoopback, DetailsPrivate, DetailsAlways}
	if slices.Contains(words, s) {
		*d = Details{Level: s}
		return nil
	}
	if near := yamlfile.Nearest(s, words); near != "" {
		return yamlfile.ValueError("is not known; did you mean " + near + "?")
	}
	if len(s) < minToken {
		return yamlfile.ValueError("is too short for a bearer token; write never, loopback, private, always, or a token of at least " + strconv.Itoa(minToken) + " characters")
	}
	// RFC 6750 section 2.1, b64token.
	if strings.Trim(strings.TrimRight(s, "="), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") != "" {
		return yamlfile.ValueError("has characters that a bearer token cannot have; write letters, digits and - . _ ~ + / alone")
	}
	*d = Details{Token: s}
	return nil
}
