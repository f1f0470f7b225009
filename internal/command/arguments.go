package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"hale/internal/yamlfile"
)

// commandsAlone is for commands that take nothing but the name of a command of
// theirs.
func commandsAlone(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return notAsked(fmt.Errorf("unknown command %q for %q%s; try: %[2]s --help", args[0], cmd.CommandPath(), meant(cmd, args[0])))
}

// noArguments is for commands that take flags alone, or the name of a command of
// theirs.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return notAsked(fmt.Errorf("%s takes no argument, and got %q%s; try: %s --help", cmd.Name(), args[0], meant(cmd, args[0]), cmd.CommandPath()))
}

// meant says which of cmd's commands a word was probably meant to be, if any.
func meant(cmd *cobra.Command, word string) string {
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	if near := yamlfile.Nearest(word, known); near != "" {
		return fmt.Sprintf("; did you mean %s %s?", cmd.CommandPath(), near)
	}
	return ""
}

// unknownCommand says whether what cmd was asked is of a command that there is not:
// that matters more than the flags beside it, which are not cmd's.
func unknownCommand(cmd *cobra.Command) error {
	if !cmd.HasAvailableSubCommands() || cmd.Args == nil {
		return nil
	}
	return cmd.Args(cmd, cmd.Flags().Args())
}

// helpOf is usual, but refuses to tell of a command what it was asked of another
// that there is not, as in hale chekc --help: that ends up in unknown.
func helpOf(usual func(*cobra.Command, []string), unknown *error) func(*cobra.Command, []string) {
	return func(cmd *cobra.Command, args []string) {
		if *unknown = unknownCommand(cmd); *unknown == nil {
			usual(cmd, args)
		}
	}
}

// oneArgument is for commands that take one argument at most; example is what to
// write.
func oneArgument(what, example string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) <= 1 {
			return nil
		}
		return notAsked(fmt.Errorf("give one %s, or none: %s (got %d)", what, example, len(args)))
	}
}
