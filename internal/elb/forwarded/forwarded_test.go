package forwarded_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hale/internal/elb/forwarded"
)

// header is http.Header with what the engine's has beside.
type header struct{ http.Header }

func (h header) Len() int { return len(h.lines()) }

func (h header) At(i int) (name, value string) {
	l := h.lines()[i]
	return l[0], l[1]
}

func (h header) lines() (all [][2]string) {
	for _, name := range slices.Sorted(maps.Keys(h.Header)) {
		for _, value := range h.Header[name] {
			all = append(all, [2]string{name, value})
		}
	}
	return all
}

// fields makes a header of lines "name: value".
func fields(lines ...string) header {
	h := header{http.Header{}}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Header[http.CanonicalHeaderKey(name)] = append(h.Header[http.CanonicalHeaderKey(name)], value)
	}
	return h
}

var (
	user  = netip.MustParseAddrPort("203.0.113.7:2817")
	user6 = netip.MustParseAddrPort("[2001:db8::21f:5bff]:8080")
	trace = forwarded.Trace{Now: time.Unix(0x67891233, 0), Random: [12]byte{0xab, 0xcd, 0xef, 1, 0x23, 0x45, 0x67, 0x89, 0x12, 0x34, 0x56, 0x78}}
)

const traceID = "1-67891233-abcdef012345678912345678"

// edited is a header after its edits, as the engine makes them.
func edited(h header, e forwarded.Edits) http.Header {
	h.Header = h.Clone()
	for _, name := range e.Remove {
		h.Del(name)
	}
	for _, f := range e.Set {
		h.Header[http.CanonicalHeaderKey(f.Name)] = []string{f.Value}
	}
	return h.Header
}

