// Command write brings docs/fixes.md up to date with the catalogue of failure
// modes and the files of fixes. It is run by go generate in package doctor's
// directory.
package main

import (
	"fmt"
	"os"

	"hale/internal/doctor/reference"
)

func main() {
	if err := run("../../docs/fixes.md"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if page, err = reference.Fill(page); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, page, 0o644) //nolint:gosec // for everybody to read
}
