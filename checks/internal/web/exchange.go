package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"

	"hale/internal/explain"
)

// Answer is what a server said to one request.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // at most as much as was asked for
}

// Exchange sends one request, follows no redirect, and reads at most limit bytes
// of the answer's body. Where is what is connected to, host:port; within is how
// long the whole run may take, 0 if for ever. Errors are explained.
func Exchange(transport http.RoundTripper, req *http.Request, where string, within time.Duration, limit int64) (*Answer, error) {
	waiting := "no connection"
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { waiting = "connected, but no answer" }}
	ctx := req.Context()
	resp, err := transport.RoundTrip(req.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil {
		return nil, exchanging(ctx, within, waiting, where, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	if err != nil {
		return nil, exchanging(ctx, within, "the answer did not end", where, err)
	}
	return &Answer{resp.StatusCode, resp.Header, body}, nil
}

func exchanging(ctx context.Context, within time.Duration, waiting, where string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return explain.Network(context.Canceled, where)
	}
	if within > 0 && explain.IsTimeout(err) {
		return &explain.Error{Text: fmt.Sprintf("%s within %v: %s", waiting, within, where), Err: err}
	}
	switch text := err.Error(); {
	case strings.Contains(text, "malformed HTTP"):
		return &explain.Error{Text: "answered something that is not HTTP: " + where, Err: err}
	case text == "http: server closed idle connection":
		// net/http's name for a server that hangs up before the request is on its way.
		return &explain.Error{Text: explain.Network(io.EOF, where).Error(), Err: err}
	}
	return explain.Network(err, where)
}