func TestForwardedFor(t *testing.T) {
	t.Parallel()
	const field = "X-Forwarded-For"
	for _, test := range []struct {
		name     string
		settings forwarded.Settings
		header   header
		client   netip.AddrPort
		want     string // "-": no such field
	}{
		{"none yet", forwarded.Settings{}, fields(), user, "203.0.113.7"},
		{"one", forwarded.Settings{}, fields(field + ": 198.51.100.1"), user, "198.51.100.1, 203.0.113.7"},
		{"append, by name", forwarded.Settings{XFFHeaderProcessing: forwarded.Append}, fields(field + ": a"), user, "a, 203.0.113.7"},
		{"lines", forwarded.Settings{}, fields(field+": a, b", field+":  c ", field+": "), user, "a, b, c, 203.0.113.7"},
		{"IPv6", forwarded.Settings{}, fields(), user6, "2001:db8::21f:5bff"},
		{"IPv4 in IPv6", forwarded.Settings{}, fields(), netip.MustParseAddrPort("[::ffff:203.0.113.7]:1"), "203.0.113.7"},
		{"no client", forwarded.Settings{}, fields(field + ": a"), netip.AddrPort{}, "a"},
		{"no client, nothing", forwarded.Settings{}, fields(), netip.AddrPort{}, "-"},
		{"port", forwarded.Settings{XFFClientPort: true}, fields(field + ": a"), user, "a, 203.0.113.7:2817"},
		{"port, IPv6", forwarded.Settings{XFFClientPort: true}, fields(), user6, "[2001:db8::21f:5bff]:8080"},
		{"preserve", forwarded.Settings{XFFHeaderProcessing: forwarded.Preserve, XFFClientPort: true}, fields(field + ": a"), user, "a"},
		{"preserve nothing", forwarded.Settings{XFFHeaderProcessing: forwarded.Preserve}, fields(), user, "-"},
		{"remove", forwarded.Settings{XFFHeaderProcessing: forwarded.Remove, XFFClientPort: true}, fields(field + ": a"), user, "-"},
		{"remove nothing", forwarded.Settings{XFFHeaderProcessing: forwarded.Remove}, fields(), user, "-"},
	} {
		e := test.settings.Edit(nil, "example.com", test.header, forwarded.Client{Addr: test.client, Port: 80}, trace)
		got := "-"
		if values := edited(test.header, e).Values(field); len(values) > 0 {
			got = strings.Join(values, " | ")
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestTooManyAddresses(t *testing.T) {
	t.Parallel()
	chain := func(n int) string { return strings.TrimSuffix(strings.Repeat("192.0.2.1, ", n), ", ") }
	for name, test := range map[string]struct {
		header header
		want   bool
	}{
		"none":                {fields(), false},
		"30":                  {fields("X-Forwarded-For: " + chain(30)), false},
		"31":                  {fields("X-Forwarded-For: " + chain(31)), true},
		"31 in several lines": {fields("X-Forwarded-For: "+chain(15), "X-Forwarded-For: "+chain(16)), true},
	} {
		if got := forwarded.TooManyAddresses(test.header); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestProtoAndPort(t *testing.T) {
	t.Parallel()
	h := fields("X-Forwarded-Proto: gopher", "X-Forwarded-Port: 1")
	for name, test := range map[string]struct {
		client forwarded.Client
		want   string
	}{
		"http":  {forwarded.Client{Addr: user, Port: 80}, "http 80"},
		"https": {forwarded.Client{Addr: user, Port: 8443, TLS: true}, "https 8443"},
	} {
		got := edited(h, forwarded.Settings{}.Edit(nil, "example.com", h, test.client, trace))
		if text := got.Get("X-Forwarded-Proto") + " " + got.Get("X-Forwarded-Port"); text != test.want {
			t.Errorf("%s: %s, want %s", name, text, test.want)
		}
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		host     string
		port     int
		preserve bool
		want     string
	}{
		{"example.com", 80, false, "example.com"},
		{"example.com:80", 80, false, "example.com"},
		{"example.com:8080", 80, false, "example.com"},
		{"example.com:443", 443, false, "example.com"},
		{"example.com", 8080, false, "example.com:8080"},
		{"example.com:8080", 8080, false, "example.com:8080"},
		{"example.com:9", 8080, false, "example.com:9"},
		{"[2001:db8::1]", 8080, false, "[2001:db8::1]:8080"},
		{"[2001:db8::1]:8080", 80, false, "[2001:db8::1]"},
		{"[2001:db8::1]", 80, false, "[2001:db8::1]"},
		{"", 8080, false, ""},
		{"example.com:8080", 80, true, "example.com:8080"},
		{"example.com", 8080, true, "example.com"},
	} {
		s := forwarded.Settings{PreserveHostHeader: test.preserve}
		e := s.Edit(nil, test.host, fields(), forwarded.Client{Addr: user, Port: test.port}, trace)
		got := test.host
		for _, f := range e.Set {
			if f.Name == "Host" {
				got = f.Value
			}
		}
		if got != test.want {
			t.Errorf("%q at port %d, preserve %v: edited to %q, want %q", test.host, test.port, test.preserve, got, test.want)
		}
	}
}

func TestTraceID(t *testing.T) {
	t.Parallel()
	const name = "X-Amzn-Trace-Id: "
	const theirs = "Root=1-5759e988-bd862e3fe1be46a994272793"
	for _, test := range []struct {
		name   string
		header header
		want   string
	}{
		{"none", fields(), "Root=" + traceID},
		{"empty", fields(name), "Root=" + traceID},
		{"a root", fields(name + theirs), "Self=" + traceID + ";" + theirs},
		{"a root and more", fields(name + theirs + ";CalledFrom=app"), "Self=" + traceID + ";" + theirs + ";CalledFrom=app"},
		{"an older self", fields(name + "Self=1-5759e988-aaaaaaaaaaaaaaaaaaaaaaaa;" + theirs + ";CalledFrom=app"), "Self=" + traceID + ";" + theirs + ";CalledFrom=app"},
		{"no root", fields(name + "CalledFrom=app"), "Root=" + traceID + ";CalledFrom=app"},
		{"the first line", fields(name+theirs, name+"Root=other"), "Self=" + traceID + ";" + theirs},
		{"not ASCII", fields(name + theirs + ";ä=b"), "Root=" + traceID},
		{"a large header", fields(name+theirs, "Cookie: "+strings.Repeat("c", 7<<10)), "Root=" + traceID},
		{"not yet large", fields(name+theirs, "Cookie: "+strings.Repeat("c", 6<<10)), "Self=" + traceID + ";" + theirs},
	} {
		if got := forwarded.TraceID(test.header, trace); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		e := forwarded.Settings{}.Edit(nil, "a", test.header, forwarded.Client{Addr: user, Port: 80}, trace)
		if got := edited(test.header, e)["X-Amzn-Trace-Id"]; e.TraceID != test.want || !slices.Equal(got, []string{test.want}) {
			t.Errorf("%s: told %s, set %v, want %s", test.name, e.TraceID, got, test.want)
		}
	}
}

func TestTLSHeaders(t *testing.T) {
	t.Parallel()
	h := fields("X-Amzn-Tls-Version: forged", "X-Amzn-Tls-Cipher-Suite: forged")
	tls := forwarded.Client{Addr: user, Port: 443, TLS: true, TLSVersion: "TLSv1.2", CipherSuite: "ECDHE-RSA-AES128-GCM-SHA256"}
	plain := forwarded.Client{Addr: user, Port: 80}
	for name, test := range map[string]struct {
		on     bool
		client forwarded.Client
		want   string
	}{
		"on":             {true, tls, "[TLSv1.2] [ECDHE-RSA-AES128-GCM-SHA256]"},
		"on, but no TLS": {true, plain, "[] []"},
		"off":            {false, tls, "[forged] [forged]"},
	} {
		s := forwarded.Settings{TLSHeaders: test.on}
		got := edited(h, s.Edit(nil, "a", h, test.client, trace))
		if text := fmt.Sprint(got["X-Amzn-Tls-Version"], got["X-Amzn-Tls-Cipher-Suite"]); text != test.want {
			t.Errorf("%s: %s, want %s", name, text, test.want)
		}
	}
}

func TestDropInvalidFields(t *testing.T) {
	t.Parallel()
	h := header{http.Header{"X-Good-1": {"a"}, "X_underscore": {"b"}, "X.dot": {"c"}, "X!": {"d"}, "": {"e"}}}
	drop := forwarded.Settings{DropInvalidFields: true}.Edit(nil, "a", h, forwarded.Client{Addr: user, Port: 80}, trace)
	slices.Sort(drop.Remove)
	if want := []string{"", "X!", "X.dot", "X_underscore"}; !slices.Equal(drop.Remove, want) {
		t.Errorf("removed %q, want %q", drop.Remove, want)
	}
	if keep := (forwarded.Settings{}).Edit(nil, "a", h, forwarded.Client{Addr: user, Port: 80}, trace); len(keep.Remove) > 0 {
		t.Errorf("by default %q are removed", keep.Remove)
	}
}

func TestOwns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		settings forwarded.Settings
		owns     string
		not      string
	}{
		{forwarded.Settings{}, "X-Forwarded-For X-Forwarded-Proto X-Forwarded-Port X-Amzn-Trace-Id", "X-Amzn-Tls-Version Accept"},
		{forwarded.Settings{XFFHeaderProcessing: forwarded.Remove}, "X-Forwarded-For", ""},
		{forwarded.Settings{XFFHeaderProcessing: forwarded.Preserve}, "X-Forwarded-Proto", "X-Forwarded-For"},
		{forwarded.Settings{TLSHeaders: true}, "X-Amzn-Tls-Version X-Amzn-Tls-Cipher-Suite", ""},
	} {
		for name := range strings.FieldsSeq(test.owns) {
			if !test.settings.Owns(name) {
				t.Errorf("%+v does not own %s", test.settings, name)
			}
		}
		for name := range strings.FieldsSeq(test.not) {
			if test.settings.Owns(name) {
				t.Errorf("%+v owns %s", test.settings, name)
			}
		}
	}
}

// However a trace identifier came, what goes on begins with ours, has one Root,
// and is one line.
func FuzzTraceID(f *testing.F) {
	for _, seed := range []string{"", "Root=1-a-b", "Self=a;Root=b;c=d", ";;", "Root", "Self=;Self=", " Root=a ; Self = b", "a\r\nb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, incoming string) {
		got := forwarded.TraceID(header{http.Header{"X-Amzn-Trace-Id": {incoming}}}, trace)
		if !strings.HasPrefix(got, "Root="+traceID) && !strings.HasPrefix(got, "Self="+traceID+";") {
			t.Errorf("%q: %q does not begin with ours", incoming, got)
		}
		if !strings.Contains(got, "Root=") && !strings.Contains(got, "Root =") {
			t.Errorf("%q: %q has no Root", incoming, got)
		}
		for field := range strings.SplitSeq(got[len("Self="):], ";") {
			if strings.HasPrefix(field, "Self=") {
				t.Errorf("%q: %q has another Self", incoming, got)
			}
		}
		if strings.ContainsAny(got, "\r\n\x00") {
			t.Errorf("%q: %q is more than a line", incoming, got)
		}
	})
}

func BenchmarkEdit(b *testing.B) {
	h := fields("User-Agent: Mozilla/5.0", "Accept: */*", "Cookie: a=b", "Accept-Encoding: gzip")
	client := forwarded.Client{Addr: user, Port: 80}
	b.ReportAllocs()
	for b.Loop() {
		forwarded.Settings{}.Edit(nil, "example.com", h, client, trace)
	}
}
