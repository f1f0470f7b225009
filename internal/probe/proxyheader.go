package probe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
)

// The PROXY protocol's version 2 (haproxy.org/download/1.8/doc/proxy-protocol.txt).
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyLocal     = 0x20 // version 2, command LOCAL
	proxyProxy     = 0x21 // version 2, command PROXY
	proxyTCP4      = 0x11
	proxyTCP6      = 0x21
	tlvCRC32C      = 0x03
	tlvNoop        = 0x04
	// noopLength is of the filler that brings a Network Load Balancer's header
	// to 100 bytes.
	noopLength = 74
)

// proxyHeader returns the header that goes before everything else.
func (p *Probe) proxyHeader(local, remote net.Addr) []byte {
	from, to := addressOf(local), addressOf(remote)
	if p.ProxyProtocol == 1 {
		family := "TCP4"
		if from.Addr().Is6() {
			family = "TCP6"
		}
		return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n", family, from.Addr().WithZone(""), to.Addr().WithZone(""), from.Port(), to.Port())
	}
	switch p.prober().ProxyHeader {
	case ProxyNLB:
		return networkHeader()
	case ProxyLocal:
		return []byte(proxySignature + "\x20\x00\x00\x00")
	case ProxyEnds:
	}
	return endsHeader(from, to)
}

// endsHeader is a header of version 2 with both ends of the connection.
func endsHeader(from, to netip.AddrPort) []byte {
	b := bytes.NewBufferString(proxySignature)
	b.WriteByte(proxyProxy)
	family := byte(proxyTCP4)
	if from.Addr().Is6() {
		family = proxyTCP6
	}
	b.WriteByte(family)
	ends := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	ends = binary.BigEndian.AppendUint16(ends, from.Port())
	ends = binary.BigEndian.AppendUint16(ends, to.Port())
	b.Write(binary.BigEndian.AppendUint16(nil, uint16(len(ends)))) //nolint:gosec // 36 bytes at most
	b.Write(ends)
	return b.Bytes()
}

// networkHeader is what a Network Load Balancer's health checks begin with: the
// command LOCAL, no addresses, a checksum and a filler, 100 bytes in all.
func networkHeader() []byte {
	b := []byte(proxySignature)
	b = append(b, proxyLocal, proxyTCP4)
	b = binary.BigEndian.AppendUint16(b, 3+crc32.Size+3+noopLength)
	b = append(b, tlvCRC32C, 0, crc32.Size)
	sum := len(b)
	b = append(b, 0, 0, 0, 0)
	b = append(b, tlvNoop, 0, noopLength)
	b = append(b, make([]byte, noopLength)...)
	// The sum is that of the whole header with zeros in its own place.
	binary.BigEndian.PutUint32(b[sum:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func addressOf(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	address := tcp.AddrPort()
	return netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
}
