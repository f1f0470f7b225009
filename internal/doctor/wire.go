package doctor

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"hale/internal/probe"
)

// wireHypotheses are disagreements about the first bytes: TLS or not, HTTP/2
// or not, a PROXY header first, another protocol altogether.
var wireHypotheses = []hypothesis{
	{id: "proxy-upstream-protocol", on: []class{classBadRequest, classBadGateway, classUnavailable, classGatewayTimeout, classSilent}, inside: true, look: httpUpstream},
	{
		id: "host-missing", on: []class{classBadRequest, classEmpty, classNotFound, classForbidden, classRedirectHTTPS},
		fits: func(x *examination) bool { return x.current.probe.SentHost() == "" }, changes: withHost,
	},
	{id: "nginx-default-server-444", on: []class{classEmpty}, changes: toDomain},
	{id: "ua-blocked", on: []class{classEmpty}, changes: one(userAgent)},
	{id: "http-to-https-port", on: []class{classTLSPort}, changes: one(secure), accept: speaksTLS},
	{id: "http-to-https-port", on: []class{classEmpty, classNotHTTP}, fits: speaksPlainly, changes: one(secure), accept: speaksTLS},
	{id: "lb-validates-certificate", on: []class{classTLS}, fits: unverified, look: theCertificate},
	{id: "https-to-http-port", on: []class{classTLS}, changes: one(plain), accept: answersPlainly},
	{id: "tls-version-mismatch", on: []class{classTLS}, fits: capped, changes: one(anyTLS)},
	{id: "tls-sni-required", on: []class{classTLS}, changes: toServerName},
	{id: "tls-client-cert-required", on: []class{classTLS, classEmpty, classCut}, fits: wantsCertificate, look: theError},
	{id: "tls-client-cert-required", on: []class{classBadRequest}, fits: has(`No required SSL certificate was sent`), look: theAnswer},
	{id: "proxy-protocol-expected", on: []class{classEmpty}, changes: one(proxyLine), accept: understood},
	{id: "http2-only-listener", on: []class{classNotHTTP, classEmpty, classTLSPort, classForbidden}, fits: either(settingsFrame, has("expected .?h2"), closes), changes: one(http2), accept: answersHTTP},
	{id: "wrong-application-protocol", on: []class{classNotHTTP}, fits: banner, look: firstBytes},
	{id: "wrong-application-protocol", on: []class{classEmpty, classKilled}, inside: true, look: otherProtocol},
	{id: "grpc-health-code", on: []class{classUnexpected, classOther, classServerError, classNotFound}, fits: answersGRPC, look: grpcCode, changes: acceptingGRPC},
	{id: "protocol-version-mismatch-464", on: []class{classNotHTTP, classEmpty, classCut, classTLS, classUnexpected, classOther, classNotFound, classMethod, classBadRequest}, fits: speaksHTTP2, changes: one(oldHTTP), accept: answersHTTP},
}

func speaksPlainly(x *examination) bool {
	a := &x.current.answer
	return !x.current.probe.Protocol.Secure() &&
		(a.Outcome == probe.Empty || len(a.Received) > 0 && (a.Received[0] == 0x15 || a.Received[0] == 0x16))
}

// answersHTTP tells whether a change brought a whole HTTP answer.
func answersHTTP(_ *examination, s step) bool { return s.after.answer.Outcome == probe.Answered }

// understood tells whether the line was taken for what it is: a server that
// does not know it calls it a bad request by itself.
func understood(x *examination, s step) bool {
	a := &s.after.answer
	by := author(a)
	return answersHTTP(x, s) && (a.Status != 400 || by != "" && by != "go" && !byEdge(a))
}

// answersPlainly tells an answer to plain HTTP that is not the complaint of a
// port that wants TLS.
func answersPlainly(x *examination, s step) bool {
	return answersHTTP(x, s) && s.after.sign.class != classTLSPort
}

// speaksTLS tells whether the other side speaks TLS, even if it refuses.
func speaksTLS(_ *examination, s step) bool {
	a := &s.after.answer
	return a.TLS != nil || s.after.sign.class == classTLS && a.Err != nil && strings.Contains(a.Err.Error(), "remote error: tls")
}

func capped(x *examination) bool { return x.current.probe.MaxTLS != 0 }

// wantsCertificate fits a server that asked for a client certificate, and ended
// the connection when there was none.
func wantsCertificate(x *examination) bool {
	return x.current.answer.WantsCertificate && x.current.answer.Err != nil
}

