// Command write brings schema.json and docs/configuration.md up to date with the
// structs of package config. It is run by go generate in that package's
// directory.
package main

import (
	"fmt"
	"os"

	"hale/internal/config/reference"
)

func main() {
	if err := run("schema.json", "../../docs/configuration.md"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(schemaFile, documentFile string) error {
	ref, err := reference.New(".")
	if err != nil {
		return err
	}
	schema, err := ref.Schema()
	if err != nil {
		return err
	}
	if err := os.WriteFile(schemaFile, schema, 0o644); err != nil { //nolint:gosec // for everybody to read
		return err
	}
	document, err := os.ReadFile(documentFile)
	if err != nil {
		return err
	}
	if document, err = ref.Fill(document); err != nil {
		return fmt.Errorf("%s: %w", documentFile, err)
	}
	return os.WriteFile(documentFile, document, 0o644) //nolint:gosec // for everybody to read
}
