package gateway

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"strings"
)

// Origin is where a request came from, as far as trusted proxies and the
// connection tell.
type Origin struct {
	Client    netip.Addr // the zero Addr if unknown; see Decision.Client
	Scheme    string     // "http" or "https"
	RequestID string     // the request's X-Request-Id
}

type originKey struct{}

// FromContext returns where a request came from, given its context behind
// Middleware.
func FromContext(ctx context.Context) (Origin, bool) {
	o, ok := ctx.Value(originKey{}).(Origin)
	return o, ok
}

// Middleware wraps a Go web app in the gateway's rules: health answers on the
// health path, next is the app, which sees only requests that are to be
// forwarded. If health is nil, the app answers on the health path itself, and
// the rules do not touch those requests.
//
// The app's requests have the headers that an app behind a proxy would see.
// RemoteAddr is the client's address; its port is 0 if the client is not the
// peer, since no header tells it. It is "" if the client is unknown behind a
// trusted proxy, and as the server has it if the peer has no address either.
// FromContext tells the rest.
//
// The response headers of the settings are there before the app runs: what it
// sets or deletes itself stays so. An app that uses Header.Add on one of them
// sends it twice.
func (g *Gateway) Middleware(health, next http.Handler) http.Handler {
	if health == nil {
		health = next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := requestOf(r)
		d := g.Decide(&req)
		switch d.Kind {
		case Health:
			health.ServeHTTP(w, withOrigin(r, &d))
		case Forward:
			setFields(w.Header(), d.Response)
			r = withOrigin(r, &d)
			r.Header = maps.Clone(r.Header)
			d.Edit(r.Header)
			if peer := plainAddr(req.Peer.Addr()); d.Client != peer {
				r.RemoteAddr = ""
				if d.Client.IsValid() {
					r.RemoteAddr = netip.AddrPortFrom(d.Client, 0).String()
				}
			}
			next.ServeHTTP(w, r)
		default:
			respond(w, &d)
		}
	})
}

func withOrigin(r *http.Request, d *Decision) *http.Request {
	o := Origin{Client: d.Client, Scheme: d.Scheme, RequestID: d.RequestID}
	return r.WithContext(context.WithValue(r.Context(), originKey{}, o))
}

// requestOf returns the head of a request that a server has read.
func requestOf(r *http.Request) Request {
	req := Request{
		Method: r.Method,
		Host:   r.Host,
		Proto:  r.Proto,
		Header: Map(r.Header),
		TLS:    r.TLS != nil,
	}
	// RemoteAddr is no address on a unix socket.
	req.Peer, _ = netip.ParseAddrPort(r.RemoteAddr)
	req.Path, req.RawQuery, req.ForceQuery = targetOf(r)
	return req
}

// targetOf returns path and query as sent; r.URL holds them decoded, and
// encodes them in its own way again. Requests that were made by a program and
// not read from a connection have nothing but r.URL.
func targetOf(r *http.Request) (path, rawQuery string, forceQuery bool) {
	target := r.RequestURI
	if target == "" {
		return r.URL.EscapedPath(), r.URL.RawQuery, r.URL.ForceQuery
	}
	if target[0] != '/' {
		// The absolute form names the host too (RFC 9112, 3.2.2), which
		// net/http has taken as r.Host.
		_, rest, ok := strings.Cut(target, "://")
		if !ok {
			return target, "", false
		}
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			return "/", "", false
		}
		if target = rest[end:]; target[0] == '?' {
			target = "/" + target
		}
	}
	path, rawQuery, found := strings.Cut(target, "?")
	return path, rawQuery, found && rawQuery == ""
}

func setFields(h http.Header, fields []Field) {
	values := make([]string, len(fields))
	for i, f := range fields {
		values[i] = f.Value
		h[f.Name] = values[i : i+1 : i+1]
	}
}

// respond gives the gateway's own answer.
func respond(w http.ResponseWriter, d *Decision) {
	h := w.Header()
	setFields(h, d.Response)
	if d.Location != "" {
		h.Set("Location", d.Location)
	}
	if d.Close {
		h.Set("Connection", "close")
	}
	w.WriteHeader(d.Status)
	// If the client is gone, there is nobody to tell.
	_, _ = io.WriteString(w, d.Body) //nolint:gosec // plain text, and what it shows of the request is made harmless
}
