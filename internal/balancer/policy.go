package balancer

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hale/internal/elb/accesslog"
	"hale/internal/elb/answer"
	"hale/internal/elb/desync"
	"hale/internal/elb/forwarded"
	"hale/internal/elb/rule"
	"hale/internal/elb/spread"
	"hale/internal/elb/tlsname"
	"hale/internal/proxy"
	"hale/internal/proxy/guard"
)

// policy decides what becomes of an Application Load Balancer's requests.
type policy struct {
	balancer *Balancer
	routes   atomic.Pointer[routes]
	meter    meter
	requests sync.Pool // of *request
}

var (
	_ proxy.ErrorPolicy  = (*policy)(nil)
	_ proxy.AnswerPolicy = (*policy)(nil)
)

// request is what the policy knows of a request, from Decide to Done. Requests are
// used again.
type request struct {
	routes *routes
	rules  *rules
	entry  *rule.Entry

	matching rule.Request // the request as rules see it

	forward *forward
	place   int // of the group among the forward's
	group   *group
	stick   *spread.Stickiness // how the group's requests stick to targets, nil: not at all
	target  *target
	stuck   bool      // the target is the one that the client's cookie names
	tried   []*target // before

	cause    answer.Cause // of an answer of our own, 0 if there is none
	class    desync.Class
	reason   desync.Reason
	actions  accesslog.Actions
	redirect string
	traceID  string
	targets  []netip.AddrPort
	statuses []int
	received int // the target's status, 0 if it gave none

	transformed     rule.Target
	transformStatus string
	header          http.Header // of an answer of our own
	headSize        int64       // of the target's answer; for the access log alone

	set  [8]proxy.Field  // room for the fields that are set for the target
	line accesslog.Entry // room for the access log's entry
}

// mostTries is how many targets a request is sent to: each has failed before it
// gave any answer.
const mostTries = 4

// Decide implements proxy.Policy.
func (p *policy) Decide(h *proxy.Head) proxy.Action {
	q, _ := p.requests.Get().(*request)
	if q == nil {
		q = new(request)
	}
	routes := p.routes.Load()
	q.routes, q.rules = routes, routes.ports[h.Local.Port()]
	if q.rules == nil { // the listener was deleted a moment ago
		a := q.refuse(answer.InternalError)
		a.Close = true
		return a
	}
	q.class, q.reason = desync.Classify(&desync.Request{Method: h.Method, URI: uri(h), Proto: h.Proto, Header: h.Header, Chunked: h.Chunked})
	treatment := routes.desync.Treatment(q.class)
	switch {
	case treatment == desync.Refuse:
		return q.refuse(answer.Refused)
	case forwarded.TooManyAddresses(h.Header):
		return q.refuse(answer.TooManyAddresses)
	}
	matching := &q.matching
	*matching = rule.Request{
		Method: h.Method, Host: h.Host, Path: h.Path, RawQuery: h.RawQuery, Header: h.Header, Peer: h.Peer.Addr(),
		Protocol: q.rules.protocol, Port: q.rules.port,
	}
	q.entry = q.rules.table.Match(matching)
	var a proxy.Action
	switch action := q.entry.Action(); action.Type {
	case rule.Forward:
		a = p.send(h, q, matching)
	case rule.Redirect:
		a = q.redirectTo(action.RedirectConfig.Status(), q.entry.Location(matching))
	case rule.FixedResponse:
		q.actions |= accesslog.FixedResponse
		a = q.answer(answer.Fixed(action.FixedResponseConfig.Status(), action.FixedResponseConfig.ContentType, action.FixedResponseConfig.MessageBody))
	default:
		a = q.refuse(answer.InternalError)
	}
	// A listener that goes, or whose protocol was another, parts with its clients.
	a.Close = a.Close || treatment == desync.PassAndClose || !q.rules.left.IsZero() || h.TLS != secure(q.rules.protocol)
	a.Response, a.Drop = q.rules.headers.set, q.rules.headers.drop
	return a
}

func uri(h *proxy.Head) string { return uriOf(h.Path, h.RawQuery) }

func uriOf(path, query string) string {
	if query == "" {
		return path
	}
	return path + "?" + query
}

// refuse answers by itself, for that cause.
func (q *request) refuse(cause answer.Cause) proxy.Action {
	q.cause = cause
	return q.answer(q.routes.own(cause))
}

// own returns the load balancer's own answer. Where a Classic Load Balancer has
// none, it is an Application Load Balancer's.
func (r *routes) own(cause answer.Cause) answer.Answer {
	if a := answer.Classic(cause); r.classic && a.Status != 0 {
		return a
	}
	return answer.Application(cause)
}

func (q *request) answer(a answer.Answer) proxy.Action {
	if q.header = a.Header; q.rules != nil {
		q.header = q.rules.headers.own(a.Header)
	}
	return proxy.Action{Kind: proxy.Answer, Status: a.Status, Reason: a.Reason, Header: q.header, Body: a.Body, Close: a.Close, Data: q}
}

