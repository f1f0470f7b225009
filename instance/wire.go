package instance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// A metadata service is one hop away: a connection takes less than a
	// millisecond. Where the address leads nowhere, this is all that is waited.
	connectTimeout = 600 * time.Millisecond

	// answerTimeout bounds one request with its connection. Answers come in
	// milliseconds, seldom in some hundreds. It leaves time, of DefaultTimeout,
	// for the requests that follow a token that never came.
	answerTimeout = 900 * time.Millisecond

	// maxBody bounds one item of metadata; user data, the largest, is not read.
	maxBody = 1 << 18
)

// tokenHeader carries the session token of version 2.
const tokenHeader = "X-Aws-Ec2-Metadata-Token" //nolint:gosec // a header's name

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// wire carries the requests to a metadata service and remembers how they
// went: the SDK falls back from version 2 to version 1 in silence, and which
// request failed how is what tells one cause from another.
type wire struct {
	client *http.Client

	mu   sync.Mutex // guards pass
	pass pass
}

// pass is how the requests of one pass over the service went.
type pass struct {
	connect   error // the connection that could not be made
	put       error // the token request that was not answered
	putStatus int   // of the last token request; 0 = none answered
	getStatus int   // of the last item read; 0 = none answered
	v2        bool  // the last item read was asked for with a token
}

func newWire(dial dialFunc) *wire {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &wire{client: &http.Client{
		Transport: &http.Transport{
			// Never through a proxy: the service is this machine's own, and refuses
			// requests with X-Forwarded-For.
			Proxy: nil,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, connectTimeout)
				defer cancel()
				return dial(ctx, network, address)
			},
			MaxConnsPerHost:     8, // a machine has up to 15 interfaces with 4 items each
			MaxIdleConnsPerHost: 8,
			IdleConnTimeout:     10 * time.Second,
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// begin starts a new pass: what failed in the last one is tried again.
func (w *wire) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pass = pass{}
}

// close ends the idle connections.
func (w *wire) close() { w.client.CloseIdleConnections() }

// Do implements imds.HTTPClient. The answer's body is read already, so that
// its time-out ends here.
func (w *wire) Do(r *http.Request) (*http.Response, error) {
	token := r.Method == http.MethodPut
	if err := w.known(token); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), answerTimeout, fmt.Errorf("no answer within %v", answerTimeout))
	defer cancel()
	resp, err := w.client.Do(r.WithContext(ctx))
	if err == nil {
		var body []byte
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
		_ = resp.Body.Close() // read to its end, or not worth more
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	if err != nil && ctx.Err() != nil && r.Context().Err() == nil {
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), context.DeadlineExceeded)
	}
	w.record(r, resp, err)
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// known returns the error that a request would meet again: one address that
// cannot be connected to is not tried twice in a pass, nor is a token request
// that was not answered.
func (w *wire) known(token bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pass.connect != nil {
		return w.pass.connect
	}
	if token {
		return w.pass.put
	}
	return nil
}

func (w *wire) record(r *http.Request, resp *http.Response, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	token := r.Method == http.MethodPut
	op, isOp := errors.AsType[*net.OpError](err)
	switch {
	case isOp && op.Op == "dial":
		w.pass.connect = err
	case err != nil && token:
		w.pass.put = err
	case err != nil:
	case token:
		w.pass.putStatus = resp.StatusCode
	default:
		w.pass.getStatus = resp.StatusCode
		w.pass.v2 = r.Header.Get(tokenHeader) != ""
	}
}

// seen returns how the present pass went so far.
func (w *wire) seen() pass {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pass
}
