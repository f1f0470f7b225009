package listen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// What PROXY headers begin with (haproxy.org/download/2.6/doc/proxy-protocol.txt,
// sections 2.1 and 2.2).
const (
	proxyV1 = "PROXY "
	proxyV2 = "\r\n\r\n\x00\r\nQUIT\n"
)

// maxProxyV1 is the longest header of version 1, with its end.
const maxProxyV1 = 107

// maxProxyV2 is the longest one of version 2 that is taken, without its first 16
// bytes: longer ones would be possible, but nobody sends them.
const maxProxyV2 = 4096

// ProxyHeader is what a proxy tells before the request, of whom it speaks for.
type ProxyHeader struct {
	Version int // 1 or 2
	// Local tells that it speaks for itself (LOCAL), as for its own checks.
	Local bool
	// Family is "TCP4", "UNKNOWN", ...: what the addresses are.
	Family string
	// Source and Destination are not valid if none were sent.
	Source, Destination netip.AddrPort
	// Extras are the additional values of version 2, a name and a size each.
	Extras []string
	Raw    []byte
}

// startsProxyHeader tells whether a PROXY header comes.
func (c *connection) startsProxyHeader(until time.Time) bool {
	return c.wire.starts(proxyV2, until) || c.wire.starts(proxyV1, until)
}

// readProxyHeader takes it. It reports whether more may follow: if not, it has
// told what came.
func (c *connection) readProxyHeader(until time.Time) bool {
	v := c.begin()
	h, err := c.wire.proxyHeader(until)
	if errors.Is(err, errBroken) {
		c.wire.gather()
		v.Kind, v.Why, v.Reply.Status = Broken, err.Error(), 400
		if c.tell(v) {
			c.refuse(v)
		}
		return false
	}
	if err != nil {
		c.cut(v, err)
		return false
	}
	h.Raw, _ = c.wire.shown()
	c.proxy, c.visits = h, 0
	return true
}

// errBroken is of a PROXY header that is not well-formed.
var errBroken = errors.New("a broken PROXY header")

func (w *wire) proxyHeader(until time.Time) (*ProxyHeader, error) {
	if w.here()[0] == proxyV1[0] {
		for n := len(proxyV1); ; n++ {
			b, err := w.peek(n, until)
			if i := strings.Index(string(b[:min(len(b), maxProxyV1)]), "\n"); i >= 0 {
				return parseProxyV1(string(w.take(i + 1)))
			}
			if err != nil {
				return nil, err
			}
			if n > maxProxyV1 {
				return nil, fmt.Errorf("%w: its line is longer than %d bytes", errBroken, maxProxyV1)
			}
		}
	}
	const fixed = 16
	b, err := w.peek(fixed, until)
	if err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(b[14:fixed]))
	if length > maxProxyV2 {
		return nil, fmt.Errorf("%w: it says it is %d bytes long", errBroken, length)
	}
	if _, err := w.peek(fixed+length, until); err != nil {
		return nil, err
	}
	return parseProxyV2(w.take(fixed + length))
}

// parseProxyV1 reads a header of version 1, a line with its end.
func parseProxyV1(line string) (*ProxyHeader, error) {
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return nil, fmt.Errorf(`%w: its line does not end with \r\n`, errBroken)
	}
	h := &ProxyHeader{Version: 1}
	parts := strings.Split(strings.TrimPrefix(text, proxyV1), " ")
	switch h.Family = parts[0]; h.Family {
	case "UNKNOWN":
		return h, nil
	case "TCP4", "TCP6":
	default:
		return nil, fmt.Errorf("%w: its family is none of TCP4, TCP6, UNKNOWN", errBroken)
	}
	if len(parts) != 5 {
		return nil, fmt.Errorf("%w: not two addresses and two ports", errBroken)
	}
	var err error
	if h.Source, err = addrPort(parts[1], parts[3]); err != nil {
		return nil, err
	}
	if h.Destination, err = addrPort(parts[2], parts[4]); err != nil {
		return nil, err
	}
	return h, nil
}

