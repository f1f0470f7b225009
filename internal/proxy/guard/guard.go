// Package guard refuses requests that two parsers could read differently.
//
// Request smuggling lives on such differences: a message whose length one
// program takes from Content-Length and the next from Transfer-Encoding, a
// line that ends at a bare LF for one and not for the other. The guard looks at
// the bytes a client sends, before any other parser does, and lets only those
// pass that RFC 9112 gives one meaning. Everything else is refused, with the
// reason, and the connection ends there. One thing alone is mended: an empty
// line before a request line, which some clients send after a body, is taken out
// (RFC 9112, 2.2); a second one, or a bare LF, is refused.
//
// A Conn wraps a client's connection. Its Read returns what the connection
// brought, but a request's head only once all of it was there and has been
// found good: the parser behind never sees a byte of a bad one. In place of a
// bad head it reads the StandIn, a small valid request, upon which the server
// answers with Refused's status and reason. So answers to earlier requests on
// the connection are out before, and the server's own machinery closes it.
// A body that breaks its framing makes Read fail with the *Refusal.
package guard

import (
	"fmt"
	"net/http"
	"time"
)

// Limits bound what a client may send. All fields must be set, but for FieldSize.
type Limits struct {
	HeadSize      int           // of a head, in bytes; more is refused with 431
	LineSize      int           // of the request line, in bytes; more is refused with 414
	FieldSize     int           // of one header field's line, in bytes; more is refused with 431; 0 is no limit but HeadSize
	HeaderTimeout time.Duration // from a head's first byte to its last; then 408
	BodyTimeout   time.Duration // between two reads of a body, or two writes
	IdleTimeout   time.Duration // before the first request; between two it is the server's business
}

// MaxFields is how many header fields a head, and as many a trailer, may have.
const MaxFields = 256

// Refusal is why a request was refused.
type Refusal struct {
	Status int    // 400, 405, 408, 414, 431 or 505
	Reason string // one line for people, that does not repeat what the client sent
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("refused with %d: %s", r.Status, r.Reason)
}

func refuse(reason string) *Refusal { return &Refusal{http.StatusBadRequest, reason} }
