package systemd

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"unix:path=/run/dbus/system_bus_socket":                     "/run/dbus/system_bus_socket",
		"unix:path=/tmp/a%20b,guid=0123":                            "/tmp/a b",
		"unix:abstract=/tmp/dbus-X,guid=1":                          "@/tmp/dbus-X",
		"launchd:env=X;tcp:host=127.0.0.1,port=99,family=ipv4":      "127.0.0.1:99",
		"tcp:host=::1,port=99":                                      "[::1]:99",
		"unixexec:path=/bin/true;unix:tmpdir=/tmp;unix:path=/a;b:c": "/a",
		"autolaunch:":        "",
		"":                   "",
		"unix:path=relative": "",
	} {
		if got := parseAddress(list); got != want {
			t.Errorf("%q is %q, want %q", list, got, want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("unix:path=/tmp/a%20b,guid=0123;tcp:host=::1,port=99")
	f.Fuzz(func(t *testing.T, list string) {
		if got := parseAddress(list); got != "" && !filepath.IsAbs(got) && !strings.HasPrefix(got, "@") && !strings.Contains(got, ":") {
			t.Errorf("%q is %q", list, got)
		}
	})
}
