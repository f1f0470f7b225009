// Package serverurl reads the URLs by which apps know their servers, and checks
// do, too: no error repeats any of one but its scheme and the names of its
// parameters. The usual cause of a URL that cannot be read is a password that
// was pasted as it is, and any part may be part of it.
package serverurl

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Form is how the URLs of a kind of server are written.
type Form struct {
	Kind    string   // of the server, in messages
	Write   string   // what to write, in messages
	Escaped string   // the parts in which characters may have to be escaped, in messages
	Schemes []string // that are known
	AppOnly []string // parameters that only concern the app's own connections
}

// Unreadable is the error of a URL that is none.
func (f Form) Unreadable() error {
	return fmt.Errorf("cannot be read: %s, with special characters in %s percent-encoded (@ as %%40, / as %%2F, # as %%23, ? as %%3F, %% as %%25)", f.Write, f.Escaped)
}

// Is reports whether a URL has one of the schemes.
func (f Form) Is(raw string) bool {
	scheme, _, ok := strings.Cut(raw, ":")
	return ok && slices.Contains(f.Schemes, scheme)
}

// Parse reads a URL with one of the schemes.
func (f Form) Parse(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("is missing: " + f.Write)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Fragment != "" || u.Opaque != "":
		return nil, f.Unreadable()
	case u.Scheme == "":
		return nil, errors.New("has no scheme: " + f.Write)
	case !slices.Contains(f.Schemes, u.Scheme):
		return nil, fmt.Errorf("has the scheme %q, which is none of %s: %s", u.Scheme, f.Kind, f.Write)
	}
	return u, nil
}

// Server returns the one server of a URL: its host, localhost if there is none,
// and host:port, with a port that counts where the URL has none.
func (f Form) Server(u *url.URL, port string) (host, address string, err error) {
	port = cmp.Or(u.Port(), port)
	n, err := strconv.ParseUint(port, 10, 16)
	several := strings.ContainsAny(u.Host, ",;") || strings.Count(u.Host, ":") > 1 && !strings.HasPrefix(u.Host, "[")
	if err != nil || n == 0 || several {
		return "", "", f.Unreadable()
	}
	host = cmp.Or(u.Hostname(), "localhost")
	return host, net.JoinHostPort(host, port), nil
}

// Parameters hands over the parameters of a URL, but for those that only concern
// the app, by their names. One that take does not know is refused: a typing
// error in a setting of TLS must not go unnoticed.
func (f Form) Parameters(u *url.URL, take func(name, value string) (known bool, err error)) error {
	values, err := url.ParseQuery(u.RawQuery)
	// An at sign is one that should have stood in front of the host.
	if err != nil || strings.Contains(u.RawQuery, "@") {
		return f.Unreadable()
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if slices.Contains(f.AppOnly, name) {
			continue
		}
		known, err := take(name, values.Get(name))
		switch {
		case err != nil:
			return err
		case known:
		case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") == "":
			return fmt.Errorf("has a parameter that is not known here: %s; remove it, or give the check a URL of its own", name)
		default:
			return f.Unreadable()
		}
	}
	return nil
}
