package command

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"hale/internal/elb/rule"
	printable "hale/internal/explain"
	"hale/internal/targetgroup"
)

// localAPI is where hale balance has its API.
const localAPI = "http://127.0.0.1:8087"

func newBalanceStatus(s Streams) *cobra.Command {
	var (
		o     targetgroup.Options
		out   output
		watch bool
		every time.Duration
	)
	cmd := &cobra.Command{
		Use:   "status [--endpoint-url URL]",
		Short: "Load balancers, listeners, target groups, the health of their targets; Auto Scaling groups",
		Long: "Show load balancers, listeners, rules, target groups and targets with their states and reasons,\n" +
			"and Auto Scaling groups with their instances and what they did last, as the APIs tell them:\n" +
			"those of hale balance on this machine, others with --endpoint-url or AWS_ENDPOINT_URL, AWS's\n" +
			"own with --aws.\n\n" +
			"The exit code is 0 if every target that should take traffic is healthy, else 1.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			useAWS, _ := cmd.Flags().GetBool("aws")
			if useAWS && o.Endpoint != "" {
				return notAsked(fmt.Errorf("--aws and --endpoint-url are two places to ask: leave one out"))
			}
			if every < 100*time.Millisecond {
				return notAsked(fmt.Errorf("--interval %v: write a time from 100ms", every))
			}
			o.Lookup = func(name string) string { value, _ := s.Env(name); return value }
			if !useAWS && o.Endpoint == "" && o.Lookup("AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2") == "" && o.Lookup("AWS_ENDPOINT_URL") == "" {
				o.Endpoint = localAPI
			}
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			if watch {
				return watchStatus(ctx, s, o, out, every)
			}
			all, err := targetgroup.List(ctx, o)
			switch {
			case ctx.Err() != nil:
				return errInterrupted
			case err != nil:
				return notAsked(err)
			}
			status := statusOf(all)
			if err := status.write(s, out); err != nil {
				return err
			}
			return exitCode(status.exitCode())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Endpoint, "endpoint-url", "", "`URL` of the ELBv2 API (default "+localAPI+")")
	f.Bool("aws", false, "ask AWS")
	f.StringVar(&o.Region, "region", "", "AWS `REGION`")
	f.StringVar(&o.Profile, "profile", "", "`NAME` of a profile of the aws command")
	f.BoolVar(&watch, "watch", false, "show it again whenever something changes, until Ctrl-C")
	f.DurationVar(&every, "interval", 2*time.Second, "`TIME` between two looks with --watch")
	out.addTo(cmd)
	return cmd
}

// statusJSON is what `hale balance status --output json` prints, a contract.
type statusJSON struct {
	Endpoint      string            `json:"endpoint"`
	Healthy       bool              `json:"healthy"`
	LoadBalancers []balancerJSON    `json:"load_balancers"`
	TargetGroups  []targetGroupJSON `json:"target_groups"`
	Scaling       []scalingJSON     `json:"auto_scaling_groups"`
	// Unscaled is why nothing, or not all, is told of Auto Scaling groups.
	Unscaled string `json:"auto_scaling_error,omitempty"`
}

type balancerJSON struct {
	Name      string         `json:"name"`
	ARN       string         `json:"arn"`
	Type      string         `json:"type"`
	Scheme    string         `json:"scheme"`
	State     string         `json:"state"`
	Listeners []listenerJSON `json:"listeners"`
}

type listenerJSON struct {
	Protocol string     `json:"protocol"`
	Port     int        `json:"port"`
	Rules    []ruleJSON `json:"rules"`
}

type ruleJSON struct {
	Priority   string `json:"priority"` // a number, or "default"
	Conditions string `json:"conditions,omitempty"`
	Actions    string `json:"actions"`
}

type targetGroupJSON struct {
	Name     string       `json:"name"`
	ARN      string       `json:"arn"`
	Protocol string       `json:"protocol"`
	Version  string       `json:"protocol_version,omitempty"`
	Targets  []targetJSON `json:"targets"`
}

