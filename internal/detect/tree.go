package detect

import (
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
)

const (
	maxFile  = 1 << 20 // a larger one is no settings file
	maxDepth = 3       // of directories that are searched
	maxFiles = 5000    // that are looked at in one search
)

// tree is the app's directory.
type tree struct {
	fsys fs.FS
	dir  string // where it is; paths below it are made absolute with it
}

// read returns a file's text; "" and false where there is none, or none to be
// read.
func (t *tree) read(name string) (string, bool) {
	f, err := t.fsys.Open(name)
	if err != nil {
		return "", false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxFile {
		return "", false
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return "", false
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n"), true
}

// exists says whether there is a file or a directory of that name.
func (t *tree) exists(name string) bool {
	_, err := fs.Stat(t.fsys, name)
	return err == nil
}

// first returns the first of names that exists.
func (t *tree) first(names ...string) (string, bool) {
	i := slices.IndexFunc(names, t.exists)
	if i < 0 {
		return "", false
	}
	return names[i], true
}

// find returns the files that match, the shallowest first and then by name.
// Directories of other people's code and of build results are left out.
func (t *tree) find(match func(name string) bool) []string {
	var found []string
	seen := 0
	_ = fs.WalkDir(t.fsys, ".", func(name string, d fs.DirEntry, err error) error {
		seen++
		switch {
		case seen > maxFiles:
			return fs.SkipAll
		case err != nil && d != nil && d.IsDir():
			return fs.SkipDir
		case err != nil:
			return nil
		case d.IsDir() && name != "." && (foreign(path.Base(name)) || strings.Count(name, "/") >= maxDepth):
			return fs.SkipDir
		case !d.IsDir() && match(name) && !strings.ContainsFunc(name, unicode.IsControl):
			found = append(found, name)
		}
		return nil
	})
	slices.SortStableFunc(found, func(a, b string) int { return strings.Count(a, "/") - strings.Count(b, "/") })
	return found
}

// foreign says whether a directory holds no code of the app's own.
func foreign(name string) bool {
	switch name {
	case "node_modules", "vendor", "venv", "env", "site-packages", "target", "build", "dist", "static", "media", "tmp", "log", "coverage", "__pycache__":
		return true
	}
	return strings.HasPrefix(name, ".")
}

// lineOf returns the number of the line at an offset.
func lineOf(text string, offset int) int { return 1 + strings.Count(text[:offset], "\n") }
