package command

import (
	"fmt"
	"log/slog"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"hale/internal/demo"
)

func newDemo(s Streams) *cobra.Command {
	o := demo.Options{Version: Version, Out: s.Out}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Everything at once on this machine, with an embedded app to break",
		Long: "Run a small site with its database behind hale serve on this machine's loopback, with a\n" +
			"page to look at, break the site and watch the health answer. Ctrl-C ends it and\ntakes everything away.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Port < 1 || o.Port > 65000 {
				return notAsked(fmt.Errorf("--port %d: write a port from 1 to 65000", o.Port))
			}
			stop, reload, release := signals()
			defer release()
			o.Stop, o.Reload = stop, reload
			o.Logger = slog.New(tint.NewTextHandler(s.Err, &tint.Options{TimeFormat: "15:04:05", NoColor: !s.colour(s.Err)}))
			if err := demo.Run(cmd.Context(), o); err != nil {
				return notAsked(err)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&o.Port, "port", demo.DefaultPort, "first `PORT` on 127.0.0.1; each part takes the next free one")
	cmd.Flags().StringVar(&o.Dir, "dir", "", "keep everything in `DIR` instead of a temporary directory")
	return cmd
}
