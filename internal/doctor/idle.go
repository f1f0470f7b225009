package doctor

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"hale/internal/probe"
)

// idleTimeouts are how long load balancers keep an idle connection to a
// target by default, where they keep one for users' requests. (ELB guides,
// "Connection idle timeout"; Google Cloud, "Timeouts and retries".)
var idleTimeouts = map[string]time.Duration{"alb": time.Minute, "classic": time.Minute, "gcp": 10 * time.Minute}

var keepAliveTimeout = regexp.MustCompile(`(?i)\btimeout\s*=\s*"?(\d+)`)

// examineIdle looks whether the target closes idle connections before the load
// balancer does: then a user's request meets a closed one at times.
func (x *examination) examineIdle(ctx context.Context) {
	limit := x.IdleTimeout
	if limit == 0 {
		limit = idleTimeouts[x.Probe.Prober.Name]
	}
	if limit == 0 || !x.going() || x.current.probe.Protocol == probe.H2 || x.current.probe.Protocol == probe.H2C {
		return
	}
	if x.behind != "" { // the load balancer's connection is to the proxy, which did not pass
		x.undecided = append(x.undecided, Undecided{
			"whether the proxy closes idle connections before the load balancer, which keeps them for " + limit.String(),
			"mend what was found, and run this again",
		})
		return
	}
	kept := x.with(ctx, keepAlive)
	if !x.going() || strings.EqualFold(kept.answer.Get("Connection"), "close") || kept.answer.Proto == "HTTP/1.0" {
		return
	}
	if m := keepAliveTimeout.FindStringSubmatch(kept.answer.Get("Keep-Alive")); m != nil {
		x.judgeIdle(m, limit)
		return
	}
	if args := x.surroundings.process.Args; x.surroundings.process.PID != 0 && len(x.hops) == 0 {
		if own, set, ok := toldIdle(x.surroundings.process.Name(), args); ok {
			x.judgeToldIdle(own, set, limit)
			return
		}
	}
	if x.IdleWait < 0 {
		return
	}
	known := closerOf(&kept.answer)
	wait := idleWatch(x.IdleWait, time.Since(x.began)+kept.answer.Times.Total) // the same is asked once more
	if wait == 0 || len(x.sent) >= MostRequests {
		x.undecided = append(x.undecided, known.undecided(0, limit, x.Inside))
		return
	}
	x.say("watching an idle connection for %v", wait)
	after, closed, err := x.current.probe.IdleClose(ctx, wait)
	x.watched++
	switch {
	case err != nil, closed && after < atOnce: // the target wants a connection for each request
	case closed && after < limit:
		x.conclude("keepalive-shorter-than-lb-idle", x.current, []Evidence{{
			Change: "an idle connection", Before: "the target closes it after " + rough(after), After: fmt.Sprintf("the load balancer keeps it for %v", limit),
		}})
	case closed:
		x.proven = append(x.proven, fmt.Sprintf("an idle connection stays open for %s, longer than the load balancer keeps it", rough(after)))
	default:
		x.proven = append(x.proven, fmt.Sprintf("an idle connection stays open for %v at least", wait))
		if wait < limit {
			x.undecided = append(x.undecided, known.undecided(wait, limit, x.Inside))
		}
	}
}

// leastWatch is the shortest time for which it is of use to watch an idle
// connection.
const leastWatch = time.Second

// idleWatch is how long an idle connection is watched by an examination that
// has taken some time already; 0: there is no time for it. What was asked for
// goes before.
func idleWatch(asked, taken time.Duration) time.Duration {
	if asked != 0 {
		return asked
	}
	wait := min(IdleWait, MostTime-taken).Truncate(100 * time.Millisecond)
	if wait < leastWatch {
		return 0
	}
	return wait
}

// judgeIdle takes the time-out that the target announces.
func (x *examination) judgeIdle(announced []string, limit time.Duration) {
	seconds, err := strconv.Atoi(announced[1])
	if err != nil || time.Duration(seconds)*time.Second >= limit {
		return
	}
	x.conclude("keepalive-shorter-than-lb-idle", x.current, []Evidence{{
		Change: "the answer's header", Before: fmt.Sprintf("Keep-Alive: timeout=%d", seconds), After: fmt.Sprintf("the load balancer keeps it for %v", limit),
	}})
}

