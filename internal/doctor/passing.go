package doctor

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"hale/internal/machine"
	"hale/internal/probe"
)

// atOnce is how soon a target closes that keeps no connections at all.
const atOnce = 500 * time.Millisecond

// Sizes of a health answer's body, in bytes.
const (
	bigBody  = 64 << 10 // more than this costs each probe
	tinyBody = 1 << 10  // less than this is not worth compressing
)

// examinePass looks at what a pass is worth: what it proves, and what will
// make it fail, or users suffer, though it passes.
func (x *examination) examinePass(ctx context.Context) {
	x.say("it passes; looking what that proves")
	switch x.current.probe.Protocol {
	case probe.TCP, probe.TLS:
		x.examineConnected(ctx)
		return
	case probe.GRPC, probe.GRPCS:
		x.examineCall()
		return
	case probe.HTTP, probe.HTTPS, probe.H2C, probe.H2:
	}
	x.examineName(ctx)
	x.examineAnswer(ctx)
	x.examineSite(ctx)
	x.examineBody(ctx)
	x.examineLoad()
	x.examineIdle(ctx)
}

// unimplemented is gRPC's status of a method that there is not.
const unimplemented = 12

// examineCall looks whether a call reached anything.
func (x *examination) examineCall() {
	if x.current.answer.GRPC == unimplemented && !x.found("grpc-health-code") {
		x.conclude("grpc-health-code", x.current, x.answered("the call: the method is not implemented, and that counts as success here"))
		return
	}
	x.proven = append(x.proven, "the server answers the call with "+x.brief(x.current))
}

// examineConnected asks what a check that only connects cannot: does anybody
// answer behind it?
func (x *examination) examineConnected(ctx context.Context) {
	x.proven = append(x.proven, "port "+portOf(x.current.probe)+" accepts connections; nothing more was asked")
	ask := x.current.probe
	ask.Method, ask.Version = "GET", "HTTP/1.1"
	if ask.Path == "" {
		ask.Path = "/"
	}
	ask.Protocol = probe.HTTP
	if x.current.probe.Protocol == probe.TLS {
		ask.Protocol = probe.HTTPS
	}
	ask.Host, ask.NoHost = ask.Address.String(), false
	e := x.send(ctx, ask)
	if e.answer.Outcome != probe.Answered {
		x.undecided = append(x.undecided, Undecided{
			"whether the service behind the port works: it does not speak HTTP", "ask it in its own protocol, with a check of hale serve",
		})
		return
	}
	x.conclude("false-positive-200", x.current, []Evidence{{
		Change: "GET " + ask.Path + " instead of a connection", Before: x.brief(x.current), After: x.brief(e),
	}})
	x.retell("the check does no more than connect", "A port accepts connections even when the app behind it is broken; here it speaks HTTP, and can be asked.")
}

// retell says of the last finding what is at hand, where that is another form of
// its failure mode than the usual one.
func (x *examination) retell(title, because string) {
	last := &x.findings[len(x.findings)-1]
	last.Title, last.Because = title, because
}

