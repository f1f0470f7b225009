package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"hale/internal/elb"
	"hale/internal/probe"
)

// probeOptions are what hale probe is asked for.
type probeOptions struct {
	out      output
	as       string
	source   string
	count    int
	interval time.Duration
	raw      bool
	quiet    bool
	list     bool
	probe    probe.Options
}

func newProbe(s Streams) *cobra.Command {
	o := probeOptions{}
	cmd := &cobra.Command{
		Use:   "probe URL",
		Short: "Send one health request exactly as a load balancer does, and judge the answer as it does",
		Long: "Send one health request exactly as a load balancer does: request line, header\n" +
			"with its order and case, Host, TLS, time-out. Print what went out, what came\n" +
			"back, how long each phase took, and the verdict that this load balancer\n" +
			"reaches, with its reason.\n\n" +
			"URL is what the load balancer asks: http://10.0.1.5:8080/health, https://...,\n" +
			"and for those that can tcp://, tls://, h2c://, h2://, grpc:// or grpcs://.\n" +
			"Without a scheme it is http. hale probe --list tells whose probes there are.\n\n" +
			"It fits as a container's health check:\n" +
			"HEALTHCHECK CMD [\"hale\", \"probe\", \"-q\", \"--as\", \"docker\", \"http://localhost/health\"]\n\n" +
			"Exit code 0: the probe passed, with --count all of them; 1: one did not; 2: it\n" +
			"could not be sent, or was interrupted before it was known.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.list {
				return o.listProbers(s, args)
			}
			if len(args) != 1 {
				return notAsked(fmt.Errorf("give one URL, as the load balancer asks it: hale probe http://10.0.1.5:8080/health (got %d)", len(args)))
			}
			if err := o.agree(cmd); err != nil {
				return notAsked(err)
			}
			return o.run(cmd.Context(), s, args[0])
		},
	}
	o.out.addTo(cmd)
	f := cmd.Flags()
	f.StringVar(&o.as, "as", "alb", "whose probe it is, a `PROBER` of --list")
	f.StringVar(&o.probe.Host, "host", "", "`HOST` to send instead of the prober's")
	f.StringVar(&o.probe.Path, "path", "", "`PATH` to ask for instead of the URL's")
	f.Var((*portFlag)(&o.probe.Port), "port", "`PORT` to connect to instead of the URL's")
	f.StringVar(&o.probe.Matcher, "matcher", "", "success `CODES`, such as 200-299,404 (default: the prober's)")
	f.StringVar(&o.probe.Search, "search", "", "`TEXT` that the body must have, for route53 and gcp")
	f.DurationVar(&o.probe.Timeout, "timeout", 0, "`TIME` in which the whole answer has to come (default: the prober's)")
	f.IntVar(&o.count, "count", 1, "how many probes to send, `N`; 0: until Ctrl-C")
	f.DurationVar(&o.interval, "interval", 0, "`TIME` from one probe to the next (default: the prober's)")
	f.IntVar(&o.probe.ProxyProtocol, "proxy-protocol", 0, "`VERSION` of a PROXY protocol header to send first: 1 or 2")
	f.StringVar(&o.source, "source", "", "local `IP` that the probe comes from")
	f.BoolVar(&o.raw, "raw", false, "print the bytes as they were sent and received, and nothing else on standard output")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print the verdict alone, in one line")
	f.BoolVar(&o.list, "list", false, "list the probers instead")
	return cmd
}

