package proxy_test

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"hale/internal/proxy"
	"hale/internal/upstream"
)

func TestError(t *testing.T) {
	app := upstream.MustParse("unix:///run/app.sock")
	for _, tt := range []struct {
		err    *proxy.Error
		text   string
		status int
	}{
		{&proxy.Error{Kind: proxy.ErrConnect, Op: "connect", Upstream: app, Err: syscall.ECONNREFUSED}, "connect (upstream unix:///run/app.sock): cannot connect: connection refused: is the app running, and listening there?", 502},
		{&proxy.Error{Kind: proxy.ErrConnect, Op: "connect", Upstream: app, Err: syscall.ENOENT}, "connect (upstream unix:///run/app.sock): cannot connect: no such file or directory: the app has not made its socket: is it running, with the same path?", 502},
		{&proxy.Error{Kind: proxy.ErrConnect, Op: "connect", Upstream: app, Err: syscall.EACCES}, "connect (upstream unix:///run/app.sock): cannot connect: permission denied: let this user write to the app's socket", 502},
		{&proxy.Error{Kind: proxy.ErrConnect, Op: "connect", Upstream: app, Err: syscall.EAGAIN}, "connect (upstream unix:///run/app.sock): cannot connect: resource temporarily unavailable: the socket's queue is full: the app accepts too slowly", 502},
		{&proxy.Error{Kind: proxy.ErrConnect, Op: "connect", Err: context.DeadlineExceeded}, "connect: cannot connect: context deadline exceeded", 504},
		{&proxy.Error{Kind: proxy.ErrTimeout, Op: "read the answer's header", Err: os.ErrDeadlineExceeded}, "read the answer's header: timed out: i/o timeout", 504},
		{&proxy.Error{Kind: proxy.ErrTLS, Op: "shake hands", Err: context.DeadlineExceeded}, "shake hands: no TLS: context deadline exceeded", 502},
		{&proxy.Error{Kind: proxy.ErrCut}, "cut", 502},
		{&proxy.Error{Kind: proxy.ErrNoAnswer}, "no answer", 502},
		{&proxy.Error{Kind: proxy.ErrBadAnswer}, "invalid answer", 502},
		{&proxy.Error{Kind: proxy.ErrCutOff}, "answer cut off", 502},
		{&proxy.Error{Kind: proxy.ErrClosing}, "shutting down", 502},
		{&proxy.Error{Kind: proxy.ErrClientGone}, "client gone", 499},
		{&proxy.Error{Kind: proxy.ErrBadRequest}, "bad request", 400},
		{&proxy.Error{Kind: proxy.ErrHeadTimeout}, "request header timed out", 408},
		{&proxy.Error{Kind: proxy.ErrBodyTimeout}, "request body timed out", 408},
		{&proxy.Error{Kind: proxy.ErrBodyTooLarge}, "request body too large", 413},
		{&proxy.Error{Kind: proxy.ErrHeadTooLarge}, "request header too large", 431},
		{&proxy.Error{Kind: proxy.ErrSpool, Err: syscall.ENOSPC}, "cannot keep the request: no space left on device", 500},
	} {
		if tt.err.Error() != tt.text || tt.err.Status() != tt.status {
			t.Errorf("%q, status %d; want %q, %d", tt.err, tt.err.Status(), tt.text, tt.status)
		}
		if !errors.Is(tt.err, tt.err.Kind) || tt.err.Err != nil && !errors.Is(tt.err, tt.err.Err) {
			t.Errorf("%v is neither its kind nor its cause", tt.err)
		}
	}
}
