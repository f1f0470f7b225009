package command

import (
	"encoding"
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// newTable returns an empty table without lines around it.
func newTable(w io.Writer, header ...any) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(header)
	return t
}

// textFlag makes a flag of a value that reads and writes itself as text.
type textFlag struct {
	value interface {
		encoding.TextUnmarshaler
		fmt.Stringer
	}
	kind string
}

func (f textFlag) String() string     { return f.value.String() }
func (f textFlag) Set(v string) error { return f.value.UnmarshalText([]byte(v)) }
func (f textFlag) Type() string       { return f.kind }