// closer is a server that closes idle connections after a time of its own, and
// does not announce it.
type closer struct {
	// server is how its answers' Server begins, program what its process is
	// called.
	server, program string
	// after is that time, unless the setting says another. Where that is a flag
	// of its command line, with a number of seconds, a look at the process tells.
	after   time.Duration
	setting string
}

// closers are from the programs' documents: uvicorn 0.17 "Settings", Hypercorn
// "Configuration options", gunicorn "Settings", lighttpd "server.max-keep-alive-idle",
// nginx "ngx_http_core_module". What uvicorn does as a worker of gunicorn,
// gunicorn's flag tells.
var closers = []closer{
	{"uvicorn", "uvicorn", 5 * time.Second, "--timeout-keep-alive"},
	{"hypercorn", "hypercorn", 5 * time.Second, "--keep-alive"},
	{"lighttpd", "lighttpd", 7 * time.Second, "server.max-keep-alive-idle"}, // 5 s have to be over, in whole seconds, of which it looks at each
	{"gunicorn", "gunicorn", 2 * time.Second, "--keep-alive"},
	{"nginx", "nginx", 75 * time.Second, "keepalive_timeout"},
}

// byFlag tells whether the command line has the setting.
func (c closer) byFlag() bool { return strings.HasPrefix(c.setting, "--") }

// undecided says that a connection was watched for less time than the load
// balancer keeps one, and how to find out; 0: it was not watched at all. The zero
// closer is a server that is not known.
func (c closer) undecided(watched, limit time.Duration, inside bool) Undecided {
	what := fmt.Sprintf("whether the target closes idle connections before the load balancer, which keeps them for %v: ", limit)
	enough := limit + time.Second
	switch {
	case c.after == 0 || watched > c.after:
		what += "the target announces no time"
	case c.after < limit:
		enough = max(c.after+c.after/5, IdleWait)
		what += fmt.Sprintf("by its Server header it is %s, which closes them after %v unless %s says more", c.program, c.after, c.setting)
	default:
		what += fmt.Sprintf("by its Server header it is %s, which closes them after %v unless %s says less", c.program, c.after, c.setting)
	}
	if watched > 0 {
		what += fmt.Sprintf(", and one was watched for %v", watched)
	} else {
		what += ", and none was watched in this run"
	}
	how := fmt.Sprintf("run this again with --idle-wait %gs", enough.Seconds())
	if c.byFlag() && !inside {
		how += ", or on the instance with --from-inside, where the command line tells"
	}
	return Undecided{what, how}
}

// closerOf finds the server that wrote an answer.
func closerOf(a *probe.Answer) closer {
	for _, c := range closers {
		if strings.HasPrefix(a.Get("Server"), c.server) {
			return c
		}
	}
	return closer{}
}

// toldIdle reads the time from a process's command line.
func toldIdle(program string, args []string) (told time.Duration, set string, ok bool) {
	for _, c := range closers {
		if c.program != program || !c.byFlag() {
			continue
		}
		for i, arg := range args {
			flag, value, whole := strings.Cut(arg, "=")
			if flag != c.setting {
				continue
			}
			if !whole && i+1 < len(args) {
				value = args[i+1]
			}
			if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds >= 0 && seconds < 1e6 {
				told, set, ok = time.Duration(seconds*float64(time.Second)), c.setting+" "+value, true // the last counts
			}
		}
	}
	return told, set, ok
}

// judgeToldIdle takes the time-out of the target's command line.
func (x *examination) judgeToldIdle(told time.Duration, set string, limit time.Duration) {
	process := x.surroundings.process
	who := fmt.Sprintf("the command line of %s (process %d)", process.Name(), process.PID)
	if told >= limit {
		x.proven = append(x.proven, fmt.Sprintf("an idle connection stays open for %v: %s has %s", told, who, set))
		return
	}
	x.conclude("keepalive-shorter-than-lb-idle", x.current, []Evidence{{Change: who, Before: set, After: fmt.Sprintf("the load balancer keeps it for %v", limit)}})
}
