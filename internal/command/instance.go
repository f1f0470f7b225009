package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"hale/instance"
)

func newInstance(s Streams) *cobra.Command {
	var (
		out   output
		write string
		opts  instance.Options
	)
	cmd := &cobra.Command{
		Use:   "instance",
		Short: "Print this instance's id, zone and addresses, and where they were learnt",
		Long: "Print this instance's id, zone and addresses, and where each was learnt: EC2 and ECS\n" +
			"metadata, a file, the network interfaces. It takes two seconds at most.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if write != "" && out.json() {
				return notAsked(errors.New("--write prints no document: leave out --output json"))
			}
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			in, err := instance.Discover(ctx, opts)
			if ctx.Err() != nil {
				return errInterrupted
			}
			stop()
			if err != nil {
				return notAsked(err)
			}
			if write != "" {
				if err := in.WriteFile(write); err != nil {
					return notAsked(err)
				}
				fmt.Fprintf(s.Err, "wrote %s\n", write)
				return nil
			}
			if out.json() {
				enc := json.NewEncoder(s.Out)
				enc.SetIndent("", "  ")
				return enc.Encode(in)
			}
			return writeInstance(s.Out, in)
		},
	}
	out.addTo(cmd)
	cmd.Flags().StringVar(&write, "write", "", "write the primary private IPv4 address to `FILE` (such as /etc/aws/ipv4) instead of printing")
	cmd.Flags().StringVar(&opts.File, "file", "", "also read addresses from `FILE`, one a line")
	cmd.Flags().DurationVar(&opts.Timeout, "timeout", instance.DefaultTimeout, "longest `TIME` for everything")
	cmd.Flags().Var(textFlag{&opts.Metadata, "auto|off"}, "metadata", "whether EC2 and ECS metadata are asked: auto or off")
	return cmd
}

func writeInstance(w io.Writer, in instance.Instance) error {
	var b bytes.Buffer
	facts := newTable(&b, "what", "value", "learnt from")
	for _, f := range []struct {
		name string
		fact instance.Fact
	}{{"id", in.ID}, {"zone", in.Zone}, {"region", in.Region}, {"type", in.Type}, {"hostname", in.Hostname}, {"task", in.Task}} {
		if f.fact.Value != "" {
			facts.AppendRow(table.Row{f.name, f.fact.Value, f.fact.Source})
		}
	}
	for _, a := range in.Addresses {
		name := "address"
		if a.Public {
			name = "public address"
		}
		facts.AppendRow(table.Row{name, a.Addr, a.Source})
	}
	facts.Render()

	fmt.Fprintln(&b)
	sources := newTable(&b, "source", "found", "took", "remark")
	for _, r := range in.Reports {
		found := "no"
		if r.Found {
			found = "yes"
		}
		sources.AppendRow(table.Row{r.Source, found, r.Took.Round(100 * time.Microsecond), strings.TrimSpace(r.Detail)})
	}
	sources.Render()
	_, err := b.WriteTo(w)
	return err
}
