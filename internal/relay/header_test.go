package relay

import (
	"net/netip"
	"testing"
)

func TestAppendHeader(t *testing.T) {
	for _, tt := range []struct {
		name, client, local string
		family              byte
		from                string // the first bytes of the address
	}{
		{"IPv4", "192.0.2.1:5000", "192.0.2.2:80", 0x11, "\xc0\x00\x02\x01"},
		{"IPv6", "[2001:db8::1]:5000", "[2001:db8::2]:80", 0x21, "\x20\x01\x0d\xb8"},
		{"mapped", "[::ffff:192.0.2.1]:5000", "192.0.2.2:80", 0x11, "\xc0\x00\x02\x01"},
		{"one of each", "192.0.2.1:5000", "[2001:db8::2]:80", 0x21, "\x00\x00\x00\x00"},
	} {
		b := appendHeader([]byte("before"), netip.MustParseAddrPort(tt.client), netip.MustParseAddrPort(tt.local))
		if len(b) != len("before")+100 || b[len("before")+13] != tt.family || string(b[len("before")+16:][:4]) != tt.from {
			t.Errorf("%s: %q", tt.name, b)
		}
	}
	if b := appendHeader(nil, netip.AddrPort{}, netip.AddrPort{}); b != nil {
		t.Errorf("without addresses: %q", b)
	}
}
