package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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
			"given: checks, groups, members of groups. Exit code 0: none failed that counts; 1: a\n" +
			"critical check failed; 2: they could not be asked, or not to the end.\n\n" +
			"With --watch they run on, each on its own interval, until Ctrl-C; the exit code is that\n" +
			"of the last verdict. On a terminal the table is drawn again and again; elsewhere there\n" +
			"is a line for each change, with --output json a JSON document a line.",
		RunE: func(cmd *cobra.Command, names []string) error {
			switch o.names = names; {
			case cmd.Flags().Changed("explain"):
				return explainCheck(s, explainType, o.out.json())
			case list:
				return listTypes(s.Out, o.out.json())
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
	cmd.MarkFlagsMutuallyExclusive("list", "explain", "watch")
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
	if !o.out.json() && isTerminal(s.Err) {
		p := newProgress(s.Err, widthOf(s.Err), checks)
		done, end = p.done, p.end
	}
	results := health.RunOnce(ctx, done, checks...)
	end()
	if ctx.Err() != nil {
		return health.Unknown, errInterrupted
	}
	stop()
	status := health.Judge(results, cfg.Health.SharedFailure)
	if o.out.json() {
		return status, writeResultsJSON(s.Out, status, results)
	}
	return status, resultsTable(results, s.tableLook(s.Out)).writeTo(s.Out)
}

// selectChecks returns the checks that are asked for, all of which count.
func selectChecks(all []health.Check, o *checkOptions) ([]health.Check, error) {
	if o.profile != "" && len(o.names) > 0 {
		return nil, errors.New("write NAMEs or --profile, not both")
	}
	wanted := all
	var err error
	switch {
	case o.profile != "":
		wanted, err = ofProfile(all, o.profile)
	case len(o.names) > 0:
		wanted, err = named(all, o.names)
	}
	var known []string
	for i := range wanted {
		known = append(known, wanted[i].Name)
	}
	for i := range wanted {
		c := &wanted[i]
		c.Profiles = nil
		c.DependsOn = slices.DeleteFunc(slices.Clone(c.DependsOn), func(name string) bool { return !slices.Contains(known, name) })
	}
	return wanted, err
}

// ofProfile returns the checks that count for a profile.
func ofProfile(all []health.Check, profile string) ([]health.Check, error) {
	usual := []string{health.ProfileReady, health.ProfileStartup}
	profiles := slices.Clone(usual)
	var wanted []health.Check
	for _, c := range all {
		of := c.Profiles
		if len(of) == 0 {
			of = usual
		}
		if slices.Contains(of, profile) {
			wanted = append(wanted, c)
		}
		for _, p := range of {
			if !slices.Contains(profiles, p) {
				profiles = append(profiles, p)
			}
		}
	}
	if len(wanted) == 0 {
		return nil, fmt.Errorf("no check is of the profile %q; %s", profile, suggest(profile, profiles))
	}
	return wanted, nil
}

// named returns the checks of some names: groups with their members, and members
// by themselves.
func named(all []health.Check, names []string) ([]health.Check, error) {
	var known []string
	found := map[string]health.Check{}
	each(all, func(c health.Check) {
		known = append(known, c.Name)
		found[c.Name] = c
	})
	var wanted []health.Check
	taken := map[string]bool{}
	for _, name := range names {
		c, ok := found[name]
		if !ok {
			return nil, fmt.Errorf("no check is called %q; %s", name, suggest(name, known))
		}
		each([]health.Check{c}, func(c health.Check) { taken[c.Name] = taken[c.Name] || c.Name != name })
	}
	for _, name := range names {
		if !taken[name] { // not there already, by itself or with its group
			wanted = append(wanted, found[name])
			taken[name] = true
		}
	}
	return wanted, nil
}

// each calls f with each check and each member of a group.
func each(checks []health.Check, f func(health.Check)) {
	for _, c := range checks {
		f(c)
		each(c.Any, f)
		each(c.All, f)
	}
}

// suggest says which word was probably meant, or which there are.
func suggest(word string, known []string) string {
	if near := config.Nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "there are: " + strings.Join(known, ", ")
}
