package command

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is hale's, raised with each release in CHANGELOG.md.
const Version = "0.1.0"

func newVersion(s Streams) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print hale's version",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version  string `json:"version"`
				Revision string `json:"revision,omitempty"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{Version, revision(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			if out.json() {
				return json.NewEncoder(s.Out).Encode(v)
			}
			_, err := fmt.Fprintf(s.Out, "hale %s\n", versionText())
			return err
		},
	}
	out.addTo(cmd)
	return cmd
}

// versionText is the version with all that tells one build from another.
func versionText() string {
	rev := revision()
	if rev != "" {
		rev = " " + rev
	}
	return fmt.Sprintf("%s%s (%s, %s/%s)", Version, rev, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// revision is the commit the binary was built from, with "+changes" if the
// tree was not clean, where the build recorded it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var rev, changed string
	for _, kv := range info.Settings {
		switch {
		case kv.Key == "vcs.revision":
			rev = kv.Value[:min(12, len(kv.Value))]
		case kv.Key == "vcs.modified" && kv.Value == "true":
			changed = "+changes"
		}
	}
	return rev + changed
}
