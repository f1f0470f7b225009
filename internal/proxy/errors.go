package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"hale/internal/upstream"
)

// What can go wrong, for errors.Is.
var (
	ErrConnect      error = &kind{"cannot connect", http.StatusBadGateway} // but 504 after ConnectTimeout
	ErrTLS          error = &kind{"no TLS", http.StatusBadGateway}         // the handshake with the upstream failed, or timed out
	ErrTimeout      error = &kind{"timed out", http.StatusGatewayTimeout}  // the upstream took too long
	ErrNoAnswer     error = &kind{"no answer", http.StatusBadGateway}      // the connection ended before the answer's head did
	ErrBadAnswer    error = &kind{"invalid answer", http.StatusBadGateway} // what came back is no HTTP
	ErrCutOff       error = &kind{"answer cut off", http.StatusBadGateway} // the answer's body ended early; the client's connection is cut
	ErrCut          error = &kind{"cut", http.StatusBadGateway}            // the upstream was given up: Engine.Cut
	ErrClosing      error = &kind{"shutting down", http.StatusBadGateway}  // an upgraded connection was cut at the shutdown's deadline
	ErrClientGone   error = &kind{"client gone", StatusClientGone}         // nobody is left to answer
	ErrBadRequest   error = &kind{"bad request", http.StatusBadRequest}    // it, or its body, is not valid
	ErrHeadTimeout  error = &kind{"request header timed out", http.StatusRequestTimeout}
	ErrBodyTimeout  error = &kind{"request body timed out", http.StatusRequestTimeout}
	ErrBodyTooLarge error = &kind{"request body too large", http.StatusRequestEntityTooLarge}
	ErrHeadTooLarge error = &kind{"request header too large", http.StatusRequestHeaderFieldsTooLarge} // for us, or for the upstream's protocol
	ErrSpool        error = &kind{"cannot keep the request", http.StatusInternalServerError}          // no room for a body of unknown length
)

// kind is what the Err variables are.
type kind struct {
	text   string
	status int // that a client is answered with
}

func (k *kind) Error() string { return k.text }

// StatusClientGone is the Outcome's status when the client left before it was
// answered, as nginx logs it. It never goes over the wire.
const StatusClientGone = 499

// Error is why a request got no complete answer from its upstream.
type Error struct {
	Kind     error  // one of the Err variables
	Op       string // what was being done: "connect", "read the answer's header", ...
	Upstream upstream.Upstream
	Err      error // the cause; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		if !e.Upstream.IsZero() {
			fmt.Fprintf(&b, " (upstream %s)", e.Upstream)
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Kind.Error())
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	if hint := e.hint(); hint != "" {
		b.WriteString(": ")
		b.WriteString(hint)
	}
	return b.String()
}

// Unwrap makes the kind and the cause known to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// hint is the way out, where the cause shows one.
func (e *Error) hint() string {
	switch {
	case !errors.Is(e.Kind, ErrConnect):
		return ""
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return "is the app running, and listening there?"
	case errors.Is(e.Err, syscall.ENOENT):
		return "the app has not made its socket: is it running, with the same path?"
	case errors.Is(e.Err, syscall.EACCES):
		return "let this user write to the app's socket"
	case errors.Is(e.Err, syscall.EAGAIN):
		return "the socket's queue is full: the app accepts too slowly"
	}
	return ""
}

// Status is the status a client is answered with when err is why there is no
// answer.
func (e *Error) Status() int {
	k, ok := errors.AsType[*kind](e.Kind)
	switch {
	case !ok:
		return http.StatusBadGateway
	case errors.Is(k, ErrConnect) && isTimeout(e.Err) && !errors.Is(e.Err, syscall.EAGAIN):
		return http.StatusGatewayTimeout
	default:
		return k.status
	}
}

// Timeout reports whether time ran out, rather than the other side having failed.
func (e *Error) Timeout() bool {
	return errors.Is(e.Kind, ErrTimeout) || e.Err != nil && isTimeout(e.Err)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &ne) && ne.Timeout()
}
