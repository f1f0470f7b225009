package doctor

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hale/internal/machine"
)

// saysTook are how servers tell in their logs how long they took to start: the
// number in a group, in the unit given.
var saysTook = []struct {
	text *regexp.Regexp
	unit time.Duration
}{
	{regexp.MustCompile(`\((?:process|JVM) running for ([\d.]+)\)`), time.Second},                   // Spring Boot
	{regexp.MustCompile(`Server startup in \[?([\d,]+)\]? (?:ms|milliseconds)`), time.Millisecond},  // Tomcat
	{regexp.MustCompile(`WSGI app \d+ \(mountpoint='[^']*'\) ready in (\d+) seconds`), time.Second}, // uWSGI
}

// saysUp are how servers tell that they take connections from now on; when is in
// front of the line.
var (
	saysUp  = regexp.MustCompile(`Listening at: |Application startup complete|Uvicorn running on |[Ll]istening on |ready to (?:accept|handle) connections`)
	stamped = regexp.MustCompile(`(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:[.,]\d+)? ?(Z|[+-]\d\d:?\d\d)?`)
)

// longestStart is more than any start takes: what a log tells of more belongs to
// another process.
const longestStart = time.Hour

// measureStart finds out from the logs how long the app took from the start of
// its process until it took connections. It takes whole seconds: logs have no
// finer ones.
func (x *examination) measureStart(ctx context.Context) {
	app := x.surroundings.app()
	if x.Known.StartUp > 0 || app.PID == 0 {
		return
	}
	for i := range x.surroundings.logs {
		log := &x.surroundings.logs[i]
		lines, err := log.Tail(ctx, 0)
		if err != nil {
			continue
		}
		for _, line := range slices.Backward(lines) {
			if took := startIn(line, app); took > 0 {
				x.Known.StartUp = took
				x.started = []Evidence{{
					Change: fmt.Sprintf("log %s, of the start of %s (process %d)", log, app.Name(), app.PID),
					Before: fmt.Sprintf("%s: %s", took.Round(time.Second), excerpt(line, 0)),
				}}
				return
			}
		}
	}
}

// startIn is how long a line of a log says that the start of a process took; 0:
// it says nothing of that, or of another process.
func startIn(line string, app machine.Process) time.Duration {
	for _, row := range saysTook {
		if m := row.text.FindStringSubmatch(line); m != nil {
			n, err := strconv.ParseFloat(strings.ReplaceAll(m[1], ",", ""), 64)
			if took := time.Duration(n * float64(row.unit)); err == nil && took < longestStart && took <= time.Since(app.Start)+time.Second {
				return took
			}
		}
	}
	at := saysUp.FindStringIndex(line)
	if at == nil {
		return 0
	}
	m := stamped.FindStringSubmatch(line[:at[0]])
	if m == nil {
		return 0
	}
	form, text, zone := "2006-01-02 15:04:05", m[1]+" "+m[2], strings.ReplaceAll(m[3], ":", "")
	if zone == "Z" {
		zone = "+0000"
	}
	if zone != "" {
		form, text = form+" -0700", text+" "+zone
	}
	when, err := time.ParseInLocation(form, text, time.Local) //nolint:gosmopolitan // as the log's program writes it
	if took := when.Sub(app.Start); err == nil && took > 0 && took < longestStart {
		return took
	}
	return 0
}

// ofTheStart are findings whose proof is how long the start takes.
var ofTheStart = []string{"asg-cold-start-vs-grace", "ecs-kill-loop"}

// tellStart adds to such findings where the time of the start is from.
func tellStart(findings []Finding, started []Evidence) {
	for i := range findings {
		f := &findings[i]
		if slices.Contains(ofTheStart, f.ID) && slices.ContainsFunc(f.Evidence, func(e Evidence) bool { return e.Change == "times" }) {
			f.Evidence = append(f.Evidence, started...)
		}
	}
}

// Limits of waiting for an app that is starting.
const (
	mostWaiting = time.Minute
	young       = 3 * time.Minute // how long ago its process was started at most
	startPoll   = 50 * time.Millisecond
)

