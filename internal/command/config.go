package command

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"hale/internal/config"
	"hale/internal/serve"
)

const defaultConfig = "hale.yaml"

func addConfigFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "config", "c", defaultConfig, "configuration `FILE`")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

// loadConfig reads file; its errors tell all that is wrong with it.
func loadConfig(file string) (*config.Config, error) {
	cfg, err := serve.LoadConfig(file, os.Environ())
	if err != nil {
		return nil, notAsked(explain(err, file))
	}
	return cfg, nil
}

func newConfig(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Validate hale.yaml, or print its JSON schema",
		Args:  commandsAlone,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var file string
	check := &cobra.Command{
		Use:   "check [-c FILE]",
		Short: "Validate hale.yaml; every fault is told with its line and the way out",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return notAsked(fmt.Errorf("write hale config check -c %s", args[0]))
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			cfg, err := loadConfig(file)
			if err != nil {
				return err
			}
			checks := "checks"
			if len(cfg.Health.Checks) == 1 {
				checks = "check"
			}
			_, err = fmt.Fprintf(s.Out, "%s: ok, %d %s\n", file, len(cfg.Health.Checks), checks)
			return err
		},
	}
	addConfigFlag(check, &file)
	schema := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of hale.yaml, for editors",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(s.Out, config.Schema())
			return err
		},
	}
	cmd.AddCommand(check, schema)
	return cmd
}
