package relay

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// The PROXY protocol, version 2
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, 2.2).
const (
	signature   = "\r\n\r\n\x00\r\nQUIT\n"
	versionProx = 0x21 // version 2, PROXY: a connection for somebody else
	tcp4, tcp6  = 0x11, 0x21
	typeCRC32C  = 0x03
	typeNoop    = 0x04

	// Network Load Balancers fill theirs up to this length, after the first 16
	// bytes.
	headerLength = 84
)

// appendHeader appends the header that a Network Load Balancer sends to a target
// for a client's connection: addresses, a checksum, and padding. It returns b as
// it is for a connection without TCP addresses.
func appendHeader(b []byte, client, local netip.AddrPort) []byte {
	if !client.IsValid() || !local.IsValid() {
		return b
	}
	start := len(b)
	from, to := client.Addr().Unmap(), local.Addr().Unmap()
	family := byte(tcp4)
	if !from.Is4() || !to.Is4() {
		family = tcp6
		from, to = netip.AddrFrom16(from.As16()), netip.AddrFrom16(to.As16())
	}
	b = append(b, signature...)
	b = append(b, versionProx, family, 0, headerLength)
	b = append(b, from.AsSlice()...)
	b = append(b, to.AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, client.Port())
	b = binary.BigEndian.AppendUint16(b, local.Port())
	b = append(b, typeCRC32C, 0, 4, 0, 0, 0, 0)
	sum := len(b) - 4
	padding := start + 16 + headerLength - len(b) - 3
	b = append(b, typeNoop, 0, byte(padding)) //nolint:gosec // at most headerLength
	b = append(b, make([]byte, padding)...)
	// The sum is of the header with zeros in its place.
	binary.BigEndian.PutUint32(b[sum:], crc32.Checksum(b[start:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}
