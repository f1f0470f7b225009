package command

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"hale/internal/logfile"
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
	s.collectSeldom()
	stop, reload, release := signals()
	defer release()
	log, err := logfile.Open("stderr", logfile.Options{Stderr: s.Err})
	if err != nil {
		return notAsked(err)
	}
	defer log.Close() // at the end there is nobody left to tell
	logger := s.logger(log)
	slog.SetDefault(logger) // for libraries that know no other
	code, err := serve.Run(ctx, serve.Options{
		ConfigFile: file, Command: command, Environ: os.Environ(), Version: Version,
		Stdout: s.Out, Stderr: s.Err, Logger: logger, Stop: stop, Reload: reload,
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

// signals returns the signals that end and that reload.
func signals() (stop, reload chan os.Signal, release func()) {
	stop, reload = make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(reload, syscall.SIGHUP)
	// A reader of our output that goes away must not end the site: with the
	// signal taken, writing to it is an error like that of a full disk.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	return stop, reload, func() {
		for _, c := range []chan os.Signal{stop, reload, pipe} {
			signal.Stop(c)
		}
	}
}

// logger writes to w, which ends up at stderr: for people if that is a
// terminal, else JSON lines.
func (s Streams) logger(w io.Writer) *slog.Logger {
	if isTerminal(s.Err) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{TimeFormat: "15:04:05.000", NoColor: !s.colour(s.Err)}))
	}
	return slog.New(slog.NewJSONHandler(w, nil))
}