// awaitStart waits for an app that is just starting: nobody listens on the port,
// and a process that was told to is young and listens nowhere yet. It tells
// whether somebody listens now; how long the start took is measured then.
func (x *examination) awaitStart(ctx context.Context) bool {
	port := x.Probe.Address.Port()
	if !x.Inside || x.first.sign.class != classRefused {
		return false
	}
	if at, err := machine.ListenersOn(port); err != nil || len(at) > 0 {
		return false
	}
	p, ok := x.starting(port)
	if !ok {
		return false
	}
	x.say("waiting for %s (process %d), which seems to be starting", p.Name(), p.PID)
	ctx, cancel := context.WithTimeout(ctx, mostWaiting)
	defer cancel()
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			x.undecided = append(x.undecided, Undecided{
				fmt.Sprintf("whether %s (process %d) will listen on port %d: it was started %s ago, and does not yet", p.Name(), p.PID, port, time.Since(p.Start).Round(time.Second)),
				"wait, and run this again; its log may tell what it waits for",
			})
			return false
		case <-tick.C:
		}
		if at, err := machine.ListenersOn(port); err == nil && len(at) > 0 {
			x.tookStart(p, at[0].Owner().PID)
			return true
		}
		if now, err := machine.Inspect(p.PID); err != nil || len(now.Args) == 0 {
			return false // it ended, or is a zombie, which has no command line any more
		}
	}
}

// starting returns a young process that was told a port, and listens nowhere.
func (x *examination) starting(port uint16) (machine.Process, bool) {
	all, err := machine.StartedSince(time.Now().Add(-young))
	if err != nil {
		return machine.Process{}, false
	}
	for _, p := range all {
		owner := machine.Owner{PID: p.PID, Program: p.Program}
		if x.Owned != nil && !x.Owned(machine.Socket{Owners: []machine.Owner{owner}}) || slices.Contains(asking, process(p.Name())) || p.OwnNetwork() || x.listens(p) {
			continue
		}
		value, _, err := p.Lookup("PORT")
		if err == nil && value == strconv.Itoa(int(port)) || chosen(p, port) {
			return p, true
		}
	}
	return machine.Process{}, false
}

// listens tells whether a process, or one that descends from it, has a port.
func (x *examination) listens(p machine.Process) bool {
	family := machine.Family(p.PID)
	return slices.ContainsFunc(x.surroundings.sockets, func(s machine.Socket) bool {
		return s.Path == "" && slices.ContainsFunc(s.Owners, func(o machine.Owner) bool { return slices.Contains(family, o.PID) })
	})
}

// asking are programs whose command line names a port that others listen on.
var asking = []string{"hale", "curl", "wget", "nc", "ncat", "ab", "wrk", "ssh", "sudo", "sh", "bash", "dash", "zsh", "tail", "less", "vi", "vim", "grep", "docker"}

// tookStart takes down how long a start took that was waited for.
func (x *examination) tookStart(p machine.Process, listening int) {
	if owner, err := machine.Inspect(listening); err == nil {
		p = owner
	}
	took := time.Since(p.Start)
	if x.Known.StartUp == 0 {
		x.Known.StartUp = took
		x.started = []Evidence{{
			Change: fmt.Sprintf("waiting for %s (process %d)", p.Name(), p.PID),
			Before: "connection refused", After: "it listens " + took.Round(100*time.Millisecond).String() + " after its start",
		}}
	}
	grace := x.Known.Grace
	if x.Group != nil {
		grace = x.Group.Timing(x.Known).Grace
	}
	if _, known := grace.Get(); !known {
		x.undecided = append(x.undecided, Undecided{
			fmt.Sprintf("whether instances are given the time to start: probes were refused at first, and %s listens %s after its start (asg-cold-start-vs-grace, ecs-kill-loop)", p.Name(), took.Round(time.Second)),
			"give the grace period of Auto Scaling or ECS with --grace, or in --settings",
		})
	}
	x.surroundings = surroundings{}
	x.lookAround()
}
