package serve

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hale/gateway"
	"hale/health"
	"hale/internal/proxy"
)

// policy is the gateway as the engine's policy: it answers health requests from
// the verdict, asks the gateway's rules about all others, and logs what came of
// each.
type policy struct {
	site    atomic.Pointer[site]
	metrics metrics
	visits  sync.Pool // of *visit
}

var _ proxy.Policy = (*policy)(nil)

// visit is what is remembered of a request between Decide and Done.
type visit struct {
	site     *site
	decision gateway.Decision
	health   bool
	line     jsonLine
}

// Decide implements proxy.Policy.
func (p *policy) Decide(h *proxy.Head) proxy.Action {
	v, _ := p.visits.Get().(*visit)
	if v == nil {
		v = new(visit)
	}
	s := p.site.Load()
	v.site = s
	v.decision = s.gateway.Decide(&gateway.Request{
		Method: h.Method, Host: h.Host, Path: h.Path, RawQuery: h.RawQuery, ForceQuery: h.ForceQuery,
		Proto: h.Proto, Header: h.Header, Peer: h.Peer, TLS: h.TLS,
	})
	d := &v.decision
	v.health = d.Kind == gateway.Health
	a := proxy.Action{
		Kind: proxy.Answer, Status: d.Status, Body: []byte(d.Body), Response: d.Response,
		Client: known(d.Client), Scheme: d.Scheme, RequestID: d.RequestID, Data: v,
	}
	if !v.health {
		p.metrics.inFlight.Add(1)
	}
	switch d.Kind {
	case gateway.Health:
		answer := s.health.Answer(health.Query{
			Method: h.Method, Path: h.Path, RawQuery: h.RawQuery, Client: d.Client,
			Accept: strings.Join(h.Header.Values("Accept"), ","), Authorization: h.Header.Get("Authorization"),
		})
		a.Status, a.Header, a.Body = answer.Status, answer.Header, answer.Body
	case gateway.Answer:
		if d.Close {
			a.Response = with(d.Response, "Connection", "close")
		}
	case gateway.Redirect:
		a.Response = with(d.Response, "Location", d.Location)
	case gateway.Forward:
		if s.app.IsZero() {
			a.Status, a.Body = 404, []byte("404: this hale has no app behind it (no app.url in hale.yaml): it answers "+string(s.config.Health.Path)+" alone\n")
			break
		}
		a.Kind, a.Upstream, a.Set, a.Remove, a.Owns = proxy.Forward, s.app, d.Set, d.Remove, gateway.Owned
		if d.WebSocket {
			a.Upgrade = "websocket"
		}
	case gateway.Undecided: // never comes from Decide
	}
	return a
}

// Done implements proxy.Policy. There is one app, so nothing is tried again.
func (p *policy) Done(h *proxy.Head, a *proxy.Action, o *proxy.Outcome) bool {
	v, _ := a.Data.(*visit)
	if v == nil {
		p.refused(h, o)
		return false
	}
	if v.health {
		p.metrics.probes.Add(1)
		if !v.site.probes.Off() {
			v.probeLine(h, o)
			_, _ = v.site.probes.Write(v.line)
		}
	} else {
		p.metrics.inFlight.Add(-1)
		p.metrics.observe(o.Status, o.Total)
		p.metrics.blame(o.Err)
		if !v.site.access.Off() {
			v.accessLine(h, o)
			_, _ = v.site.access.Write(v.line)
		}
	}
	*v = visit{line: v.line[:0]}
	p.visits.Put(v)
	return false
}

// known is the client for the engine, to which no address means the peer: where
// the gateway knows none, the app is told of none either.
func known(client netip.Addr) netip.Addr {
	if !client.IsValid() {
		return netip.IPv4Unspecified()
	}
	return client
}

// with returns a copy of fields, which decisions share, with one more.
func with(fields []proxy.Field, name, value string) []proxy.Field {
	return append(slices.Clone(fields), proxy.Field{Name: name, Value: value})
}

// refused logs what was no valid request.
func (p *policy) refused(h *proxy.Head, o *proxy.Outcome) {
	p.metrics.observe(o.Status, o.Total)
	s := p.site.Load()
	if s.access.Off() {
		return
	}
	var l jsonLine
	l.begin(start(h))
	appendAddress(&l, "peer", h.Peer)
	l.int("status", int64(o.Status))
	l.ms("duration_ms", o.Total)
	if o.Err != nil {
		l.str("error", o.Err.Error())
	}
	_, _ = s.access.Write(l.end())
}

// accessLine is the access log's line for a request. The query is left out:
// it may hold tokens.
func (v *visit) accessLine(h *proxy.Head, o *proxy.Outcome) {
	l, d := &v.line, &v.decision
	l.begin(start(h))
	l.str("request_id", d.RequestID)
	appendAddress(l, "client", d.Client)
	appendAddress(l, "peer", h.Peer)
	l.str("method", h.Method)
	l.str("scheme", d.Scheme)
	l.str("host", h.Host)
	l.str("path", h.Path)
	l.str("proto", h.Proto)
	l.int("status", int64(o.Status))
	l.int("bytes_in", o.BytesIn)
	l.int("bytes_out", o.BytesOut)
	l.ms("duration_ms", o.Total)
	l.ms("connect_ms", o.Connect)
	l.ms("app_ms", o.FirstByte)
	l.str("user_agent", h.Header.Get("User-Agent"))
	l.str("refused", string(d.Reason))
	if d.Location != "" {
		location, _, _ := strings.Cut(d.Location, "?")
		l.str("location", location)
	}
	if o.Err != nil {
		l.str("error", o.Err.Error())
	}
	l.end()
}

// probeLine is the health log's line for a probe: what the load balancer sent,
// as far as apps stumble over it, and what it was told.
func (v *visit) probeLine(h *proxy.Head, o *proxy.Outcome) {
	l := &v.line
	l.begin(start(h))
	appendAddress(l, "peer", h.Peer)
	l.str("method", h.Method)
	l.str("host", h.Host)
	l.str("path", h.Path)
	l.str("proto", h.Proto)
	l.str("user_agent", h.Header.Get("User-Agent"))
	l.str("x_forwarded_proto", h.Header.Get("X-Forwarded-Proto"))
	l.int("status", int64(o.Status))
	l.ms("duration_ms", o.Total)
	if o.Err != nil {
		l.str("error", o.Err.Error())
	}
	l.end()
}

func (m *metrics) blame(err error) {
	var c cause
	switch {
	case err == nil:
		return
	case errors.Is(err, proxy.ErrConnect):
		c = causeConnect
	case errors.Is(err, proxy.ErrTimeout):
		c = causeTimeout
	case errors.Is(err, proxy.ErrClientGone):
		c = causeClient
	default:
		c = causeBroken
	}
	m.causes[c].Add(1)
}

func start(h *proxy.Head) time.Time {
	if h.Start.IsZero() {
		return time.Now()
	}
	return h.Start
}
