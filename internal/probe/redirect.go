package probe

import (
	"cmp"
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// mostRequests is how many requests are made for one probe: Go's net/http, which
// the probers that follow redirects are made of, gives up after ten.
const mostRequests = 10

// redirected returns the probe that a 3xx leads to, false where the prober does
// not follow.
func (p *Probe) redirected(ctx context.Context, deadline time.Time, a *Answer, followed int) (Probe, bool) {
	own := p.prober()
	if own.Redirects == RedirectsJudged || a.Outcome != Answered || !moves(a.Status) || followed+1 >= mostRequests {
		return Probe{}, false
	}
	location := a.Get("Location")
	if location == "" {
		return Probe{}, false
	}
	from := p.asked()
	to, err := from.Parse(location)
	if err != nil || to.Scheme != "http" && to.Scheme != "https" {
		return Probe{}, false
	}
	if own.Redirects == RedirectsSameHost && to.Hostname() != from.Hostname() {
		return Probe{}, false
	}
	t, err := parseTarget(own, to.String())
	if err != nil {
		return Probe{}, false
	}
	next := *p
	next.Protocol, next.Name, next.Authority, next.Path = t.protocol, t.host, t.authority, cmp.Or(t.path, "/")
	if relative, err := url.Parse(location); err != nil || p.Host == "" || relative.Host != "" {
		next.Host = t.authority // a Host of one's own is kept for a relative Location
	}
	next.ServerName = ""
	if own.ServerName && t.protocol.Secure() {
		next.ServerName = serverName(t.host)
	}
	if next.Method != "HEAD" && a.Status < 307 {
		next.Method = "GET"
	}
	next = next.referredBy(from, to)
	if t.host == from.Hostname() {
		next.Address = netip.AddrPortFrom(p.Address.Addr(), t.port) // the same machine
		return next, true
	}
	limited, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	next.resolve(limited, t.port)
	return next, true
}

// moves tells whether a status is one of those that clients follow.
func moves(status int) bool {
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308
}

// referredBy adds Referer, as net/http does: after the other fields of its
// order, and not from https to http.
func (p Probe) referredBy(from, to *url.URL) Probe {
	if from.Scheme == "https" && to.Scheme == "http" {
		return p
	}
	if p.field("Referer") >= 0 {
		return p.With("Referer", from.String())
	}
	// What net/http adds itself comes after what it was told.
	i := slices.IndexFunc(p.Fields, func(f Field) bool { return f.Name == "Accept-Encoding" || f.Name == "Connection" })
	if i < 0 {
		i = len(p.Fields)
	}
	p.Fields = slices.Insert(slices.Clone(p.Fields), i, Field{"Referer", from.String()})
	return p
}

// asked returns the URL that the prober has asked, whatever Host said.
func (p *Probe) asked() *url.URL {
	u := &url.URL{Scheme: "http", Host: p.Authority}
	if p.Protocol.Secure() {
		u.Scheme = "https"
	}
	if !p.prober().Resolves {
		u.Host = p.Address.String()
	}
	path, query, _ := strings.Cut(p.Path, "?")
	if parsed, err := url.ParseRequestURI(path); err == nil {
		u.Path, u.RawPath = parsed.Path, parsed.RawPath
	} else {
		u.Path = path
	}
	u.RawQuery = query
	return u
}