func (q *request) redirectTo(status int, location string) proxy.Action {
	if location == "" {
		return q.refuse(answer.Malformed)
	}
	q.actions |= accesslog.Redirect
	q.redirect = location
	return q.answer(answer.Redirect(status, location))
}

// send forwards a request to a target.
func (p *policy) send(h *proxy.Head, q *request, matching *rule.Request) proxy.Action {
	q.actions |= accesslog.Forward
	q.forward = q.rules.forwards[q.entry.Index]
	place, ok := q.forward.pick(h)
	if !ok {
		return q.refuse(answer.NoTarget)
	}
	q.place, q.group = place, q.forward.groups[place]
	if !answer.Fits(q.group.kind.Load().Version, h.Proto, h.Method, h.Header.Get("Content-Type")) {
		return q.refuse(answer.ProtocolMismatch)
	}
	if !q.choose(h, h.Start) {
		return q.refuse(answer.NoTarget)
	}
	a := proxy.Action{Kind: proxy.Forward, Upstream: q.target.upstream, Upgrade: "websocket", Owns: q.routes.owns, Data: q}
	host := h.Host
	if q.entry.HasTransforms() {
		to, err := q.entry.Transform(matching)
		if q.transformStatus = transformStatus(to, err); err != nil {
			q.target.End(false)
			return q.refuse(answer.TransformFailed)
		}
		host, q.transformed = to.Host, to
		if a.Target = to.Path; to.RawQuery != "" {
			a.Target += "?" + to.RawQuery
		}
	}
	edits := q.routes.forwarded.Edit(q.set[:0], host, h.Header, clientOf(h, q.rules.port), newTrace(h.Start))
	if host != h.Host && !hasField(edits.Set, "Host") {
		edits.Set = append(edits.Set, proxy.Field{Name: "Host", Value: host})
	}
	if q.routes.classic { // it traces nothing
		edits.Set = slices.DeleteFunc(edits.Set, func(f proxy.Field) bool { return f.Name == "X-Amzn-Trace-Id" })
		edits.TraceID = ""
	}
	q.rules.headers.rename(edits.Set)
	a.Set, a.Remove, q.traceID = edits.Set, edits.Remove, edits.TraceID
	return a
}

func hasField(fields []proxy.Field, name string) bool {
	for _, f := range fields {
		if f.Name == name {
			return true
		}
	}
	return false
}

// choose takes a target, of those that were not tried.
func (q *request) choose(h *proxy.Head, now time.Time) bool {
	q.target, q.stuck = nil, false
	if q.stick = q.group.stick.Load(); q.stick != nil && len(q.tried) == 0 {
		if key, sticks := q.stick.Read(h.Header.Values("Cookie"), now); sticks {
			q.target, q.stuck = q.group.choice.Find(key)
		}
	}
	if !q.stuck {
		var ok bool
		if q.target, ok = q.group.choice.Pick(now, q.tried...); !ok {
			return false
		}
	}
	q.target.Begin()
	return true
}

func clientOf(h *proxy.Head, port int) forwarded.Client {
	c := forwarded.Client{Addr: h.Peer, Port: port, TLS: h.TLS}
	if h.Handshake != nil {
		c.TLSVersion, c.CipherSuite = tlsname.Version(h.Handshake.Version), tlsname.CipherSuite(h.Handshake.CipherSuite)
	}
	return c
}

func newTrace(now time.Time) forwarded.Trace {
	t := forwarded.Trace{Now: now}
	binary.NativeEndian.PutUint64(t.Random[:], rand.Uint64())  //nolint:gosec // a name, no secret
	binary.NativeEndian.PutUint32(t.Random[8:], rand.Uint32()) //nolint:gosec // likewise
	return t
}

// Answered implements proxy.AnswerPolicy: it gives the client its cookies.
func (p *policy) Answered(h *proxy.Head, a *proxy.Action, status int, header proxy.Header) {
	q, ok := a.Data.(*request)
	if !ok {
		return
	}
	q.received = status
	if p.balancer.accessLog.Load() != nil {
		q.headSize = headSize(status, header)
	}
	a.Append = nil
	if q.stick == nil && q.forward.sticky == nil {
		return
	}
	now := time.Now()
	add := func(lines []string) {
		for _, line := range lines {
			a.Append = append(a.Append, proxy.Field{Name: "Set-Cookie", Value: line})
		}
	}
	if q.stick != nil {
		switch {
		case q.stick.Cookie == spread.ClassicCookie && q.stuck: // it has the one that it gets
		case q.stick.Application == "" || q.stuck || q.stick.SetsApplicationCookie(header.Values("Set-Cookie")):
			add(q.stick.SetCookies(q.target.Key, now, h.TLS))
		default:
			add(q.stick.RemoveCookies(now, h.TLS))
		}
	}
	if q.forward.sticky != nil {
		add(q.forward.sticky.SetCookies(q.forward.scope[q.place], now, h.TLS))
	}
}

