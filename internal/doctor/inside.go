package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"hale/internal/machine"
	"hale/internal/machine/webserver"
	"hale/internal/probe"
	"hale/internal/targetgroup"
)

// denies fits a web server whose configuration refuses some clients.
func denies(x *examination) bool { return len(x.rules(webserver.Refuse)) > 0 }

// denial shows the rule of a list of addresses: one that refuses all, and one
// that allows some.
func denial(_ context.Context, x *examination) []Evidence {
	allows := x.rules(webserver.Allow)
	if len(allows) == 0 {
		return nil
	}
	var seen []Evidence
	for _, rule := range append(allows[:1:1], x.rules(webserver.Refuse)[0]) {
		seen = append(seen, Evidence{Change: "configuration " + rule.String(), Before: printable(rule.Text, 120)})
	}
	return seen
}

// rules are the web server's of one kind that concern the path.
func (x *examination) rules(kind webserver.RuleKind) []webserver.Rule {
	var all []webserver.Rule
	for _, rule := range x.surroundings.server.Rules {
		if rule.Kind == kind && strings.HasPrefix(x.current.probe.Path, strings.TrimLeft(rule.Path, "=^~ ")) {
			all = append(all, rule)
		}
	}
	return all
}

// diskFull looks for a filesystem without room, where the server works.
func diskFull(ctx context.Context, x *examination) []Evidence {
	var logs []machine.Log
	for _, log := range x.surroundings.logs {
		logs = append(logs, log.Log)
	}
	disks, err := machine.Disks(machine.DiskPaths(x.surroundings.app(), logs...)...)
	if err != nil {
		return nil
	}
	for _, disk := range disks {
		var full string
		switch {
		case disk.Full():
			full = fmt.Sprintf("%d bytes free of %d", disk.Available, disk.Size)
		case disk.OutOfFiles():
			full = fmt.Sprintf("%d files free of %d", disk.FreeFiles, disk.Files)
		default:
			continue
		}
		what := "the disk at " + disk.Mount
		said := append(x.saidItself(noSpace), logged(noSpace)(ctx, x)...)
		if len(said) > 0 {
			return append([]Evidence{{Change: what, Before: full}}, said...)
		}
		note := targetgroup.Note{
			What: what + " is full; nothing says that this is why the answer is " + x.brief(x.current),
			Seen: full, Way: "df -h and df -i; a log that lies there cannot tell of it",
		}
		if !slices.ContainsFunc(x.seen, func(n targetgroup.Note) bool { return n.Seen == full && n.Way == note.Way }) {
			x.seen = append(x.seen, note)
		}
	}
	return nil
}

const noSpace = `(?i)No space left on device|disk is full|ENOSPC`

// saidItself shows what the answer says, if that fits.
func (x *examination) saidItself(pattern string) []Evidence {
	if found := re(pattern).Find(x.current.answer.Body); found != nil {
		return []Evidence{{Change: "the answer's text", Before: x.brief(x.current) + " " + printable(string(found), 80)}}
	}
	return nil
}

// otherProtocol proves by the log that the server wants something else than
// HTTP: the numbers are how it read "GET ".
func otherProtocol(ctx context.Context, x *examination) []Evidence {
	seen := logged(`invalid request block size: 21573|Invalid message received with signature \[18245\]`)(ctx, x)
	program := x.surroundings.process.Program
	for _, s := range services {
		if strings.HasPrefix(program, s.program) {
			seen = append(seen, Evidence{Change: "who listens", Before: fmt.Sprintf("%s (process %d), which speaks %s", program, x.surroundings.process.PID, s.speaks)})
		}
	}
	return seen
}

// services are programs that listen, and speak no HTTP.
var services = []struct{ program, speaks string }{
	{"php-fpm", "FastCGI"},
	{"redis-server", "Redis's protocol"},
	{"valkey-server", "Redis's protocol"},
	{"mysqld", "MySQL's protocol"},
	{"mariadbd", "MySQL's protocol"},
	{"postgres", "PostgreSQL's protocol"},
	{"memcached", "memcached's protocol"},
	{"sshd", "SSH"},
	{"exim4", "SMTP"},
	{"master", "SMTP"},
	{"mongod", "MongoDB's protocol"},
}

