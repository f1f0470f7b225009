package balancer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/proxy"
	"hale/internal/relay"
)

// front is a load balancer at work: its listeners, and for an Application Load
// Balancer the engine that moves requests.
type front struct {
	balancer  *Balancer
	engine    *proxy.Engine
	policy    *policy
	listeners map[string]*listener // by ARN; guarded by the Balancer's mu
}

// sockets are listening sockets by their listener's ARN.
type sockets map[string][]net.Listener

func (s sockets) close() {
	for _, of := range s {
		closeAll(of)
	}
}

func closeAll(of []net.Listener) {
	for _, l := range of {
		_ = l.Close()
	}
}

// listen opens the sockets of those listeners that have none yet, or none there:
// all of them, or, with a refusal that says which, none. What listeners that go
// leave behind is theirs.
func (b *Balancer) listen(v *inventory.Inventory) (sockets, error) {
	opened, left := make(sockets), b.leaving(v)
	for arn, l := range v.Listeners {
		user := v.LoadBalancers[l.LoadBalancer]
		addresses := addressesOf(user, l)
		if f := b.fronts[user.ARN]; f != nil && f.listeners[arn].serves(l, addresses) {
			continue
		}
		of, err := b.open(addresses, left)
		if err != nil {
			opened.close()
			return nil, elb.Errorf("InvalidConfigurationRequest", "A listener of load balancer '%s' cannot listen: %v", user.Name, err)
		}
		opened[arn] = of
	}
	return opened, nil
}

// leaving returns the sockets of listeners that go, or move elsewhere.
func (b *Balancer) leaving(v *inventory.Inventory) []net.Listener {
	var left []net.Listener
	for _, f := range b.fronts {
		for arn, l := range f.listeners {
			if is := v.Listeners[arn]; is == nil || !l.serves(is, addressesOf(v.LoadBalancers[is.LoadBalancer], is)) {
				l.mu.Lock()
				left = append(left, l.sockets...)
				l.mu.Unlock()
			}
		}
	}
	return left
}

// open opens sockets at addresses. Of those that somebody leaves there it takes the
// same, so that no client is refused, nor lost that waits in their queue.
func (b *Balancer) open(addresses []netip.AddrPort, left []net.Listener) ([]net.Listener, error) {
	var opened []net.Listener
	for _, address := range addresses {
		of, err := b.openAt(address, left)
		opened = append(opened, of...)
		if err != nil {
			closeAll(opened)
			return nil, err
		}
	}
	return opened, nil
}

func (b *Balancer) openAt(address netip.AddrPort, left []net.Listener) ([]net.Listener, error) {
	opened, wider, err := b.options.Sockets.Succeed(b.ctx, address.String(), left...)
	for _, l := range wider {
		b.running.Go(func() { b.closeAfter(l, parting) })
	}
	return append(opened, wider...), err
}

func (b *Balancer) closeAfter(l net.Listener, wait time.Duration) {
	select {
	case <-time.After(wait):
	case <-b.ctx.Done():
	}
	_ = l.Close()
}

// addressesOf returns where a listener listens: at the addresses of its load
// balancer's zones, else, if that is internal, on loopback, else everywhere.
func addressesOf(b *inventory.LoadBalancer, l *inventory.Listener) []netip.AddrPort {
	port := uint16(l.Port) //nolint:gosec // checked when it was made
	var own []netip.AddrPort
	for _, z := range b.Zones {
		if address, err := netip.ParseAddr(z.Address); err == nil {
			own = append(own, netip.AddrPortFrom(address, port))
		}
	}
	four, six := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	if b.Scheme == inventory.Internal {
		four, six = loopback, netip.IPv6Loopback()
	}
	switch {
	case len(own) > 0:
		return own
	case b.IPAddressType == "dualstack" && b.Scheme != inventory.Internal:
		return []netip.AddrPort{netip.AddrPortFrom(six, port)} // takes IPv4, too
	case b.IPAddressType == "dualstack":
		return []netip.AddrPort{netip.AddrPortFrom(four, port), netip.AddrPortFrom(six, port)}
	default:
		return []netip.AddrPort{netip.AddrPortFrom(four, port)}
	}
}

