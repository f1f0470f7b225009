// Package disk checks that file systems have room left.
package disk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"hale/checks"
	"hale/health"
	"hale/internal/explain"
	"hale/internal/proc"
)

// Defaults of a Check's zero fields.
const (
	DefaultWarnUsed = checks.Percent(85)
	DefaultMaxUsed  = checks.Percent(95)
)

// Check looks at the file systems on which paths lie.
//
// It proves that each has space and inodes left, counted as df(1) does: what is
// reserved for root counts as used, and, with Write, that the disk can be written
// to at this moment. It warns of a file system that has turned read-only by
// itself, as Linux does after errors of the disk. It costs one statfs(2) a path,
// which can hang on a network file system whose server is gone: the check then
// fails at its deadline; with Write, also a file of 4 KiB that is written,
// synced and gone. It needs the right to search the directories above the paths,
// and with Write, to write to them.
//
//	&disk.Check{Paths: []string{"/", "/var/lib/app"}, MinFree: 2 << 30}
type Check struct {
	Paths      []string       `yaml:"paths" jsonschema:"default=/" jsonschema_description:"Any file or directory on each file system to look at."`
	WarnUsed   checks.Percent `yaml:"warn_used" jsonschema:"default=85%" jsonschema_description:"Warn when more of the space is used than this."`
	MaxUsed    checks.Percent `yaml:"max_used" jsonschema:"default=95%" jsonschema_description:"Fail when more of the space is used than this."`
	MinFree    checks.Size    `yaml:"min_free" jsonschema_description:"Fail when less space than this is left."`
	WarnInodes checks.Percent `yaml:"warn_inodes" jsonschema:"default=85%" jsonschema_description:"Warn when more of the inodes are used than this."`
	MaxInodes  checks.Percent `yaml:"max_inodes" jsonschema:"default=95%" jsonschema_description:"Fail when more of the inodes are used than this."`
	Writable   bool           `yaml:"writable" jsonschema:"default=false" jsonschema_description:"Fail when the file system is read-only; one that has turned so by itself, as after errors of the disk, warns in any case."`
	Write      bool           `yaml:"write" jsonschema:"default=false" jsonschema_description:"Write a file of 4 KiB to each path, or beside it if it is none of a directory, sync and remove it."`

	statfs func(path string) (figures, error) // nil means the system's
	fs     proc.FS
}

// Validate refuses a warning that would come after the failure.
func (c *Check) Validate() error {
	var errs []error
	for _, path := range c.Paths {
		if path == "" {
			errs = append(errs, checks.Optionf("paths", "holds an empty path"))
		}
	}
	for _, pair := range []struct {
		warnKey, maxKey string
		warn, most      checks.Percent
	}{
		{"warn_used", "max_used", c.WarnUsed, cmp.Or(c.MaxUsed, DefaultMaxUsed)},
		{"warn_inodes", "max_inodes", c.WarnInodes, cmp.Or(c.MaxInodes, DefaultMaxUsed)},
	} {
		if pair.warn > pair.most {
			errs = append(errs, checks.Optionf(pair.warnKey, "%v is more than %s (%v): the check would fail before it warns", pair.warn, pair.maxKey, pair.most))
		}
	}
	if c.MinFree < 0 {
		errs = append(errs, checks.Optionf("min_free", "%d is negative", c.MinFree))
	}
	return errors.Join(errs...)
}

// Run looks at each file system, and reports all that are not well.
func (c *Check) Run(context.Context) (string, error) {
	paths := c.Paths
	if len(paths) == 0 {
		paths = []string{"/"}
	}
	var fine, warnings, failures []string
	for _, path := range paths {
		text, status := c.look(path)
		switch status {
		case health.Pass:
			fine = append(fine, text)
		case health.Warn:
			warnings = append(warnings, text)
		default:
			failures = append(failures, text)
		}
	}
	switch {
	case len(failures) > 0:
		return "", errors.New(strings.Join(append(failures, warnings...), "; "))
	case len(warnings) > 0:
		return "", health.Warnf("%s", strings.Join(warnings, "; "))
	default:
		return strings.Join(fine, "; "), nil
	}
}

