package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/machine"
	"hale/internal/machine/webserver"
	"hale/internal/probe"
	"hale/internal/targetgroup"
)

// examination is one run: the probe as it has become by the changes proven so
// far, everything that was sent, and what was learnt of the site.
//
// An experiment that cannot be made, because the budget is spent or the context
// has ended, leaves its error in err; from then on none is made.
type examination struct {
	Options
	began time.Time

	first   exchange   // the load balancer's own probe
	current exchange   // with every proven change
	stack   []step     // the proven changes, in order
	sent    []exchange // all of them
	tries   tried      // the current round's experiments
	err     error

	// explained is the failure mode that explains the current answer, where no
	// change of the request turned it; hops are the addresses behind the one
	// that was probed, where was already looked.
	explained string
	hops      []netip.AddrPort
	// behind names the gate behind which the current answer was seen.
	behind string

	site         site
	named        bool // it was looked for the site's name
	surroundings surroundings
	metadata     *machine.Metadata // once it was asked for
	started      []Evidence        // of how long the app took to start, where that was measured
	waiting      waiting
	randomPort   []change                  // the way to an app that lacks its port
	origins      map[netip.AddrPort]origin // of the ports of this machine's programs
	watched      int                       // idle connections watched, a request each
	findings     []Finding
	proven       []string
	undecided    []Undecided
	notes, seen  []targetgroup.Note // of clocks, and of this machine
	variable     string             // of the environment, that the app misses
	limited      bool               // the target limits how often it is asked: no more probes
	flapping     bool               // the probe passes at times
	wavering     bool               // ... and no change of the request can tell why
}

// exchange is a probe and the answer to it.
type exchange struct {
	probe  probe.Probe
	answer probe.Answer
	sign   sign
	at     time.Time // when the answer was there
}

// step is a change that turned the answer.
type step struct {
	change        change
	before, after exchange
	// finding is its finding's failure mode; empty: none of its own.
	finding string
	// waited tells that the change waited until the fault was over, which was
	// proven by a look at it.
	waited bool
}

// tried is the outcome of each experiment of one round, kept so that
// hypotheses that need the same one share it.
type tried map[string]exchange

func newExamination(o Options) *examination {
	x := &examination{Options: o, began: time.Now(), tries: tried{}, origins: map[netip.AddrPort]origin{}}
	x.site.domain = o.Domain
	return x
}

// run is the whole examination: the probe itself, the loop of experiments, and
// for a check that passes what the passing is worth.
func (x *examination) run(ctx context.Context) error {
	if x.Inside {
		x.say("looking at this machine")
		x.lookAround()
	}
	x.probeFirst(ctx)
	if x.first.answer.Outcome == probe.Unresolved {
		return x.first.answer.Err // there is nobody to examine
	}
	for x.going() && x.current.sign.class != classHealthy {
		if !x.round(ctx) && !x.nextHop(ctx) {
			break
		}
	}
	x.minimise(ctx)
	x.layersBehind(ctx)
	x.stale()
	x.lookBeside(ctx)
	x.examinePlatform(ctx)
	switch {
	case x.err != nil || x.limited || x.wavering:
	case x.passesUnexplained():
		x.undecided = append(x.undecided, Undecided{
			fmt.Sprintf("why the answer is: %s; %s passes, and nothing that was tried proves what is wrong before it", x.brief(x.first), x.current.probe.Address), strings.Join(x.waysOn(), "; "),
		})
	case x.current.sign.class == classHealthy:
		x.examinePass(ctx)
	default:
		x.unexplained(ctx)
	}
	if x.err == errBudget { //nolint:errorlint // it is never wrapped here
		x.undecided = append(x.undecided, Undecided{
			fmt.Sprintf("what is behind the answer %s: %d requests are the most that are sent", x.brief(x.current), MostRequests),
			"mend what was found, and run it again",
		})
		return nil
	}
	return x.err
}

// going tells whether more experiments can be made.
func (x *examination) going() bool { return x.err == nil && !x.limited && !x.wavering }

