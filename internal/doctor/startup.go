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