// otherPorts asks for the same path on the other ports of what answers: another
// program's /health is none of its own.
func otherPorts(x *examination) []change {
	own := x.surroundings.everybody()
	return toSockets(func(x *examination, s machine.Socket) bool {
		return otherPort(x, s) && !ofOtherRequests(x, s) && slices.ContainsFunc(s.Owners, func(o machine.Owner) bool { return slices.Contains(own, o.PID) })
	})(x)
}

// upstreamDown proves a proxy that cannot reach its app. Where the app's port
// is refused, the cause is there.
func upstreamDown(ctx context.Context, x *examination) []Evidence {
	seen := theAnswer(ctx, x)
	if x.Inside {
		for _, c := range x.toHops() {
			e := x.with(ctx, c)
			if !x.going() || e.sign.class == classRefused || e.sign == x.current.sign && proxyAt(e.probe.Address) {
				return nil // the cause is there, or behind
			}
			if e.answer.Outcome == probe.Answered {
				seen = append(seen, x.unturned(c, e))
			}
		}
	}
	for _, up := range x.upstreams() {
		seen = append(seen, Evidence{Change: "configuration " + up.String(), Before: string(up.Protocol) + " " + up.Address})
	}
	if x.Inside {
		seen = append(seen, logged(`connect\(\).* failed|\(2: No such file|AH01114|AH00957|AH01079|AH02454`)(ctx, x)...)
	}
	return seen
}

// claimingBehind proves a proxy that says http for everybody: at the front
// X-Forwarded-Proto does not matter, straight at the app it does.
func claimingBehind(ctx context.Context, x *examination, s step) bool {
	front := x.with(ctx, forwardedProto)
	if front.sign.class != classRedirectHTTPS {
		return false
	}
	behind := x.send(ctx, forwardedProto.apply(s.after.probe))
	return x.going() && behind.sign.class != classRedirectHTTPS && !behind.sign.class.transport()
}

func stillToHTTPS(_ *examination, s step) bool { return s.after.sign.class == classRedirectHTTPS }

// saysOwnScheme proves by the configuration of the proxy that was gone round.
func saysOwnScheme(_ context.Context, x *examination) []Evidence {
	return ownScheme(x.surroundings.front)
}

// saysOwnSchemeHere proves it of a proxy that cannot be gone round, such as one
// before a unix socket: X-Forwarded-Proto does not matter either.
func saysOwnSchemeHere(ctx context.Context, x *examination) []Evidence {
	seen := whateverIsSaid(ctx, x)
	if len(seen) == 0 {
		return nil
	}
	said := ownScheme(x.upstreams())
	if len(said) == 0 {
		return nil
	}
	return append(seen, said...)
}

func ownScheme(upstreams []webserver.Upstream) []Evidence {
	for _, up := range upstreams {
		if up.ForwardedProto.As == webserver.Own || up.ForwardedProto.As == webserver.Removed {
			return []Evidence{{Change: "configuration " + up.ForwardedProto.Place.String(), Before: "X-Forwarded-Proto is " + printable(up.ForwardedProto.Text, 80)}}
		}
	}
	return nil
}

// nameIsLost is the control of a proxy that sends its own Host: at the front
// the site's name is refused like any other, straight at the app it is not.
func nameIsLost(ctx context.Context, x *examination, s step) bool {
	taken := s.after.sign.class != s.before.sign.class
	for _, c := range toDomain(x) {
		if x.with(ctx, c).sign.class != s.before.sign.class {
			return false
		}
		if !taken {
			taken = x.send(ctx, c.apply(s.after.probe)).sign.class != s.before.sign.class
		}
	}
	return x.going() && taken
}

// httpUpstream proves an upstream that speaks HTTP where the proxy speaks another
// protocol. It may refuse what the proxy says, hang up, or wait for more of it.
func httpUpstream(ctx context.Context, x *examination) []Evidence {
	for _, hop := range x.hopsBy(notHTTP...) {
		if e := x.with(ctx, x.hurried(hop)); x.going() && e.answer.Outcome == probe.Answered && e.sign.class != classTLSPort {
			hop.text = "in HTTP, " + hop.text
			return []Evidence{x.unturned(hop, e)}
		}
	}
	return nil
}

