package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"hale/internal/doctor"
	"hale/internal/elb"
	"hale/internal/probe"
	"hale/internal/targetgroup"
)

// doctorOptions are what hale doctor is asked for.
type doctorOptions struct {
	out       output
	as        string
	host      string
	paths     []string
	matcher   string
	timeout   time.Duration
	source    string
	inside    bool
	logs      []string
	idleWait  time.Duration
	idleGiven bool
	allFixes  bool
	dryRun    bool
	group     groupFlags
	times     timeFlags
}

func newDoctor(s Streams) *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor URL | --target-group ARN",
		Short: "Find out why a health check fails, by experiments, and print the fix",
		Long: "Find out why a load balancer's health check fails. The doctor sends the load balancer's\n" +
			"own probe, changes one thing at a time (Host, X-Forwarded-Proto, path, method, TLS,\n" +
			"port, patience, ...), and keeps what turns the answer: that is the cause, and it goes on\n" +
			"until the probe passes, so that a fault behind a fault is found in the same run. What\n" +
			"could not be proven is listed as not decided.\n\n" +
			fmt.Sprintf("It sends %d requests at most, GET and HEAD alone, one after the other.\n\n", doctor.MostRequests) +
			"URL is what the load balancer asks: http://10.0.1.5:8000/health. Give the instance's\n" +
			"private address, as the load balancer uses it, not its public name.\n\n" +
			"With --settings the probe is that of a target group: its protocol, port, path, codes and\n" +
			"time-out, where the URL and --matcher and --timeout, which go before, say nothing else.\n" +
			"What the settings tell by themselves is told, too, and how long things take with them.\n\n" +
			"With --target-group and no URL, the group, its targets and their reasons are read from\n" +
			"the ELBv2 API, with the region and credentials of the aws command, and each target that\n" +
			"is not healthy is examined. EC2, ECS and Auto Scaling are asked for what they know of\n" +
			"the targets. --settings without URL does the same from a file.\n\n" +
			"Exit code 0: the check passes, or all targets are healthy (there may be findings all the\n" +
			"same); 1: it fails; 2: it could not be examined.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.agree(cmd.Flags().Changed, args); err != nil {
				return notAsked(err)
			}
			return o.run(cmd.Context(), s, args)
		},
	}
	o.out.addTo(cmd)
	f := cmd.Flags()
	f.StringVar(&o.as, "as", "alb", "whose probe it is: `PROBER`, one of "+proberNames())
	f.StringVar(&o.host, "host", "", "the site's public name, `DOMAIN`; found from redirects, certificates and, from inside, code otherwise")
	f.StringArrayVar(&o.paths, "path", nil, "a `PATH` to try where the URL's own is not found; several times for several")
	f.StringVar(&o.matcher, "matcher", "", "success `CODES`, such as 200-299,404 (default: the target group's or prober's)")
	f.DurationVar(&o.timeout, "timeout", 0, "`TIME` in which the whole answer has to come (default: the target group's or prober's)")
	f.StringVar(&o.source, "source", "", "local `IP` that the probe comes from")
	f.BoolVar(&o.inside, "from-inside", false, "also look at this machine: sockets, processes, configuration, logs, disk, metadata")
	f.StringArrayVar(&o.logs, "log", nil, "with --from-inside, an error log `FILE` to read, besides those that are found")
	f.DurationVar(&o.idleWait, "idle-wait", doctor.IdleWait, "`TIME` for which an idle connection is watched, to see whether the target closes it first; not given: for less time where the run would take 5 s; 0: not at all")
	f.BoolVar(&o.allFixes, "all-fixes", false, "print all fixes of each finding, not the nearest alone")
	f.BoolVar(&o.dryRun, "dry-run", false, "print what would be sent, and send nothing to a target")
	o.group.addTo(cmd)
	o.times.addTo(cmd)
	return cmd
}

func (o *doctorOptions) run(ctx context.Context, s Streams, args []string) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	steps := newSteps(s)
	group, err := o.group.read(ctx, s, steps)
	steps.end()
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return notAsked(err)
	}
	if group != nil {
		if err := o.put(group); err != nil {
			return notAsked(err)
		}
	}
	if len(args) == 0 {
		return o.examineGroup(ctx, s, steps, group)
	}
	return o.examine(ctx, s, steps, args[0], group)
}

// examine is for a URL, with the settings of a group or without.
func (o *doctorOptions) examine(ctx context.Context, s Streams, steps *steps, target string, group *targetgroup.Group) error {
	options, err := o.options(ctx, target, group)
	if err != nil {
		return notAsked(err)
	}
	if o.dryRun {
		return o.plan(s, options)
	}
	options.Progress = steps.show
	report, err := doctor.Examine(ctx, options)
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
		_, err = io.WriteString(s.Out, (&reportText{look: s.tableLook(s.Out), allFixes: o.allFixes, prober: options.Probe.Prober}).write(&report))
	}
	switch {
	case err != nil:
		return err
	case report.Healthy:
		return nil
	}
	return exitCode(exitNo)
}

