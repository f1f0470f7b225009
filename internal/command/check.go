package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"hale/health"
	"hale/internal/checktype"
)

func newCheck(s Streams) *cobra.Command {
	var (
		out  output
		file string
		list bool
	)
	cmd := &cobra.Command{
		Use:   "check [-c FILE] [NAME ...]",
		Short: "Run the checks once, now",
		Long:  "Run the checks of hale.yaml once, now, all at the same time, or those with the NAMEs\ngiven. Exit code 0: none failed that counts; 1: a critical check failed; 2: they could\nnot be asked, or not to the end.",
		RunE: func(cmd *cobra.Command, names []string) error {
			if list {
				return listTypes(s.Out, out.json())
			}
			return runChecks(cmd.Context(), s, file, names, out.json())
		},
	}
	addConfigFlag(cmd, &file)
	out.addTo(cmd)
	cmd.Flags().BoolVar(&list, "list", false, "list the types of checks instead")
	return cmd
}

func listTypes(w io.Writer, asJSON bool) error {
	if asJSON {
		type row struct {
			Name    string `json:"name"`
			Summary string `json:"summary"`
		}
		rows := []row{}
		for _, t := range checktype.Types() {
			rows = append(rows, row{t.Name, t.Summary})
		}
		return json.NewEncoder(w).Encode(rows)
	}
	for _, t := range checktype.Types() {
		if _, err := fmt.Fprintf(w, "%-14s %s\n", t.Name, t.Summary); err != nil {
			return err
		}
	}
	return nil
}

func runChecks(ctx context.Context, s Streams, file string, names []string, asJSON bool) (err error) {
	cfg, err := loadConfig(file)
	if err != nil {
		return err
	}
	all, closeChecks := cfg.BuildChecks()
	defer func() { err = errors.Join(err, closeChecks()) }()
	wanted, err := selectChecks(all, names)
	if err != nil {
		return notAsked(err)
	}

	progress := func(health.Result) {}
	if !asJSON && isTerminal(s.Err) {
		done := 0
		progress = func(r health.Result) {
			done++
			fmt.Fprintf(s.Err, "\r\x1b[K%d of %d: %s %s", done, len(wanted), r.Name, r.Status)
			if done == len(wanted) {
				fmt.Fprint(s.Err, "\r\x1b[K")
			}
		}
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	results := health.RunOnce(ctx, progress, wanted...)
	if ctx.Err() != nil {
		return errInterrupted
	}
	stop()
	status := health.Judge(results, cfg.Health.SharedFailure)
	if asJSON {
		err = writeResultsJSON(s.Out, status, results)
	} else {
		writeResultsTable(s.Out, results, s.colour(s.Out))
	}
	if err == nil && status == health.Fail {
		return exitCode(exitNo)
	}
	return err
}

func selectChecks(all []health.Check, names []string) ([]health.Check, error) {
	if len(names) == 0 {
		return all, nil
	}
	var wanted []health.Check
	for _, name := range names {
		i := slices.IndexFunc(all, func(c health.Check) bool { return c.Name == name })
		if i < 0 {
			known := make([]string, len(all))
			for i, c := range all {
				known[i] = c.Name
			}
			return nil, fmt.Errorf("no check is called %q; there are: %s", name, strings.Join(known, ", "))
		}
		wanted = append(wanted, all[i])
	}
	return wanted, nil
}

// checkJSON is one entry of `hale check --output json`, a contract.
type checkJSON struct {
	Name   string        `json:"name"`
	Type   string        `json:"type"`
	Status health.Status `json:"status"`
	Output string        `json:"output"`
	TimeMS float64       `json:"time_ms"`
}

func writeResultsJSON(w io.Writer, status health.Status, results []health.Result) error {
	doc := struct {
		Status health.Status `json:"status"`
		Checks []checkJSON   `json:"checks"`
	}{status, []checkJSON{}}
	for _, r := range results {
		ms := float64(r.Took.Round(10*time.Microsecond)) / float64(time.Millisecond)
		doc.Checks = append(doc.Checks, checkJSON{r.Name, r.Type, r.Status, r.Output, ms})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}

func writeResultsTable(w io.Writer, results []health.Result, colour bool) {
	t := newTable(w, "name", "type", "result", "time", "explanation")
	for _, r := range results {
		status := r.Status.String()
		if colour {
			status = statusColours[r.Status].Sprint(status)
		}
		if r.Status != health.Pass && r.Impact == health.Degraded {
			status += " (degraded)"
		}
		t.AppendRow(table.Row{r.Name, r.Type, status, r.Took.Round(100 * time.Microsecond), r.Output})
	}
	t.Render()
}

var statusColours = map[health.Status]text.Color{
	health.Pass: text.FgGreen, health.Warn: text.FgYellow, health.Fail: text.FgRed,
}