// theError proves by what the connection said.
func theError(_ context.Context, x *examination) []Evidence {
	return []Evidence{
		{Change: "the TLS handshake", Before: "the server asks for a client certificate"},
		{Change: "the connection's end", Before: printable(x.current.answer.Err.Error(), 160)},
	}
}

// unverified fits a certificate that the prober refused.
func unverified(x *examination) bool {
	err := x.current.answer.Err
	if err == nil {
		return false
	}
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	return invalid || name || authority || strings.Contains(err.Error(), "x509: ")
}

// theCertificate shows what is wrong with it.
func theCertificate(_ context.Context, x *examination) []Evidence {
	seen := []Evidence{{Change: "the certificate", Before: printable(x.current.answer.Err.Error(), 200)}}
	if t := x.current.answer.TLS; t != nil && len(t.PeerCertificates) > 0 {
		c := t.PeerCertificates[0]
		seen = append(seen, Evidence{
			Change: "its names and dates",
			Before: fmt.Sprintf("%s, from %s to %s", printable(strings.Join(c.DNSNames, " "), 100), c.NotBefore.Format(time.DateOnly), c.NotAfter.Format(time.DateOnly)),
		})
	}
	return seen
}

// settingsFrame knows HTTP/2's first frame (RFC 9113, 3.4).
func settingsFrame(x *examination) bool {
	b := x.current.answer.Received
	return len(b) >= 9 && b[0] == 0 && b[3] == 4 && b[5] == 0 && b[6] == 0 && b[7] == 0 && b[8] == 0
}

// closes fits a server that ends the connection without a word, as Go's does that
// speaks HTTP/2 alone.
func closes(x *examination) bool { return x.current.sign.class == classEmpty }

// banners are how servers of other protocols greet.
var banners = []struct{ start, speaks string }{
	{"SSH-", "SSH"},
	{"220 ", "SMTP or FTP"},
	{"* OK", "IMAP"},
	{"+OK", "POP3"},
	{"RFB ", "VNC"},
	{"-ERR", "Redis"},
	{"AMQP", "AMQP"},
	{"ERROR", "memcached"},
	{"INFO {", "NATS"},
}

func speaksOther(b []byte) string {
	for _, k := range banners {
		if bytes.HasPrefix(b, []byte(k.start)) {
			return k.speaks
		}
	}
	if len(b) > 5 && b[3] == 0 && b[4] == 0x0a {
		return "MySQL"
	}
	return ""
}

func banner(x *examination) bool {
	b := x.current.answer.Received
	return len(b) > 0 && !settingsFrame(x) && !bytes.HasPrefix(b, []byte("HTTP/"))
}

func firstBytes(_ context.Context, x *examination) []Evidence {
	b := x.current.answer.Received
	e := Evidence{Change: "the first bytes", Before: fmt.Sprintf("%q", b[:min(len(b), 40)])}
	if speaks := speaksOther(b); speaks != "" {
		e.Before += ": " + speaks
	}
	return []Evidence{e}
}

func answersGRPC(x *examination) bool {
	return x.current.probe.Protocol.CallsGRPC() && x.current.answer.GRPC >= 0
}

func grpcCode(_ context.Context, x *examination) []Evidence {
	return []Evidence{{Change: "the call's status", Before: x.brief(x.current)}}
}

func acceptingGRPC(x *examination) []change {
	return []change{accepting(x.current.probe, x.current.answer.GRPC)}
}

func speaksHTTP2(x *examination) bool {
	_, ok := inHTTP1[x.current.probe.Protocol]
	return ok && x.current.answer.GRPC < 0
}

// inHTTP1 is what an older client would speak.
var inHTTP1 = map[probe.Protocol]probe.Protocol{
	probe.H2C: probe.HTTP, probe.GRPC: probe.HTTP, probe.H2: probe.HTTPS, probe.GRPCS: probe.HTTPS,
}

// oldHTTP asks in HTTP/1.1. What gRPC has settings of its own for is then as a
// group of HTTP has it by default: its method is no page of anybody's, and its
// codes are no statuses.
var oldHTTP = change{"http1", "HTTP/1.1", func(p probe.Probe) probe.Probe {
	if p.Protocol.CallsGRPC() {
		p.Matcher = "200"
		if strings.HasPrefix(p.Path, "/AWS.ALB/") {
			p.Path = "/"
		}
	}
	p = spoken("", "", inHTTP1).apply(p)
	p.Method, p.Version = "GET", "HTTP/1.1"
	return p
}}
