package port

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// message is a netlink message of a body.
func message(kind uint16, body []byte) []byte {
	m := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(body))
	m = append(m, body...)
	binary.NativeEndian.PutUint32(m, uint32(len(m)))
	binary.NativeEndian.PutUint16(m[4:], kind)
	return m
}

func TestParseDump(t *testing.T) {
	t.Parallel()
	inet := make([]byte, inetMessageSize)
	inet[0] = unix.AF_INET
	binary.BigEndian.PutUint16(inet[4:], 8000)
	copy(inet[8:], []byte{127, 0, 0, 1})
	binary.NativeEndian.PutUint32(inet[56:], 3)
	binary.NativeEndian.PutUint32(inet[60:], 128)
	binary.NativeEndian.PutUint32(inet[68:], 12345)
	packet := append(message(sockDiagByFamily, inet), message(unix.NLMSG_DONE, []byte{0, 0, 0, 0})...)
	all, done, err := parseDump(packet, parseInetDiag)
	if err != nil || !done || len(all) != 1 || all[0].address.String() != "127.0.0.1" || all[0].port != 8000 ||
		all[0].waiting != 3 || all[0].limit != 128 || all[0].inode != 12345 {
		t.Errorf("got %+v, %v, %v", all, done, err)
	}
	if _, _, err := parseDump(message(unix.NLMSG_ERROR, []byte{1, 0, 0, 0}), parseInetDiag); err == nil {
		t.Error("an error of the kernel is none")
	}
}

func FuzzParseDump(f *testing.F) {
	f.Add(append(message(sockDiagByFamily, make([]byte, inetMessageSize)), message(unix.NLMSG_DONE, nil)...))
	name := append(make([]byte, unixMessageSize), 9, 0, unixName, 0, '/', 'a', 0, 0, 'b')
	f.Add(message(sockDiagByFamily, name))
	f.Fuzz(func(t *testing.T, packet []byte) {
		for _, parse := range []func([]byte) (listener, bool){parseInetDiag, parseUnixDiag} {
			if all, _, err := parseDump(packet, parse); err == nil && len(all) > len(packet)/unix.NLMSG_HDRLEN {
				t.Errorf("%d listeners in %d bytes", len(all), len(packet))
			}
		}
	})
}
