package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"hale/health"
	"hale/internal/config"
)

// redrawEvery is how often the table is drawn again though nothing has changed:
// it tells how long ago things were.
const redrawEvery = time.Second

// watchChecks runs the checks, each on its own interval, until ctx is done. The
// last verdict decides the exit code.
func watchChecks(ctx context.Context, s Streams, cfg *config.Config, checks []health.Check, o *checkOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := make(chan health.Transition)
	monitor, err := health.NewMonitor(health.Options{
		SharedFailure: cfg.Health.SharedFailure,
		OnTransition:  func(t health.Transition) { changes <- t },
	}, checks...)
	if err != nil {
		return notAsked(err)
	}
	ended := make(chan error, 1)
	go func() {
		defer close(changes)
		ended <- monitor.Run(ctx)
	}()
	show := showChanges
	switch {
	case o.out.json():
		show = showChangesJSON
	case isTerminal(s.Out):
		show = func(s Streams, changes <-chan health.Transition) error { return redraw(s, monitor, changes, o.file) }
	}
	shown := show(s, changes)
	cancel()
	for range changes { // nobody can read what is written, but the checks end in order
	}
	if err := <-ended; err != nil {
		fmt.Fprintf(s.Err, "hale: %v\n", err)
	}
	if shown != nil {
		return shown
	}
	if monitor.Verdict().Status == health.Fail {
		return exitCode(exitNo)
	}
	return nil
}

// showChanges writes a line for each change.
func showChanges(s Streams, changes <-chan health.Transition) error {
	for t := range changes {
		subject := t.Check
		switch {
		case subject == "":
			subject = "verdict"
		case t.Group != "":
			subject = t.Group + " / " + subject
		}
		line := fmt.Sprintf("%s  %-24s %s (was %s)", t.Time.Format("15:04:05"), subject, t.To, t.From)
		if t.Explanation != "" {
			line += ": " + strings.Join(strings.Fields(t.Explanation), " ")
		}
		if _, err := fmt.Fprintln(s.Out, line); err != nil {
			return err
		}
	}
	return nil
}

// changeJSON is one line of `hale check --watch --output json`, a contract.
type changeJSON struct {
	Time   time.Time     `json:"time"`
	Check  string        `json:"check,omitempty"` // none: the verdict
	Group  string        `json:"group,omitempty"` // that the check is a member of
	Status health.Status `json:"status"`
	Was    health.Status `json:"was"`
	Output string        `json:"output"`
}

// showChangesJSON writes a JSON document a line.
func showChangesJSON(s Streams, changes <-chan health.Transition) error {
	enc := json.NewEncoder(s.Out)
	enc.SetEscapeHTML(false)
	for t := range changes {
		if err := enc.Encode(changeJSON{t.Time.UTC(), t.Check, t.Group, t.To, t.From, t.Explanation}); err != nil {
			return err
		}
	}
	return nil
}

// redraw draws the table on a terminal, again whenever something changes.
func redraw(s Streams, monitor *health.Monitor, changes <-chan health.Transition, file string) error {
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	fmt.Fprint(s.Out, "\x1b[?25l")       // hides the cursor
	defer fmt.Fprint(s.Out, "\x1b[?25h") // shows it again
	drawn := 0
	for {
		picture := watchPicture(monitor, file, s.tableLook(s.Out), heightOf(s.Out))
		if err := repaint(s.Out, picture, drawn); err != nil {
			return err
		}
		drawn = bytes.Count(picture, []byte("\n"))
		select {
		case _, more := <-changes:
			if !more {
				return repaint(s.Out, watchPicture(monitor, file, s.tableLook(s.Out), heightOf(s.Out)), drawn)
			}
		case <-ticker.C:
		}
	}
}

// repaint writes a picture over the lines that were drawn before.
func repaint(w io.Writer, picture []byte, drawn int) error {
	var b bytes.Buffer
	if drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", drawn)
	}
	for line := range bytes.Lines(picture) {
		b.WriteString("\r\x1b[K")
		b.Write(line)
	}
	b.WriteString("\x1b[J") // what is left of a longer picture
	_, err := w.Write(b.Bytes())
	return err
}

// watchPicture is what is drawn: the verdict and the table, cut to the
// terminal's height.
func watchPicture(monitor *health.Monitor, file string, look tableLook, height int) []byte {
	v := monitor.Verdict()
	word := v.Status.String()
	if look.colour {
		word = statusColours[v.Status].Sprint(word)
	}
	lines := []string{fmt.Sprintf("%s: %s for %v; Ctrl-C ends", file, word, time.Since(v.Since).Round(time.Second)), ""}
	table := strings.TrimSuffix(string(resultsTable(monitor.Results(), look)), "\n")
	lines = append(lines, strings.Split(table, "\n")...)
	if most := height - 1; len(lines) > most && most > 3 {
		lines = append(lines[:most-1], fmt.Sprintf("... %d lines more", len(lines)-most+1))
	}
	for i := range lines {
		if look.width > 0 { // a line that wraps would be two
			lines[i] = text.Trim(lines[i], look.width)
		}
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}
