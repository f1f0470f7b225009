package command

import (
	"fmt"
	"log/slog"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"hale/internal/demo"
)

func newDemo(s Streams) *cobra.Command {
	o := demo.Options{Out: s.Out}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Everything at once on this machine, with an embedded app to break",
		Long: "Run hale balance with two groups of four instances on this machine's loopback, each a\n" +
			"hale serve with a small site of its own; and users, and a page to break the instances and\n" +
			"to see what the load balancer holds of them and what users get. Ctrl-C ends it and takes\n" +
			"everything away.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Port < 1 || o.Port > 65000 {
				return notAsked(fmt.Errorf("--port %d: write a port from 1 to 65000", o.Port))
			}
			stop, _, release := signals()
			defer release()
			o.Stop = stop
			o.Logger = slog.New(tint.NewTextHandler(s.Err, &tint.Options{TimeFormat: "15:04:05", NoColor: !s.colour(s.Err)}))
			if err := demo.Run(cmd.Context(), o); err != nil {
				return notAsked(err)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&o.Port, "port", demo.DefaultPort, "first `PORT` on 127.0.0.1; each part takes the next free one")
	cmd.Flags().StringVar(&o.Dir, "dir", "", "keep everything in `DIR` instead of a temporary directory")
	cmd.AddCommand(newDemoApp(s))
	return cmd
}

// newDemoApp is what the demo's instances run.
func newDemoApp(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:    "app",
		Short:  "The app of one of the demo's instances",
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return notAsked(demo.RunApp(cmd.Context(), s.Env))
		},
	}
}
