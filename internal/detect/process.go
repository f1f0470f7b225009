package detect

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"hale/internal/supervise"
)

var procfileLine = regexp.MustCompile(`^web:\s*(.+?)\s*$`)

// procfile reads the web line of a Procfile (Heroku, Elastic Beanstalk,
// foreman). It counts more than what was assumed of the way the app is run.
func procfile(t *tree, a *app) {
	src, ok := t.read("Procfile")
	if !ok {
		return
	}
	n := 0
	for line := range strings.Lines(src) {
		n++
		m := procfileLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		a.runs("Procfile", n, m[1])
		return
	}
}

// runs takes a command line as the way in which the app is run.
func (a *app) runs(file string, line int, commandLine string) {
	words, simple := shellWords(commandLine)
	switch {
	case holdsSecret(commandLine):
		a.command = nil
		a.found(file, line, "the command line that runs the app seems to hold a secret and is not copied: write it as app.command, with ${NAME} in the secret's place")
	case simple:
		a.command = words
		a.found(file, line, "the app is run by %s", words[0])
	default:
		a.command = shell(commandLine)
		a.found(file, line, "the app is run by a command line for a shell")
	}
	if u := addressIn(words); u != "" {
		a.url = u
		a.found(file, line, "the command line says where it listens: %s", strings.TrimPrefix(u, "http://"))
	}
}

// secretWord matches an option or a variable that is given a secret, and a URL
// with a password.
var secretWord = regexp.MustCompile(`(?i)(?:pass|secret|token|credential|api[_-]?key|private[_-]?key)[\w-]*(?:=|[ \t]+)["']?[^\s"'$-]|://[^/\s:@]*:[^$\s/@][^\s/@]*@`)

// holdsSecret says whether a command line may hold a secret itself, rather than
// the name of a variable.
func holdsSecret(commandLine string) bool { return secretWord.MatchString(commandLine) }

// shell is a command for a line that needs one; ${NAME} is left to it.
func shell(line string) []string {
	return []string{"sh", "-c", strings.ReplaceAll(line, "${", "$${")}
}

// shellWords splits a command line that needs no shell: words, quotes, and
// $NAME, which becomes ${NAME} of hale.yaml. It says false of any other.
func shellWords(line string) ([]string, bool) {
	if strings.ContainsAny(line, ";&|<>()`*?~\\\n#") || strings.Contains(line, "$(") {
		return strings.Fields(line), false
	}
	var words []string
	var b strings.Builder
	inWord := false
	var quote byte
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if inWord {
				words = append(words, b.String())
				b.Reset()
				inWord = false
			}
		default:
			b.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, b.String())
	}
	if quote != 0 || len(words) == 0 || strings.Contains(words[0], "=") {
		return words, false
	}
	for i, w := range words {
		words[i] = bareVariable.ReplaceAllStringFunc(w, func(v string) string {
			if name := strings.TrimPrefix(v, "$"); name != "PORT" {
				return "${" + name + "}"
			}
			return portVariable
		})
		if strings.Contains(variableInText.ReplaceAllString(words[i], ""), "$") {
			return words, false
		}
	}
	return words, true
}

var bareVariable = regexp.MustCompile(`\$[A-Za-z_]\w*|\$\{PORT\}`)

// portVariable is the port that a platform gives an app, and what it is on
// one's own machine.
const portVariable = "${PORT:-8000}"

var bindFlags = regexp.MustCompile(`^(?:-b|--bind|--http-socket|--http|-S|--listen)$`)

// addressIn finds where a command says that the app listens.
func addressIn(words []string) string {
	host, port := "", ""
	for i, w := range words {
		flag, attached, _ := strings.Cut(w, "=")
		next := attached
		if next == "" && i+1 < len(words) {
			next = words[i+1]
		}
		switch {
		case bindFlags.MatchString(flag):
			switch {
			case strings.HasPrefix(next, "unix:/"):
				return "unix://" + strings.TrimPrefix(next, "unix:")
			case strings.HasPrefix(next, "tcp://"):
				return "http://" + loopback(strings.TrimPrefix(next, "tcp://"))
			case strings.Contains(next, ":") || isPort(next) || next == portVariable:
				return "http://" + loopback(portAlone(next))
			}
		case flag == "--host" || flag == "-H":
			host = next
		case flag == "--port" || flag == "-p":
			port = next
		case strings.HasPrefix(w, "-Dserver.port="):
			port = strings.TrimPrefix(w, "-Dserver.port=")
		}
	}
	if port == "" {
		return ""
	}
	return "http://" + loopback(host+":"+port)
}

