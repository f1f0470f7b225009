package doctor

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hale/internal/machine"
)

// lacksPort proves a port that the kernel chose by the code that asked for none.
// Of several such programs the site is the one that tells the path, or the
// site's name, from any.
func lacksPort(ctx context.Context, x *examination) []Evidence {
	found := toSockets(random)(x)
	if len(found) > 1 {
		found = slices.DeleteFunc(found, func(c change) bool {
			return !itsOwn(ctx, x, step{change: c, before: x.current, after: x.with(ctx, c)})
		})
	}
	if len(found) != 1 || !x.going() {
		return nil
	}
	s := step{change: found[0], before: x.current, after: x.with(ctx, found[0])}
	if x.diedElsewhere(ctx, s) {
		return nil
	}
	at, err := machine.ListenerAt(s.after.probe.Address)
	if err != nil || len(at) == 0 {
		return nil
	}
	x.randomPort = found
	from := x.portOf(at[0])
	x.variable = from.variable
	return []Evidence{
		{Change: "who takes the port from " + from.variable + ", which is not set", Before: from.place + ": " + from.line},
		{Change: "the sockets of this machine", Before: listening(at[0]) + ", a port that the kernel chose"},
	}
}

func toRandomPort(x *examination) []change { return x.randomPort }

// random fits a socket on a port that the kernel chose, of a program whose code
// takes its port from a variable that is not set: any other program may have its
// port from anywhere.
func random(x *examination, s machine.Socket) bool {
	port := s.Address.Port()
	if !byKernel(port) || s.Owner().PID == 0 {
		return false
	}
	if ip := s.Address.Addr().Unmap(); !usualLoopback(ip) && !s.Accepts(x.Probe.Address.Addr()) {
		return false // of no use to anybody who probes the site
	}
	for _, other := range x.surroundings.sockets { // who has several was told of some
		if other.Path == "" && other.Owner().PID == s.Owner().PID && other.Address.Port() != port {
			return false
		}
	}
	return x.portOf(s).variable != ""
}

// byKernel tells whether a port is one of those that the kernel gives to who
// asks for none.
func byKernel(port uint16) bool {
	first, last, err := machine.LocalPorts()
	return err == nil && port >= first && port <= last
}

// origin is where a program has its port from, as far as its command and code
// tell.
type origin struct {
	// named tells that they have the number itself.
	named bool
	// variable is that of the environment, which is not set, from which the code
	// takes it, at a place with this expression.
	variable, place, line string
}

// portOf finds that of a socket, once: it is asked of each before each
// experiment.
func (x *examination) portOf(s machine.Socket) origin {
	key := s.Address
	if from, known := x.origins[key]; known {
		return from
	}
	var from origin
	if p, err := machine.Inspect(s.Owner().PID); err == nil {
		if from.named = chosen(p, key.Port()); !from.named && !slices.Contains(edges, p.Program) {
			from = unsetPort(p)
		}
	}
	x.origins[key] = from
	return from
}

// chosen tells whether a program was told to take a port: its command names
// it, a variable of its environment, or its code.
func chosen(p machine.Process, port uint16) bool {
	number := regexp.MustCompile(fmt.Sprintf(`\b%d\b`, port))
	if slices.ContainsFunc(p.Args, number.MatchString) {
		return true
	}
	for _, name := range portVariables {
		if value, _, err := p.Lookup(name); err == nil && value == strconv.Itoa(int(port)) {
			return true
		}
	}
	for _, content := range namedFiles(p) {
		if number.Match(content) {
			return true
		}
	}
	return false
}

// namedFiles yields the files that a program's command names, with what they hold;
// what is too large for code is passed over.
func namedFiles(p machine.Process) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, path := range p.Args {
			if !filepath.IsAbs(path) {
				path = filepath.Join(p.Dir, path)
			}
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > sourceBytes {
				continue
			}
			if content, err := os.ReadFile(path); err == nil && !yield(path, content) {
				return
			}
		}
	}
}

// portVariables are the variables of the environment by which an app is told its
// port, whatever the line of code does with it.
var portVariables = []string{"PORT", "HTTP_PORT", "APP_PORT", "SERVER_PORT", "WEB_PORT"}

// readsVariable is how languages ask for a variable of the environment, with its
// name in a group.
var readsVariable = []*regexp.Regexp{
	re(`\bprocess\.env(?:\.|\[['"])(\w+)`),
	re(`\bimport\.meta\.env\.(\w+)`),
	re(`\b(?:Deno|Bun)\.env\.(?:get\(['"])?(\w+)`),
	re(`\benviron(?:\.get\(|\[)\s*['"](\w+)`),
	re(`\b[gG]etenv\(\s*['"](\w+)`),
	re(`\bENV(?:\[|\.fetch\()\s*['"](\w+)`),
	re(`\b(?:System\.)?get_env\(\s*['"](\w+)`),
}

var (
	listens = re(`(?i)\b(listen|serve|bind|run)\w*\(`)
	// elseNumber is a port that a line takes where the variable is not set; 0 asks
	// for any.
	elseNumber = re(`^['"\])]*\s*(?:\|\||\?\?|\bor\b|,|:-)\s*['"]?[1-9]`)
)

// unsetPort finds in a program's code the line that takes its port from a
// variable of the environment, where that is not set and the line knows no
// other. Its code is what its command line has, or the script named there and
// what lies beside that; else what lies in its directory.
func unsetPort(p machine.Process) origin {
	var found origin
	look := func(path string, lines []string) bool {
		found = unsetPortIn(p, path, lines)
		return found.variable == ""
	}
	for i := 1; i+1 < len(p.Args) && strings.HasPrefix(p.Args[i], "-"); i++ { // behind a script's name they are the script's
		if slices.Contains(inline, p.Args[i]) {
			look("", strings.Split(p.Args[i+1], "\n"))
			return found
		}
	}
	for script, content := range namedFiles(p) {
		if !isSource(script) {
			continue
		}
		if !look(script, strings.Split(string(content), "\n")) || listens.Match(content) {
			return found
		}
		eachSource(filepath.Dir(script), func(path string, lines []string) bool {
			return languageOf(path) != languageOf(script) || look(path, lines)
		})
		return found
	}
	eachSource(p.Dir, func(path string, lines []string) bool {
		return languageOf(path) == ".sh" || look(path, lines)
	})
	return found
}

// inline are the flags after which interpreters have the code itself.
var inline = []string{"-e", "-c", "-r", "--eval"}

// languageOf is the one name of all the suffixes that a language's files have.
func languageOf(path string) string {
	switch ext := filepath.Ext(path); ext {
	case ".ts", ".mjs", ".cjs":
		return ".js"
	case ".ru":
		return ".rb"
	case ".exs":
		return ".ex"
	default:
		return ext
	}
}

func unsetPortIn(p machine.Process, path string, lines []string) origin {
	for i, line := range lines {
		for _, reads := range readsVariable {
			for _, at := range reads.FindAllStringSubmatchIndex(line, -1) {
				name := line[at[2]:at[3]]
				if !slices.Contains(portVariables, name) && !listens.MatchString(line[:at[0]]) || elseNumber.MatchString(line[at[1]:]) {
					continue
				}
				if value, _, err := p.Lookup(name); err != nil || value != "" {
					continue
				}
				from := origin{variable: name, place: "its command", line: line[at[0]:at[1]]} // the rest may hold secrets
				if path != "" {
					from.place = fmt.Sprintf("%s:%d", path, i+1)
				}
				return from
			}
		}
	}
	return origin{}
}
