//go:build !unix

package proxy

import "net"

// prepareLook does nothing: a dead connection is found when it is used.
func (c *conn) prepareLook(net.Conn) {}