// examineAnswer looks whether the answer is the health check's own.
func (x *examination) examineAnswer(ctx context.Context) {
	a := &x.current.answer
	if a.Status/100 == 3 {
		x.conclude("false-positive-200", x.current, x.answered("the probe itself: a redirect counts as success here"))
		x.retell("a redirect counts as success", "The answer is a redirect, which web servers and frameworks send before anything of the app has worked.")
		return
	}
	c := randomPath()
	e := x.with(ctx, c)
	if !x.going() {
		return
	}
	onlyFiles, known := x.isSiteOfFiles()
	switch {
	case e.answer.Status == a.Status && x.alike(x.current, e):
		id := "false-positive-200"
		if len(a.Body) == 0 && strings.EqualFold(a.Get("Server"), "Caddy") {
			id = "caddy-empty-200"
		}
		x.conclude(id, x.current, []Evidence{x.unturned(c, e)})
		return
	case isFile(a) && onlyFiles && known:
		x.proven = append(x.proven,
			fmt.Sprintf("%s %s answers %s in %s", x.current.probe.Method, printable(x.current.probe.Path, 80), x.brief(x.current), rough(a.Times.Total)),
			"the answer is a file, and the web server's configuration passes nothing on to an app")
		return
	case isFile(a) && onlyFiles:
		x.proven = append(x.proven, fmt.Sprintf("%s %s is answered with a file, which the web server sends without asking an app", x.current.probe.Method, printable(x.current.probe.Path, 80)))
		x.undecided = append(x.undecided, Undecided{
			"whether an app is behind the web server that this check never asks, or the site is made of files alone", "if there is an app, give the health check a path that it answers",
		})
		return
	case isFile(a) && x.first.answer.Healthy:
		x.conclude("false-positive-200", x.current, []Evidence{{
			Change: "the answer's header: a file, which the web server sends without asking the app",
			Before: "ETag: " + printable(a.Get("ETag"), 60) + ", Last-Modified: " + printable(a.Get("Last-Modified"), 40),
		}})
		x.retell("a file answers the health check", "The answer is a file that the web server sends by itself, so the check passes even when the app is broken.")
		return
	case isFile(a):
		x.undecided = append(x.undecided, Undecided{
			"whether the app works: the answer is a file, which the web server sends without asking it", "give the health check a path that the app answers",
		})
		return
	}
	if said := saysDown.Find(a.Body); said != nil && x.current.probe.Search == "" {
		x.conclude("false-positive-200", x.current, []Evidence{{Change: "the answer's text", Before: x.brief(x.current) + " " + printable(string(said), 80)}})
		x.retell("the answer says that it is not well, and passes", "What the health answer says is in its body, and its status says success all the same; the load balancer looks at the status.")
	}
	x.proven = append(x.proven,
		fmt.Sprintf("%s %s answers %s in %s", x.current.probe.Method, printable(x.current.probe.Path, 80), x.brief(x.current), rough(a.Times.Total)),
		fmt.Sprintf("the answer is this path's own: one that does not exist answers %s", x.brief(e)))
	x.undecided = append(x.undecided, Undecided{
		"whether the answer turns when the database or another dependency is gone: no probe can see that",
		"stop the dependency on a test instance and run this again, or let hale serve check it",
	})
}

// examineSite looks whether the site itself answers, where the probe comes to
// another that the same web server has: users of the name get what it answers.
func (x *examination) examineSite(ctx context.Context) {
	if x.Domain == "" || !x.first.answer.Healthy || !x.going() || hostOnly(x.current.probe.SentHost()) == hostOnly(x.Domain) {
		return
	}
	c := hostIs("host", x.Domain)
	e := x.with(ctx, c)
	if !x.going() || !e.sign.class.in(classServerError, classBadGateway, classUnavailable, classGatewayTimeout) {
		return
	}
	if other := x.with(ctx, hostIs("host=R", randomHost)); !x.going() || other.sign.class != classHealthy {
		return
	}
	x.conclude("false-positive-200", x.current, []Evidence{x.unturned(c, e)})
	x.retell("the probe is answered for another site than the users'", "The probe's Host leads to another site of the same server, which is well; what users ask for by their name is not.")
	for _, other := range []struct{ software, id string }{{"nginx", "nginx-wrong-vhost"}, {"openresty", "nginx-wrong-vhost"}, {"apache", "apache-default-vhost"}} {
		if mode, ok := findMode(other.id); ok && slices.Contains(x.site.software, other.software) {
			x.findings[len(x.findings)-1].Fixes = x.fixes(mode, x.fixData(x.current))
			return
		}
	}
}

// isSiteOfFiles tells whether the answer is what the site is made of: files, and no
// app behind the web server; known tells that its configuration says so.
func (x *examination) isSiteOfFiles() (likely, known bool) {
	server := x.surroundings.server
	if x.Inside && server.Program != "" {
		return len(server.Upstreams) == 0, true
	}
	path, _, _ := strings.Cut(x.current.probe.Path, "?")
	return strings.HasPrefix(x.current.answer.Get("Content-Type"), "text/html") && (strings.HasSuffix(path, "/") || strings.Contains(path, "/index.")), false
}

// saysDown fits health answers in JSON of the usual forms: Spring's, that of
// draft-inadarei-api-health-check, and those made by hand.
var saysDown = regexp.MustCompile(`(?i)^\s*\{\s*"(status|state|health|result)"\s*:\s*"(down|out_of_service|fail(ed|ing|ure)?|error|unhealthy|critical|not[ _]?ok|ko)"`)