// publishFronts has each load balancer of the inventory at work, with its
// listeners as they are now.
func (b *Balancer) publishFronts(v *inventory.Inventory, opened sockets) {
	for arn := range v.LoadBalancers {
		f := b.fronts[arn]
		if f == nil {
			f = b.newFront()
			b.fronts[arn] = f
		}
		f.update(arn, v, opened)
	}
	for arn, f := range b.fronts {
		if v.LoadBalancers[arn] == nil {
			delete(b.fronts, arn)
			f.retire()
		}
	}
}

func (b *Balancer) newFront() *front {
	p := &policy{balancer: b}
	return &front{balancer: b, policy: p, engine: proxy.New(p, proxy.Settings{}, b.log), listeners: make(map[string]*listener)}
}

func (f *front) update(arn string, v *inventory.Inventory, opened sockets) {
	user := v.LoadBalancers[arn]
	f.engine.Configure(settingsOf(user))
	next := newRoutes(f.balancer, user, v, f.policy.routes.Load())
	f.policy.routes.Store(next)
	kept := make(map[string]bool)
	for _, settings := range v.ListenersOf(arn) {
		kept[settings.ARN] = true
		addresses := addressesOf(user, settings)
		if l := f.listeners[settings.ARN]; l.serves(settings, addresses) {
			l.use(f.balancer, settings, user)
			continue
		} else if l != nil {
			f.balancer.retire(l)
		}
		f.listeners[settings.ARN] = f.start(user, settings, addresses, opened[settings.ARN])
	}
	for arn, l := range f.listeners {
		if !kept[arn] {
			delete(f.listeners, arn)
			f.balancer.retire(l)
		}
	}
}

// settingsOf are the engine's limits and time-outs, from a load balancer's
// attributes, and those that ELB does not let anybody set (guide, "Quotas",
// "Troubleshoot").
func settingsOf(b *inventory.LoadBalancer) proxy.Settings {
	all := b.All()
	idle := all.Duration("idle_timeout.timeout_seconds")
	return proxy.Settings{
		HeaderSize: 64 << 10, TargetSize: 16 << 10, FieldSize: 16 << 10, BodySize: -1,
		HeaderTimeout: idle, BodyTimeout: idle, IdleTimeout: idle, StreamTimeout: idle, ResponseTimeout: idle, TunnelTimeout: idle,
		ConnAge:        all.Duration("client_keep_alive.seconds"),
		ConnectTimeout: 10 * time.Second, TLSTimeout: 10 * time.Second,
		ResponseHeaderSize: 32 << 10, RepeatBody: 64 << 10, Streams: 128, IdleConns: 256,
		Underscores: true, NoHTTP2: !all.Bool("routing.http2.enabled"),
	}
}

// listener is a listener at work, on one or more sockets.
type listener struct {
	settings  atomic.Pointer[inventory.Listener]
	http2     atomic.Bool           // offered to clients of HTTPS
	group     atomic.Pointer[group] // of a relay; one that is gone goes on to the end of the listener
	addresses []netip.AddrPort
	protocol  elb.Protocol
	server    server

	mu      sync.Mutex // guards what follows
	sockets []net.Listener
	retired bool
}

// server is what takes a listener's connections.
type server interface {
	Serve(net.Listener) error
	ServeTLS(net.Listener, *tls.Config) error
	Shutdown(context.Context) error
}

// serves tells whether a listener does as settings say, or can once it uses them.
func (l *listener) serves(settings *inventory.Listener, addresses []netip.AddrPort) bool {
	return l != nil && l.protocol == settings.Protocol && slices.Equal(l.addresses, addresses)
}

func secure(p elb.Protocol) bool { return p == elb.HTTPS || p == elb.TLS }

