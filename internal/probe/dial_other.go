//go:build !linux

package probe

import (
	"context"
	"net/netip"
	"time"
)

// dial connects to an address from a local one, or from the kernel's choice.
func dial(ctx context.Context, source netip.Addr, to netip.AddrPort, deadline time.Time) (connection, error) {
	return dialAny(ctx, source, to, deadline)
}
