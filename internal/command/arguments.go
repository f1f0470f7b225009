package command

import (
	"fmt"

	"github.com/spf13/cobra"
)

// noArguments is for commands that take flags alone, and have no commands of
// their own.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return notAsked(fmt.Errorf("%s takes no argument, and got %q; try: %s --help", cmd.Name(), args[0], cmd.CommandPath()))
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
