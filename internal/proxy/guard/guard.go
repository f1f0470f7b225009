// Package guard refuses requests that two parsers could read differently.
//
// Request smuggling lives on such differences: a message whose length one
// program takes from Content-Length and the next from Transfer-Encoding, a
// line that ends at a bare LF for one and not for the other. The guard takes only
// what RFC 9112 gives one meaning. Everything else is refused, with the reason, and
// the connection ends there. One thing alone is mended: an empty line before a
// request line, which some clients send after a body, is left out (RFC 9112, 2.2);
// a second one, or a bare LF, is refused.
//
// A Reader reads a client's requests so, and CheckRequest judges those that came
// in another form than text.
package guard

import (
	"fmt"
	"net/http"
)

// Limits bound what a client may send. All fields must be set, but for FieldSize.
type Limits struct {
	HeadSize  int // of a head, in bytes; more is refused with 431
	LineSize  int // of the request line, in bytes; more is refused with 414
	FieldSize int // of one header field's line, in bytes; more is refused with 431; 0 is no limit but HeadSize
}

// MaxFields is how many header fields a head, and as many a trailer, may have.
const MaxFields = 256

// Refusal is why a request was refused.
type Refusal struct {
	Status int    // 400, 405, 408, 414, 417, 431, 501 or 505
	Reason string // one line for people, that does not repeat what the client sent
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("refused with %d: %s", r.Status, r.Reason)
}

func refuse(reason string) *Refusal { return &Refusal{http.StatusBadRequest, reason} }
