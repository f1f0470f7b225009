package gateway

import (
	"net/textproto"
	"slices"
	"strings"
)

// field is a header field that the rules know.
type field uint8

const (
	fieldUnknown field = iota

	// Fields up to lastOwn are never handed on. These concern this connection
	// alone (RFC 9110, 7.6.1) ...
	fieldConnection
	fieldKeepAlive
	fieldProxyConnection
	fieldProxyAuthorization
	fieldTransferEncoding
	fieldUpgrade
	fieldHTTP2Settings
	// ... this one becomes HTTP_PROXY, a setting, in CGI-like servers
	// (httpoxy, CVE-2016-5385) ...
	fieldProxy
	// ... and these say in other words what X-Forwarded-For and -Proto say.
	// Frameworks and servers read them (Rack, gunicorn, Django's older
	// recipes), and load balancers pass them on as the user wrote them.
	fieldForwarded
	fieldForwardedProtocol
	fieldForwardedScheme
	fieldForwardedSSL
	fieldFrontEndHTTPS
	fieldURLScheme
	fieldScheme

	fieldTE
	fieldHost
	fieldContentLength
	fieldForwardedFor
	fieldForwardedHost
	fieldForwardedPort
	fieldForwardedProto
	fieldRealIP
	fieldRequestID
	fieldCount

	lastOwn = fieldScheme
)

var fieldNames = [fieldCount]string{
	fieldConnection:         "Connection",
	fieldKeepAlive:          "Keep-Alive",
	fieldProxyConnection:    "Proxy-Connection",
	fieldProxyAuthorization: "Proxy-Authorization",
	fieldTransferEncoding:   "Transfer-Encoding",
	fieldUpgrade:            "Upgrade",
	fieldHTTP2Settings:      "Http2-Settings",
	fieldProxy:              "Proxy",
	fieldForwarded:          "Forwarded",
	fieldForwardedProtocol:  "X-Forwarded-Protocol",
	fieldForwardedScheme:    "X-Forwarded-Scheme",
	fieldForwardedSSL:       "X-Forwarded-Ssl",
	fieldFrontEndHTTPS:      "Front-End-Https",
	fieldURLScheme:          "X-Url-Scheme",
	fieldScheme:             "X-Scheme",
	fieldTE:                 "Te",
	fieldHost:               "Host",
	fieldContentLength:      "Content-Length",
	fieldForwardedFor:       "X-Forwarded-For",
	fieldForwardedHost:      "X-Forwarded-Host",
	fieldForwardedPort:      "X-Forwarded-Port",
	fieldForwardedProto:     "X-Forwarded-Proto",
	fieldRealIP:             "X-Real-Ip",
	fieldRequestID:          "X-Request-Id",
}

// identify finds a field by its canonical name. The compiler makes a search
// tree of the switch: most names of a request are told apart by their length.
func identify(name string) field {
	switch name {
	case "Connection":
		return fieldConnection
	case "Keep-Alive":
		return fieldKeepAlive
	case "Proxy-Connection":
		return fieldProxyConnection
	case "Proxy-Authorization":
		return fieldProxyAuthorization
	case "Transfer-Encoding":
		return fieldTransferEncoding
	case "Upgrade":
		return fieldUpgrade
	case "Http2-Settings":
		return fieldHTTP2Settings
	case "Proxy":
		return fieldProxy
	case "Forwarded":
		return fieldForwarded
	case "X-Forwarded-Protocol":
		return fieldForwardedProtocol
	case "X-Forwarded-Scheme":
		return fieldForwardedScheme
	case "X-Forwarded-Ssl":
		return fieldForwardedSSL
	case "Front-End-Https":
		return fieldFrontEndHTTPS
	case "X-Url-Scheme":
		return fieldURLScheme
	case "X-Scheme":
		return fieldScheme
	case "Te":
		return fieldTE
	case "Host":
		return fieldHost
	case "Content-Length":
		return fieldContentLength
	case "X-Forwarded-For":
		return fieldForwardedFor
	case "X-Forwarded-Host":
		return fieldForwardedHost
	case "X-Forwarded-Port":
		return fieldForwardedPort
	case "X-Forwarded-Proto":
		return fieldForwardedProto
	case "X-Real-Ip":
		return fieldRealIP
	case "X-Request-Id":
		return fieldRequestID
	}
	return fieldUnknown
}

// head is what the rules need of a request's header.
type head struct {
	values [fieldCount][]string
	// strange are names of other fields that must not reach the app.
	strange []string
	// atRisk has a bit for each field that an engine may take out although no
	// edit says so: it is set even if it is right already.
	atRisk uint32
}

// readHead goes through a header once.
func readHead(header Header, trusted bool) head {
	switch header := header.(type) {
	case nil:
		return head{}
	case Map:
		// A loop of its own, since h is allocated if it is handed to Each.
		var h head
		for name, values := range header {
			h.see(name, values, trusted, true)
		}
		return h
	default:
		h := new(head)
		header.Each(func(name string, values []string) { h.see(name, values, trusted, false) })
		return *h
	}
}

// see notes a field. exact says that names are expected in canonical form,
// and that others are not the fields they look like.
func (h *head) see(name string, values []string, trusted, exact bool) {
	if len(values) == 0 {
		return
	}
	plain, canonical := checkFieldName(name)
	if !plain || exact && !canonical {
		h.strange = append(h.strange, name)
		if plain { // it is removed without regard to case
			h.atRisk |= 1 << identify(textproto.CanonicalMIMEHeaderKey(name))
		}
		return
	}
	if !canonical {
		name = textproto.CanonicalMIMEHeaderKey(name)
	}
	if f := identify(name); f != fieldUnknown {
		if h.values[f] != nil {
			values = slices.Concat(h.values[f], values)
		}
		h.values[f] = values
		return
	}
	if overrides(name) || !trusted && fromProxiesOnly(name) {
		h.strange = append(h.strange, name)
	}
}

// checkFieldName tells whether a field's name is letters, digits and dashes,
// and whether it is in canonical form ("X-Request-Id").
//
// Other characters are allowed by RFC 9110, but CGI-like protocols (uwsgi,
// WSGI, FastCGI) turn underscores and dashes into the same: X_Forwarded_Proto
// would be read as X-Forwarded-Proto. nginx drops such fields by default too
// (ignore_invalid_headers, underscores_in_headers).
func checkFieldName(name string) (plain, canonical bool) {
	canonical = true
	start := true // of a word
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z':
			canonical = canonical && !start
		case 'A' <= c && c <= 'Z':
			canonical = canonical && start
		case '0' <= c && c <= '9', c == '-':
		default:
			return false, false
		}
		start = c == '-'
	}
	return name != "", canonical
}

func (h *head) has(f field) bool { return len(h.values[f]) > 0 }

// only returns the value of a field that came once and is no list.
func (h *head) only(f field) string {
	if v := h.values[f]; len(v) == 1 && strings.IndexByte(v[0], ',') < 0 {
		return v[0]
	}
	return ""
}

// last returns the last element of a field's list, which the peer wrote.
func (h *head) last(f field) string {
	v := h.values[f]
	if len(v) == 0 {
		return ""
	}
	s := v[len(v)-1]
	return trim(s[strings.LastIndexByte(s, ',')+1:])
}

// lists tells whether the list of a field has an element, in any case.
func (h *head) lists(f field, element string) bool {
	for _, v := range h.values[f] {
		for v != "" {
			var e string
			e, v, _ = strings.Cut(v, ",")
			if strings.EqualFold(trim(e), element) {
				return true
			}
		}
	}
	return false
}

// trim removes the spaces around a list's element (RFC 9110, 5.6.1).
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
