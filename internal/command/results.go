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
}

func writeResultsJSON(w io.Writer, status health.Status, results []health.Result) error {
	doc := struct {
		Status health.Status `json:"status"`
		Checks []checkJSON   `json:"checks"`
	}{status, []checkJSON{}}
	for _, r := range results {
		ms := float64(r.Took.Round(10*time.Microsecond)) / float64(time.Millisecond)
		doc.Checks = append(doc.Checks, checkJSON{r.Name, r.Type, r.Status, r.Output, ms, r.Group, r.CausedBy})
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

// rendered is a table that was written already.
type rendered []byte

func (r rendered) writeTo(w io.Writer) error {
	_, err := w.Write(r)
	return err
}

// resultsTable shows results, members below their groups. Where there is a
// terminal, names and explanations are wrapped to its width.
func resultsTable(results []health.Result, look tableLook) rendered {
	var b bytes.Buffer
	t := newTable(&b, "name", "type", "result", "time", "explanation")
	depth := map[string]int{}
	used := 0
	for _, r := range results {
		if r.Group != "" {
			depth[r.Name] = depth[r.Group] + 1
		}
		name := strings.Repeat("  ", depth[r.Name]) + r.Name
		status := resultWord(&r)
		took := any(r.Took.Round(100 * time.Microsecond))
		if r.Status == health.Unknown {
			took = ""
		}
		used = max(used, min(text.StringWidth(name), look.width/3)+len(r.Type)+len(status)+len(fmt.Sprint(took)))
		if look.colour {
			status = statusColours[r.Status].Sprint(status)
		}
		t.AppendRow(table.Row{name, r.Type, status, took, explanation(&r)})
	}
	if look.width > 0 {
		// Five columns with three characters between each two.
		t.SetColumnConfigs([]table.ColumnConfig{
			{Number: 1, WidthMax: max(look.width/3, 12), WidthMaxEnforcer: text.WrapSoft},
			{Number: 5, WidthMax: max(look.width-used-4*3-4, 24), WidthMaxEnforcer: text.WrapSoft},
		})
	}
	t.Render()
	return b.Bytes()
}

// resultWord is the status, with what a failure means where that is not the
// usual.
func resultWord(r *health.Result) string {
	if r.Status != health.Pass && r.Status != health.Unknown && r.Impact == health.Degraded {
		return r.Status.String() + " (degraded)"
	}
	return r.Status.String()
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
