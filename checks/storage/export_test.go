package storage

import (
	"context"
	"net"
)

// Marker begins the names of what a check writes.
const Marker = marker

// DialTo makes every connection to a bucket go to one address, whatever the
// host's name is.
func (c *Check) DialTo(address string) {
	c.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}
