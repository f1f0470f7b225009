package balancer

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hale/internal/elb/accesslog"
	"hale/internal/elb/answer"
	"hale/internal/elb/desync"
	"hale/internal/elb/forwarded"
	"hale/internal/elb/rule"
	"hale/internal/elb/tlsname"
	"hale/internal/proxy"
)

// log writes the line of a request that has ended now in the access log.
func (p *policy) log(now time.Time, h *proxy.Head, o *proxy.Outcome, q *request) {
	to := p.balancer.accessLog.Load()
	if to == nil {
		return
	}
	e := &q.line
	*e = accesslog.Entry{
		Type: typeOf(h, o), Time: now, LoadBalancer: q.routes.name, Client: h.Peer, Node: h.Local.Addr(),
		RequestProcessing: accesslog.Unknown, TargetProcessing: accesslog.Unknown, ResponseProcessing: accesslog.Unknown,
		Status: o.Status, TargetStatus: q.received, ReceivedBytes: o.BytesIn, SentBytes: o.BytesOut,
		Request:             accesslog.Request{Method: h.Method, TLS: h.TLS, Host: rule.HostName(h.Host), Port: int(h.Local.Port()), URI: uri(h), Proto: h.Proto},
		TraceID:             q.traceID,
		MatchedRulePriority: accesslog.NoRule, Created: h.Start, Actions: q.actions, RedirectURL: q.redirect,
		Targets: q.targets, TargetStatuses: q.statuses, Classic: q.routes.classic,
	}
	if h.Header != nil {
		e.UserAgent = h.Header.Get("User-Agent")
		e.ReceivedBytes += requestSize(h)
		if e.TraceID == "" && !q.routes.classic { // it has one, sent to a target or not
			e.TraceID = forwarded.TraceID(h.Header, newTrace(h.Start))
		}
	}
	if q.class != desync.Compliant {
		e.Classification, e.ClassificationReason = q.class.String(), string(q.reason)
	}
	if h.Handshake != nil {
		e.TLSProtocol, e.TLSCipher, e.DomainName = tlsname.Version(h.Handshake.Version), tlsname.CipherSuite(h.Handshake.CipherSuite), h.Handshake.ServerName
	}
	if q.rules != nil {
		switch {
		case h.Handshake == nil:
		case h.Handshake.DidResume:
			e.ChosenCertARN = "session-reused"
		default:
			e.ChosenCertARN = cmp.Or(p.balancer.shown.to(h.Peer, h.Local), q.rules.certificate)
		}
	}
	if q.entry != nil {
		e.MatchedRulePriority = accesslog.Priority(q.entry.Priority)
	}
	if q.group != nil {
		e.TargetGroupARN = q.group.arn
	}
	if q.target != nil {
		e.Target = q.target.address
		if o.RequestTime > 0 {
			e.RequestProcessing = o.RequestTime
		}
		if o.TargetTime > 0 {
			e.TargetProcessing, e.ResponseProcessing = o.TargetTime, o.ResponseTime
		}
	}
	if e.TransformStatus = q.transformStatus; q.transformed.Changed {
		if q.transformed.Host != h.Host {
			e.TransformedHost = q.transformed.Host
		}
		e.TransformedURI = uriOf(q.transformed.Path, q.transformed.RawQuery)
		if e.TransformedURI == e.Request.URI {
			e.TransformedURI = ""
		}
	}
	switch {
	case o.Status == 499:
		e.Status = leftStatus(h, o)
	case o.Answered:
		e.SentBytes += q.headSize
	default:
		e.SentBytes += ownHeadSize(o.Status, q.header) + int64(len("Content-Length: \r\n")+len(strconv.FormatInt(o.BytesOut, 10)))
	}
	if e.Classic { // its sizes are without heads (guide of Classic Load Balancers, "Access logs")
		e.ReceivedBytes, e.SentBytes = o.BytesIn, o.BytesOut
	}
	(*to).Log(e)
}

// leftStatus is what the log has of a request whose client left before an answer:
// 400 if it left before the whole body was there, else 460 (guide, "Troubleshoot").
func leftStatus(h *proxy.Head, o *proxy.Outcome) int {
	if h.Header == nil {
		return 460
	}
	if length, err := strconv.ParseInt(h.Header.Get("Content-Length"), 10, 64); err == nil && o.BytesIn < length {
		return 400
	}
	return 460
}

// Sizes of heads are what they take in HTTP/1.1, also where HTTP/2 has packed
// them; those of answers with a Date of our own.

func requestSize(h *proxy.Head) int64 {
	line := len(h.Method) + len(h.Path) + len(h.Proto) + len("  \r\n") + len("Host: \r\n") + len(h.Host) + len("\r\n")
	if h.RawQuery != "" {
		line += len("?") + len(h.RawQuery)
	}
	return int64(line) + fieldsSize(h.Header)
}

func headSize(status int, h proxy.Header) int64 {
	return lineSize(status, h.Get("Date") != "") + fieldsSize(h)
}

// ownHeadSize is that of an answer of our own.
func ownHeadSize(status int, h http.Header) int64 {
	size := lineSize(status, h.Get("Date") != "")
	for name, values := range h {
		for _, value := range values {
			size += fieldSize(name, value)
		}
	}
	return size
}

func lineSize(status int, dated bool) int64 {
	size := len("HTTP/1.1 200 \r\n") + len(http.StatusText(status)) + len("\r\n")
	if !dated {
		size += len("Date: " + http.TimeFormat + "\r\n")
	}
	return int64(size)
}

func fieldsSize(h proxy.Header) (size int64) {
	for i := range h.Len() {
		size += fieldSize(h.At(i))
	}
	return size
}

func fieldSize(name, value string) int64 {
	return int64(len(name) + len(": ") + len(value) + len("\r\n"))
}

// transformStatus is the log's word for what a rule's transforms have done. The
// words are unconfirmed.
func transformStatus(to rule.Target, err error) string {
	switch {
	case errors.Is(err, rule.ErrTransformHost):
		return "TransformInvalidHost"
	case err != nil:
		return "TransformInvalidPath"
	case to.Changed:
		return "TransformSuccess"
	default:
		return ""
	}
}

// typeOf returns the log's word for a request.
func typeOf(h *proxy.Head, o *proxy.Outcome) accesslog.Type {
	switch {
	case o.Status == 101 && h.TLS:
		return accesslog.WSS
	case o.Status == 101:
		return accesslog.WS
	case !h.TLS:
		return accesslog.HTTP
	case h.Header != nil && answer.IsGRPC(h.Header.Get("Content-Type")):
		return accesslog.GRPCS
	case strings.HasPrefix(h.Proto, "HTTP/2"):
		return accesslog.H2
	default:
		return accesslog.HTTPS
	}
}
