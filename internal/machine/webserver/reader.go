package webserver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"hale/internal/explain"
)

// What is read at most: a configuration is some KiB, seldom some hundreds.
const (
	maxFile    = 1 << 20
	maxFiles   = 1000
	maxBytes   = 16 << 20 // of all files together
	maxDepth   = 10       // of files that include files
	maxNesting = 50       // of blocks within blocks
)

// reader reads the files of a configuration, and remembers which, and which not.
type reader struct {
	root   string
	files  []string
	unread []error
	depth  int
	count  int
	bytes  int
}

// complain notes what could not be read; of many such things, the first.
func (r *reader) complain(err error) {
	const enough = 50
	if len(r.unread) < enough {
		r.unread = append(r.unread, err)
	}
}

// open reads a file that exists by all accounts.
func (r *reader) open(name string) (content string, ok bool) {
	if r.count++; r.count > maxFiles {
		if r.count == maxFiles+1 {
			r.complain(fmt.Errorf("not read, since these are more than %d files: %s", maxFiles, explain.Line(name)))
		}
		return "", false
	}
	content, err := readRegular(filepath.Join("/", r.root, name))
	if err != nil {
		text := explain.Innermost(err)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			text = "no such file"
		case errors.Is(err, fs.ErrPermission):
			text = "permission denied"
		}
		r.complain(&explain.Error{Text: text + ": " + explain.Line(name), Err: err})
		return "", false
	}
	if r.bytes += len(content); r.bytes > maxBytes {
		r.complain(fmt.Errorf("not read, since the files are more than %d MiB: %s", maxBytes>>20, explain.Line(name)))
		return "", false
	}
	r.files = append(r.files, name)
	return content, true
}

// readRegular reads a file, and does not wait for who would write into a pipe.
func readRegular(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a regular file")
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("larger than %d KiB", maxFile>>10)
	}
	return string(content), err
}

// glob returns the files that a pattern of an include means, in their order.
func (r *reader) glob(pattern string) []string {
	if !strings.ContainsAny(pattern, "*?[") {
		return []string{pattern}
	}
	root := filepath.Join("/", r.root)
	found, _ := filepath.Glob(filepath.Join(root, pattern)) // a pattern that is none finds none
	for i := range found {
		found[i] = filepath.Join("/", strings.TrimPrefix(found[i], root))
	}
	return found
}

// dir tells whether a name is a directory.
func (r *reader) dir(name string) bool {
	info, err := os.Stat(filepath.Join("/", r.root, name))
	return err == nil && info.IsDir()
}

// exists tells whether there is a file.
func (r *reader) exists(name string) bool {
	_, err := os.Stat(filepath.Join("/", r.root, name))
	return err == nil
}

// include hands the content of each file that a pattern means to parse.
func (r *reader) include(pattern string, parse func(name, content string)) {
	if r.depth >= maxDepth {
		r.complain(fmt.Errorf("not read, since files include each other more than %d deep: %s", maxDepth, explain.Line(pattern)))
		return
	}
	r.depth++
	defer func() { r.depth-- }()
	for _, name := range r.glob(pattern) {
		if content, ok := r.open(name); ok {
			parse(name, content)
		}
	}
}

// absolute is the name of a file that is given relative to a directory.
func absolute(name, dir string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(dir, name)
}

// logFile tells whether a log goes to a file of its own.
func logFile(name string) bool {
	return filepath.IsAbs(name) && !strings.HasPrefix(name, "/dev/") && !strings.ContainsAny(name, "$%{|")
}

// secretive finds what conditions compare: fields of the header, cookies and
// arguments, in the ways of nginx, HAProxy, Apache and Caddy.
var secretive = regexp.MustCompile(`(?i)\$(?:http|cookie|arg)_(\w+)` +
	`|(?:hdr\w*|cook\w*|urlp\w*|url_param|req\.payload)\(([^),]*)` +
	`|%\{(?:HTTP:)([^}]+)\}|%\{HTTP_(COOKIE)\}|%\{(QUERY_STRING)\}|\b(?:http|req)\('?([\w-]+)` +
	`|\bheader(?:_regexp)?\s+(\S+)|\bquery\s+(\S+)`)

// harmless are the fields whose values are no secrets.
var harmless = []string{
	"host", "user-agent", "accept", "accept-language", "accept-encoding", "connection", "upgrade", "referer",
	"x-forwarded-proto", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-ssl", "cloudfront-forwarded-proto",
}

// conceal returns a condition as it is written, or, where it may hold a secret,
// what it is about.
func conceal(condition string) string {
	var about []string
	for _, groups := range secretive.FindAllStringSubmatch(condition, -1) {
		name := strings.ToLower(strings.ReplaceAll(strings.Trim(first(groups[1:]...), `"'`), "_", "-"))
		if !slices.Contains(harmless, name) && !slices.Contains(about, name) {
			about = append(about, name)
		}
	}
	if len(about) > 0 {
		return "a condition on " + strings.Join(about, ", ")
	}
	return condition
}

// joined makes a line of words that can be printed; what holds spaces is quoted.
func joined(words ...string) string {
	quoted := make([]string, 0, len(words))
	for _, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n;{}") && !strings.HasPrefix(w, "(") {
			w = `"` + w + `"`
		}
		quoted = append(quoted, w)
	}
	return printable(strings.Join(quoted, " "))
}

// printable makes one short line of a text that can be printed.
func printable(text string) string { return explain.Line(strings.ReplaceAll(text, "\n", " ")) }
