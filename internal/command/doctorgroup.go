package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hale/internal/doctor"
	"hale/internal/elb"
	"hale/internal/probe"
	"hale/internal/targetgroup"
)

// groupFlags say which target group the doctor is to look at, and where it is
// read from.
type groupFlags struct {
	settings                  string
	arn                       string
	endpoint, region, profile string
	addresses                 []string
	forURL                    bool // a URL is examined, not the group's targets
}

func (g *groupFlags) addTo(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&g.arn, "target-group", "", "examine the targets of the target group `ARN`; with --settings, the group in the file, if it has one")
	f.StringVar(&g.settings, "settings", "", "`FILE` with a target group as aws elbv2 describe-target-groups prints it, or with what else is known of --target-group; -: standard input")
	f.StringVar(&g.endpoint, "endpoint-url", "", "`URL` of the ELBv2 API and those of EC2, ECS and Auto Scaling, for others than AWS's own")
	f.StringVar(&g.region, "region", "", "AWS `REGION`, where the ARN does not name it")
	f.StringVar(&g.profile, "profile", "", "`NAME` of a profile of the aws command")
	f.StringArrayVar(&g.addresses, "address", nil, "`ID=IP`: the private address of an instance, which the ELBv2 API does not tell; several times for several")
	_ = cmd.MarkFlagFilename("settings", "json")
}

func (g *groupFlags) given() bool { return g.settings != "" || g.arn != "" }

// agree refuses what makes no sense together.
func (g *groupFlags) agree(given func(flag string) bool, args []string) error {
	for _, flag := range []string{"target-group", "settings"} {
		if given(flag) && !g.given() {
			return fmt.Errorf("--%s is empty: write what it names, or leave it out", flag)
		}
	}
	g.forURL = len(args) > 0
	if g.forURL && g.arn != "" && g.settings == "" {
		return errors.New("write a URL or --target-group, not both: the group names its targets; aws elbv2 describe-target-groups --target-group-arns ARN writes a file for --settings")
	}
	if g.arn == "" || g.forURL {
		for _, flag := range []string{"endpoint-url", "region", "profile"} {
			if given(flag) {
				return fmt.Errorf("--%s is for reading a --target-group from the ELBv2 API: leave it out", flag)
			}
		}
	}
	if len(g.addresses) > 0 && (g.forURL || !g.given()) {
		return errors.New("--address is for the targets of a --target-group: leave it out")
	}
	for _, pair := range g.addresses {
		if _, _, err := parseAddress(pair); err != nil {
			return err
		}
	}
	return nil
}

func parseAddress(pair string) (id string, address netip.Addr, err error) {
	id, text, _ := strings.Cut(pair, "=")
	address, err = netip.ParseAddr(text)
	if err != nil || id == "" {
		return "", netip.Addr{}, fmt.Errorf("--address %s: write the instance's id and its private IP, as i-0f76fade=10.0.1.5", pair)
	}
	return id, address, nil
}

// read returns the group that the flags name, nil for none.
func (g *groupFlags) read(ctx context.Context, s Streams, steps *steps) (*targetgroup.Group, error) {
	if !g.given() {
		return nil, nil
	}
	group, err := g.open(ctx, s, steps)
	if err != nil {
		return nil, err
	}
	for _, pair := range g.addresses {
		id, address, err := parseAddress(pair)
		if err != nil {
			return nil, err
		}
		found := false
		for i := range group.Targets {
			if group.Targets[i].ID == id {
				group.Targets[i].Address, found = address, true
			}
		}
		if !found {
			return nil, fmt.Errorf("--address %s: the target group has no target %s", pair, id)
		}
	}
	return &group, nil
}

func (g *groupFlags) open(ctx context.Context, s Streams, steps *steps) (targetgroup.Group, error) {
	o := targetgroup.Options{
		Group: g.arn, Endpoint: g.endpoint, Region: g.region, Profile: g.profile,
		Lookup: func(name string) string { value, _ := s.Env(name); return value },
	}
	if g.settings != "" {
		in, name, err := g.file(s)
		if err != nil {
			return targetgroup.Group{}, err
		}
		defer in.Close()
		var read bytes.Buffer
		group, err := targetgroup.Settings(io.TeeReader(in, &read), name, g.arn)
		switch {
		case err == nil && g.endpoint+g.region+g.profile != "":
			return group, fmt.Errorf("%s has the target group, so that no API is asked: leave --endpoint-url, --region and --profile out", name)
		case g.arn == "" || g.forURL || !errors.Is(err, targetgroup.ErrNoGroup):
			return group, err
		}
		o.Beside, o.BesideName = read.Bytes(), name
	}
	steps.show("reading the target group")
	return targetgroup.Read(ctx, o)
}

// file opens the file of settings. The name is for messages.
func (g *groupFlags) file(s Streams) (in io.ReadCloser, name string, err error) {
	if g.settings == "-" {
		return io.NopCloser(s.In), "standard input", nil
	}
	file, err := os.Open(g.settings)
	if err != nil {
		return nil, "", fmt.Errorf("--settings: %w", err) // which names the file
	}
	return file, g.settings, nil
}