// agree refuses flags that make no sense, alone or together.
func (o *doctorOptions) agree(given func(flag string) bool, args []string) error {
	if err := o.group.agree(given, args); err != nil {
		return err
	}
	switch {
	case len(args) > 1, len(args) == 0 && !o.group.given():
		return fmt.Errorf("give one URL, as the load balancer asks it: hale doctor http://10.0.1.5/health (got %d); or --target-group ARN", len(args))
	case given("timeout") && o.timeout <= 0:
		return fmt.Errorf("--timeout %v: write a time such as 5s", o.timeout)
	case o.idleWait < 0:
		return fmt.Errorf("--idle-wait %v: write a time such as 5s, or 0", o.idleWait)
	case given("host") && o.host == "":
		return errors.New("--host is empty; leave it out, and the doctor looks for a name")
	case len(o.logs) > 0 && !o.inside:
		return errors.New("--log is for --from-inside: add that, on the machine that has the log")
	}
	for _, name := range o.logs {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("--log: %w", err) // which names the file
		}
		info, err := file.Stat()
		_ = file.Close()
		if err == nil && info.IsDir() {
			return fmt.Errorf("--log: %s is a directory: name the file in it", name)
		}
	}
	if given("matcher") {
		if _, err := elb.ParseMatcher(o.matcher); err != nil {
			return fmt.Errorf("--matcher: %w", err)
		}
	}
	if err := probe.CheckHost(o.host); err != nil {
		return fmt.Errorf("--host: %w", err)
	}
	for _, path := range o.paths {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("--path %s: a path begins with /", path)
		}
	}
	o.idleGiven = given("idle-wait")
	if o.group.given() && !given("as") {
		o.as = "" // the group's
	}
	return o.times.agree(given)
}

// sourceAddress is that of --source; the zero value: not given.
func (o *doctorOptions) sourceAddress() (netip.Addr, error) {
	if o.source == "" {
		return netip.Addr{}, nil
	}
	source, err := netip.ParseAddr(o.source)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("--source %s: write an IP address of this machine", o.source)
	}
	return source, nil
}

// options makes what the user said into what the doctor is asked for.
func (o *doctorOptions) options(ctx context.Context, target string, group *targetgroup.Group) (doctor.Options, error) {
	options, err := o.shared()
	if err != nil {
		return options, err
	}
	options.Target, options.Group = target, group
	if group != nil {
		options.Probe, err = o.settingsProbe(ctx, target, group)
		if idle, ok := group.IdleTimeout(); ok {
			options.IdleTimeout = idle
		}
		return options, err
	}
	prober, ok := probe.Find(o.as)
	if !ok {
		return options, fmt.Errorf("--as %s: there is no such prober; there are %s", o.as, proberNames())
	}
	po := probe.Options{Matcher: o.matcher, Timeout: o.timeout}
	if po.Source, err = o.sourceAddress(); err != nil {
		return options, err
	}
	if u, err := url.Parse(target); err == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && len(o.paths) > 0 {
		po.Path, options.Paths = o.paths[0], o.paths[1:] // the URL names none
	}
	options.Probe, err = probe.New(ctx, prober, target, po)
	return options, err
}

// shared are the options of every examination.
func (o *doctorOptions) shared() (doctor.Options, error) {
	wait := cmp.Or(o.idleWait, -1)
	if !o.idleGiven {
		wait = 0 // as long as there is time for it
	}
	known, err := o.times.known()
	return doctor.Options{
		Domain: o.host, Paths: o.paths, Inside: o.inside, Logs: o.logs, IdleWait: wait,
		Timing: o.times.asked(), Known: known,
	}, err
}

// plan prints what an examination would do.
func (o *doctorOptions) plan(s Streams, options doctor.Options) error {
	planned := doctor.Plan(options)
	if o.out.json() {
		return writeJSON(s.Out, planned)
	}
	fmt.Fprintf(s.Out, "First the probe of %s itself, to %s:\n\n", options.Probe.Prober.Title, options.Probe.Address)
	p := options.Probe
	fmt.Fprintf(s.Out, "    %s %s %s, Host: %s, time-out %v\n\n", p.Method, p.Path, p.Version, p.SentHost(), p.Timeout)
	fmt.Fprintf(s.Out, "Then, by what it is answered, one change at a time until the answer turns:\n\n")
	t := newTable(s.Out, "answer", "experiments", "can prove")
	for _, p := range planned {
		t.AppendRow([]any{p.Answer, strings.Join(p.Experiments, "\n"), strings.Join(p.Modes, "\n")})
	}
	t.Style().Options.SeparateRows = true
	t.Render()
	if o.host == "" {
		fmt.Fprintf(s.Out, "\nWhere the site's name may turn the answer and nothing told it, port 443 is asked for its certificate.\n")
	}
	fmt.Fprintf(s.Out, "\nAt most %d requests, GET and HEAD alone, one after the other. Nothing was sent.\n", doctor.MostRequests)
	return nil
}

// steps is a line on a terminal that tells what the doctor is doing.
type steps struct {
	w     io.Writer // nil: there is no terminal
	width int
}

func newSteps(s Streams) *steps {
	if !s.canRedraw(s.Err) {
		return &steps{}
	}
	return &steps{s.Err, widthOf(s.Err)}
}

func (p *steps) show(step string) {
	if p.w != nil {
		fmt.Fprintf(p.w, "\r\x1b[K%s", text.Snip(step, max(p.width-1, 20), "…"))
	}
}

// end takes the line away.
func (p *steps) end() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func proberNames() string {
	var names []string
	for _, p := range probe.Probers() {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}
