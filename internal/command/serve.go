package command

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"hale/internal/serve"
)

func newServe(s Streams) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve [-c FILE] [-- COMMAND ...]",
		Short: "Serve on an instance: gateway and health answer; with COMMAND also the app",
		Long: "Serve the health answer and the gateway in front of the app, as hale.yaml says.\n" +
			"COMMAND runs the app as a child, in place of app.command; its exit code is then hale's.\n\n" +
			"SIGTERM and SIGINT drain (a second one ends at once), SIGHUP reloads hale.yaml and\nreopens the logs.",
		RunE: func(cmd *cobra.Command, command []string) error {
			if len(command) > 0 && cmd.ArgsLenAtDash() != 0 {
				return notAsked(errors.New("write the app's command after two dashes: hale serve -- COMMAND"))
			}
			return runServe(cmd.Context(), s, file, command)
		},
	}
	addConfigFlag(cmd, &file)
	return cmd
}

func runServe(ctx context.Context, s Streams, file string, command []string) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	code, err := serve.Run(ctx, serve.Options{
		ConfigFile: file, Command: command, Environ: os.Environ(), Version: Version,
		Stdout: s.Out, Stderr: s.Err, Logger: s.logger(), Signals: signals,
	})
	if err != nil {
		return &exitError{code, explain(err, file)}
	}
	return exitCode(code)
}

// explain adds the way out to an error that means there is no configuration yet.
func explain(err error, file string) error {
	if errors.Is(err, fs.ErrNotExist) && file == defaultConfig {
		if _, missing := os.Stat(file); errors.Is(missing, fs.ErrNotExist) {
			return errors.New("there is no hale.yaml here: make one with hale init, or name one with -c FILE")
		}
	}
	return err
}

// logger writes for people on a terminal, and JSON lines elsewhere, to stderr.
func (s Streams) logger() *slog.Logger {
	if isTerminal(s.Err) {
		return slog.New(tint.NewTextHandler(s.Err, &tint.Options{TimeFormat: "15:04:05.000", NoColor: !s.colour(s.Err)}))
	}
	return slog.New(slog.NewJSONHandler(s.Err, nil))
}
