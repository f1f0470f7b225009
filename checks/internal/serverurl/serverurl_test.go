package serverurl

import (
	"errors"
	"fmt"
	"testing"
)

var form = Form{
	Kind: "Things", Write: "write thing://HOST", Escaped: "user and password",
	Schemes: []string{"thing", "things"}, AppOnly: []string{"pool"},
}

func TestForm(t *testing.T) {
	t.Parallel()
	const unreadable = "cannot be read: write thing://HOST, with special characters in user and password percent-encoded (@ as %40, / as %2F, # as %23, ? as %3F, % as %25)"
	for _, test := range []struct{ name, url, want string }{
		{"a host", "thing://h", "h h:1"},
		{"a port", "things://u:p%40@h:2/x", "h h:2"},
		{"no host", "thing://", "localhost localhost:1"},
		{"IPv6", "thing://[::1]", "::1 [::1]:1"},
		{"IPv6 with a port", "thing://[::1]:2", "::1 [::1]:2"},
		{"parameters", "thing://h?known=1&pool=5", "h h:1"},
		{"nothing", "", "is missing: write thing://HOST"},
		{"no scheme", "//h", "has no scheme: write thing://HOST"},
		{"another scheme", "http://u:hunter2@h", `has the scheme "http", which is none of Things: write thing://HOST`},
		{"hash in the password", "thing://u:hun#ter2@h", unreadable},
		{"slash in the password", "thing://u:hun/ter2@h", unreadable},
		{"question mark in the password", "thing://u:hun?ter2@h", unreadable},
		{"percent in the password", "thing://u:hun%ter2@h", unreadable},
		{"no slashes", "thing:u:hunter2@h", unreadable},
		{"port 0", "thing://h:0", unreadable},
		{"a port too high", "thing://h:65536", unreadable},
		{"several hosts", "thing://h,i", unreadable},
		{"bare IPv6", "thing://::1", unreadable},
		{"an unknown parameter", "thing://h?ssl_verify=none", "has a parameter that is not known here: ssl_verify; remove it, or give the check a URL of its own"},
		{"a parameter that is part of a password", "thing://h?hunter2=", unreadable},
		{"a parameter refused", "thing://h?bad=1", "is refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := read(test.url); got != test.want {
				t.Errorf("%s: %q\nwant %q", test.url, got, test.want)
			}
		})
	}
}

func read(raw string) string {
	u, err := form.Parse(raw)
	if err != nil {
		return err.Error()
	}
	host, address, err := form.Server(u, "1")
	if err != nil {
		return err.Error()
	}
	if err := form.Parameters(u, func(name, _ string) (bool, error) {
		if name == "bad" {
			return true, errors.New("is refused")
		}
		return name == "known", nil
	}); err != nil {
		return err.Error()
	}
	return fmt.Sprint(host, " ", address)
}