// probeFirst sends the load balancer's own probe. One that passes, or that
// takes its time, is sent again: answers that differ tell of time and limits,
// not of the request.
func (x *examination) probeFirst(ctx context.Context) {
	x.say("sending the probe of %s", x.Probe.Prober.Title)
	x.first = x.send(ctx, x.Probe)
	if x.awaitStart(ctx) {
		x.first = x.send(ctx, x.Probe)
	}
	x.current = x.first
	own := []exchange{x.first}
	switch c := x.first.sign.class; {
	case c == classHealthy:
		own = append(own, x.send(ctx, x.Probe), x.send(ctx, x.Probe))
	case c.in(classSilent, classSlowBody), x.first.sign.status >= 500 && x.first.answer.Times.Total < moment:
		own = append(own, x.send(ctx, x.Probe))
	}
	if x.err == nil {
		x.judgeRepeats(ctx, own)
	}
}

// round tries the hypotheses that fit the current answer, in their order, and
// takes the first that is proven. It tells whether one was.
func (x *examination) round(ctx context.Context) bool {
	x.tries = tried{}
	x.findNames(ctx)
	for i := range hypotheses {
		h := &hypotheses[i]
		if h.eligible(x) && x.test(ctx, h) {
			return true
		}
		if !x.going() {
			return false
		}
	}
	return false
}

// test tries one hypothesis: its look, then its experiments one by one.
func (x *examination) test(ctx context.Context, h *hypothesis) bool {
	var seen []Evidence
	if h.look != nil {
		if seen = h.look(ctx, x); len(seen) == 0 || !x.going() {
			return false
		}
	}
	if h.changes != nil {
		for c := range h.experiments(x) {
			s := step{change: c, before: x.current, after: x.with(ctx, c), finding: h.id}
			if !x.going() {
				return false
			}
			s.waited = h.look != nil && c.code == "time"
			if !h.turns(x, s) || h.proves != nil && !h.proves(ctx, x, s) || !s.waited && !x.steady(ctx, s) {
				if x.err != nil {
					return false
				}
				continue
			}
			x.accept(ctx, h, s, seen)
			return true
		}
	}
	if h.look == nil {
		return false
	}
	x.conclude(h.id, x.current, seen)
	if h.aside {
		x.order()
	} else {
		x.explained = h.id
	}
	return true
}

// order puts the last finding before those of deeper layers: it is a cause of
// theirs.
func (x *examination) order() {
	i := len(x.findings) - 1
	last := x.findings[i]
	for i > 0 && layerOf(x.findings[i-1].ID) > layerOf(last.ID) {
		x.findings[i] = x.findings[i-1]
		i--
	}
	x.findings[i] = last
}

func layerOf(id string) Layer {
	mode, _ := findMode(id)
	return mode.Layer
}

// accept takes a change that turned the answer as proven.
func (x *examination) accept(ctx context.Context, h *hypothesis, s step, seen []Evidence) {
	seen = append(seen, Evidence{Change: s.change.text, Before: x.brief(s.before), After: x.brief(s.after)})
	if h.also != nil {
		for _, c := range h.also(x) {
			if e := x.with(ctx, c); x.going() && c.text != s.change.text && e.sign.class != s.before.sign.class && !e.sign.class.transport() {
				seen = append(seen, Evidence{Change: "or by itself " + c.text, Before: x.brief(s.before), After: x.brief(e)})
			}
		}
	}
	if p := s.after.probe; p.Path != s.before.probe.Path {
		x.site.rightPath = p.Path
	}
	if p := s.after.probe.Address.Port(); p != s.before.probe.Address.Port() {
		x.site.rightPort = fmt.Sprint(p)
	}
	if hop := s.after.probe.Address; hop != s.before.probe.Address {
		x.reach(hop)
		x.site.learn(s.after)
	}
	x.conclude(h.id, s.before, seen)
	x.stack = append(x.stack, s)
	x.move(s.after)
}

// move goes on from another answer.
func (x *examination) move(to exchange) {
	x.current = to
	x.explained = ""
}

