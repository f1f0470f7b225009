// Package forwarded holds what an Application Load Balancer changes in a
// request's header on its way to the target: X-Forwarded-For and its kin, Host,
// X-Amzn-Trace-Id, what it tells of TLS, and fields with names that are not valid.
//
// Sources: guide of Application Load Balancers ("HTTP headers and Application
// Load Balancers", "Application Load Balancers", "Request tracing",
// "Troubleshoot"), and the documentation of the ELBv2 API's LoadBalancerAttribute.
// What neither says is called unconfirmed.
package forwarded

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Settings are the attributes of a load balancer that decide on headers. The zero
// Settings are ELB's defaults.
type Settings struct {
	XFFHeaderProcessing Mode // routing.http.xff_header_processing.mode
	XFFClientPort       bool // routing.http.xff_client_port.enabled; only with Append
	PreserveHostHeader  bool // routing.http.preserve_host_header.enabled
	TLSHeaders          bool // routing.http.x_amzn_tls_version_and_cipher_suite.enabled
	DropInvalidFields   bool // routing.http.drop_invalid_header_fields.enabled
}

// Mode is what becomes of X-Forwarded-For.
type Mode string

// Modes. An empty one is Append.
const (
	Append   Mode = "append"   // the client's address is put behind what is there
	Preserve Mode = "preserve" // as it came
	Remove   Mode = "remove"
)

// Field is one header field. It is no type of its own, so that it is the same as
// the engine's.
type Field = struct{ Name, Value string }

// Header gives access to a request's header fields.
type Header interface {
	Values(name string) []string
	Len() int
	At(i int) (name, value string)
}

// Client is the client's connection.
type Client struct {
	Addr netip.AddrPort
	Port int  // the listener's
	TLS  bool // and if so:

	TLSVersion, CipherSuite string // as in "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256"
}

// Trace is what a new trace identifier is made of.
type Trace struct {
	Now    time.Time
	Random [12]byte
}

// Edits are the changes of a header: Remove first, then Set, which replaces all
// fields of that name.
type Edits struct {
	Set    []Field
	Remove []string

	TraceID string // the new X-Amzn-Trace-Id, for the access log
}

// Names of the fields that a load balancer writes, in canonical form.
const (
	fieldFor         = "X-Forwarded-For"
	fieldProto       = "X-Forwarded-Proto"
	fieldPort        = "X-Forwarded-Port"
	fieldHost        = "Host"
	fieldTrace       = "X-Amzn-Trace-Id"
	fieldTLSVersion  = "X-Amzn-Tls-Version"
	fieldCipherSuite = "X-Amzn-Tls-Cipher-Suite"
)

// MaxAddresses is how many addresses X-Forwarded-For may have; a request with
// more is answered with 463 (guide, "Troubleshoot").
const MaxAddresses = 30

// TooManyAddresses tells whether a request is to be answered with 463. That the
// mode does not matter is unconfirmed.
func TooManyAddresses(h Header) bool {
	n := 0
	for _, line := range h.Values(fieldFor) {
		n += strings.Count(line, ",") + 1
	}
	return n > MaxAddresses
}

// Owns tells whether a field, its name in canonical form, is the load balancer's
// alone to set, so that none of it may come by other ways, such as trailers.
func (s Settings) Owns(name string) bool {
	switch name {
	case fieldFor:
		return s.XFFHeaderProcessing != Preserve
	case fieldTLSVersion, fieldCipherSuite:
		return s.TLSHeaders
	}
	return name == fieldProto || name == fieldPort || name == fieldTrace
}

// Edit returns the changes of a request's header. The host is the request's own,
// as sent, or as a rule's transform made it. What is set is appended to set.
func (s Settings) Edit(set []Field, host string, h Header, c Client, trace Trace) Edits {
	e := Edits{Set: set}
	s.editFor(&e, h, c)
	proto := "http"
	if c.TLS {
		proto = "https"
	}
	e.set(fieldProto, proto)
	port := strconv.Itoa(c.Port)
	e.set(fieldPort, port)
	if edited := s.host(host, port); edited != host {
		e.set(fieldHost, edited)
	}
	if s.TLSHeaders {
		e.put(h, fieldTLSVersion, c.TLSVersion)
		e.put(h, fieldCipherSuite, c.CipherSuite)
	}
	e.TraceID = TraceID(h, trace)
	e.set(fieldTrace, e.TraceID)
	if s.DropInvalidFields {
		for i := range h.Len() {
			if name, _ := h.At(i); !validName(name) {
				e.Remove = append(e.Remove, name)
			}
		}
	}
	return e
}

func (s Settings) editFor(e *Edits, h Header, c Client) {
	switch s.XFFHeaderProcessing {
	case Preserve:
	case Remove:
		e.put(h, fieldFor, "")
	default:
		if value := s.chain(h, c.Addr); value != "" {
			e.set(fieldFor, value)
		}
	}
}

// chain is what X-Forwarded-For has, and the client's address.
func (s Settings) chain(h Header, client netip.AddrPort) string {
	var buf [128]byte
	b := buf[:0]
	for _, line := range h.Values(fieldFor) {
		if line = strings.Trim(line, " \t"); line != "" {
			b = append(b, line...)
			b = append(b, ", "...)
		}
	}
	if !client.Addr().IsValid() {
		return strings.TrimSuffix(string(b), ", ")
	}
	addr := client.Addr().Unmap().WithZone("")
	if s.XFFClientPort {
		return string(netip.AddrPortFrom(addr, client.Port()).AppendTo(b))
	}
	return string(addr.AppendTo(b))
}

// host returns the Host field for the target. A listener at a default port has
// any port taken off, another one has its port put on where there is none (guide,
// "Application Load Balancers", on preserving the Host header). That 80 and 443
// are default ports whatever the listener speaks is unconfirmed, as is that an
// empty Host stays so.
func (s Settings) host(host, listenerPort string) string {
	if s.PreserveHostHeader || host == "" {
		return host
	}
	name, port := splitPort(host)
	switch {
	case listenerPort == "80" || listenerPort == "443":
		return name
	case port:
		return host
	}
	return host + ":" + listenerPort
}

// splitPort returns a host without its port, and whether it has one.
func splitPort(host string) (name string, port bool) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.IndexByte(host[i:], ']') >= 0 {
		return host, false
	}
	return host[:i], true
}

// validName: letters, digits and hyphens, as the attribute's documentation says.
func validName(name string) bool {
	for _, c := range []byte(name) {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' {
			return false
		}
	}
	return name != ""
}

func (e *Edits) set(name, value string) { e.Set = append(e.Set, Field{name, value}) }

// put makes value the field's only one; "" means no such field.
func (e *Edits) put(h Header, name, value string) {
	switch {
	case value != "":
		e.set(name, value)
	case len(h.Values(name)) > 0:
		e.Remove = append(e.Remove, name)
	}
}
