package command

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"hale/internal/balance"
	"hale/internal/balancer/configuration"
	"hale/internal/logfile"
)

func newBalance(s Streams) *cobra.Command {
	var (
		o      balance.Options
		dryRun bool
		out    output
	)
	cmd := &cobra.Command{
		Use:   "balance [-c FILE]",
		Short: "An ELB for one machine: the same health rules, the same API",
		Long: "Balance requests over targets on this machine, by the rules of Elastic Load Balancing and\n" +
			"steered by its API: aws elbv2 --endpoint-url http://127.0.0.1:8087 ... A file says the same\n" +
			"in YAML; what it says is applied as a difference to what is there.\n\n" +
			"SIGHUP reads the file again and reopens the logs, without a lost connection; SIGTERM and\n" +
			"SIGINT end, after the requests in flight (a second one ends at once).",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.ConfigFile == "" && dryRun {
				return notAsked(errors.New("--dry-run tells what a file would change: name it with -c FILE"))
			}
			if out.json() && !dryRun {
				return notAsked(errors.New("--output json is for --dry-run: leave it out, or see hale balance status"))
			}
			o.Env, o.Stdout, o.Stderr = s.Env, s.Out, s.Err
			if dryRun {
				return planBalance(s, o, out)
			}
			s.collectSeldom()
			stop, reload, release := signals()
			defer release()
			log, err := logfile.Open("stderr", logfile.Options{Stderr: s.Err})
			if err != nil {
				return notAsked(err)
			}
			defer log.Close() // at the end there is nobody left to tell
			o.Logger, o.Stop, o.Reload = s.logger(log), stop, reload
			slog.SetDefault(o.Logger) // for libraries that know no other
			if err := balance.Run(cmd.Context(), o); err != nil {
				return notAsked(err)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.ConfigFile, "config", "c", "", "configuration `FILE`, in YAML")
	f.StringVar(&o.StateDir, "state", "", "`DIR` that keeps what there is through restarts; off keeps nothing")
	f.StringVar(&o.API, "api", "", "`ADDRESS` of the API, or off (default 127.0.0.1:8087)")
	f.StringVar(&o.Admin, "admin", "", "`ADDRESS` of a page to look at and of metrics, or off (default off)")
	f.BoolVar(&o.TakeOver, "take-over", false, "take the place of the one that has the state directory, with its sockets")
	f.BoolVar(&dryRun, "dry-run", false, "tell what the file would change, and change nothing")
	out.addTo(cmd)
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	_ = cmd.MarkFlagDirname("state")
	cmd.AddCommand(newBalanceStatus(s), newBalanceSchema(s))
	return cmd
}

// planJSON is what --dry-run --output json prints, a contract.
type planJSON struct {
	Changes bool                 `json:"changes"`
	Steps   []configuration.Step `json:"steps"`
}

// planBalance prints what would be done.
func planBalance(s Streams, o balance.Options, out output) error {
	steps, err := balance.Plan(o)
	if err != nil {
		return notAsked(err)
	}
	if out.json() {
		return writeJSON(s.Out, planJSON{configuration.Changes(steps), append([]configuration.Step{}, steps...)})
	}
	for _, step := range steps {
		if _, err := fmt.Fprintln(s.Out, step); err != nil {
			return err
		}
	}
	if !configuration.Changes(steps) {
		_, err = fmt.Fprintf(s.Out, "%s: all is as it says\n", o.ConfigFile)
	}
	return err
}

func newBalanceSchema(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of the configuration, for editors",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(s.Out, configuration.Schema())
			return err
		},
	}
}