// steady sends the probe without the change once more: it must fail as before,
// or the change was not what turned the answer.
func (x *examination) steady(ctx context.Context, s step) bool {
	again := x.send(ctx, s.before.probe)
	if s.after.sign.class == classHealthy && again.sign.class == s.before.sign.class && !s.before.sign.class.transport() && x.going() {
		again = x.send(ctx, s.before.probe) // of two that answer in turn, the other one
	}
	switch {
	case x.err != nil:
		return false
	case again.sign.class == s.before.sign.class:
		return true
	case x.limits(ctx, s.before, again):
		x.limit(s.before, again)
		return true
	}
	x.judgeFlapping(ctx, []exchange{s.before, again})
	return false
}

// solved tells whether a redirect was met, and passed, before.
func (x *examination) solved(e exchange) bool {
	return slices.ContainsFunc(x.stack, func(s step) bool {
		return s.before.sign.class == e.sign.class && s.before.sign.location == e.sign.location
	})
}

// with sends the current probe with one more change, once a round.
func (x *examination) with(ctx context.Context, c change) exchange {
	key := c.code + "\x00" + c.text
	if e, ok := x.tries[key]; ok {
		return e
	}
	x.say("trying %s", c.text)
	p := c.apply(x.current.probe)
	own := p.Timeout
	if p.Protocol.Secure() && !x.current.probe.Protocol.Secure() {
		p.Timeout = min(own, handshakePatience)
	}
	e := x.send(ctx, p)
	e.probe.Timeout = own
	if x.err == nil {
		x.tries[key] = e
	}
	return e
}

// handshakePatience is how long a port that speaks plain HTTP is asked whether
// it speaks TLS: a server may wait for the end of a line that does not come.
const handshakePatience = 3 * time.Second

// errBudget ends an examination that has asked often enough.
var errBudget = fmt.Errorf("%d requests were not enough", MostRequests)

// send sends one probe, at its pace and within the budget.
func (x *examination) send(ctx context.Context, p probe.Probe) exchange {
	if x.err == nil && len(x.sent) >= MostRequests {
		x.err = errBudget
	}
	if x.err != nil {
		return exchange{}
	}
	if len(x.sent) > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(Pace):
		}
	}
	a := p.Send(ctx)
	if ctx.Err() != nil {
		x.err = context.Cause(ctx)
		return exchange{}
	}
	e := exchange{p, a, signOf(p, &a), time.Now()}
	x.sent = append(x.sent, e)
	if x.isSite(p.Address) {
		x.site.learn(e)
	}
	if e.sign.class == classLimited && len(x.sent) > 1 && x.first.sign.class != classLimited {
		x.limit(x.first, e)
	}
	return e
}

// isSite tells whether an address is one of the site's, as far as is known, and
// not of another program on the same machine.
func (x *examination) isSite(address netip.AddrPort) bool {
	port := address.Port()
	return port == x.Probe.Address.Port() || port == x.current.probe.Address.Port() || port == x.usersPort() || slices.Contains(x.hops, address) ||
		slices.ContainsFunc(x.surroundings.server.Upstreams, func(up webserver.Upstream) bool {
			_, to, ok := up.Dial()
			return ok && strings.HasSuffix(to, ":"+strconv.Itoa(int(port)))
		})
}

// conclude writes a finding down.
func (x *examination) conclude(id string, met exchange, seen []Evidence) {
	mode, ok := findMode(id)
	if !ok {
		panic("doctor: no failure mode " + id)
	}
	data := x.fixData(met)
	if at := met.probe.Address; x.behind != "" && mode.Layer <= LayerSocket {
		data.Address, data.Port, data.Upstream = at.Addr().String(), fmt.Sprint(at.Port()), at.String()
	}
	f := Finding{
		ID: id, Title: mode.Title, Because: mode.because(data), Evidence: seen,
		Fixes: x.fixes(mode, data),
	}
	if x.behind != "" {
		f.Because += " It was seen behind " + x.behind + "."
	}
	x.findings = append(x.findings, f)
	x.say("found: %s", f.Title)
}

