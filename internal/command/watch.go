package command

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
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
	case s.canRedraw(s.Out):
		show = func(s Streams, changes <-chan health.Transition) error {
			return redraw(s, &picture{monitor, o.file, cfg.Health.SharedFailure}, changes)
		}
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
func redraw(s Streams, p *picture, changes <-chan health.Transition) error {
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	fmt.Fprint(s.Out, "\x1b[?25l")       // hides the cursor
	defer fmt.Fprint(s.Out, "\x1b[?25h") // shows it again
	drawn := 0
	for {
		lines := p.draw(s.tableLook(s.Out), heightOf(s.Out))
		if err := repaint(s.Out, lines, drawn); err != nil {
			return err
		}
		drawn = bytes.Count(lines, []byte("\n"))
		select {
		case _, more := <-changes:
			if !more {
				return repaint(s.Out, p.draw(s.tableLook(s.Out), heightOf(s.Out)), drawn)
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

// picture is what is drawn on a terminal: the verdict and the table.
type picture struct {
	monitor *health.Monitor
	file    string
	shared  health.SharedFailure
}

// draw returns the picture's lines, cut to the terminal's height. What fails is
// not cut off: it comes first if not all fits.
func (p *picture) draw(look tableLook, height int) []byte {
	v := p.monitor.Verdict()
	lines := []string{fmt.Sprintf("%s: %s for %v; Ctrl-C ends",
		p.file, look.paint(v.Status, v.Status.String()), time.Since(v.Since).Round(time.Second)), ""}
	results := p.monitor.Results()
	rows := tableLines(results, p.shared, look)
	most := height - 1 - len(lines)
	if len(rows) > most && most > 1 {
		rows = tableLines(worstFirst(results), p.shared, look)
		rows = append(rows[:most-1], fmt.Sprintf("... %d lines more", len(rows)-most+1))
	}
	lines = append(lines, rows...)
	for i := range lines {
		if look.width > 0 { // a line that wraps would be two
			lines[i] = text.Trim(lines[i], look.width)
		}
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

func tableLines(results []health.Result, shared health.SharedFailure, look tableLook) []string {
	return strings.Split(strings.TrimSuffix(string(resultsTable(results, shared, look)), "\n"), "\n")
}

// worstFirst sorts results by how bad they are, and leaves members with their
// groups.
func worstFirst(results []health.Result) []health.Result {
	var blocks [][]health.Result
	for i, r := range results {
		if r.Group == "" {
			blocks = append(blocks, nil)
		}
		last := len(blocks) - 1
		blocks[last] = append(blocks[last], results[i])
	}
	slices.SortStableFunc(blocks, func(a, b []health.Result) int { return cmp.Compare(urgency(&a[0]), urgency(&b[0])) })
	return slices.Concat(blocks...)
}

// urgency is how early a result is to be seen, 0 first: what fails, critical
// before degraded, then what follows from that, and the rest.
func urgency(r *health.Result) int {
	switch {
	case r.Status == health.Fail && r.CausedBy != "":
		return 2
	case r.Status == health.Fail:
		return int(r.Impact)
	case r.Status == health.Warn:
		return 3
	case r.Status == health.Unknown:
		return 4
	}
	return 5
}