// Page implements proxy.ErrorPolicy: ELB's pages for ELB's causes.
func (p *policy) Page(h *proxy.Head, a *proxy.Action, status int, err error) proxy.Page {
	cause := causeOf(status, err)
	routes := p.routes.Load()
	page := routes.own(cause)
	if rules := routes.ports[h.Local.Port()]; rules != nil {
		page.Header = rules.headers.own(page.Header)
	}
	if q, ok := a.Data.(*request); ok {
		q.cause, q.header = cause, page.Header
	}
	return proxy.Page{Status: page.Status, Reason: page.Reason, Header: page.Header, Body: page.Body}
}

// causeOf returns why the engine answered by itself.
func causeOf(status int, err error) answer.Cause {
	if refusal, ok := errors.AsType[*guard.Refusal](err); ok {
		switch refusal.Status {
		case 408:
			return answer.ClientIdle
		case 414:
			return answer.URITooLong
		case 431:
			return answer.HeaderTooLarge
		case 501:
			return answer.BadEncoding
		case 505:
			return answer.BadVersion
		default:
			return answer.Malformed
		}
	}
	for _, of := range []struct {
		kind  error
		cause answer.Cause
	}{
		{proxy.ErrTLS, answer.HandshakeFailed},
		{proxy.ErrNoAnswer, answer.TargetClosed},
		{proxy.ErrCut, answer.DrainingOver},
		{proxy.ErrBadAnswer, answer.BadAnswer},
		{proxy.ErrTimeout, answer.TargetTimeout},
		{proxy.ErrCutOff, answer.TargetClosed},
		{proxy.ErrClientGone, answer.ClientClosed},
		{proxy.ErrBadRequest, answer.Malformed},
		{proxy.ErrHeadTooLarge, answer.HeaderTooLarge},
		{proxy.ErrHeadTimeout, answer.ClientIdle},
		{proxy.ErrBodyTooLarge, answer.BodyTooLarge},
		{proxy.ErrBodyTimeout, answer.ClientIdle},
	} {
		if errors.Is(err, of.kind) {
			return of.cause
		}
	}
	if failed, ok := errors.AsType[*proxy.Error](err); ok && errors.Is(err, proxy.ErrConnect) {
		if failed.Timeout() {
			return answer.ConnectTimeout
		}
		return answer.ConnectRefused
	}
	if status == 405 {
		return answer.MethodNotAllowed
	}
	return answer.InternalError
}

// Done implements proxy.Policy: it counts, logs, and has a request that failed
// before any answer tried at another target, where that is safe.
func (p *policy) Done(h *proxy.Head, a *proxy.Action, o *proxy.Outcome) (again bool) {
	q, ok := a.Data.(*request)
	if !ok { // Refused
		q = &request{routes: p.routes.Load(), cause: causeOf(o.Status, o.Err)}
	}
	now := time.Now()
	if q.target != nil && a.Kind == proxy.Forward {
		q.target.End(failed(o))
		q.targets = append(q.targets, q.target.address)
		q.statuses = append(q.statuses, q.received)
		p.countTry(now, o, q)
		if again = p.retry(h, a, o, q); again {
			return true
		}
	}
	p.count(now, o, q)
	p.log(now, h, o, q)
	clear(q.tried)
	*q = request{tried: q.tried[:0], targets: q.targets[:0], statuses: q.statuses[:0]}
	p.requests.Put(q)
	return false
}

// failed tells of an answer 5xx, or an error with the target.
func failed(o *proxy.Outcome) bool {
	if o.Err != nil && !errors.Is(o.Err, proxy.ErrClientGone) {
		return true
	}
	return o.Err == nil && o.Status >= 500
}

// retry has a request tried at another target: one of which no byte was sent,
// and one that is safe to repeat (RFC 9110, 9.2.1) of which no answer came.
func (p *policy) retry(h *proxy.Head, a *proxy.Action, o *proxy.Outcome, q *request) bool {
	unanswered := errors.Is(o.Err, proxy.ErrConnect) || errors.Is(o.Err, proxy.ErrTLS) || errors.Is(o.Err, proxy.ErrNoAnswer)
	safe := !o.Sent || h.Method == "GET" || h.Method == "HEAD" || h.Method == "OPTIONS"
	if o.Err == nil || !o.CanRetry || !unanswered || !safe || o.Try >= mostTries {
		return false
	}
	failed := q.target
	q.tried = append(q.tried, failed)
	if !q.choose(h, time.Now()) {
		q.target = failed
		return false
	}
	a.Upstream = q.target.upstream
	return true
}
