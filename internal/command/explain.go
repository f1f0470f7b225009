package command

import (
	"encoding/json"
	"fmt"
	"io"

	"hale/internal/checktype"
	"hale/internal/manual"
	"hale/internal/yamlfile"
)

func listTypes(w io.Writer, asJSON bool) error {
	if asJSON {
		type row struct {
			Name    string `json:"name"`
			Summary string `json:"summary"`
		}
		rows := []row{}
		for _, t := range checktype.Types() {
			rows = append(rows, row{t.Name, t.Summary})
		}
		return json.NewEncoder(w).Encode(rows)
	}
	for _, t := range checktype.Types() {
		if _, err := fmt.Fprintf(w, "%-14s %s\n", t.Name, t.Summary); err != nil {
			return err
		}
	}
	return nil
}

// explainCheck tells what the documentation says of a type of check.
func explainCheck(s Streams, name string, asJSON bool) error {
	var names []string
	for _, t := range checktype.Types() {
		if t.Name != name {
			names = append(names, t.Name)
			continue
		}
		e, err := manual.Of(name)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(s.Out, e)
		}
		return e.Render(s.Out, min(widthOf(s.Out), widestText), s.colour(s.Out))
	}
	hint := "hale check --list names them all"
	if near := yamlfile.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return notAsked(fmt.Errorf("no type of check is called %q; %s", name, hint))
}

// widestText is where lines become hard to read.
const widestText = 100

// writeJSON writes one document for programs, indented for people who look at it.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
