package doctor

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// passesUnexplained tells of a pass that was come to without a finding, such as by
// going round a proxy that refuses for a reason of its own.
func (x *examination) passesUnexplained() bool {
	return x.current.sign.class == classHealthy && !x.first.answer.Healthy && len(x.findings) == 0
}

// unexplained says what no experiment turned.
func (x *examination) unexplained(ctx context.Context) {
	c := x.current
	what := "why the answer is: " + x.brief(c)
	if x.explained != "" {
		what = "what the answer will be once this is mended"
	} else if len(x.findings) > 0 {
		what = "why the answer behind that is: " + x.brief(c)
	}
	switch after := c.answer.Get("Retry-After"); {
	case x.explained != "":
	case c.sign.class == classSilent:
		what += x.elsewhere(ctx)
	case after != "":
		what += "; it says itself to come again (Retry-After: " + printable(after, 40) + "), so it may be starting, or be kept out of use on purpose"
	case len(x.unmoved()) > 0:
		if says := title(c.answer.Body); says != "" && !c.sign.class.transport() && !c.sign.class.redirects() && !byEdge(&c.answer) {
			what += fmt.Sprintf(" (it says %q)", printable(says, 60))
		}
		what += "; it stays so with " + strings.Join(x.unmoved(), ", ")
	}
	x.undecided = append(x.undecided, Undecided{what, strings.Join(x.waysOn(), "; ")})
	if x.Inside && x.explained == "nothing-listening" {
		x.tellOthers(ctx)
	}
}

// mostUnmoved is how many changes are told that turned nothing.
const mostUnmoved = 6

// unmoved are the last changes after which the answer was the same, in their order.
func (x *examination) unmoved() []string {
	keys := slices.SortedFunc(maps.Keys(x.tries), func(a, b string) int { return x.tries[a].at.Compare(x.tries[b].at) })
	var texts []string
	for _, key := range keys {
		code, text, ok := strings.Cut(key, "\x00")
		if ok && code != "rnd" && x.tries[key].sign.class == x.current.sign.class {
			texts = append(texts, text)
		}
	}
	if more := len(texts) - mostUnmoved; more > 0 {
		texts = append(texts[:mostUnmoved], fmt.Sprintf("and with %d changes more", more))
	}
	return texts
}

// waysOn are how to find out more.
func (x *examination) waysOn() []string {
	var ways []string
	if c := x.current.sign.class; x.site.domain == "" && (!c.transport() && isAddress(x.current.probe.SentHost()) || c == classEmpty) {
		ways = append(ways, "give the site's public name with --host, so that it can be tried as Host")
	}
	if !x.Inside {
		ways = append(ways, "run this on the instance itself with --from-inside")
	}
	if x.Inside && x.blind() {
		ways = append(ways, "run this as root, with sudo: this user may not look at the processes that answer, nor at their logs")
	}
	if x.explained != "" {
		return append(ways, "mend it, and run this again")
	}
	how := "read the log of the program that answered"
	if x.current.sign.class.in(classRefused, classUnreachable, classConnectTimeout) {
		how = "look on the instance whether the program runs, and where it listens: ss -ltnp, and its log"
	}
	programs := slices.DeleteFunc(slices.Clone(x.site.software), isPlatform) // which answers nothing
	if len(programs) > 0 {
		how += " (" + strings.Join(programs, ", ") + ")"
	}
	return append(ways, how)
}

// blind tells that the machine does not show this user who answers.
func (x *examination) blind() bool {
	at := x.surroundings.at
	return os.Geteuid() != 0 && (len(at) == 0 || at[0].Owner().PID == 0 || x.surroundings.process.Dir == "")
}
