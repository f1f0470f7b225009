package doctor

import (
	"context"
	"os"
	"regexp"
	"slices"
	"time"

	"hale/internal/machine"
	"hale/internal/probe"
)

// logFile is a log, with the length that it had before the first probe.
type logFile struct {
	machine.Log
	size int64
	// own tells that who listens on the port writes it.
	own bool
	// upstreams are the addresses of the apps whose it is alone, where those are
	// behind a web server.
	upstreams []string
}

// recent is how old the last line of a log may be that nobody has named, and
// that no process is known to write.
const recent = 15 * time.Minute

// logs are those that may tell of the current request: without those of apps to which
// the web server sends other requests.
func (x *examination) logs() []*logFile {
	var all []*logFile
	own := append(addresses(x.upstreams()), x.current.probe.Address.String())
	for i := range x.surroundings.logs {
		l := &x.surroundings.logs[i]
		if len(l.upstreams) == 0 || slices.Contains(x.Logs, l.Path) || slices.ContainsFunc(l.upstreams, func(to string) bool { return slices.Contains(own, to) }) {
			all = append(all, l)
		}
	}
	return all
}

func (s *surroundings) addLog(log machine.Log) {
	if slices.ContainsFunc(s.logs, func(l logFile) bool { return l.Path == log.Path && l.Unit == log.Unit }) {
		return
	}
	l := logFile{Log: log}
	if info, err := os.Stat(log.Path); err == nil {
		l.size = info.Size()
	}
	s.logs = append(s.logs, l)
}

// tail returns the last lines of the log; isNew: those alone that were written
// since the first probe.
func (l *logFile) tail(ctx context.Context, isNew bool) []string {
	most := 0
	if info, err := os.Stat(l.Path); isNew && err == nil && info.Size() >= l.size {
		if most = int(min(info.Size()-l.size, machine.DefaultTail)); most == 0 {
			return nil
		}
	}
	lines, err := l.Tail(ctx, most)
	if err != nil {
		return nil
	}
	if !isNew {
		lines = lines[max(0, len(lines)-lastLines):]
	}
	return lines
}

// logged proves by lines that a log got since the first probe.
func logged(pattern string) func(context.Context, *examination) []Evidence {
	text := re(pattern)
	return func(ctx context.Context, x *examination) []Evidence { return x.inLogs(ctx, text, true) }
}

// loggedAgain is logged for what the app needs: the line must come with each probe,
// and not with requests that are answered well. Others write into the same log.
func loggedAgain(pattern string) func(context.Context, *examination) []Evidence {
	text := re(pattern)
	return func(ctx context.Context, x *examination) []Evidence {
		seen := x.inLogs(ctx, text, true)
		if len(seen) == 0 || x.current.sign.class == classSilent {
			return seen
		}
		_, took, comes := x.logsOn(ctx, text, x.current.probe, lateness)
		if !comes || !x.going() {
			return nil
		}
		other, _, comes := x.logsOn(ctx, text, randomPath().apply(x.current.probe), took+lateness/5)
		if !x.going() || comes && other.sign.class != x.current.sign.class || x.failsOtherwise(ctx, text) {
			return nil
		}
		return seen
	}
}

// raised is how an exception that nobody caught begins its line in a log.
var raised = re(`^(Uncaught )?[\w.]*(Error|Exception)\b: `)

// failsOtherwise tells whether the logs have exceptions, and none says what is looked
// for: the app goes on without that.
func (x *examination) failsOtherwise(ctx context.Context, text *regexp.Regexp) bool {
	otherwise := false
	for _, log := range x.logs() {
		for _, line := range log.tail(ctx, true) {
			if !raised.MatchString(line) {
				continue
			}
			if text.MatchString(line) {
				return false
			}
			otherwise = true
		}
	}
	return otherwise
}

