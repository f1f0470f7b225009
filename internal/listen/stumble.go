package listen

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Stumble is what an app may stumble over in a visit.
type Stumble struct {
	ID string
	// Text says what it is and, after a colon, who stumbles and how.
	Text string
}

// obstacles are all that there are. Says tells of one, "" if it is not there.
var obstacles = []struct {
	id   string
	says func(v *Visit) string
}{
	{"proxy-header", proxyHeader},
	{"tls-on-plain-port", tlsOnPlain},
	{"http-on-tls-port", plainOnTLS},
	{"certificate-refused", certificateRefused},
	{"no-sni", noSNI},
	{"tls-version", tlsVersion},
	{"http2-prior-knowledge", priorKnowledge},
	{"grpc", grpcCall},
	{"bare-connection", bare},
	{"silence", silent},
	{"not-http", notHTTP},
	{"malformed", malformed},
	{"http-0.9", ofRequest(http09)},
	{"http-1.0", ofRequest(http10)},
	{"no-host", ofHeader(noHost)},
	{"host-is-ip", ofRequest(hostIsIP)},
	{"host-is-localhost", ofRequest(hostIsLocalhost)},
	{"host-has-port", ofRequest(hostHasPort)},
	{"no-x-forwarded-proto", noForwardedProto},
	{"method", ofRequest(method)},
	{"no-accept", ofHeader(noAccept)},
	{"no-user-agent", ofHeader(noUserAgent)},
}

// stumbles lists what an app may stumble over.
func stumbles(v *Visit) []Stumble {
	var found []Stumble
	for _, o := range obstacles {
		if text := o.says(v); text != "" {
			found = append(found, Stumble{o.id, text})
		}
	}
	return found
}

// ofRequest makes an obstacle of one that only whole requests have, and gRPC
// calls do not: their servers look at the method alone.
func ofRequest(says func(r *Request) string) func(*Visit) string {
	return func(v *Visit) string {
		if v.Kind != Whole || v.Request.GRPC() {
			return ""
		}
		return says(v.Request)
	}
}

// ofHeader is ofRequest for what is missing in a header, where there can be one.
func ofHeader(says func(r *Request) string) func(*Visit) string {
	return ofRequest(func(r *Request) string {
		if r.Version == http09Version {
			return ""
		}
		return says(r)
	})
}

func proxyHeader(v *Visit) string {
	switch {
	case v.Proxy == nil:
		return ""
	case v.Proxy.Version == 2 && v.Proxy.Local:
		return "a PROXY header before the request, with no client in it (LOCAL): a server that does not expect it answers 400 or hangs up; " +
			"one that does must skip it by its length"
	}
	return fmt.Sprintf("a PROXY header (v%d) before the request: a server that does not expect it answers 400 or hangs up (nginx: listen ... proxy_protocol)", v.Proxy.Version)
}

func tlsOnPlain(v *Visit) string {
	if v.Kind != Foreign || v.TLS == nil {
		return ""
	}
	return "TLS on a port without it: the check is set to HTTPS; set it to HTTP, or see what is inside with hale listen --tls"
}

func plainOnTLS(v *Visit) string {
	if !v.PlainOnTLS {
		return ""
	}
	return "no TLS on a port for it: servers answer 400 or hang up; set the check to HTTPS"
}

func certificateRefused(v *Visit) string {
	if v.Kind != Handshake || !strings.HasPrefix(v.Why, clientEnded) || !strings.Contains(v.Why, "certificate") {
		return ""
	}
	return "it examines the certificate: one that signed itself, has ended or has another name fails the check"
}

func noSNI(v *Visit) string {
	if v.TLS == nil || v.TLS.ServerName != "" || v.Kind == Foreign {
		return ""
	}
	return "no SNI: servers without a default certificate end the handshake (nginx ssl_reject_handshake, HAProxy strict-sni, Caddy)"
}

func tlsVersion(v *Visit) string {
	switch {
	case v.TLS == nil || v.Kind == Foreign:
		return ""
	case v.TLS.Newest < tls.VersionTLS12:
		return "less than TLS 1.2: servers of today end the handshake"
	case v.TLS.Newest < tls.VersionTLS13:
		return "TLS 1.2 at most: a server with TLS 1.3 alone ends the handshake"
	}
	return ""
}

func priorKnowledge(v *Visit) string {
	if v.Kind != Whole || !v.Request.HTTP2() || v.TLS != nil {
		return ""
	}
	return "HTTP/2 without TLS and without asking: servers of HTTP/1.1 answer 400 or hang up"
}