// put puts into the group what flags say instead.
func (o *doctorOptions) put(group *targetgroup.Group) error {
	if o.as != "" && o.as != group.Prober() {
		return fmt.Errorf("--as %s: the target group is of %s, whose prober is %s: leave --as out", o.as, oneBalancer(group), group.Prober())
	}
	if o.timeout > 0 {
		group.HealthCheck.Timeout = o.timeout
	}
	if o.matcher != "" {
		if group.HealthCheck.Protocol == elb.TCP {
			return fmt.Errorf("--matcher %s: the target group's check is over TCP, which has no codes: leave it out", o.matcher)
		}
		group.HealthCheck.Matcher = o.matcher
	}
	return nil
}

// settingsProbe is what the group's load balancer would send to a URL.
func (o *doctorOptions) settingsProbe(ctx context.Context, target string, group *targetgroup.Group) (probe.Probe, error) {
	source, err := o.sourceAddress()
	if err != nil {
		return probe.Probe{}, err
	}
	p, err := group.ProbeURL(ctx, target)
	if err != nil {
		return p, err
	}
	if u, err := url.Parse(target); err == nil && strings.Contains(target, "://") {
		secure := probe.Protocol(u.Scheme).Secure()
		switch {
		case u.User != nil:
			return p, errors.New("leave user and password out of the URL: no load balancer sends them")
		case p.Protocol != probe.TCP && secure != p.Protocol.Secure():
			return p, fmt.Errorf("the URL says %s, and the settings HealthCheckProtocol %s: leave %s:// out, or mend one of them", u.Scheme, group.HealthCheck.Protocol, u.Scheme)
		}
	}
	return p.From(source)
}

// examineGroup is for the targets of a group.
func (o *doctorOptions) examineGroup(ctx context.Context, s Streams, steps *steps, group *targetgroup.Group) error {
	if !group.HealthKnown {
		return notAsked(fmt.Errorf("%s tells of no targets: give a URL as well, or add what aws elbv2 describe-target-health prints to it", o.group.settings))
	}
	options, err := o.shared()
	if err != nil {
		return notAsked(err)
	}
	source, err := o.sourceAddress()
	if err != nil {
		return notAsked(err)
	}
	options.Group = group
	if o.dryRun {
		return o.planGroup(ctx, s, options)
	}
	options.Progress = steps.show
	report, err := doctor.ExamineGroup(ctx, doctor.GroupOptions{Options: options, Source: source})
	steps.end()
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return notAsked(err)
	}
	if o.out.json() {
		err = writeJSON(s.Out, report)
	} else {
		prober, _ := probe.Find(group.Prober())
		_, err = io.WriteString(s.Out, (&reportText{look: s.tableLook(s.Out), allFixes: o.allFixes, prober: prober}).writeGroup(group, &report))
	}
	switch {
	case err != nil:
		return err
	case report.Healthy:
		return nil
	}
	return exitCode(exitNo)
}

// planGroup prints what an examination of the group's targets would do. It is
// the same for each.
func (o *doctorOptions) planGroup(ctx context.Context, s Streams, options doctor.Options) error {
	for _, t := range options.Group.Unhealthy() {
		p, err := options.Group.Probe(ctx, t)
		if err != nil {
			continue
		}
		options.Probe = p
		return o.plan(s, options)
	}
	if o.out.json() {
		return writeJSON(s.Out, []doctor.Planned{})
	}
	_, err := fmt.Fprintln(s.Out, "No target is to be probed: all that may be are healthy, or have no address. Nothing was sent to a target.")
	return err
}

// timeFlags are what the doctor cannot measure, and where it reads it.
type timeFlags struct {
	timing                  bool
	config                  string
	startUp, request, grace time.Duration
	graceKnown              bool
}

func (t *timeFlags) addTo(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&t.timing, "timing", false, "tell how long things take also without a target group, from the prober's defaults")
	f.StringVarP(&t.config, "config", "c", "", "hale.yaml of the instance, `FILE`: how long its own checks and its leaving take")
	f.DurationVar(&t.startUp, "start-up", 0, "`TIME` from an instance's start to its first good answer")
	f.DurationVar(&t.grace, "grace", 0, "grace period `TIME` of Auto Scaling or ECS")
	f.DurationVar(&t.request, "slowest-request", 0, "`TIME` that the slowest request of users takes")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

func (t *timeFlags) agree(given func(flag string) bool) error {
	for _, one := range []struct {
		flag string
		is   time.Duration
	}{{"start-up", t.startUp}, {"slowest-request", t.request}, {"grace", t.grace}} {
		if one.is < 0 || one.is == 0 && given(one.flag) && one.flag != "grace" {
			return fmt.Errorf("--%s %v: write a time such as 90s", one.flag, one.is)
		}
	}
	t.graceKnown = given("grace")
	return nil
}

// asked tells whether one of the flags asks for times.
func (t *timeFlags) asked() bool {
	return t.timing || t.config != "" || t.startUp > 0 || t.request > 0 || t.graceKnown
}

func (t *timeFlags) known() (targetgroup.Measured, error) {
	known := targetgroup.Measured{StartUp: t.startUp, Request: t.request}
	if t.graceKnown {
		known.Grace = elb.Known(t.grace)
	}
	if t.config != "" {
		cfg, err := loadConfig(t.config)
		if err != nil {
			return known, err
		}
		known.Instance = cfg.Clock()
	}
	return known, nil
}