// figures are those of a file system: blocks and inodes.
type figures struct {
	blocks, free, available uint64 // free ones may be root's alone
	files, freeFiles        uint64
	blockSize               int64
	readOnly                bool
}

// look judges one file system.
func (c *Check) look(path string) (string, health.Status) {
	ask := c.statfs
	if ask == nil {
		ask = statfs
	}
	st, err := ask(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such path: " + path, health.Fail
	case err != nil:
		return fmt.Sprintf("%s: %s", explain.Innermost(err), path), health.Fail
	case st.readOnly && c.turned(path):
		text := path + " has turned read-only by itself, as after errors of the disk: see the kernel's log"
		if c.Writable || c.Write {
			return text, health.Fail
		}
		return text, health.Warn
	case st.readOnly && (c.Writable || c.Write):
		return path + " is mounted read-only", health.Fail
	}
	space := usage{used: st.blocks - st.free, free: st.available}
	inodes := usage{used: st.files - st.freeFiles, free: st.freeFiles}
	free := bytes(st.available, st.blockSize)

	spaceText, spaceStatus := space.judge(path, "", c.WarnUsed, c.MaxUsed)
	inodesText, inodesStatus := inodes.judge(path, " of its inodes", c.WarnInodes, c.MaxInodes)
	switch {
	case free < c.MinFree:
		return fmt.Sprintf("%s has %v free, less than %v", path, free, c.MinFree), health.Fail
	case inodesStatus > spaceStatus:
		return inodesText, inodesStatus
	case spaceStatus != health.Fail && c.Write:
		if err := write(path); err != nil {
			return fmt.Sprintf("%s cannot be written to: %s", path, whyNot(err)), health.Fail
		}
	}
	return fmt.Sprintf("%s, %v free", spaceText, free), spaceStatus
}

// turned tells whether a file system that is read-only was mounted to be written
// to: then only the file system's own options say "ro", not those of the mount.
func (c *Check) turned(path string) bool {
	mounts, err := c.fs.Mounts()
	if err != nil {
		return false
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	var last proc.Mount // at the longest path; of several there, the last is on top
	for _, m := range mounts {
		if within(path, m.Point) && len(m.Point) >= len(last.Point) {
			last = m
		}
	}
	return hasOption(last.Options, "rw") && hasOption(last.SuperOptions, "ro")
}

// within tells whether a path is at or below another.
func within(path, point string) bool {
	return point == "/" || path == point || strings.HasPrefix(path, point+"/")
}

func hasOption(options, name string) bool {
	return slices.Contains(strings.Split(options, ","), name)
}

// bytes multiplies without overflow: some file systems report fantastic sizes.
func bytes(blocks uint64, size int64) checks.Size {
	if size > 0 && blocks > math.MaxInt64/uint64(size) {
		return math.MaxInt64
	}
	return checks.Size(blocks) * checks.Size(size) //nolint:gosec // bounded above
}

// usage counts blocks or inodes.
type usage struct{ used, free uint64 }

// percent is what df(1) shows; 0 for a file system that does not count.
func (u usage) percent() checks.Percent {
	if u.used+u.free == 0 {
		return 0
	}
	return checks.Percent(float64(u.used) / float64(u.used+u.free) * 100)
}

// judge compares with the limits, which default when they are zero. A default
// warning does not come after a failure.
func (u usage) judge(path, what string, warn, most checks.Percent) (string, health.Status) {
	most = cmp.Or(most, DefaultMaxUsed)
	warn = cmp.Or(warn, min(DefaultWarnUsed, most))
	p := u.percent()
	text := fmt.Sprintf("%s uses %.1f%%%s", path, float64(p), what)
	switch {
	case p > most:
		return fmt.Sprintf("%s, more than %v", text, most), health.Fail
	case p > warn:
		return fmt.Sprintf("%s, more than %v", text, warn), health.Warn
	default:
		return text, health.Pass
	}
}
