package instance

import (
	"context"
	"net"
	"net/netip"
)

// Through has the metadata services reached by dial, and the machine have the
// given addresses: no test depends on the machine that it runs on.
func (o Options) Through(dial func(ctx context.Context, network, address string) (net.Conn, error), addrs ...netip.Addr) Options {
	o.dial = dial
	o.interfaces = func() ([]netip.Addr, error) { return addrs, nil }
	return o
}

// RegionOf is regionOf.
var RegionOf = regionOf