// logsOn sends a probe, and looks whether a text comes into a log with it, and how
// soon.
func (x *examination) logsOn(ctx context.Context, text *regexp.Regexp, p probe.Probe, patience time.Duration) (e exchange, took time.Duration, comes bool) {
	var logs []logFile
	for _, log := range x.logs() {
		logs = append(logs, *log)
	}
	for i := range logs {
		if info, err := os.Stat(logs[i].Path); err == nil {
			logs[i].size = info.Size()
		}
	}
	e = x.send(ctx, p)
	for start := time.Now(); ; time.Sleep(lateness / 50) {
		took = time.Since(start)
		for i := range logs {
			if logs[i].Path != "" && slices.ContainsFunc(logs[i].tail(ctx, true), text.MatchString) {
				return e, took, true
			}
		}
		if took > patience || ctx.Err() != nil {
			return e, took, false
		}
	}
}

// loggedLast proves by the last lines of a log, of whatever time: those of a
// program that did not start.
func loggedLast(pattern string) func(context.Context, *examination) []Evidence {
	text := re(pattern)
	return func(ctx context.Context, x *examination) []Evidence { return x.inLogs(ctx, text, false) }
}

// portWasTaken proves by the log of a program that is not the one that answers that
// it could not have the port.
func portWasTaken(ctx context.Context, x *examination) []Evidence {
	text := re(portInUse)
	for _, log := range x.logs() {
		if log.own {
			continue
		}
		for _, line := range slices.Backward(sinceUp(log.tail(ctx, false))) {
			if at := text.FindStringIndex(line); at != nil {
				return []Evidence{{Change: "log " + log.String(), Before: excerpt(line, at[0])}}
			}
		}
	}
	return nil
}

// lateness is how much later than an answer its line may come into a log.
const lateness = 500 * time.Millisecond

// settle waits until a log has grown.
func (s *surroundings) settle() {
	for deadline := time.Now().Add(lateness); time.Now().Before(deadline); time.Sleep(lateness / 20) {
		for _, log := range s.logs {
			if info, err := os.Stat(log.Path); err == nil && info.Size() > log.size {
				time.Sleep(lateness / 20) // for the rest of it
				return
			}
		}
	}
}

// lastLines is how many lines of a log tell of a start that failed.
const lastLines = 60

func (x *examination) inLogs(ctx context.Context, text *regexp.Regexp, isNew bool) []Evidence {
	if x.surroundings.settled != len(x.sent) { // a log may be written late
		x.surroundings.settled = len(x.sent)
		x.surroundings.settle()
	}
	for _, log := range x.logs() {
		lines := log.tail(ctx, isNew)
		if !isNew {
			lines = sinceUp(lines)
		}
		for _, line := range slices.Backward(lines) {
			if at := text.FindStringIndex(line); at != nil {
				return []Evidence{{Change: "log " + log.String(), Before: excerpt(line, at[0])}}
			}
		}
	}
	return nil
}

// lacksVariable proves by the last lines of a log that the program wants a
// variable of its environment.
func lacksVariable(ctx context.Context, x *examination) []Evidence {
	for _, log := range x.logs() {
		for _, v := range machine.MissingVariables(sinceUp(log.tail(ctx, false))) {
			x.variable = v.Name
			return []Evidence{{Change: "log " + log.String() + ", of the variable " + v.Name, Before: excerpt(v.Line, 0)}}
		}
	}
	return nil
}

// sinceUp are the lines after the last that says that the program had started: what
// is before was no reason not to.
func sinceUp(lines []string) []string {
	for i, line := range slices.Backward(lines) {
		if saysUp.MatchString(line) || alsoUp.MatchString(line) {
			return lines[i+1:]
		}
	}
	return lines
}

// alsoUp are more such lines, which tell no time that is of use: of Apache, Spring
// Boot and Tomcat.
var alsoUp = re(`resuming normal operations|Tomcat started on port|Server startup in `)

// excerpt is what a line of a log says around a place.
func excerpt(line string, at int) string {
	const most = 200
	if start := max(0, at-60); len(line) > most && start > 0 {
		line = "..." + line[start:]
	}
	return printable(line, most)
}
