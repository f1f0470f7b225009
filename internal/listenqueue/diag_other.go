//go:build !linux

package listenqueue

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

var order = binary.NativeEndian

// unixSocket is a Socket with the inode of the file it is bound to.
type unixSocket struct {
	Socket
	file uint32
}

func listeningTCP(uint16) ([]Socket, error)        { return nil, errors.ErrUnsupported }
func acceptedTCP(netip.AddrPort) ([]uint32, error) { return nil, errors.ErrUnsupported }
func listeningUnix() ([]unixSocket, error)         { return nil, errors.ErrUnsupported }
func acceptedUnix(string) ([]uint32, error)        { return nil, errors.ErrUnsupported }
func connections() ([]Connection, error)           { return nil, errors.ErrUnsupported }
