package guard

import (
	"bytes"
	"time"
)

// A Prober answers simple requests by itself, before the server behind the
// guard reads them.
type Prober interface {
	// Probe is given a whole head that asks for nothing more than an answer:
	// it has no body, nothing follows it yet, and whatever came before it on the
	// connection, at least one request, has been answered. It reports whether it
	// took the request, and then has written the answer to the connection, or
	// failed to. What it does not take, the server reads. head is valid until
	// Probe returns.
	Probe(head []byte) (taken bool, err error)
}

// ProbeWith sets the connection's Prober, before anything is read.
func (c *Conn) ProbeWith(p Prober) { c.prober = p }

// probe asks the Prober. Close waits for it, so that a request that was taken is
// answered.
func (c *Conn) probe(head []byte) bool {
	c.probing.Lock()
	defer c.probing.Unlock()
	if c.closed.Load() {
		return false
	}
	taken, err := c.prober.Probe(head)
	if taken {
		c.probed, c.err = time.Now(), err
	}
	return taken
}

var endOfHead = []byte("\r\n\r\n")

// isLoneHead reports whether good bytes that begin a head are no more than that.
func isLoneHead(b []byte) bool { return bytes.Index(b, endOfHead) == len(b)-len(endOfHead) }
