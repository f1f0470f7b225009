package phpfpm

import (
	"context"
	"net"

	"hale/checks/internal/link"
)

// Call runs a script in a pool, for the tests to keep its workers busy.
func Call(ctx context.Context, address, script, query string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, link.Network(address), address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = ask(conn, script, query)
	return err
}
