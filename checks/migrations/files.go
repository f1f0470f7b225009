package migrations

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hale/checks/internal/database"
	"hale/internal/explain"
)

// source is where the code's migrations are to be read from: a project's
// directory, and the options that say more.
type source struct {
	dir      string   // the project's
	paths    []string // of the migrations within it; none: where the tool looks
	kind     database.Kind
	contexts []string
	labels   string
	django   djangoOptions
}

func (c *Check) source() source {
	return source{
		dir: c.projectDir(), paths: c.Paths, kind: c.session.Kind(),
		contexts: c.Contexts, labels: c.Labels,
		django: djangoOptions{
			python: c.Python, settings: c.Settings, alias: c.Alias, apps: c.Apps, user: c.User,
			lookup: c.Lookup, environ: c.Environ, url: c.Database,
		},
	}
}

// What is read of a project is bounded: dir may be wrong, and be "/".
const (
	maxFiles = 50_000
	maxDepth = 32
	maxFile  = 16 << 20
)

// directories returns those that hold the migrations: the paths of the options,
// each of which must be there, or the first of the usual places that is.
func (s source) directories(usual ...string) ([]string, error) {
	if len(s.paths) == 0 {
		for _, path := range usual {
			if dir := filepath.Join(s.dir, path); isDir(dir) {
				return []string{dir}, nil
			}
		}
		if !isDir(s.dir) {
			return nil, fmt.Errorf("no such directory: %s", s.dir)
		}
		return nil, fmt.Errorf("no migrations in %s: there is no directory %s; set paths", s.dir, strings.Join(usual, ", "))
	}
	var dirs []string
	for _, path := range s.paths {
		dir := s.path(path)
		if !isDir(dir) {
			return nil, fmt.Errorf("no such directory: %s", dir)
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// path returns a path of the options as one that can be used.
func (s source) path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.dir, path)
}

// file is a file with its path and what it is called.
type file struct{ path, name string }

// files returns the files in directories, and in those below them if deep is
// set, in the order of their paths.
func files(ctx context.Context, dirs []string, deep bool) ([]file, error) {
	var all []file
	for _, dir := range dirs {
		err := walk(ctx, dir, func(f file) { all = append(all, f) }, func(string, int) bool { return deep })
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// walk calls visit for all files below a directory, and enters the directories
// of which enter says so. It follows no symbolic link to a directory.
func walk(ctx context.Context, dir string, visit func(file), enter func(name string, depth int) bool) error {
	left := maxFiles
	var descend func(dir string, depth int) error
	descend = func(dir string, depth int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return pathError(err)
		}
		if left -= len(entries); left < 0 {
			return fmt.Errorf("more than %d files below %s: is it the project's directory?", maxFiles, dir)
		}
		for _, entry := range entries {
			path := filepath.Join(dir, entry.Name())
			if !entry.IsDir() {
				visit(file{path, entry.Name()})
				continue
			}
			if depth >= maxDepth || !enter(entry.Name(), depth) {
				continue
			}
			if err := descend(path, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return descend(dir, 0)
}

// readFile reads a file that is as small as source code is.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, pathError(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, pathError(err)
	case len(content) > maxFile:
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxFile>>20)
	}
	return content, nil
}

// pathError puts the cause before the path, as all messages do.
func pathError(err error) error {
	path, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err
	}
	text := explain.Innermost(err)
	if errors.Is(err, fs.ErrNotExist) {
		text = "no such file or directory"
	}
	return &explain.Error{Text: text + ": " + path.Path, Err: err}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// hasSuffix reports whether a name ends in one of several ways.
func hasSuffix(name string, suffixes ...string) bool {
	return slices.ContainsFunc(suffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}