type targetJSON struct {
	Target      string `json:"target"` // 127.0.0.1:8001
	Zone        string `json:"zone,omitempty"`
	State       string `json:"state"`
	Reason      string `json:"reason,omitempty"`
	Description string `json:"description,omitempty"`
}

// statusOf puts together what the API told. What it wrote is made fit for a
// terminal: it may be anyone's.
func statusOf(all *targetgroup.Everything) *statusJSON {
	status := &statusJSON{Endpoint: all.Endpoint, Healthy: true, LoadBalancers: []balancerJSON{}, TargetGroups: []targetGroupJSON{}, Scaling: []scalingJSON{}}
	names := make(map[string]string)
	for _, g := range all.Groups {
		names[aws.ToString(g.TargetGroupArn)] = line(g.TargetGroupName)
	}
	for _, b := range all.LoadBalancers {
		one := balancerJSON{
			Name: line(b.LoadBalancerName), ARN: line(b.LoadBalancerArn), Type: string(b.Type), Scheme: string(b.Scheme), Listeners: []listenerJSON{},
		}
		if b.State != nil {
			one.State = string(b.State.Code)
		}
		for _, l := range all.Listeners[aws.ToString(b.LoadBalancerArn)] {
			one.Listeners = append(one.Listeners, listenerOf(l, all.Rules[aws.ToString(l.ListenerArn)], names))
		}
		slices.SortFunc(one.Listeners, func(a, b listenerJSON) int { return cmp.Compare(a.Port, b.Port) })
		status.LoadBalancers = append(status.LoadBalancers, one)
	}
	for _, g := range all.Groups {
		one := targetGroupJSON{Name: line(g.TargetGroupName), ARN: line(g.TargetGroupArn), Protocol: string(g.Protocol), Version: line(g.ProtocolVersion), Targets: []targetJSON{}}
		for _, d := range all.Health[aws.ToString(g.TargetGroupArn)] {
			t := targetOf(d)
			one.Targets = append(one.Targets, t)
			if t.State != string(types.TargetHealthStateEnumHealthy) && t.State != string(types.TargetHealthStateEnumDraining) && t.State != string(types.TargetHealthStateEnumUnused) {
				status.Healthy = false
			}
		}
		status.TargetGroups = append(status.TargetGroups, one)
	}
	slices.SortFunc(status.LoadBalancers, func(a, b balancerJSON) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(status.TargetGroups, func(a, b targetGroupJSON) int { return cmp.Compare(a.Name, b.Name) })
	status.addScaling(all, names)
	return status
}

func line(s *string) string { return printable.Line(aws.ToString(s)) }

func listenerOf(l types.Listener, rules []types.Rule, names map[string]string) listenerJSON {
	one := listenerJSON{Protocol: string(l.Protocol), Port: int(aws.ToInt32(l.Port)), Rules: []ruleJSON{}}
	for _, r := range rules {
		one.Rules = append(one.Rules, ruleJSON{line(r.Priority), conditionsText(r.Conditions), actionsText(r.Actions, names)})
	}
	if len(rules) == 0 { // a network load balancer's listener has none
		one.Rules = append(one.Rules, ruleJSON{"default", "", actionsText(l.DefaultActions, names)})
	}
	return one
}

func targetOf(d types.TargetHealthDescription) targetJSON {
	var t targetJSON
	if d.Target != nil {
		t.Target, t.Zone = line(d.Target.Id), line(d.Target.AvailabilityZone)
		if d.Target.Port != nil {
			if strings.Contains(t.Target, ":") {
				t.Target = "[" + t.Target + "]"
			}
			t.Target += ":" + strconv.Itoa(int(*d.Target.Port))
		}
	}
	if h := d.TargetHealth; h != nil {
		t.State, t.Reason, t.Description = string(h.State), string(h.Reason), line(h.Description)
	}
	return t
}

// conditionsText writes conditions as "path-pattern /api/*".
func conditionsText(all []types.RuleCondition) string {
	var words []string
	for _, c := range all {
		values := slices.Concat(c.Values, c.RegexValues)
		name := aws.ToString(c.Field)
		switch {
		case c.HostHeaderConfig != nil:
			values = slices.Concat(c.HostHeaderConfig.Values, c.HostHeaderConfig.RegexValues)
		case c.PathPatternConfig != nil:
			values = slices.Concat(c.PathPatternConfig.Values, c.PathPatternConfig.RegexValues)
		case c.HttpHeaderConfig != nil:
			name += " " + aws.ToString(c.HttpHeaderConfig.HttpHeaderName)
			values = slices.Concat(c.HttpHeaderConfig.Values, c.HttpHeaderConfig.RegexValues)
		case c.HttpRequestMethodConfig != nil:
			values = c.HttpRequestMethodConfig.Values
		case c.SourceIpConfig != nil:
			values = c.SourceIpConfig.Values
		case c.QueryStringConfig != nil:
			values = nil
			for _, pair := range c.QueryStringConfig.Values {
				values = append(values, strings.TrimPrefix(aws.ToString(pair.Key)+"="+aws.ToString(pair.Value), "="))
			}
		}
		words = append(words, name+" "+strings.Join(values, " or "))
	}
	return printable.Line(strings.Join(words, ", "))
}

// actionsText writes actions as "forward web 90, green 10".
func actionsText(all []types.Action, names map[string]string) string {
	var words []string
	for _, a := range all {
		said := string(a.Type)
		switch {
		case a.ForwardConfig != nil:
			var groups []string
			for _, g := range a.ForwardConfig.TargetGroups {
				group := cmp.Or(names[aws.ToString(g.TargetGroupArn)], aws.ToString(g.TargetGroupArn))
				if len(a.ForwardConfig.TargetGroups) > 1 {
					group += " " + strconv.Itoa(int(aws.ToInt32(g.Weight)))
				}
				groups = append(groups, group)
			}
			said += " " + strings.Join(groups, ", ")
		case a.TargetGroupArn != nil:
			said += " " + cmp.Or(names[*a.TargetGroupArn], *a.TargetGroupArn)
		case a.RedirectConfig != nil:
			said += " " + strings.TrimPrefix(string(a.RedirectConfig.StatusCode), "HTTP_") + " to " + redirectTo(a.RedirectConfig)
		case a.FixedResponseConfig != nil:
			said += " " + aws.ToString(a.FixedResponseConfig.StatusCode)
		}
		words = append(words, said)
	}
	return printable.Line(strings.Join(words, ", "))
}

// redirectTo writes where a redirect leads: "https://#{host}:443/#{path}?#{query}".
func redirectTo(c *types.RedirectActionConfig) string {
	return rule.RedirectConfig{
		Protocol: aws.ToString(c.Protocol), Host: aws.ToString(c.Host), Port: aws.ToString(c.Port),
		Path: aws.ToString(c.Path), Query: aws.ToString(c.Query),
	}.Location()
}

func (status *statusJSON) exitCode() int {
	if status.Healthy {
		return exitYes
	}
	return exitNo
}

func (status *statusJSON) write(s Streams, out output) error {
	if out.json() {
		return writeJSON(s.Out, status)
	}
	_, err := s.Out.Write(status.tables(s.colour(s.Out)))
	return err
}

// tables writes the status for people.
func (status *statusJSON) tables(colour bool) []byte {
	var b bytes.Buffer
	if len(status.LoadBalancers)+len(status.TargetGroups)+len(status.Scaling) == 0 {
		fmt.Fprintf(&b, "%s has no load balancers and no target groups.\n", status.Endpoint)
		return b.Bytes()
	}
	if len(status.LoadBalancers) > 0 {
		t := newTable(&b, "LOAD BALANCER", "STATE", "LISTENER", "RULE", "CONDITIONS", "ACTIONS")
		for _, one := range status.LoadBalancers {
			row := []any{one.Name, one.State, "-", "-", "", ""}
			if len(one.Listeners) == 0 {
				t.AppendRow(row)
			}
			for _, l := range one.Listeners {
				row[2] = l.Protocol + ":" + strconv.Itoa(l.Port)
				for _, r := range l.Rules {
					row[3], row[4], row[5] = r.Priority, r.Conditions, r.Actions
					t.AppendRow(slices.Clone(row))
					row[0], row[1], row[2] = "", "", ""
				}
			}
		}
		t.Render()
		b.WriteByte('\n')
	}
	if len(status.TargetGroups) > 0 {
		t := newTable(&b, "TARGET GROUP", "TARGET", "ZONE", "STATE", "REASON", "DESCRIPTION")
		for _, g := range status.TargetGroups {
			name := g.Name
			if len(g.Targets) == 0 {
				t.AppendRow([]any{name, "-", "", "", "", ""})
			}
			for _, one := range g.Targets {
				t.AppendRow([]any{name, one.Target, one.Zone, stateText(one.State, colour), one.Reason, one.Description})
				name = ""
			}
		}
		t.Render()
		b.WriteByte('\n')
	}
	status.scalingTables(&b, colour)
	return bytes.TrimSuffix(trimRight(b.Bytes()), []byte("\n"))
}

// trimRight takes away the spaces that tables end their lines with.
func trimRight(b []byte) []byte {
	var out bytes.Buffer
	for l := range bytes.Lines(b) {
		out.Write(bytes.TrimRight(l, " \n"))
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// stateText paints what is well green, what is not red.
func stateText(state string, colour bool) string {
	if !colour {
		return state
	}
	switch types.TargetHealthStateEnum(state) {
	case types.TargetHealthStateEnumHealthy:
		return text.FgGreen.Sprint(state)
	case types.TargetHealthStateEnumUnhealthy, types.TargetHealthStateEnumUnavailable:
		return text.FgRed.Sprint(state)
	default:
		return text.FgYellow.Sprint(state)
	}
}

// watchStatus shows the status until ctx ends: on a terminal over the last one,
// else again whenever it has changed. Who does not answer is asked again.
func watchStatus(ctx context.Context, s Streams, o targetgroup.Options, out output, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	code, drawn, shown := exitNotAsked, 0, []byte(nil)
	for {
		var picture bytes.Buffer
		all, err := targetgroup.List(ctx, o)
		if ctx.Err() != nil {
			return exitCode(code)
		}
		if err != nil {
			if code == exitNotAsked && shown == nil {
				return notAsked(err) // it never answered
			}
			fmt.Fprintf(&picture, "%s\n", printable.Line(err.Error()))
			code = exitNotAsked
		} else {
			status := statusOf(all)
			code = status.exitCode()
			if err := status.write(Streams{Out: &picture, Env: s.Env}, out); err != nil {
				return err
			}
			if !out.json() && s.colour(s.Out) {
				picture.Reset()
				picture.Write(status.tables(true))
			}
		}
		if err := showStatus(s, out, picture.Bytes(), shown, &drawn); err != nil {
			return err
		}
		shown = picture.Bytes()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return exitCode(code)
		}
	}
}

func showStatus(s Streams, out output, picture, shown []byte, drawn *int) error {
	if bytes.Equal(picture, shown) {
		return nil
	}
	if !out.json() && s.canRedraw(s.Out) {
		var cut bytes.Buffer // a line that wraps would be two
		width := widthOf(s.Out)
		for l := range bytes.Lines(picture) {
			cut.WriteString(text.Trim(strings.TrimSuffix(string(l), "\n"), width) + "\n")
		}
		err := repaint(s.Out, cut.Bytes(), *drawn)
		*drawn = bytes.Count(cut.Bytes(), []byte("\n"))
		return err
	}
	if shown != nil && !out.json() {
		picture = append([]byte("\n"), picture...)
	}
	_, err := io.Copy(s.Out, bytes.NewReader(picture))
	return err
}
