package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// output is the directory of what instances write, a file each; empty: nothing is
// kept.
type output string

const (
	outputDir   = "instances"
	mostOutput  = 1 << 20 // bytes of an instance, and as many of what was before
	keptOutputs = 20      // of instances that have ended
	boundEvery  = 5 * time.Second
)

func openOutput(stateDir string) (output, error) {
	dir := filepath.Join(stateDir, outputDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the directory of what instances write: %w", err)
	}
	return output(dir), nil
}

func (o output) path(id string) string {
	if o == "" {
		return ""
	}
	return filepath.Join(string(o), id+".log")
}

// create returns the file that an instance writes to, nil if nothing is kept.
func (o output) create(id string) (*os.File, error) {
	if o == "" {
		return nil, nil //nolint:nilnil // no file: the null device
	}
	file, err := os.OpenFile(o.path(id), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the file that an instance writes to: %w", err)
	}
	return file, nil
}

// bound keeps what instances write from filling the disk.
func (h *Host) bound() {
	if h.output == "" || time.Since(h.bounded) < boundEvery {
		return
	}
	h.bounded = time.Now()
	err := h.output.bound(mostOutput, keptOutputs, func(id string) bool {
		_, i := h.State().Instance(id)
		return i != nil
	})
	if err != nil {
		h.log.Warn("what instances write could not be kept within bounds", "error", err)
	}
}

// bound moves what is in files longer than most to a second file, and removes the
// oldest files of instances that are gone, all but kept.
func (o output) bound(most int64, kept int, there func(id string) bool) error {
	entries, err := os.ReadDir(string(o))
	if err != nil {
		return err
	}
	var errs []error
	var gone []os.FileInfo
	for _, entry := range entries {
		id, isLog := strings.CutSuffix(entry.Name(), ".log")
		info, err := entry.Info()
		if !isLog || err != nil {
			continue
		}
		if info.Size() > most {
			errs = append(errs, o.turn(id, most))
		}
		if !there(id) {
			gone = append(gone, info)
		}
	}
	slices.SortFunc(gone, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, info := range gone[min(kept, len(gone)):] {
		path := filepath.Join(string(o), info.Name())
		errs = append(errs, os.Remove(path))
		if err := os.Remove(path + ".1"); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// turn copies the end of a file to the second one, and empties it. The instance,
// which appends, goes on at its beginning; what it writes in that moment is lost.
func (o output) turn(id string, most int64) error {
	path := o.path(id)
	from, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path+".1", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = from.Seek(-most, io.SeekEnd)
	if err == nil {
		_, err = io.Copy(to, io.LimitReader(from, most))
	}
	return errors.Join(err, to.Close(), from.Truncate(0))
}