// agree refuses flags that make no sense, alone or together.
func (o *probeOptions) agree(cmd *cobra.Command) error {
	given := cmd.Flags().Changed
	switch {
	case given("timeout") && o.probe.Timeout <= 0:
		return fmt.Errorf("--timeout %v: write a time such as 5s", o.probe.Timeout)
	case given("interval") && o.interval <= 0:
		return fmt.Errorf("--interval %v: write a time such as 10s", o.interval)
	case given("interval") && o.count == 1:
		return errors.New("--interval is the time from one probe to the next; add --count")
	case o.count < 0:
		return fmt.Errorf("--count %d: write how many probes to send, or 0 for until Ctrl-C", o.count)
	case given("proxy-protocol") && o.probe.ProxyProtocol != 1 && o.probe.ProxyProtocol != 2:
		return fmt.Errorf("--proxy-protocol %d: write 1 or 2", o.probe.ProxyProtocol)
	case given("host") && o.probe.Host == "":
		return errors.New("--host is empty; leave it out for the prober's own")
	case given("path") && o.probe.Path == "":
		return errors.New("--path is empty; leave it out for the URL's own")
	case o.raw && o.quiet:
		return errors.New("write --raw or --quiet, not both")
	case o.quiet && o.out.json():
		return errors.New("write --quiet or --output json, not both")
	}
	if given("matcher") {
		if _, err := elb.ParseMatcher(o.probe.Matcher); err != nil {
			return fmt.Errorf("--matcher: %w", err)
		}
	}
	if given("source") {
		source, err := netip.ParseAddr(o.source)
		if err != nil {
			return fmt.Errorf("--source %s: write an IP address of this machine", o.source)
		}
		o.probe.Source = source
	}
	return nil
}

// usualInterval is that of a prober that has no default of its own.
const usualInterval = 10 * time.Second

func (o *probeOptions) run(ctx context.Context, s Streams, target string) error {
	prober, ok := probe.Find(o.as)
	if !ok {
		return notAsked(fmt.Errorf("--as %s: there is no such prober; there are %s", o.as, proberNames()))
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	p, err := probe.New(ctx, prober, target, o.probe)
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err == nil && p.ResolveErr != nil && !prober.Resolves {
		// Its targets are addresses: that a name has none says nothing of them.
		err = p.ResolveErr
	}
	if err != nil {
		return notAsked(err)
	}
	report := o.reporter(s, target, p)
	tally := probe.Tally{Timing: prober.Timing}
	interval := o.interval
	if interval == 0 {
		interval = prober.Timing.Interval
	}
	if interval == 0 {
		interval = usualInterval
	}
	for a := range p.Repeat(ctx, o.count, interval) {
		tally.Add(&a)
		if err := report.answer(&a); err != nil {
			return err
		}
	}
	if tally.Passed+tally.Failed == 0 {
		return errInterrupted
	}
	stop()
	if err := report.end(&tally); err != nil {
		return err
	}
	switch {
	case tally.Failed > 0:
		return exitCode(exitNo)
	case tally.Passed < o.count:
		return errInterrupted // what has not been sent has not passed
	}
	return nil
}

// probeReport is a way to tell of probes: of each when it is over, and of all.
type probeReport interface {
	answer(a *probe.Answer) error
	end(tally *probe.Tally) error
}

func (o *probeOptions) reporter(s Streams, target string, p probe.Probe) probeReport {
	switch {
	case o.out.json():
		return &probeJSON{w: s.Out, target: target, probe: p, many: o.count != 1, raw: o.raw}
	case o.raw:
		return &probeRaw{out: s.Out, escape: isTerminal(s.Out), talk: probeText{w: s.Err, look: s.tableLook(s.Err), probe: p, quiet: true, many: o.count != 1}}
	}
	return &probeText{w: s.Out, look: s.tableLook(s.Out), probe: p, quiet: o.quiet, many: o.count != 1}
}

// probeRaw writes bytes as they went over the connection, and talks elsewhere.
// A terminal gets them escaped: they are a stranger's.
type probeRaw struct {
	out    io.Writer
	escape bool
	talk   probeText
}

func (r *probeRaw) answer(a *probe.Answer) error {
	for _, hop := range slices.Concat(a.Followed, []probe.Answer{*a}) {
		for _, wire := range [][]byte{hop.Sent, hop.Received} {
			if r.escape {
				wire = []byte(escapedLines(wire))
			}
			if _, err := r.out.Write(wire); err != nil {
				return err
			}
		}
	}
	return r.talk.answer(a)
}

func (r *probeRaw) end(tally *probe.Tally) error { return r.talk.end(tally) }

// portFlag is the number of a port; 0: not given.
type portFlag uint16

func (p *portFlag) String() string {
	if *p == 0 {
		return ""
	}
	return strconv.Itoa(int(*p))
}
func (p *portFlag) Type() string { return "port" }

func (p *portFlag) Set(v string) error {
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil || n == 0 {
		return errors.New("write a port from 1 to 65535")
	}
	*p = portFlag(n)
	return nil
}
