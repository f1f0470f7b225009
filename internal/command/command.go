// Package command is hale's command line: flags, output and exit codes, one
// file a command. It decides nothing itself; each command calls the package
// that does the job.
package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"hale/internal/yamlfile"
)

// Exit codes, the same for every command.
const (
	exitYes      = 0 // healthy, passed, done
	exitNo       = 1 // unhealthy, findings, refused
	exitNotAsked = 2 // bad usage or configuration; stderr says what to do
)

// Streams are where a command reads and writes, and the environment it sees.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	Env      func(name string) (value string, ok bool)
}

// Standard returns the process's own streams and environment.
func Standard() Streams {
	return Streams{os.Stdin, os.Stdout, os.Stderr, os.LookupEnv}
}

// collectSeldom is for what runs for long: what lives is a few megabytes, and to
// collect after each few more costs processor time that the app could use. GOGC in
// the environment goes before.
func (s Streams) collectSeldom() {
	if _, set := s.Env("GOGC"); !set {
		debug.SetGCPercent(400)
	}
}

// Main runs hale with args (without the program's name) and returns its exit code.
func Main(ctx context.Context, args []string, s Streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	var unknown error
	root.SetHelpFunc(helpOf(root.HelpFunc(), &unknown))
	cmd, err := root.ExecuteContextC(ctx)
	if err = cmp.Or(err, unknown); err == nil {
		return exitYes
	}
	if _, ok := errors.AsType[*pflag.NotExistError](err); ok {
		err = cmp.Or(unknownCommand(cmd), err)
	}
	exit, ok := errors.AsType[*exitError](err)
	if !ok {
		exit = &exitError{exitNotAsked, errors.New(oneLine(plainFlag(cmd, err)))}
		if _, writing := errors.AsType[*fs.PathError](err); !writing {
			// Cobra's own complaints are about usage: unknown commands and flags.
			exit.err = fmt.Errorf("%w; try: %s --help", exit.err, cmd.CommandPath())
		}
	}
	if exit.err != nil {
		fmt.Fprintf(s.Err, "hale: %v\n", exit.err)
	}
	return exit.code
}

// exitError carries an exit code; a nil err means all has been said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// notAsked marks err as one of usage, configuration or environment.
func notAsked(err error) error { return &exitError{exitNotAsked, err} }

// exitCode ends a command that has said all there is to say.
func exitCode(code int) error {
	if code == exitYes {
		return nil
	}
	return &exitError{code: code}
}

func newRoot(s Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "hale",
		Short: "Load-balancer health checks that tell the truth",
		Long: "Hale makes load-balancer health checks tell the truth: a gateway with an honest\n" +
			"health answer on every instance, and the tools to see what it is made of.\n\n" +
			"Exit codes: 0 yes (healthy, passed, done), 1 no, 2 could not be asked (usage or\nconfiguration; one line on stderr says what to do).",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       versionText(),
		Args:          commandsAlone,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("hale {{.Version}}\n")
	root.Flags().Bool("version", false, "print hale's version") // or cobra adds one with a -v
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.AddCommand(
		newInit(s), newServe(s), newCheck(s), newInstance(s), newDrain(s), newProbe(s),
		newDoctor(s), newListen(s), newBalance(s), newConfig(s), newDemo(s), newVersion(s),
	)
	strictHelp(root)
	return root
}

// plainFlag says of a flag's value that cannot be read what to write instead, and
// of a flag that cmd does not know which was probably meant; any other error it
// returns as it is.
func plainFlag(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if near := yamlfile.Nearest(e.GetSpecifiedName(), known); near != "" {
			return fmt.Errorf("%w; did you mean --%s?", err, near)
		}
		return err
	}
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	advice := errors.Unwrap(invalid)
	switch invalid.GetFlag().Value.Type() {
	case "int":
		advice = errors.New("write a whole number")
	case "bool":
		advice = errors.New("write true or false")
	case "duration":
		advice = errors.New("write a time with its unit, such as 500ms, 10s or 2m")
	}
	return fmt.Errorf("--%s %q: %w", invalid.GetFlag().Name, invalid.GetValue(), advice)
}

// strictHelp makes cobra's own commands refuse what they do not know.
func strictHelp(root *cobra.Command) {
	root.SetHelpCommand(&cobra.Command{
		Use:   "help [COMMAND ...]",
		Short: "Print the help of a command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return notAsked(fmt.Errorf("there is no command %q; try: hale --help", strings.Join(args, " ")))
			}
			return cmd.Help()
		},
	})
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args = commandsAlone
			c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// output is the --output flag: "table" for people, "json" for programs.
type output string

func (o *output) addTo(cmd *cobra.Command) {
	*o = "table"
	cmd.Flags().Var(o, "output", "`FORMAT` of the output: table or json")
}

func (o *output) String() string { return string(*o) }
func (o *output) Type() string   { return "format" }

func (o *output) Set(v string) error {
	if v != "table" && v != "json" {
		return errors.New("write table or json")
	}
	*o = output(v)
	return nil
}

func (o *output) json() bool { return *o == "json" }

// isTerminal tells whether a person reads w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Sizes of what is no terminal, or does not tell.
const usualWidth, usualHeight = 80, 24

// widthOf returns the columns of a terminal.
func widthOf(w io.Writer) int { width, _ := sizeOf(w); return width }

// heightOf returns its lines.
func heightOf(w io.Writer) int { _, height := sizeOf(w); return height }

func sizeOf(w io.Writer) (width, height int) {
	if f, ok := w.(*os.File); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 && height > 0 {
			return width, height
		}
	}
	return usualWidth, usualHeight
}

// colour tells whether w takes colours, and is to have them (no-color.org).
func (s Streams) colour(w io.Writer) bool {
	v, _ := s.Env("NO_COLOR")
	return v == "" && s.canRedraw(w)
}

// canRedraw tells whether w is a terminal that obeys escape sequences.
func (s Streams) canRedraw(w io.Writer) bool {
	kind, _ := s.Env("TERM")
	return kind != "dumb" && isTerminal(w)
}

func oneLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