// fixes are those of a failure mode, for what was recognised so far. What is wrong
// with the port and the connection itself is of who has it: the web server, or
// the app where the web server was gone round.
func (x *examination) fixes(mode Mode, data fixData) []Fix {
	recognised := append(slices.Clone(x.site.software), process(x.surroundings.app().Name()))
	switch {
	case data.Upstream != "" && mode.ID == "wrong-port": // of the app, or of its proxy
	case mode.Layer > LayerFirstBytes && mode.ID != "keepalive-shorter-than-lb-idle":
	case x.behind != "":
		recognised = slices.DeleteFunc(recognised, isEdge)
		if isEdge(process(data.Program)) {
			data.Program = ""
		}
	case slices.ContainsFunc(recognised, isEdge):
		recognised = slices.DeleteFunc(recognised, func(name string) bool { return !isEdge(name) && !isPlatform(name) })
	}
	return fixesFor(mode.ID, recognised, data)
}

// found tells whether there is a finding of this id already.
func (x *examination) found(id string) bool {
	return slices.ContainsFunc(x.findings, func(f Finding) bool { return f.ID == id })
}

// minimise drops each change from the stack in turn: what is not needed for
// the pass was no fault of its own. The last one is needed: without it the
// answer was another.
func (x *examination) minimise(ctx context.Context) {
	if x.current.sign.class != classHealthy || len(x.stack) < 2 || !x.going() {
		return
	}
	x.say("checking that each change is needed")
	for i := len(x.stack) - 2; i >= 0; i-- {
		if slices.ContainsFunc(x.stack[i+1:], func(later step) bool {
			return later.before.probe.Address != later.after.probe.Address && (later.finding == "" || later.before.sign.class.transport())
		}) {
			break // it was needed at the gate that was gone round later
		}
		if slices.ContainsFunc(x.stack[i+1:], func(later step) bool { return later.change.kind() == x.stack[i].change.kind() }) {
			continue // the later one took its place
		}
		p := x.Probe
		for j, s := range x.stack {
			if j != i {
				p = s.change.apply(p)
			}
		}
		e := x.send(ctx, p)
		if !x.going() {
			return
		}
		if e.sign.class != classHealthy {
			continue
		}
		dropped := x.stack[i]
		x.stack = slices.Delete(x.stack, i, i+1)
		if !dropped.waited {
			x.findings = slices.DeleteFunc(x.findings, func(f Finding) bool { return f.ID == dropped.finding })
		}
		x.current = e
	}
}

// brief tells an exchange's answer.
func (x *examination) brief(e exchange) string { return brief(e.probe, &e.answer) }

func (x *examination) say(format string, args ...any) {
	if x.Progress != nil {
		x.Progress(fmt.Sprintf(format, args...))
	}
}

// report is what the examination came to.
func (x *examination) report() Report {
	r := Report{
		Target: x.Target, As: x.Probe.Prober.Name, Healthy: x.first.answer.Healthy && !x.flapping,
		Findings: x.findings, HealthyWhenFixed: x.current.sign.class == classHealthy && x.err == nil && !x.wavering && !x.passesUnexplained(),
		Answer: x.brief(x.first), Reason: string(x.first.answer.Reason),
		Proven: x.proven, Undecided: x.undecided, Notes: x.notes, Machine: x.seen, Requests: len(x.sent) + x.watched,
	}
	if x.Domain == "" {
		r.Names = x.used()
	}
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
	return r
}

// fixData are the values that texts of causes and fixes are filled with.
func (x *examination) fixData(met exchange) fixData {
	path, _, _ := strings.Cut(x.Probe.Path, "?")
	d := fixData{
		Path: path, PathNoSlash: strings.Trim(path, "/"), Host: met.probe.SentHost(), Domain: x.site.best(),
		Address: x.Probe.Address.Addr().String(), Port: fmt.Sprint(x.Probe.Address.Port()),
		Status: met.answer.Status, Location: met.answer.Get("Location"), Timeout: x.Probe.Timeout.String(), Method: met.probe.Method,
		Program: x.surroundings.program(), Backend: x.backend(),
		RightPath: x.site.rightPath, RightPort: x.site.rightPort, Variable: x.variable,
	}
	if d.Host == "" {
		d.Host = x.Probe.SentHost()
	}
	if x.Group != nil {
		d.TargetGroup = x.Group.ARN
	}
	if host, _, err := net.SplitHostPort(d.Domain); err == nil {
		d.Domain = host
	}
	return d
}
