package probe

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// connection is one to a target, and what cuts it when the probe is given up.
type connection struct {
	net.Conn
	unwatch func() bool // ends the watch over the context
}

// watch has the connection's waits end when ctx does.
func watch(ctx context.Context, conn net.Conn) connection {
	return connection{conn, context.AfterFunc(ctx, func() { _ = conn.SetDeadline(longAgo) })}
}

var longAgo = time.Unix(1, 0)

// dialAny connects to an address by way of net's Dialer, which can do it on any
// system and from anywhere.
func dialAny(ctx context.Context, source netip.Addr, to netip.AddrPort, deadline time.Time) (connection, error) {
	dialer := net.Dialer{KeepAlive: -1, Deadline: deadline}
	if source.IsValid() {
		dialer.LocalAddr = &net.TCPAddr{IP: source.AsSlice(), Zone: source.Zone()}
	}
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return connection{}, err
	}
	return watch(ctx, conn), nil
}
