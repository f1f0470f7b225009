package balancer

import (
	"maps"
	"net/http"
	"net/textproto"
	"strings"

	"hale/internal/balancer/inventory"
	"hale/internal/proxy"
)

// headers are what a listener's attributes change in headers (guide of Application
// Load Balancers, "Header modification").
type headers struct {
	// set replaces fields of answers, drop takes them away.
	set  []proxy.Field
	drop []string
	// noServer takes Server away from the load balancer's own answers; what targets
	// say of themselves stays.
	noServer bool
	// names are other names for the fields that tell targets of TLS.
	names map[string]string
}

// newHeaders reads them from the attributes of a listener of that load balancer.
func newHeaders(l *inventory.Listener, b *inventory.LoadBalancer) headers {
	var h headers
	for key, value := range l.All(b) {
		switch name, ok := named(key, "routing.http.response.", ".header_value"); {
		case ok && value != "":
			h.set = append(h.set, proxy.Field{Name: name, Value: value})
			h.drop = append(h.drop, name)
		case key == "routing.http.response.server.enabled" && value == "false":
			h.noServer = true
		}
		if name, ok := named(key, "routing.http.request.", ".header_name"); ok && value != name {
			if h.names == nil {
				h.names = make(map[string]string)
			}
			h.names[name] = value
		}
	}
	return h
}

// named returns the name of a header field in an attribute's key: X-Frame-Options
// in routing.http.response.x_frame_options.header_value.
func named(key, before, behind string) (name string, ok bool) {
	name, first := strings.CutPrefix(key, before)
	name, last := strings.CutSuffix(name, behind)
	return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-")), first && last
}

// own returns the header of an answer of the load balancer's own, as the listener has
// it.
func (h *headers) own(header http.Header) http.Header {
	if _, ok := header["Server"]; !ok || !h.noServer {
		return header
	}
	header = maps.Clone(header)
	delete(header, "Server")
	return header
}

// rename gives fields of a request the names that the listener has for them.
func (h *headers) rename(fields []proxy.Field) {
	for i, f := range fields {
		if name, ok := h.names[f.Name]; ok {
			fields[i].Name = name
		}
	}
}