func addrPort(host, port string) (netip.AddrPort, error) {
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("%w: an address that is none", errBroken)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w: a port that is none", errBroken)
	}
	return netip.AddrPortFrom(ip, uint16(number)), nil
}

// families are the kinds of addresses of version 2, by their byte.
var families = map[byte]string{
	0x00: "UNSPEC", 0x11: "TCP4", 0x12: "UDP4", 0x21: "TCP6", 0x22: "UDP6", 0x31: "UNIX stream", 0x32: "UNIX datagram",
}

// extras are the additional values of version 2, by their byte; 0xEA is AWS's.
var extras = map[byte]string{
	0x01: "ALPN", 0x02: "authority", 0x03: "CRC32C", 0x04: "NOOP", 0x05: "unique id", 0x20: "SSL", 0x30: "netns", 0xEA: "AWS",
}

// parseProxyV2 reads a header of version 2 that is as long as it says.
func parseProxyV2(b []byte) (h *ProxyHeader, err error) {
	h = &ProxyHeader{Version: 2}
	switch b[12] {
	case 0x20:
		h.Local = true
	case 0x21:
	default:
		return nil, fmt.Errorf("%w: its version or command is 0x%02x", errBroken, b[12])
	}
	family, ok := families[b[13]]
	if !ok {
		return nil, fmt.Errorf("%w: its family is 0x%02x", errBroken, b[13])
	}
	h.Family = family
	rest := b[16:]
	if !h.Local {
		if rest, err = h.readAddresses(b[13]>>4, rest); err != nil {
			return nil, err
		}
	}
	// LOCAL may come with addresses, which are to be ignored, or with a family
	// and without addresses, as NLB's checks do.
	if names, whole := extrasOf(rest); whole {
		h.Extras = names
	}
	return h, nil
}

// readAddresses reads the addresses of a family, by its upper four bits, and
// returns what follows them.
func (h *ProxyHeader) readAddresses(family byte, b []byte) (rest []byte, err error) {
	const unix, unixSize = 3, 216
	size := map[byte]int{1: 4, 2: 16}[family]
	switch {
	case family == unix && len(b) >= unixSize:
		return b[unixSize:], nil
	case family == 0:
		return b, nil
	case len(b) < 2*size+4 || size == 0:
		return nil, fmt.Errorf("%w: too short for its addresses", errBroken)
	}
	source, _ := netip.AddrFromSlice(b[:size])
	destination, _ := netip.AddrFromSlice(b[size : 2*size])
	ports := b[2*size:]
	h.Source = netip.AddrPortFrom(source, binary.BigEndian.Uint16(ports))
	h.Destination = netip.AddrPortFrom(destination, binary.BigEndian.Uint16(ports[2:]))
	return ports[4:], nil
}

// extrasOf names the additional values; whole tells whether they are well-formed
// to their end.
func extrasOf(b []byte) (names []string, whole bool) {
	for len(b) >= 3 {
		size := int(binary.BigEndian.Uint16(b[1:]))
		if size > len(b)-3 {
			break
		}
		name, ok := extras[b[0]]
		if !ok {
			name = fmt.Sprintf("0x%02x", b[0])
		}
		names = append(names, fmt.Sprintf("%s (%d bytes)", name, size))
		b = b[3+size:]
	}
	return names, len(b) == 0
}

// String is a line that tells what the header says.
func (h *ProxyHeader) String() string {
	if h.Version == 1 {
		return "PROXY v1, " + h.addresses()
	}
	command := ""
	if h.Local {
		command = "LOCAL, "
	}
	line := fmt.Sprintf("PROXY v2, %s%s, %d bytes", command, h.addresses(), len(h.Raw))
	if len(h.Extras) > 0 {
		line += ": " + strings.Join(h.Extras, ", ")
	}
	return line
}

func (h *ProxyHeader) addresses() string {
	if !h.Source.IsValid() {
		return h.Family + ", no addresses"
	}
	return fmt.Sprintf("%s from %s to %s", h.Family, h.Source, h.Destination)
}
