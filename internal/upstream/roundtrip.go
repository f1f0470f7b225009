package upstream

import (
	"context"
	"net"
	"net/http"

	"hale/internal/inturn"
	"hale/internal/uwsgi"
)

// maxAnswerHeader bounds the header of an answer that RoundTripper reads.
const maxAnswerHeader = 64 << 10

// RoundTripper returns a transport for requests that this program itself
// makes, a check of a page for one. Every request has a connection of its own
// to u, whatever host its URL names: URL.Host and Request.Host are what the
// app is told. Redirects are not followed, no proxy of the environment is
// asked, nothing is compressed or decompressed, and the scheme of the URL does
// not matter to an http upstream: the hop is plain. To a uwsgi upstream, an
// https URL sets HTTPS=on.
//
// Time is bounded by the request's context alone.
func (u Upstream) RoundTripper() http.RoundTripper {
	if u.UWSGI() {
		return &uwsgi.Transport{Dial: u.Dial}
	}
	return &plainTransport{upstream: u, transport: &http.Transport{
		DialContext:            inturn.Dial(func(ctx context.Context, _, _ string) (net.Conn, error) { return u.Dial(ctx) }),
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHeader,
	}}
}

// plainTransport speaks plain HTTP/1.1 to one address.
type plainTransport struct {
	upstream  Upstream
	transport *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (t *plainTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "http" || r.URL.Host == "" {
		// A RoundTripper must not change its request.
		u := *r.URL
		u.Scheme = "http"
		if u.Host == "" {
			u.Host = t.upstream.Host()
		}
		r = r.WithContext(r.Context())
		r.URL = &u
	}
	return t.transport.RoundTrip(r)
}