// otherUpstream proves an upstream that does not speak the proxy's protocol: it
// hangs up without a byte, whatever the path.
func otherUpstream(ctx context.Context, x *examination) []Evidence {
	for _, hop := range x.toHops() {
		e := x.with(ctx, hop)
		other := x.send(ctx, randomPath().apply(e.probe))
		if !x.going() || !noHTTP(e) || !noHTTP(other) {
			continue
		}
		return []Evidence{x.unturned(hop, e), x.unturned(change{text: hop.text + ", another path"}, other)}
	}
	return nil
}

// noHTTP tells an end that no HTTP server makes.
func noHTTP(e exchange) bool {
	return e.sign.class.in(classEmpty, classKilled, classNotHTTP, classTLS, classTLSPort)
}

// nameHelps tells whether the site's name turns the answer, and no other.
func (x *examination) nameHelps(ctx context.Context) bool {
	for _, c := range toDomain(x) {
		s := step{change: c, before: x.current, after: x.with(ctx, c)}
		if (&hypothesis{}).turns(x, s) && namesAlone(ctx, x, s) {
			return x.going()
		}
	}
	return false
}

// askMetadata asks the metadata service that the app asks, once.
func (x *examination) askMetadata(ctx context.Context) machine.Metadata {
	if x.metadata == nil {
		m := machine.AskMetadata(ctx, func(name string) string {
			value, _, err := x.surroundings.app().Lookup(name)
			if err != nil || value == "" {
				return os.Getenv(name)
			}
			return value
		})
		x.metadata = &m
	}
	return *x.metadata
}

// withoutToken proves settings that ask the instance metadata in the old way,
// which it refuses.
func withoutToken(ctx context.Context, x *examination) []Evidence {
	if !x.nameHelps(ctx) {
		return nil
	}
	use, ok := findMetadataUse(x.surroundings.app().Dir)
	if !ok || use.token {
		return nil
	}
	m := x.askMetadata(ctx)
	if !m.TokenRequired {
		return nil
	}
	return []Evidence{
		{Change: "a request without a token to " + m.Endpoint, Before: fmt.Sprint(m.PlainStatus)},
		{Change: "code " + use.place, Before: use.line},
	}
}

// tokenLost proves a metadata service whose token does not come this far.
func tokenLost(ctx context.Context, x *examination) []Evidence {
	if !x.nameHelps(ctx) {
		return nil
	}
	use, ok := findMetadataUse(x.surroundings.app().Dir)
	if !ok {
		return nil
	}
	m := x.askMetadata(ctx)
	if !m.TokenLost {
		return nil
	}
	return []Evidence{
		{Change: "asking " + m.Endpoint + " for a token", Before: "no answer"},
		{Change: "code " + use.place, Before: use.line},
	}
}

// tooLittleTime proves settings that give the metadata service less than it
// takes.
func tooLittleTime(ctx context.Context, x *examination) []Evidence {
	if !x.nameHelps(ctx) {
		return nil
	}
	use, ok := findMetadataUse(x.surroundings.app().Dir)
	if !ok || use.timeout == 0 || use.timeout > 100*time.Millisecond {
		return nil
	}
	m := x.askMetadata(ctx)
	if !m.Reachable || m.Took < use.timeout {
		return nil
	}
	return []Evidence{
		{Change: "time that " + m.Endpoint + " takes", Before: m.Took.Round(time.Millisecond).String()},
		{Change: "code " + use.timeoutPlace, Before: use.timeout.String()},
	}
}

// looksFixed proves a list of hosts with an entry that was meant for the
// address and never matches it.
func looksFixed(ctx context.Context, x *examination) []Evidence {
	host := hostOnly(x.current.probe.SentHost())
	ip, err := netip.ParseAddr(host)
	if err != nil || !x.nameHelps(ctx) {
		return nil
	}
	entry, place, ok := findAllowedHost(x.surroundings.app(), ip)
	if !ok {
		return nil
	}
	return []Evidence{{Change: "ALLOWED_HOSTS, " + place, Before: fmt.Sprintf("%q", entry)}}
}
