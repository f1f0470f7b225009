package command

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"hale/health"
)

// checkJSON is one entry of `hale check --output json`, a contract.
type checkJSON struct {
	Name     string        `json:"name"`
	Type     string        `json:"type"`
	Status   health.Status `json:"status"`
	Output   string        `json:"output"`
	TimeMS   float64       `json:"time_ms"`
	Group    string        `json:"group,omitempty"`     // that it is a member of
	CausedBy string        `json:"caused_by,omitempty"` // the check that its failure follows from
	Impact   health.Impact `json:"impact"`
	Scope    health.Scope  `json:"scope"`
	Cause    bool          `json:"cause,omitempty"` // asked since others depend on it; does not count
}

func writeResultsJSON(w io.Writer, status health.Status, results []health.Result) error {
	doc := struct {
		Status health.Status `json:"status"`
		Checks []checkJSON   `json:"checks"`
	}{status, []checkJSON{}}
	for _, r := range results {
		ms := float64(r.Took.Round(10*time.Microsecond)) / float64(time.Millisecond)
		doc.Checks = append(doc.Checks, checkJSON{r.Name, r.Type, r.Status, r.Output, ms, r.Group, r.CausedBy, r.Impact, r.Scope, asCause(&r)})
	}
	return writeJSON(w, doc)
}

// tableLook is how a table is to look.
type tableLook struct {
	colour bool
	width  int // of the terminal; 0 where there is none
}

func (s Streams) tableLook(w io.Writer) tableLook {
	if !isTerminal(w) {
		return tableLook{}
	}
	return tableLook{s.colour(w), widthOf(w)}
}

// paint gives a text the colour of a status.
func (l tableLook) paint(s health.Status, text string) string {
	if !l.colour {
		return text
	}
	return statusColours[s].Sprint(text)
}

// The columns of a table of results.
const (
	columnName = iota
	columnType
	columnResult
	columnTime
	columnExplanation
	columns
)

// resultsTable shows results, members below their groups. On a terminal it is as
// wide as that: names and explanations are wrapped.
func resultsTable(results []health.Result, shared health.SharedFailure, look tableLook) []byte {
	var b bytes.Buffer
	header := table.Row{"name", "type", "result", "time", "explanation"}
	t := newTable(&b, header...)
	depth := map[string]int{}
	var widths [columns]int
	for i, title := range header {
		widths[i] = text.StringWidth(fmt.Sprint(title))
	}
	for i := range results {
		r := &results[i]
		if r.Group != "" {
			depth[r.Name] = depth[r.Group] + 1
		}
		row := [columns]string{
			columnName:        strings.Repeat("  ", depth[r.Name]) + r.Name,
			columnType:        r.Type,
			columnResult:      resultWord(r, results, shared),
			columnExplanation: explanation(r),
		}
		if r.Status != health.Unknown {
			row[columnTime] = shortTime(r.Took)
		}
		cells := make(table.Row, columns)
		for column, cell := range row {
			widths[column] = max(widths[column], text.LongestLineLen(cell))
			cells[column] = cell
		}
		cells[columnResult] = look.paint(r.Status, row[columnResult])
		t.AppendRow(cells)
	}
	if look.width > 0 {
		t.SetColumnConfigs(fit(widths, look.width))
	}
	t.Render()
	var trimmed []byte
	for line := range bytes.Lines(b.Bytes()) {
		trimmed = append(append(trimmed, bytes.TrimRight(line, " \n")...), '\n')
	}
	return trimmed
}

// narrowest is the least width at which explanations can be read.
const narrowest = 24

// fit wraps columns so that the table is as wide as the terminal. If that is too
// little, it does without the type, and then the time.
func fit(widths [columns]int, width int) []table.ColumnConfig {
	widths[columnName] = min(widths[columnName], max(width/3, 12))
	hidden := [columns]bool{}
	left := func() int {
		left := width
		for column, w := range widths[:columnExplanation] {
			if !hidden[column] {
				left -= w + 2 // a space on either side
			}
		}
		return left - 2
	}
	for _, column := range []int{columnType, columnTime} {
		hidden[column] = left() < min(narrowest, widths[columnExplanation])
	}
	return []table.ColumnConfig{
		{Number: columnName + 1, WidthMax: widths[columnName], WidthMaxEnforcer: text.WrapSoft},
		{Number: columnType + 1, Hidden: hidden[columnType]},
		{Number: columnTime + 1, Hidden: hidden[columnTime]},
		{Number: columnExplanation + 1, WidthMax: max(left(), 8), WidthMaxEnforcer: text.WrapSoft},
	}
}

// shortTime tells how long a run took, to about three digits.
func shortTime(d time.Duration) string {
	step := 100 * time.Microsecond
	switch {
	case d >= 10*time.Second:
		step = 100 * time.Millisecond
	case d >= time.Second:
		step = 10 * time.Millisecond
	case d >= 100*time.Millisecond:
		step = time.Millisecond
	}
	return d.Round(step).String()
}

// resultWord is the status, with why a failure does not fail the verdict, if it
// does not.
func resultWord(r *health.Result, all []health.Result, shared health.SharedFailure) string {
	word := r.Status.String()
	switch {
	case r.Status == health.Pass || r.Status == health.Unknown || r.Group != "":
	case asCause(r):
		word += " (cause)"
	case r.Impact == health.Degraded:
		word += " (degraded)"
	case r.Status == health.Fail && shared == health.SharedWarns && scopeOf(r, all) == health.Shared:
		word += " (shared)"
	}
	return word
}

// scopeOf returns the scope that a result counts with: a consequence's is that
// of its cause.
func scopeOf(r *health.Result, all []health.Result) health.Scope {
	for i := range all {
		if all[i].Name == r.CausedBy {
			return all[i].Scope
		}
	}
	return r.Scope
}

func explanation(r *health.Result) string {
	switch {
	case r.Status == health.Unknown:
		return "not asked yet"
	case r.CausedBy != "":
		return strings.TrimSpace("caused by " + r.CausedBy + ": " + r.Output)
	}
	return r.Output
}

var statusColours = map[health.Status]text.Color{
	health.Unknown: text.Faint, health.Pass: text.FgGreen, health.Warn: text.FgYellow, health.Fail: text.FgRed,
}
