package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"hale/health"
	"hale/internal/config"
)

// checkOptions are what hale check is asked for.
type checkOptions struct {
	out     output
	file    string
	names   []string
	profile string
	watch   bool
}

func newCheck(s Streams) *cobra.Command {
	var (
		o           checkOptions
		list        bool
		explainType string
	)
	cmd := &cobra.Command{
		Use:   "check [-c FILE] [NAME ...]",
		Short: "Run the checks once, now; or watch them; or tell what types there are",
		Long: "Run the checks of hale.yaml once, now, all at the same time, or those with the NAMEs\n" +
			"given: checks, groups, members of groups. What these depend on is asked, too, since it\n" +
			"says what a failure follows from, but does not count itself.\n\n" +
			"Exit code 0: none failed that counts; 1: a critical check failed; 2: they could not be\n" +
			"asked, or not to the end.\n\n" +
			"With --watch they run on, each on its own interval, until Ctrl-C; the exit code is that\n" +
			"of the last verdict. On a terminal the table is drawn again and again; elsewhere there\n" +
			"is a line for each change, with --output json a JSON document a line.",
		RunE: func(cmd *cobra.Command, names []string) error {
			o.names = names
			tells := cmd.Flags().Changed("explain") || list
			if list && cmd.Flags().Changed("explain") {
				return notAsked(errors.New("write --list or --explain TYPE, not both"))
			}
			if err := o.agree(cmd.Flags().Changed("profile"), tells); err != nil {
				return notAsked(err)
			}
			switch {
			case list:
				return listTypes(s.Out, o.out.json())
			case tells:
				return explainCheck(s, explainType, o.out.json())
			}
			return runChecks(cmd.Context(), s, &o)
		},
	}
	addConfigFlag(cmd, &o.file)
	o.out.addTo(cmd)
	cmd.Flags().BoolVar(&list, "list", false, "list the types of checks instead")
	cmd.Flags().StringVar(&explainType, "explain", "", "tell what a `TYPE` of check asks, proves and costs, and its options, instead")
	cmd.Flags().StringVar(&o.profile, "profile", "", "run the checks of one `PROFILE` alone: ready, startup, or one of your own")
	cmd.Flags().BoolVar(&o.watch, "watch", false, "run on, and show what changes")
	return cmd
}

func runChecks(ctx context.Context, s Streams, o *checkOptions) (err error) {
	cfg, err := loadConfig(o.file)
	if err != nil {
		return err
	}
	all, closeChecks := cfg.BuildChecks()
	defer func() { err = errors.Join(err, closeChecks()) }()
	wanted, err := selectChecks(all, o)
	if err != nil {
		return notAsked(err)
	}
	if len(wanted) == 0 {
		return notAsked(fmt.Errorf("%s: there is no check to run; write one under health.checks", o.file))
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	if o.watch {
		return watchChecks(ctx, s, cfg, wanted, o)
	}
	status, err := checkOnce(ctx, stop, s, cfg, wanted, o)
	if err == nil && status == health.Fail {
		return exitCode(exitNo)
	}
	return err
}

// checkOnce runs the checks and shows what came of them.
func checkOnce(ctx context.Context, stop func(), s Streams, cfg *config.Config, checks []health.Check, o *checkOptions) (health.Status, error) {
	done, end := func(health.Result) {}, func() {}
	if !o.out.json() && s.canRedraw(s.Err) {
		p := newProgress(s.Err, widthOf(s.Err), checks)
		done, end = p.done, p.end
	}
	results := health.RunOnce(ctx, done, checks...)
	end()
	if ctx.Err() != nil {
		return health.Unknown, errInterrupted
	}
	stop()
	status := health.JudgeProfile(results, health.ProfileReady, cfg.Health.SharedFailure)
	if o.out.json() {
		return status, writeResultsJSON(s.Out, status, results)
	}
	look := s.tableLook(s.Out)
	table := resultsTable(results, cfg.Health.SharedFailure, look)
	_, err := fmt.Fprintf(s.Out, "%s\n verdict: %s\n", table, look.paint(status, status.String()))
	return status, err
}

// agree refuses arguments that have no say in what is asked for.
func (o *checkOptions) agree(profile, tells bool) error {
	switch {
	case tells && len(o.names) > 0:
		return fmt.Errorf("--list and --explain take no names of checks, but %q is given", o.names[0])
	case tells && o.watch:
		return errors.New("--list and --explain run no checks; leave out --watch")
	case tells && profile:
		return errors.New("--list and --explain are not about a profile; leave out --profile")
	case profile && o.profile == "":
		return errors.New("--profile names no profile; write ready, startup, or one of your own")
	case profile && len(o.names) > 0:
		return errors.New("write NAMEs or --profile, not both")
	}
	return nil
}
