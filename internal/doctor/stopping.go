package doctor

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"hale/internal/machine"
	"hale/internal/machine/containercheck"
)

// examineStop looks whether what stops the app ends uWSGI at all: to SIGTERM its
// master answers with a reload unless it was told otherwise. No signal is sent.
func (x *examination) examineStop(ctx context.Context, app machine.Process, own []definition, by machine.Container) {
	seen, reloads := reloadsOnTerm(app)
	if !reloads {
		return
	}
	how, signal, known := stopOf(ctx, app, own, by)
	switch {
	case !known:
		x.undecided = append(x.undecided, Undecided{
			"whether a stop ends uWSGI (shutdown-order-502): it has no die-on-term, so it answers SIGTERM with a reload, and what stops it here is not known",
			"see what stops it: KillSignal= of its unit, STOPSIGNAL of its image; SIGINT and SIGQUIT end it",
		})
		return
	case signal != "SIGTERM" && signal != "SIGHUP":
		return
	}
	x.asideOf("shutdown-order-502", append(seen, Evidence{Change: "what stops it: " + how, Before: signal}))
	if f := &x.findings[len(x.findings)-1]; f.ID == "shutdown-order-502" {
		f.Because = "uWSGI answers " + signal + " with a reload, as long as die-on-term is not set: it goes on taking requests until it is killed in the midst of them, and their users get 502."
	}
}

// supervisors are programs that get a container's stop signal and have one of
// their own for what they started.
var supervisors = []string{"supervisord", "s6-supervise", "runsv", "circusd", "monit", "systemd", "uwsgi"}

// stopOf tells which signal stops the app, and who says so.
func stopOf(ctx context.Context, app machine.Process, own []definition, by machine.Container) (how, signal string, known bool) {
	if by == "" {
		unit := machine.UnitOf(app.PID)
		if unit == "" {
			return "", "", false
		}
		signal, err := machine.KillSignal(ctx, unit)
		return "KillSignal of " + unit, signal, err == nil
	}
	if parent, err := machine.Inspect(app.Parent); err == nil && slices.Contains(supervisors, process(parent.Name())) {
		return "", "", false // it stops the app in its own way
	}
	image := false // whether the file that makes it was seen
	for _, d := range own {
		if d.StopSignal != "" {
			return d.file, d.StopSignal, true
		}
		image = image || d.Kind == containercheck.Dockerfile
	}
	if !image {
		return "", "", false
	}
	return own[len(own)-1].file + ", without STOPSIGNAL", "SIGTERM", true
}

// reloadsOnTerm tells whether a process is uWSGI with a master that takes SIGTERM
// for a reload, and what shows it (uWSGI's documentation, "Managing the uWSGI
// server", signals).
func reloadsOnTerm(p machine.Process) (seen []Evidence, reloads bool) {
	if !strings.HasPrefix(p.Program, "uwsgi") {
		return nil, false
	}
	if set, err := p.Env("UWSGI_DIE_ON_TERM"); err != nil || set {
		return nil, false
	}
	options, files, whole := uwsgiOptions(p)
	switch {
	case !whole, !options.has("master", "M"):
		return nil, false
	case options.has("die-on-term"), options.hooked():
		return nil, false
	}
	where := "its command line"
	if len(files) > 0 {
		where += " and " + strings.Join(files, ", ")
	}
	return []Evidence{{Change: "uWSGI's options in " + where, Before: "master, and no die-on-term"}}, true
}

// uwsgiSettings are options by their names.
type uwsgiSettings map[string][]string

// has tells whether a switch is on.
func (s uwsgiSettings) has(names ...string) bool {
	for _, name := range names {
		for _, value := range s[name] {
			if !slices.Contains([]string{"false", "0", "no", "off"}, strings.ToLower(value)) {
				return true
			}
		}
	}
	return false
}

// hooked tells whether SIGTERM was given another meaning.
func (s uwsgiSettings) hooked() bool {
	for name, values := range s {
		if strings.HasPrefix(name, "hook-") && slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, "unix_signal:15") }) {
			return true
		}
	}
	return false
}

var iniLine = regexp.MustCompile(`^\s*([A-Za-z][\w-]*)\s*(?:=\s*(.*?))?\s*$`)

// uwsgiOptions reads the options of the command line and of the files of form ini
// that it names; whole is false where some could not be read.
func uwsgiOptions(p machine.Process) (options uwsgiSettings, files []string, whole bool) {
	options, whole = uwsgiSettings{}, true
	for i := 1; i < len(p.Args); i++ {
		arg := p.Args[i]
		if !strings.HasPrefix(arg, "-") {
			if strings.HasSuffix(arg, ".ini") {
				files = append(files, arg)
			} else if strings.HasSuffix(arg, ".yml") || strings.HasSuffix(arg, ".yaml") || strings.HasSuffix(arg, ".xml") || strings.HasSuffix(arg, ".json") {
				whole = false
			}
			continue
		}
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if value == "" && i+1 < len(p.Args) && !strings.HasPrefix(p.Args[i+1], "-") {
			value = p.Args[i+1]
		}
		options[name] = append(options[name], value)
		switch name {
		case "ini", "ini-paste":
			files = append(files, value)
			if arg == "--ini" || arg == "-ini" {
				i++
			}
		case "xml", "x", "yaml", "y", "json", "j", "config", "emperor", "inherit", "include":
			whole = false
		}
	}
	for _, variable := range []string{"UWSGI_INI", "UWSGI_YAML", "UWSGI_XML", "UWSGI_JSON", "UWSGI_MASTER"} {
		if set, err := p.Env(variable); err != nil || set {
			whole = false
		}
	}
	for n, file := range files {
		file, section, _ := strings.Cut(file, ":")
		content, err := p.ReadFile(file, sourceBytes)
		if err != nil || section != "" {
			return options, files, false
		}
		if !filepath.IsAbs(file) {
			files[n] = filepath.Join(p.Home(), file)
		}
		for line := range strings.Lines(string(content)) {
			m := iniLine.FindStringSubmatch(line)
			if m == nil { // a section, a comment
				continue
			}
			options[m[1]] = append(options[m[1]], strings.Trim(m[2], `"`))
			if slices.Contains([]string{"ini", "include", "inherit", "plugins-include", "if-env", "for"}, m[1]) {
				whole = false
			}
		}
	}
	return options, files, whole
}
