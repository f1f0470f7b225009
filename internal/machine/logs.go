package machine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"hale/internal/explain"
	"hale/internal/proc"
)

// Log is where a program tells of its troubles: a file, or systemd's journal.
type Log struct {
	Path    string // of the file; "" for the journal
	Unit    string // of systemd, for the journal
	Program string // whose it is, as people call it; "" for one that is only there
	From    LogSource
	Changed time.Time // when the file was last written to; zero for the journal
}

// LogSource is how a log was found.
type LogSource string

// How logs are found, the surest first.
const (
	FromConfiguration LogSource = "configuration" // of a web server, or the command line
	FromOutput        LogSource = "output"        // its standard output or error
	FromOpenFile      LogSource = "open file"
	FromJournal       LogSource = "journal"
	FromUsualPlace    LogSource = "usual place"
)

// String is the file, or how to see the journal.
func (l Log) String() string {
	if l.Path != "" {
		return l.Path
	}
	return "journalctl -u " + l.Unit
}

// Tail returns the last lines of the log, oldest first, as Tail and Journal do.
func (l Log) Tail(ctx context.Context, maxBytes int) ([]string, error) {
	if l.Path != "" {
		return Tail(l.Path, maxBytes)
	}
	return Journal(ctx, l.Unit, maxBytes)
}

// Logs returns the error logs of some processes and of those that descend from
// them, such as a server and its workers: the surest first. Files that do not
// exist are left out, and so are logs of access. What this process may not see
// is left out, too; then, and for no processes at all, it is what lies in the
// usual places, the last written first.
func Logs(pids ...int) []Log {
	if supported() != nil {
		return nil
	}
	f := finder{seen: make(map[int]bool)}
	for _, pid := range pids {
		f.process(pid)
	}
	slices.SortStableFunc(f.logs, func(a, b Log) int {
		return cmp.Compare(slices.Index(surest, a.From), slices.Index(surest, b.From))
	})
	if len(pids) == 0 || len(f.logs) == 0 {
		f.usual(pids)
	}
	return f.logs
}

var surest = []LogSource{FromConfiguration, FromOutput, FromOpenFile, FromJournal, FromUsualPlace}

// finder collects logs, each once.
type finder struct {
	logs []Log
	seen map[int]bool // processes
}

// add takes a file, if there is one.
func (f *finder) add(path, program string, from LogSource) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	for _, known := range f.logs {
		if known.Path == path {
			return
		}
		if other, err := os.Stat(known.Path); err == nil && os.SameFile(info, other) {
			return
		}
	}
	f.logs = append(f.logs, Log{Path: path, Program: program, From: from, Changed: info.ModTime()})
}

// maxFamily bounds how many processes of one server are looked into.
const maxFamily = 200

// process looks into a process, and all that descend from it.
func (f *finder) process(pid int) {
	if f.seen[pid] {
		return
	}
	p, err := Inspect(pid)
	if err != nil {
		return
	}
	name, root := p.Name(), rootOf(pid)
	if s, err := WebServerOf(pid); err == nil {
		for _, path := range s.ErrorLogs {
			f.add(visible(root, path), name, FromConfiguration)
		}
	}
	for _, path := range logOptions(p.Args) {
		f.add(visible(root, inDir(path, p.Dir)), name, FromConfiguration)
	}
	family := Family(pid)
	for _, pid := range family {
		f.seen[pid] = true
	}
	for _, pid := range family[:min(len(family), maxFamily)] {
		for _, path := range (Process{PID: pid}).Output() {
			f.add(path, name, FromOutput)
		}
	}
	for _, pid := range family[:min(len(family), maxFamily)] {
		for _, path := range openLogs(pid) {
			f.add(path, name, FromOpenFile)
		}
	}
	if unit := UnitOf(pid); unit != "" && journals() && !slices.ContainsFunc(f.logs, func(l Log) bool { return l.Unit == unit }) {
		f.logs = append(f.logs, Log{Unit: unit, Program: name, From: FromJournal})
	}
	for _, pattern := range ownLogs {
		if p.Dir != "" && p.Dir != "/" {
			found, _ := filepath.Glob(filepath.Join(visible(root, p.Dir), pattern)) // the pattern is a good one
			for _, path := range found {
				f.add(path, name, FromUsualPlace)
			}
		}
	}
}

// ownLogs are where frameworks write to, below their directory.
var ownLogs = []string{"log/production.log", "storage/logs/laravel.log", "var/log/prod.log", "wp-content/debug.log", "logs/application.log"}

// logOptions returns the files that a command line says to log to: gunicorn's,
// uWSGI's, HAProxy's and others' options.
func logOptions(args []string) []string {
	var files []string
	for i, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !slices.Contains([]string{"--error-logfile", "--log-file", "--logto", "--logto2", "--daemonize", "--logger", "--errorlog"}, name) {
			continue
		}
		if !ok && i+1 < len(args) {
			value = args[i+1]
		}
		value = strings.TrimPrefix(value, "file:")
		if value != "" && value != "-" && !strings.Contains(value, ":") {
			files = append(files, value)
		}
	}
	return files
}

