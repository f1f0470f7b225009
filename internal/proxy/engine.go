// Package proxy is the engine that moves requests to upstreams and answers
// back. What becomes of a request is for a Policy to decide; the engine moves
// the bytes, and tells the policy what came of it.
//
// It has two halves. Towards clients, Server speaks HTTP/1.x by itself: what it
// reads, package guard has found good, and each connection is one loop. Over TLS,
// HTTP/2 is net/http's, and its requests are judged by the guard's rules. Towards
// upstreams, it has an HTTP/1.1 client of its own, made for this one purpose:
// connections are kept and carry their buffers with them, a head is written in
// one piece, an answer is read in place, and nothing is parsed twice. It speaks
// uwsgi likewise, and TLS below both. To upstreams that speak HTTP/2 it is
// net/http's transport that does.
//
// What it holds to, whatever the policy:
//
//   - A request goes to one upstream once. It is sent again only when a kept
//     connection proves to have been closed meanwhile, no byte of an answer
//     came, and the method is safe or nothing was sent; or when the policy
//     asks and the request can be repeated.
//   - An answer that ends early ends early for the client too: its connection
//     is cut, never the answer made to look complete.
//   - Header fields of one connection (RFC 9110, 7.6.1) stay there. Names with
//     an underscore are dropped from requests, as nginx does, unless
//     Settings.Underscores: an app behind CGI's names cannot tell
//     X_Forwarded_For from X-Forwarded-For.
//   - A trailer has no field that the header could not have: none that the
//     policy sets, removes or owns.
//   - A connection is upgraded to the one protocol that the policy allows, and
//     to no version of HTTP, above all h2c: what follows would be requests that
//     no policy sees.
//   - A chunked body for a uwsgi upstream is read to its end first, since WSGI
//     apps read CONTENT_LENGTH bytes and no more: into memory up to
//     Settings.SpoolMemory, beyond that into a file without a name.
package proxy

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"hale/internal/upstream"
)

// Engine answers requests as its policy decides, by way of a Server. Make one
// with New.
type Engine struct {
	policy   Policy
	errors   ErrorPolicy  // the policy, if it is one; else nil
	answers  AnswerPolicy // likewise
	log      *slog.Logger
	settings atomic.Pointer[Settings]
	closing  atomic.Bool // answers close their connections
	dial     func(context.Context, upstream.Upstream) (net.Conn, error)
	tunnels  tunnels
	date     date

	mu     sync.Mutex // guards the making of pools
	closed bool
	pools  atomic.Pointer[map[upstream.Upstream]*pool] // replaced, never changed
}

// New returns an engine that asks the policy. A nil logger discards; the
// engine logs only what no policy is told.
func New(policy Policy, settings Settings, log *slog.Logger) *Engine {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		policy: policy,
		log:    log,
		dial:   func(ctx context.Context, u upstream.Upstream) (net.Conn, error) { return u.Dial(ctx) },
	}
	e.errors, _ = policy.(ErrorPolicy)
	e.answers, _ = policy.(AnswerPolicy)
	e.pools.Store(&map[upstream.Upstream]*pool{})
	e.Configure(settings)
	return e
}

// Configure changes the settings: for requests and connections that begin from
// now on. A few of a Server's stay for HTTP/2 (see NewServer).
func (e *Engine) Configure(settings Settings) { e.settings.Store(settings.withDefaults()) }

// CloseAfterAnswer makes each answer the last one on its connection, or ends
// that; it concerns all of the engine's servers. While an instance drains,
// clients so move to another one by themselves, and no connection is cut that a
// request could be on its way on.
func (e *Engine) CloseAfterAnswer(on bool) { e.closing.Store(on) }

// Forget closes the idle connections to an upstream that is used no more.
func (e *Engine) Forget(u upstream.Upstream) {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := *e.pools.Load()
	p := old[u]
	if p == nil {
		return
	}
	pools := maps.Clone(old)
	delete(pools, u)
	e.pools.Store(&pools)
	p.close()
}

// Close closes the idle connections to upstreams, and those in use when they
// are done with. Upgraded connections are cut. It does not wait for requests:
// Server.Shutdown does.
func (e *Engine) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, p := range *e.pools.Load() {
		p.close()
	}
	e.tunnels.cut(nil)
}

// pool returns the pool of connections to an upstream.
func (e *Engine) pool(u upstream.Upstream) *pool {
	if p := (*e.pools.Load())[u]; p != nil {
		return p
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	old := *e.pools.Load()
	if p := old[u]; p != nil {
		return p
	}
	p := newPool(e, u)
	pools := maps.Clone(old)
	pools[u] = p
	e.pools.Store(&pools)
	return p
}

// forward has the request answered by the action's upstream, trying again as
// the policy asks. It returns the last try's error, and whether the client was
// sent a head. Done has been called then.
func (e *Engine) forward(ctx context.Context, x *exchange, head *Head, action *Action) (err *Error, started bool) {
	out := x.out
	for try := 1; ; try++ {
		*out = Outcome{Try: try}
		x.up, x.gotByte, x.bodyRead = upload{}, false, false
		x.sent, x.answered, x.shown = time.Time{}, time.Time{}, time.Time{}
		err = e.try(ctx, x, e.pool(action.Upstream))
		out.Total = time.Since(head.Start)
		if err != nil {
			out.Err = err
			left := errors.Is(err, ErrClientGone)
			switch {
			case x.started:
			case left:
				out.Status = err.Status()
			default:
				x.page = e.page(head, action, err.Status(), "", err)
				out.Status = x.page.Status
				if x.req.method != http.MethodHead && hasBody(out.Status) {
					out.BytesOut = int64(len(x.page.Body))
				}
			}
			out.CanRetry = !x.started && !x.consumed() && !left && !err.clientsFault()
		}
		x.times(head.Start)
		if again := e.policy.Done(head, action, out); !again || !out.CanRetry {
			return err, x.started
		}
	}
}

// try makes one try, which a stale connection does not count against: then
// the request is sent again over a new one.
func (e *Engine) try(ctx context.Context, x *exchange, p *pool) *Error {
	err := x.run(ctx, p, false)
	if err == nil || !x.stale(err) || ctx.Err() != nil {
		return err
	}
	if !x.req.canRepeat() || x.out.Sent && !x.req.safe() {
		return err
	}
	x.out.Sent = false
	x.sent = time.Time{}
	x.up = upload{}
	return x.run(ctx, p, true)
}
