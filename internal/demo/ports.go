package demo

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// ports hands out free ports, upwards from the first.
type ports struct{ next int }

// tries is how many ports are tried for one listener.
const tries = 100

func (p *ports) listen(ctx context.Context, host string) (net.Listener, error) {
	var last error
	for range tries {
		var c net.ListenConfig
		l, err := c.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(p.next)))
		p.next++
		if err == nil {
			return l, nil
		}
		last = err
	}
	return nil, fmt.Errorf("no free port in %d tries: %w", tries, last)
}

// free returns an address for somebody else to listen on.
func (p *ports) free(ctx context.Context, host string) (string, error) {
	l, err := p.listen(ctx, host)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