// openLogs returns the regular files that a process may write to, and that look
// like logs.
func openLogs(pid int) []string {
	dir := procFile(pid, "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	root := rootOf(pid)
	var files []string
	for _, entry := range entries[:min(len(entries), 10_000)] {
		name, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil || !looksLikeLog(name) || !written(pid, entry.Name()) {
			continue
		}
		files = append(files, visible(root, name))
	}
	return files
}

// looksLikeLog tells whether a file has the name of a log that is not of access.
func looksLikeLog(name string) bool {
	if !filepath.IsAbs(name) || strings.HasPrefix(name, "/dev/") || strings.Contains(filepath.Base(name), "access") {
		return false
	}
	return slices.Contains([]string{".log", ".err", ".out", ".stderr", ".stdout"}, filepath.Ext(name)) ||
		slices.ContainsFunc(strings.Split(filepath.Dir(name), "/"), func(part string) bool { return part == "log" || part == "logs" })
}

// written tells whether a file is open for writing (proc_pid_fdinfo(5)).
func written(pid int, fd string) bool {
	content, err := proc.FS{}.Read("proc/" + strconv.Itoa(pid) + "/fdinfo/" + fd)
	if err != nil {
		return false
	}
	for line := range strings.Lines(content) {
		if value, ok := strings.CutPrefix(line, "flags:"); ok {
			flags, err := strconv.ParseUint(strings.TrimSpace(value), 8, 32)
			return err == nil && flags&syscall.O_ACCMODE != syscall.O_RDONLY
		}
	}
	return false
}

// usualLogs are where packages have their programs' error logs; "" are those of
// platforms and apps, whose program's name tells nothing.
var usualLogs = []struct{ program, pattern string }{
	{"nginx", "/var/log/nginx/error.log"},
	{"nginx", "/var/log/nginx/*error*.log"},
	{"apache2", "/var/log/apache2/error.log"},
	{"apache2", "/var/log/apache2/*error*.log"},
	{"httpd", "/var/log/httpd/error_log"},
	{"httpd", "/var/log/httpd/*error_log"},
	{"haproxy", "/var/log/haproxy.log"},
	{"caddy", "/var/log/caddy/*.log"},
	{"uwsgi", "/var/log/uwsgi/*.log"},
	{"uwsgi", "/var/log/uwsgi/app/*.log"},
	{"gunicorn", "/var/log/gunicorn/*.log"},
	{"php-fpm", "/var/log/php*fpm*.log"},
	{"java", "/var/log/tomcat*/catalina.out"},
	{"", "/var/log/web.stdout.log"}, // Elastic Beanstalk
	{"", "/var/log/web.error.log"},
	{"", "/var/log/eb-engine.log"},
	{"", "/var/log/supervisor/*.log"},
}

// usual adds what lies in the usual places: of the processes' programs, or of
// all if there are none.
func (f *finder) usual(pids []int) {
	var names []string
	for _, pid := range pids {
		if p, err := Inspect(pid); err == nil {
			names = append(names, p.Name(), p.Program)
		}
	}
	for _, place := range usualLogs {
		known := slices.ContainsFunc(names, func(name string) bool {
			return place.program != "" && strings.HasPrefix(name, place.program)
		})
		if len(pids) > 0 && !known && place.program != "" {
			continue
		}
		found, _ := filepath.Glob(place.pattern) // the pattern is a good one
		for _, path := range found {
			if !strings.Contains(filepath.Base(path), "access") {
				f.add(path, place.program, FromUsualPlace)
			}
		}
	}
	slices.SortStableFunc(f.logs, func(a, b Log) int { return b.Changed.Compare(a.Changed) })
}

// DefaultTail is how many bytes Tail reads where it is told none.
const DefaultTail = 64 << 10

// Tail returns the last lines of a file, oldest first, without those that are
// empty: all that begin within its last maxBytes, 0 meaning DefaultTail. They
// can be printed: what is not text is left out, and what is too long for a
// screen. The error is fs.ErrPermission or fs.ErrNotExist where it applies.
func Tail(path string, maxBytes int) ([]string, error) {
	content, cut, err := tail(path, cmp.Or(max(maxBytes, 0), DefaultTail))
	if err != nil {
		return nil, &explain.Error{Text: "read the log: " + explain.Innermost(err) + ": " + path, Err: err}
	}
	return lines(content, cut), nil
}

// tail reads the end of a file; cut tells that there is more before it.
func tail(path string, maxBytes int) (content []byte, cut bool, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // nobody may ever write into a pipe
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() {
		return nil, false, errors.New("not a regular file")
	}
	begin := info.Size() - int64(maxBytes)
	if begin <= 0 {
		content, err = io.ReadAll(io.NewSectionReader(file, 0, int64(maxBytes)))
		return content, false, err
	}
	// The byte before tells whether a line begins there.
	content, err = io.ReadAll(io.NewSectionReader(file, begin-1, int64(maxBytes)+1))
	if err != nil || len(content) == 0 {
		return nil, false, err
	}
	return content[1:], content[0] != '\n', nil
}

// lines splits a text into lines that can be printed; cut tells that the first is
// not whole.
func lines(content []byte, cut bool) []string {
	if cut {
		if i := bytes.IndexByte(content, '\n'); i >= 0 {
			content = content[i+1:]
		}
	}
	var all []string
	for line := range bytes.Lines(content) {
		if text := printable(line); text != "" {
			all = append(all, text)
		}
	}
	return all
}

// maxLine bounds a line, in bytes: those of tracebacks and of nginx are shorter.
const maxLine = 1000

// escapes are colours and the like, of ECMA-48.
var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]`)

// printable makes one printable line, and leaves its indentation.
func printable(line []byte) string {
	if len(line) > maxLine {
		line = append(slices.Clip(line[:maxLine]), "..."...)
	}
	text := strings.ToValidUTF8(string(escapes.ReplaceAll(line, nil)), "\uFFFD")
	return strings.TrimRight(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text), " ")
}
