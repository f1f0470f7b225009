package command

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"hale/internal/probe"
)

// proberJSON is a row of hale probe --list, a contract.
type proberJSON struct {
	Name        string           `json:"name"`
	Title       string           `json:"title"`
	Protocols   []probe.Protocol `json:"protocols"`
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
			all = append(all, proberJSON{
				p.Name, p.Title, p.Protocols, p.Matcher, p.Timing.Interval.Seconds(), p.Timing.Timeout.Seconds(),
				p.Timing.Healthy, p.Timing.Unhealthy, append([]string{}, p.Unconfirmed...),
			})
		}
		return writeJSON(s.Out, all)
	}
	t := newTable(s.Out, "--as", "whose probe", "speaks", "success", "interval", "timeout", "up/down after")
	for _, p := range probers {
		var protocols []string
		for _, protocol := range p.Protocols {
			protocols = append(protocols, string(protocol))
		}
		interval := "set by you"
		if p.Timing.Interval > 0 {
			interval = seconds(p.Timing.Interval)
		}
		t.AppendRow([]any{
			p.Name, p.Title, strings.Join(protocols, " "), p.Matcher, interval, seconds(p.Timing.Timeout),
			fmt.Sprintf("%d/%d", p.Timing.Healthy, p.Timing.Unhealthy),
		})
	}
	t.Render()
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%g s", d.Seconds()) }