// use takes a listener's settings, and those of its load balancer that it has to
// know.
func (l *listener) use(b *Balancer, settings *inventory.Listener, user *inventory.LoadBalancer) {
	l.settings.Store(settings)
	l.http2.Store(user.All().Bool("routing.http2.enabled"))
	if s, ok := l.server.(*relay.Server); ok {
		s.Configure(relaySettings(settings, user))
		l.group.Store((*b.groups.Load())[settings.Default[0].ForwardConfig.TargetGroups[0].TargetGroupArn])
	}
}

// start has a listener at work. Without sockets, it goes on trying to open them.
func (f *front) start(user *inventory.LoadBalancer, settings *inventory.Listener, addresses []netip.AddrPort, of []net.Listener) *listener {
	b := f.balancer
	l := &listener{addresses: addresses, protocol: settings.Protocol}
	if settings.Protocol == elb.TCP || settings.Protocol == elb.TLS {
		l.server = f.newRelay(l)
	} else {
		l.server = proxy.NewServer(f.engine, b.log)
	}
	l.use(b, settings, user)
	if of == nil {
		of, _ = b.open(addresses, nil) // why not is told by the next try
	}
	if of == nil {
		b.running.Go(func() { b.keepTrying(l) })
	} else {
		b.serve(l, of)
	}
	return l
}

// keepTrying opens a listener's sockets, however long that takes.
func (b *Balancer) keepTrying(l *listener) {
	const pause = time.Second
	for told := false; ; {
		of, err := b.open(l.addresses, nil)
		if err == nil {
			b.serve(l, of)
			return
		}
		if l.isRetired() || b.ctx.Err() != nil {
			return
		}
		if !told {
			b.log.Error("a listener cannot listen; it is tried again each second", "error", err)
			told = true
		}
		select {
		case <-time.After(pause):
		case <-b.ctx.Done():
			return
		}
	}
}

func (l *listener) isRetired() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.retired
}

// serve takes connections from sockets, until they are closed.
func (b *Balancer) serve(l *listener, of []net.Listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired {
		closeAll(of)
		return
	}
	l.sockets = of
	for _, socket := range of {
		b.running.Go(func() {
			var err error
			if secure(l.protocol) {
				err = l.server.ServeTLS(socket, b.tlsConfig(l))
			} else {
				err = l.server.Serve(socket)
			}
			if err != nil {
				b.log.Error("a listener has ended", "address", socket.Addr().String(), "error", err)
			}
		})
	}
}

// retire ends a listener: it accepts no more at once, and its connections end when
// their requests do. Who has an idle one hears of it with the next answer.
func (b *Balancer) retire(l *listener) {
	l.mu.Lock()
	l.retired = true
	closeAll(l.sockets)
	l.mu.Unlock()
	b.running.Go(func() {
		part(b.ctx, l.server)
		if err := l.server.Shutdown(b.ctx); err != nil && b.ctx.Err() == nil {
			b.log.Warn("a listener has ended", "error", err)
		}
	})
}

// retire ends all listeners.
func (f *front) retire() {
	f.engine.CloseAfterAnswer(true)
	for _, l := range f.listeners {
		f.balancer.retire(l)
	}
	// Its idle connections end with their time-out; a Close would cut those that
	// are in use.
}

// parting is how long clients have to hear, with their next answer, that it was
// the last one on their connection. One that is closed while a request is on its
// way on it would lose that.
const parting = time.Second

// shutdown ends all listeners, and waits until their requests have, or ctx has.
func (f *front) shutdown(ctx context.Context) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	f.engine.CloseAfterAnswer(true)
	for l := range maps.Values(f.listeners) {
		l.mu.Lock()
		l.retired = true
		closeAll(l.sockets)
		l.mu.Unlock()
		wg.Go(func() {
			part(ctx, l.server)
			if err := l.server.Shutdown(ctx); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("port %d: %w", l.settings.Load().Port, err))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	f.engine.Close()
	return errors.Join(errs...)
}

// part waits for the parting to be over, or for a server of requests to have no
// connection left.
func part(ctx context.Context, s server) {
	requests, ok := s.(*proxy.Server)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, parting)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for requests.Conns() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
