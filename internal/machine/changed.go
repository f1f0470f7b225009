package machine

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"hale/internal/proc"
)

// Changed is a file that a program read when it started, or was told to read it
// again, and that has been changed since.
type Changed struct {
	Path string
	// At is when the file was changed; Loaded when the program last read its
	// configuration, as far as that can be seen.
	At, Loaded time.Time
}

// slack is how much newer than the program a file must be: time stamps of files
// are coarse, and clocks are set.
const slack = 2 * time.Second

// ConfigChangedAfterStart returns the files that a program reads at its start and
// that have been changed since, the last changed first: its configuration, files
// of its environment, its own file, and the settings of an app that is read from
// its source.
//
// A server that was told to read its configuration again gets new workers, so
// that what counts is the start of its oldest worker. Caddy reads it again
// without a trace, and PHP reads its source each time: of these, such files are
// not told.
func ConfigChangedAfterStart(pid int) ([]Changed, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	var system proc.FS
	found, err := system.Process(pid)
	if err != nil {
		return nil, err
	}
	found = oldest(found)
	p, err := Inspect(found.PID)
	if err != nil {
		return nil, err
	}
	loaded := p.loaded()
	changed := newer(configFiles(p), loaded)
	if path, replaced := strings.CutSuffix(p.Executable, " (deleted)"); replaced {
		if info, err := os.Stat(visible(rootOf(p.PID), path)); err == nil {
			changed = append(changed, Changed{path, info.ModTime(), p.Start})
		}
	}
	slices.SortStableFunc(changed, func(a, b Changed) int { return b.At.Compare(a.At) })
	return changed[:min(len(changed), 20)], nil
}

// loaded is when a program last read its configuration: when it, or the oldest
// of its workers, was started.
func (p Process) loaded() time.Time {
	var first time.Time
	for _, pid := range p.Children {
		child, err := Inspect(pid)
		if err != nil || child.Program != p.Program || strings.Contains(strings.Join(child.Args, " "), "is shutting down") {
			continue
		}
		if first.IsZero() || child.Start.Before(first) {
			first = child.Start
		}
	}
	if first.After(p.Start) {
		return first
	}
	return p.Start
}

// newer returns those of the files that were changed after a time.
func newer(files []string, loaded time.Time) []Changed {
	var changed []Changed
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || !info.ModTime().After(loaded.Add(slack)) {
			continue
		}
		changed = append(changed, Changed{path, info.ModTime(), loaded})
	}
	return changed
}

// maxConfigFiles bounds how many files are looked at.
const maxConfigFiles = 2000

// configFiles returns the files that a program read when it was started, as
// far as they are known, each once.
func configFiles(p Process) []string {
	root := rootOf(p.PID)
	var files []string
	add := func(names ...string) {
		for _, name := range names {
			name = visible(root, name)
			if len(files) < maxConfigFiles && !slices.Contains(files, name) {
				files = append(files, name)
			}
		}
	}
	if unit := UnitOf(p.PID); unit != "" {
		add(unitFiles("/", unit)...)
	}
	if _, ok := webServers[p.Program]; ok {
		if s, err := WebServerOf(p.PID); err == nil && p.Program != "caddy" {
			add(s.Files...)
		}
		return files
	}
	for _, name := range namedFiles(p.Args) {
		add(inDir(name, p.Dir))
	}
	if _, name, ok := strings.Cut(strings.Join(p.Args, " "), "php-fpm: master process ("); ok {
		name = strings.TrimSuffix(strings.TrimSpace(name), ")")
		add(name)
		add(globIn(root, filepath.Join(filepath.Dir(name), "pool.d", "*.conf"))...)
		return files
	}
	if p.Dir == "" || p.Dir == "/" {
		return files
	}
	for _, pattern := range settings {
		add(globIn(root, filepath.Join(p.Dir, pattern))...)
	}
	return files
}

// globIn is filepath.Glob below a root.
func globIn(root, pattern string) []string {
	found, _ := filepath.Glob(filepath.Join("/", root, pattern)) // a directory that is no good pattern has none
	for i := range found {
		found[i] = filepath.Join("/", strings.TrimPrefix(found[i], root))
	}
	return found
}

// settings are the files, below its directory, that an app reads at its start.
var settings = []string{
	".env", ".env.production", "gunicorn.conf.py", "uwsgi.ini",
	"settings.py", "*/settings.py", "*/settings/*.py", "*/*/settings.py", "config/settings/*.py",
	"config/application.rb", "config/environment.rb", "config/environments/*.rb", "config/initializers/*.rb", "config/puma.rb", "config/routes.rb",
	"appsettings*.json", "application*.properties", "application*.yml", "config/application*.properties", "config/application*.yml",
	"next.config.*", "ecosystem.config.js",
}

// configOptions are the options by which servers are told of files: gunicorn,
// uWSGI, Puma, Uvicorn, PHP-FPM and others.
var configOptions = []string{
	"-c", "--config", "-C", "--ini", "--yaml", "--yml", "--xml", "--json", "--env-file", "--log-config", "-y", "--fpm-config",
	"--settings", "-x", "--touch-reload", "--spring.config.location",
}

var configNames = regexp.MustCompile(`\.(?:ini|ya?ml|toml|conf|cfg|py|js|mjs|cjs|ts|rb|ru|jar|json|env|properties)$`)

// namedFiles returns what on a command line may be the name of a file that the
// program reads.
func namedFiles(args []string) []string {
	var files []string
	for i, arg := range args {
		if i == 0 {
			continue
		}
		name, value, ok := strings.Cut(arg, "=")
		switch {
		case ok && slices.Contains(configOptions, name):
			arg = value
		case !ok && slices.Contains(configOptions, args[i-1]):
		case strings.HasPrefix(arg, "-") || !configNames.MatchString(arg):
			continue
		}
		arg = strings.TrimPrefix(strings.TrimPrefix(arg, "python:"), "file:")
		if arg != "" && !strings.HasPrefix(arg, "-") {
			files = append(files, arg)
		}
	}
	return files
}

// unitFiles returns the files that make a unit (systemd.unit(5)), and those of
// its environment (EnvironmentFile= of systemd.exec(5)).
func unitFiles(root, unit string) []string {
	names := []string{unit}
	if name, _, ok := strings.Cut(unit, "@"); ok {
		names = append(names, name+"@.service")
	}
	var files []string
	for _, dir := range []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
		for _, name := range names {
			path := filepath.Join(dir, name)
			for _, file := range append([]string{path}, globIn(root, path+".d/*.conf")...) {
				if content, _, err := tail(filepath.Join(root, file), maxUnitFile); err == nil {
					files = append(files, file)
					files = append(files, environmentFiles(string(content))...)
				}
			}
		}
	}
	return files
}

const maxUnitFile = 64 << 10

// environmentFiles returns the files that EnvironmentFile= lines name.
func environmentFiles(content string) []string {
	var files []string
	for line := range strings.Lines(content) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "EnvironmentFile=")
		value = strings.Trim(strings.TrimPrefix(strings.TrimSpace(value), "-"), `"'`)
		if ok && filepath.IsAbs(value) && !strings.ContainsAny(value, "%*?[") {
			files = append(files, value)
		}
	}
	return files
}
