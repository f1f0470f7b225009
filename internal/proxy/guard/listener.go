package guard

import "net"

// Listener puts each connection it accepts under guard.
type Listener struct {
	net.Listener
	// Limits returns the limits for the next connection.
	Limits func() Limits
}

// Accept implements net.Listener; what it returns is a *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return NewConn(conn, l.Limits()), nil
}
