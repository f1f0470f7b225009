package command

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"hale/internal/probe"
)

// proberJSON is a row of hale probe --list, a contract.
type proberJSON struct {
	Name        string           `json:"name"`
	Title       string           `json:"title"`
	Protocols   []probe.Protocol `json:"protocols"`
	Method      string           `json:"method"`
	Version     string           `json:"version"`
	Header      []fieldJSON      `json:"header"`
	Success     string           `json:"success"`
	IntervalS   float64          `json:"interval_s,omitempty"`
	TimeoutS    float64          `json:"timeout_s"`
	Healthy     int              `json:"healthy_threshold"`
	Unhealthy   int              `json:"unhealthy_threshold"`
	Unconfirmed []string         `json:"unconfirmed"`
}

// listProbers prints the table of probers.
func (o *probeOptions) listProbers(s Streams, args []string) error {
	if len(args) > 0 {
		return notAsked(errors.New("--list sends nothing; leave out the URL"))
	}
	probers := probe.Probers()
	if o.out.json() {
		var all []proberJSON
		for _, p := range probers {
			header := []fieldJSON{}
			for _, f := range p.Fields {
				header = append(header, fieldJSON(f))
			}
			all = append(all, proberJSON{
				p.Name, p.Title, p.Protocols, p.Method, p.Version, header, p.Matcher, p.Timing.Interval.Seconds(), p.Timing.Timeout.Seconds(),
				p.Timing.Healthy, p.Timing.Unhealthy, append([]string{}, p.Unconfirmed...),
			})
		}
		return writeJSON(s.Out, all)
	}
	width := s.tableLook(s.Out).width
	if width == 0 {
		width = listWidth
	}
	_, err := io.WriteString(s.Out, proberTable(probers, width))
	return err
}

// listWidth is how wide the table of probers is where there is no terminal.
const listWidth = 100

// proberTable is the table in so many columns: those that take most room are
// wrapped.
func proberTable(probers []probe.Prober, width int) string {
	t := newTable(nil, "--as", "whose probe", "speaks", "success", "interval", "timeout", "up/down")
	for _, p := range probers {
		var protocols []string
		for _, protocol := range p.Protocols {
			protocols = append(protocols, string(protocol))
		}
		interval := "yours"
		if p.Timing.Interval > 0 {
			interval = seconds(p.Timing.Interval)
		}
		t.AppendRow([]any{
			p.Name, p.Title, strings.Join(protocols, " "), p.Matcher, interval, seconds(p.Timing.Timeout),
			fmt.Sprintf("%d/%d", p.Timing.Healthy, p.Timing.Unhealthy),
		})
	}
	const others, least = 55, 11 // the other columns, and all the room between; the longest words
	room := max(width-others, 2*least)
	title := max(room*3/5, least)
	t.SetColumnConfigs([]table.ColumnConfig{
		{Number: 2, WidthMax: title, WidthMaxEnforcer: text.WrapSoft},
		{Number: 3, WidthMax: max(room-title, least), WidthMaxEnforcer: text.WrapSoft},
	})
	var b strings.Builder
	for line := range strings.Lines(t.Render() + "\n") {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String() + "\nup/down: as many answers in a row turn the verdict. --output json tells more.\n"
}

func seconds(d time.Duration) string { return fmt.Sprintf("%g s", d.Seconds()) }