func portAlone(s string) string {
	if s == portVariable {
		return ":" + s
	}
	return s
}

var (
	exposeLine = regexp.MustCompile(`(?i)^EXPOSE\s+(\d+)(?:/tcp)?\b`)
	cmdLine    = regexp.MustCompile(`(?i)^(CMD|ENTRYPOINT)\s+(.+)$`)
	envPort    = regexp.MustCompile(`(?i)^ENV\s+PORT[= ](\d+)`)
)

// dockerfile reads the port and the command of a Dockerfile, for what no other
// file has told.
func dockerfile(t *tree, a *app) {
	name, ok := t.first("Dockerfile", "Containerfile")
	if !ok {
		return
	}
	src, _ := t.read(name)
	src = strings.ReplaceAll(src, "\\\n", "  ")
	n := 0
	var entry, cmd []string
	cmdAt := 0
	for line := range strings.Lines(src) {
		n++
		line = strings.TrimSpace(line)
		for _, port := range []*regexp.Regexp{exposeLine, envPort} {
			if m := port.FindStringSubmatch(line); m != nil && a.url == "" {
				a.url = "http://127.0.0.1:" + m[1]
				a.found(name, n, "the app has port %s", m[1])
			}
		}
		if m := cmdLine.FindStringSubmatch(line); m != nil {
			var words []string
			if json.Unmarshal([]byte(m[2]), &words) == nil {
				for i := range words { // no shell reads them
					words[i] = strings.ReplaceAll(words[i], "${", "$${")
				}
			} else {
				words, ok = shellWords(m[2])
				if !ok {
					words = shell(m[2])
				}
			}
			if strings.EqualFold(m[1], "CMD") {
				cmd = words
			} else {
				entry = words
			}
			cmdAt = n
		}
	}
	if words := slices.Concat(entry, cmd); len(words) > 0 && len(a.command) == 0 {
		if holdsSecret(strings.Join(words, " ")) {
			a.found(name, cmdAt, "the command line that runs the app seems to hold a secret and is not copied: write it as app.command, with ${NAME} in the secret's place")
			return
		}
		a.command = words
		a.found(name, cmdAt, "the app is run by %s", path.Base(words[0]))
		if u := addressIn(words); u != "" {
			a.url = u
		}
	}
}

// compose reads the port that a Compose file gives on this machine to the one
// service that it builds from here.
func compose(t *tree, a *app) {
	name, ok := t.first("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
	if !ok || a.url != "" {
		return
	}
	s := t.source(name)
	var file struct {
		Services map[string]struct {
			Build any
			Ports []any
		}
	}
	if yaml.Unmarshal([]byte(s.text), &file) != nil {
		return
	}
	var urls, services []string
	for service, v := range file.Services {
		for _, port := range v.Ports {
			if m := composePort.FindStringSubmatch(yamlText(port)); m != nil && v.Build != nil {
				urls, services = append(urls, "http://127.0.0.1:"+m[1]), append(services, service)
			}
		}
	}
	if len(urls) == 1 {
		_, line := s.match(regexp.MustCompile(`^\s+`+regexp.QuoteMeta(services[0])+`:`), "#")
		a.url = urls[0]
		a.found(name, line, "the service %s has port %s of this machine", services[0], strings.TrimPrefix(urls[0], "http://127.0.0.1:"))
	}
}

// composePort reads "8000:80", "127.0.0.1:8000:80/tcp".
var composePort = regexp.MustCompile(`^(?:[\d.]+:)?(\d+):\d+(?:/tcp)?$`)

// environmentFile finds the file that sets the app's variables.
func environmentFile(t *tree, a *app) {
	for _, name := range []string{".env", "env"} {
		src, ok := t.read(name)
		if !ok {
			continue
		}
		variables, err := supervise.ParseEnv(name, []byte(src), func(string) string { return "" })
		if err != nil {
			first, _, _ := strings.Cut(err.Error(), "\n")
			a.found(name, 0, "not used as env_file, since it cannot be sourced: %s", first)
			continue
		}
		a.envFile = name
		a.found(name, 0, "the environment file sets %d variables", len(variables))
		for _, v := range variables {
			if v.Name == "PORT" && a.url == "" {
				a.url = "http://127.0.0.1:${PORT}"
				a.found(name, v.Line, "the app has the port that PORT says")
			}
		}
		return
	}
	if name, ok := t.first(".env.example", "env.example", ".env.sample", ".env.dist", "env.sample"); ok {
		a.envSample = name
		a.found(name, 0, "a sample shows which variables the app takes: copy it, fill it in, and name the copy as env_file")
	}
}
