package gateway

import (
	"net/textproto"
	"strings"
)

// Owned tells whether a header field of that name, in any case, is the
// gateway's to write or to take out: those of the connection, Host and lengths,
// all that says who asked and for what (X-Forwarded-*, Forwarded, X-Real-Ip,
// X-Original-Url, Client-Ip and the like), X-Request-Id, and names of other
// characters than letters, digits and dashes, since CGI-like servers read
// X_Real_Ip as X-Real-Ip.
//
// Decide sees none of the fields that come after a body, yet some servers merge
// these into the header (RFC 9110, 6.5.1). So an engine must not hand on an
// owned one from a request's trailer, whoever the peer is.
func Owned(name string) bool {
	plain, canonical := checkFieldName(name)
	if !plain {
		return true
	}
	if !canonical {
		name = textproto.CanonicalMIMEHeaderKey(name)
	}
	return identify(name) != fieldUnknown || overrides(name) || fromProxiesOnly(name)
}

// overrides tells whether a field that the rules do not know says in other
// words who asked, or for which host or path: what the rules have found out
// goes on in X-Forwarded-For, -Host and the request itself. Nobody is believed
// about these, not even a trusted proxy, since load balancers pass them on as
// the user wrote them. It takes canonical names.
func overrides(name string) bool {
	switch name {
	// The URL: Symfony, Zend and IIS's rewriting; Spring, Traefik, Werkzeug
	// and recipes for an app below a path.
	case "X-Rewrite-Url", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Forwarded-Uri", "X-Forwarded-Url",
		"X-Forwarded-Context", "X-Script-Name",
		// Its host.
		"X-Forwarded-Server", "X-Http-Host-Override":
		return true
	// The client's address: of proxies and delivery networks, and of recipes.
	case "Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Cf-Connecting-Ipv6",
		"Cf-Pseudo-Ipv4", "Fastly-Client-Ip", "Fly-Client-Ip", "Cloudfront-Viewer-Address", "X-Azure-Clientip",
		"X-Azure-Socketip", "X-Appengine-User-Ip", "X-Envoy-External-Address", "X-Originating-Ip", "X-Remote-Ip",
		"X-Remote-Addr", "X-Forwarded", "Forwarded-For", "Proxy-Client-Ip", "Wl-Proxy-Client-Ip", "Http-Client-Ip":
		return true
	}
	return strings.HasPrefix(name, "X-Original-") // -Url, -Uri, -Host, -Forwarded-For
}

// fromProxiesOnly tells whether a field that the rules do not know is one that
// only trusted proxies have a say in: a trace, or whom a proxy let in
// (X-Forwarded-User, X-Forwarded-Client-Cert). An app that goes by one of the
// latter stands behind a proxy that writes it. It takes canonical names.
func fromProxiesOnly(name string) bool {
	return name == "X-Amzn-Trace-Id" || strings.HasPrefix(name, "X-Forwarded-")
}