func grpcCall(v *Visit) string {
	switch {
	case v.Kind != Whole || !v.Request.GRPC():
		return ""
	case strings.HasPrefix(v.Request.Target, grpcHealth):
		return "gRPC's health service: a server must have it registered, else it answers 12 (UNIMPLEMENTED)"
	}
	return "a gRPC call: a server without this method answers 12 (UNIMPLEMENTED), which an ALB takes for healthy by default, a server of HTTP alone 404 or 415"
}

func bare(v *Visit) string {
	if v.Kind != Bare {
		return ""
	}
	return "not a byte: it proves that the port is open, not that the app answers; logs fill with empty requests (nginx 400, Apache 408)"
}

func silent(v *Visit) string {
	if v.Kind != Silent {
		return ""
	}
	return "connected, and said nothing: a server with one request a worker (gunicorn sync) is held up as long as that lasts"
}

func notHTTP(v *Visit) string {
	if v.Kind != Foreign || v.TLS != nil {
		return ""
	}
	return "not HTTP: web servers answer 400 or hang up"
}

func malformed(v *Visit) string {
	if v.Request == nil || len(v.Request.Flaws) == 0 {
		return ""
	}
	return strings.Join(v.Request.Flaws, "; ") + ": strict servers answer 400"
}

func http09(r *Request) string {
	if r.Version != http09Version {
		return ""
	}
	return "HTTP/0.9, a request without a version: many servers answer 400 or hang up"
}

func http10(r *Request) string {
	if r.Version != "HTTP/1.0" {
		return ""
	}
	return "HTTP/1.0: no chunked answers, the connection is closed after each, and Host may be missing"
}

func noHost(r *Request) string {
	host, ok := r.Host()
	switch {
	case host != "":
		return ""
	case ok:
		return "Host is empty: lists of allowed hosts refuse it (400), other servers take their default site"
	case r.Version == "HTTP/1.1":
		return "no Host, which HTTP/1.1 demands: servers answer 400"
	}
	return "no Host: lists of allowed hosts refuse it (Django 400), web servers take their default site"
}

func hostIsIP(r *Request) string {
	host, _ := r.Host()
	name, _ := splitHost(host)
	if _, err := netip.ParseAddr(name); err != nil {
		return ""
	}
	return "Host is an IP address: lists of allowed hosts refuse it (Django, Starlette 400, Rails 403), web servers take their default site, firewalls dislike it (CRS 920350)"
}

func hostIsLocalhost(r *Request) string {
	host, _ := r.Host()
	if name, _ := splitHost(host); !strings.EqualFold(name, "localhost") {
		return ""
	}
	return "Host is localhost: lists of allowed hosts refuse it in production (Django, Starlette 400, Rails 403)"
}

func hostHasPort(r *Request) string {
	host, _ := r.Host()
	if _, port := splitHost(host); port == "" {
		return ""
	}
	return "Host has a port: what compares it with a bare name, or builds links from it, goes wrong"
}

func noForwardedProto(v *Visit) string {
	if v.TLS != nil || v.PlainOnTLS {
		return ""
	}
	return ofHeader(func(r *Request) string {
		for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Ssl", "Forwarded"} {
			if _, ok := r.Get(name); ok {
				return ""
			}
		}
		return noProto
	})(v)
}

const noProto = "no X-Forwarded-Proto: an app that sends users to https answers 301 (SECURE_SSL_REDIRECT, force_ssl, RewriteCond)"

func method(r *Request) string {
	switch r.Method {
	case http.MethodGet:
		return ""
	case http.MethodHead:
		return "HEAD: routes for GET alone answer 405 or 404"
	case http.MethodOptions:
		return "OPTIONS: routes for GET alone answer 405 or 404, and CORS code may answer in the app's place"
	}
	return "a method other than GET: routes for GET alone answer 405 or 404, and protection against CSRF 403"
}

func noAccept(r *Request) string {
	if _, ok := r.Get("Accept"); ok {
		return ""
	}
	return "no Accept: firewalls of web apps take it for a robot (CRS 920300); the app may choose another form than for browsers"
}

func noUserAgent(r *Request) string {
	if agent, _ := r.Get("User-Agent"); agent != "" {
		return ""
	}
	return "no User-Agent: firewalls and bot filters refuse it (CRS 920320)"
}
