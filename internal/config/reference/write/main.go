// Command write brings a JSON schema and a document up to date with the structs of
// a configuration. It is run by go generate in their package's directory: without
// an argument for package config, with "balance" for the balancer's.
package main

import (
	"fmt"
	"os"

	"hale/internal/config/reference"
)

func main() {
	read, document := reference.New, "../../docs/configuration.md"
	if len(os.Args) > 1 && os.Args[1] == "balance" {
		read, document = reference.NewBalance, "../../../docs/balance.md"
	}
	if err := run(read, "schema.json", document); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(read func(dir string) (*reference.Reference, error), schemaFile, documentFile string) error {
	ref, err := read(".")
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
