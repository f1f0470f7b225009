// Package file checks that a file is there, and is as it should be.
package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"hale/checks"
	"hale/internal/explain"
)

// maxContent bounds what is read while looking for Contains and Matches.
const maxContent = 1 << 20

// Check looks at a file or directory.
//
// It proves that the path is there (or not there, with Absent), and what the
// other options ask. It costs a stat(2), and reads at most 1 MiB if Contains,
// Excludes or Matches is set; with a pattern as Path, a stat(2) a file. It needs
// the right to search the directories above, and to read the file if it is to be
// readable or something of its content is asked.
//
//	&file.Check{Path: "/var/run/backup.stamp", MaxAge: 26 * time.Hour}
type Check struct {
	Path     string         `yaml:"path" jsonschema:"required" jsonschema_description:"The file or directory; a relative path starts at the directory of the configuration. With *, ? or [...] in it, of the files that match the one written last."`
	Absent   bool           `yaml:"absent" jsonschema:"default=false" jsonschema_description:"Turns the question round: there must be nothing at the path, a maintenance flag for one."`
	Readable bool           `yaml:"readable" jsonschema:"default=false" jsonschema_description:"It must be possible to open the file for reading."`
	Contains string         `yaml:"contains" jsonschema_description:"Text that the first 1 MiB of the file must contain."`
	Matches  checks.Pattern `yaml:"matches" jsonschema_description:"A regular expression that must match somewhere in the first 1 MiB of the file."`
	Excludes string         `yaml:"excludes" jsonschema_description:"Text that the first 1 MiB of the file must not contain."`
	MinSize  checks.Size    `yaml:"min_size" jsonschema_description:"The least size of the file."`
	MaxSize  checks.Size    `yaml:"max_size" jsonschema_description:"The largest size of the file."`
	MaxAge   time.Duration  `yaml:"max_age" jsonschema_description:"The longest time since the file was last written."`

	// Dir is where a relative Path starts; empty means the working directory.
	Dir string `yaml:"-"`
}

// Validate refuses a check without a path, and questions about the content of
// a file that must not be there.
func (c *Check) Validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, checks.Optionf("path", "is missing: write the path of the file"))
	}
	if c.MaxAge < 0 {
		errs = append(errs, checks.Optionf("max_age", "%v is negative: write a duration such as 24h", c.MaxAge))
	}
	if c.MaxSize > 0 && c.MinSize > c.MaxSize {
		errs = append(errs, checks.Optionf("min_size", "%v is more than max_size (%v)", c.MinSize, c.MaxSize))
	}
	if _, err := filepath.Match(c.Path, ""); err != nil {
		errs = append(errs, checks.Optionf("path", "%q has a [ without its ]: for the character itself, write \\[", c.Path))
	}
	if c.Absent && (c.reads() || c.MinSize > 0 || c.MaxSize > 0 || c.MaxAge > 0) {
		errs = append(errs, checks.Optionf("absent", "asks that there is no file, and other options what is in it: remove one or the other"))
	}
	return errors.Join(errs...)
}

func (c *Check) reads() bool { return c.Readable || c.asksContent() }

func (c *Check) asksContent() bool {
	return c.Contains != "" || c.Excludes != "" || !c.Matches.IsZero()
}

// Run looks at the file.
func (c *Check) Run(context.Context) (string, error) {
	path := c.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.Dir, path)
	}
	path = newest(path)
	info, err := os.Stat(path)
	if c.Absent {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "not there: " + path, nil
		case err != nil:
			return "", reason(err, path)
		default:
			return "", fmt.Errorf("exists: %s", path)
		}
	}
	if err != nil {
		return "", reason(err, path)
	}
	if text := c.wrongSize(checks.Size(info.Size())); text != "" {
		return "", errors.New(text + ": " + path)
	}
	if age := time.Since(info.ModTime()); c.MaxAge > 0 && age > c.MaxAge {
		return "", fmt.Errorf("written %v ago, more than %v: %s", age.Round(time.Second), c.MaxAge, path)
	}
	if c.reads() {
		if err := c.read(path, info); err != nil {
			return "", err
		}
	}
	return "as it should be: " + path, nil
}

// wrongSize compares a size with the limits; empty if it is within them.
func (c *Check) wrongSize(size checks.Size) string {
	than, limit := "", checks.Size(0)
	switch {
	case size < c.MinSize:
		than, limit = "less", c.MinSize
	case c.MaxSize > 0 && size > c.MaxSize:
		than, limit = "more", c.MaxSize
	default:
		return ""
	}
	if size.String() == limit.String() { // rounded for people
		return fmt.Sprintf("%d bytes are %s than %d", size, than, limit)
	}
	return fmt.Sprintf("%v is %s than %v", size, than, limit)
}

// newest returns the file written last of those that match a pattern; the
// pattern itself if none does, or if it is the name of a file.
func newest(pattern string) string {
	if !strings.ContainsAny(pattern, "*?[") {
		return pattern
	}
	if _, err := os.Lstat(pattern); err == nil {
		return pattern
	}
	found, _ := filepath.Glob(pattern) // Validate has seen the pattern
	newest, written := pattern, time.Time{}
	for _, path := range found {
		if info, err := os.Stat(path); err == nil && (written.IsZero() || info.ModTime().After(written)) {
			newest, written = path, info.ModTime()
		}
	}
	return newest
}

// read looks into the file.
func (c *Check) read(path string, info fs.FileInfo) error {
	// Opening a FIFO without O_NONBLOCK waits for somebody to write to it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return reason(err, path)
	}
	defer f.Close()
	if !c.asksContent() {
		return nil
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("not a regular file: %s", path)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxContent))
	if err != nil {
		return reason(err, path)
	}
	where := path
	if len(content) == maxContent {
		where = "the first 1MiB of " + path
	}
	if !bytes.Contains(content, []byte(c.Contains)) {
		return fmt.Errorf("does not contain %q: %s", c.Contains, where)
	}
	if c.Excludes != "" && bytes.Contains(content, []byte(c.Excludes)) {
		return fmt.Errorf("contains %q: %s", c.Excludes, where)
	}
	if !c.Matches.Match(content) {
		return fmt.Errorf("does not match %q: %s", c.Matches, where)
	}
	return nil
}

// reason says what is wrong with a path.
func reason(err error, path string) error {
	text := explain.Innermost(err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		text = "no such file"
	case errors.Is(err, fs.ErrPermission):
		text = "permission denied"
	}
	return &explain.Error{Text: text + ": " + path, Err: err}
}
