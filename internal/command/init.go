package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"hale/internal/detect"
)

func newInit(s Streams) *cobra.Command {
	var (
		out    output
		stdout bool
	)
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Look at the app in DIR, write hale.yaml, say what was found",
		Long: "Look at the files of the app in DIR (default: here), write DIR/hale.yaml, and say what\n" +
			"was found and what was assumed. Nothing of the app is run. A hale.yaml that is there\n" +
			"already is left as it is.",
		Args: oneArgument("directory", "hale init DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			report, err := detect.Dir(dir)
			if err != nil {
				return notAsked(fmt.Errorf("%w; name the directory of the app: hale init DIR", err))
			}
			if stdout {
				if out.json() {
					return notAsked(errors.New("--print prints YAML: leave out --output json"))
				}
				_, err := s.Out.Write(report.YAML)
				return err
			}
			file := filepath.Join(dir, defaultConfig)
			if err := detect.Write(file, report.YAML); err != nil {
				return notAsked(err)
			}
			if out.json() {
				enc := json.NewEncoder(s.Out)
				enc.SetIndent("", "  ")
				return enc.Encode(struct {
					File string `json:"file"`
					*detect.Report
				}{file, report})
			}
			return describe(s, file, report)
		},
	}
	out.addTo(cmd)
	cmd.Flags().BoolVar(&stdout, "print", false, "print the hale.yaml and write nothing")
	return cmd
}

func describe(s Streams, file string, r *detect.Report) error {
	what := "an app that is not recognised"
	if r.Framework != "" {
		what = r.Framework
	}
	fmt.Fprintf(s.Out, "found %s\n", what)
	for _, f := range r.Findings {
		fmt.Fprintf(s.Out, "  %s\n", f)
	}
	_, err := fmt.Fprintf(s.Out, "wrote %s; look through it, then: hale check -c %[1]s, hale serve -c %[1]s\n", file)
	return err
}