// alike tells whether two answers are one page: the same but for what changes
// with each answer, such as a path or a time.
func (x *examination) alike(one, other exchange) bool {
	a, b := &one.answer, &other.answer
	if bytes.Equal(withoutPath(one), withoutPath(other)) {
		return true
	}
	if x.changes(one) && bytes.Equal(digits.ReplaceAll(withoutPath(one), nil), digits.ReplaceAll(withoutPath(other), nil)) {
		return true
	}
	difference := a.BodySize - b.BodySize
	return a.BodySize > 200 && title(a.Body) == title(b.Body) && max(difference, -difference) <= a.BodySize/20
}

// withoutPath takes the path that was asked for out of a body.
func withoutPath(e exchange) []byte {
	path, _, _ := strings.Cut(e.probe.Path, "?")
	if len(path) < 2 {
		return e.answer.Body
	}
	return bytes.ReplaceAll(e.answer.Body, []byte(path), nil)
}

// digits are what times, counts and identifiers are written in.
var digits = regexp.MustCompile(`[0-9a-fA-F-]*[0-9][0-9a-fA-F.:+-]*`)

// changes tells whether a body is another each time that it is asked for.
func (x *examination) changes(e exchange) bool {
	return slices.ContainsFunc(x.sent, func(s exchange) bool {
		return s.probe.Path == e.probe.Path && s.sign.class == e.sign.class && !bytes.Equal(s.answer.Body, e.answer.Body)
	})
}

// fileTag is how nginx and Apache tag a file: by its time and size.
var fileTag = regexp.MustCompile(`^"[0-9a-f]+-[0-9a-f]+"$`)

// isFile tells a file that a web server sends by itself.
func isFile(a *probe.Answer) bool {
	return fileTag.MatchString(a.Get("ETag")) && a.Get("Last-Modified") != "" && a.Get("Accept-Ranges") == "bytes"
}

// examineBody looks at what each probe costs.
func (x *examination) examineBody(ctx context.Context) {
	a := &x.current.answer
	if a.Outcome == probe.BodyTimeout || a.Outcome == probe.BodyCut { // and the prober does not mind
		x.conclude("body-never-ends", x.current, unfinished(ctx, x))
		return
	}
	if a.BodySize > bigBody {
		x.conclude("big-health-body", x.current, []Evidence{{Change: "the answer's body", Before: fmt.Sprintf("%d bytes in %s", a.BodySize, rough(a.Times.Total))}})
	}
	if coding := a.Get("Content-Encoding"); coding != "" && coding != "identity" && a.BodySize < tinyBody {
		x.conclude("compressed-body", x.current, []Evidence{{
			Change: "the answer's header", Before: fmt.Sprintf("Content-Encoding: %s, for %d bytes", printable(coding, 20), a.BodySize),
		}})
	}
}

// examineName looks whether a name that has addresses of both kinds works by
// both: some tools, busybox's wget among them, take the first and no other.
func (x *examination) examineName(ctx context.Context) {
	p := x.Probe
	if p.Name != "localhost" || !p.Address.Addr().Is4() || !slices.ContainsFunc(p.Addresses, netip.Addr.Is6) {
		return
	}
	c := addressIs("addr=v6", "connect to "+netip.AddrPortFrom(netip.IPv6Loopback(), p.Address.Port()).String(), netip.AddrPortFrom(netip.IPv6Loopback(), p.Address.Port()))
	if e := x.with(ctx, c); e.sign.class == classRefused {
		x.conclude("container-healthcheck-localhost-v6", x.current, []Evidence{x.unturned(c, e)})
	}
}

// manyProbes is how many a minute are more than the nodes of one load balancer
// send: each node sends two at the usual interval of 30 s.
const manyProbes = 100

var accessTime = regexp.MustCompile(`\[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]`)

// examineLoad counts in the web server's access log how many probes came in the
// minute before its last line.
func (x *examination) examineLoad() {
	agent := x.Probe.Get("User-Agent")
	if agent == "" {
		return
	}
	for _, path := range x.surroundings.accessLogs {
		lines, err := machine.Tail(path, 0)
		if err != nil {
			continue
		}
		var last time.Time
		count := 0
		for _, line := range slices.Backward(lines) {
			m := accessTime.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			at, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[1])
			if err != nil {
				continue
			}
			if last.IsZero() {
				last = at
			}
			if last.Sub(at) > time.Minute {
				break
			}
			if strings.Contains(line, agent) {
				count++
			}
		}
		if count -= len(x.sent) + x.watched; count >= manyProbes {
			x.conclude("probe-load", x.current, []Evidence{{
				Change: "log " + path, Before: fmt.Sprintf("%d requests by %s within a minute", count, printable(agent, 40)),
			}})
			return
		}
	}
}
