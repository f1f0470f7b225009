package doctor

import (
	"net/netip"
	"testing"

	"hale/internal/probe"
)

// asked is the probe of the tests below: http://10.0.0.10:8000/health.
func asked(path string) probe.Probe {
	return probe.Probe{
		Protocol: probe.HTTP, Address: netip.MustParseAddrPort("10.0.0.10:8000"), Path: path,
		Host: "10.0.0.10:8000", Method: "GET", Version: "HTTP/1.1",
	}
}

func TestRedirectsAreToldApartByTheirLocation(t *testing.T) {
	for _, c := range []struct {
		path, location string
		want           class
	}{
		{"/health", "https://10.0.0.10/health", classRedirectHTTPS},
		{"/health", "https://10.0.0.10:8443/health", classRedirectHTTPS},
		{"/health", "https:///health", classRedirectHTTPS}, // nginx, for a request without Host
		{"/health", "https://www.example.com/health", classRedirectHTTPS},
		{"/health", "http://www.example.com/health", classRedirectHost},
		{"/health", "http://10.0.0.10/health", classRedirectHost}, // the port is lost
		{"/health", "/health/", classRedirectSlash},
		{"/health/", "http://10.0.0.10:8000/health", classRedirectSlash},
		{"/health?a=b", "/health/?a=b", classRedirectSlash},
		{"/", "/en/", classRedirectLocale},
		{"/health", "/de-at/health", classRedirectLocale},
		{"/", "/accounts/login/?next=/", classRedirectLogin},
		{"/", "https://sso.example.com/oauth2/authorize", classRedirectLogin},
		{"/login", "/login/", classRedirectSlash},
		{"/", "/wp-admin/install.php", classRedirectSetup},
		{"/", "/app/", classRedirect},
		{"/", "", classRedirect},
		{"/", "http://[::1", classRedirect},
	} {
		a := &probe.Answer{Outcome: probe.Answered, Status: 302}
		if c.location != "" {
			a.Header = []probe.Field{{Name: "Location", Value: c.location}}
		}
		if got := classOf(asked(c.path), a); got != c.want {
			t.Errorf("%s to %q: %s, want %s", c.path, c.location, got, c.want)
		}
	}
}

func TestStrangersTextFitsOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                  "plain",
		"two\nlines\x1b[31m red": "two.lines.[31m red",
		"right\u202eleft":        "right.left",
		"0123456789abcdef":       "0123456789...",
	} {
		if got := printable(text, 10); len(text) == 16 && got != want {
			t.Errorf("printable(%q) = %q, want %q", text, got, want)
		}
		if got := printable(text, 100); len(text) != 16 && got != want {
			t.Errorf("printable(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestAnEndWithoutAByteIsClassedByItsTime(t *testing.T) {
	at := func(total probe.Times) *probe.Answer { return &probe.Answer{Outcome: probe.Empty, Times: total} }
	if got := classOf(asked("/"), at(probe.Times{Total: moment / 10})); got != classEmpty {
		t.Errorf("at once: %s", got)
	}
	if got := classOf(asked("/"), at(probe.Times{Total: 3 * moment})); got != classKilled {
		t.Errorf("after a while: %s", got)
	}
}
