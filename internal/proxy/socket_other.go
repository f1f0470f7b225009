//go:build !linux

package proxy

import "net"

// newSocket returns the connection as it is.
func newSocket(nc net.Conn) net.Conn { return nc }

// plainConn returns the connection as it is.
func plainConn(nc net.Conn) net.Conn { return nc }
