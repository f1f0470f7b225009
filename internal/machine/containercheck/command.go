package containercheck

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// Programs returns what the check starts: ways of which one has to work, each
// with all programs that it needs. None: it needs no program, or it cannot be
// told which.
func (c *Check) Programs() [][]string {
	if c.Shell {
		return shellPrograms(c.Words[0], "/bin/sh")
	}
	return argPrograms(c.Words)
}

// argPrograms are those of a command in words.
func argPrograms(words []string) [][]string {
	for len(words) > 0 && assignment.MatchString(words[0]) {
		words = words[1:]
	}
	if len(words) == 0 || strings.ContainsAny(words[0], "$`") {
		return nil
	}
	first := words[0]
	switch base := path.Base(first); {
	case slices.Contains(shells, base):
		if i := slices.IndexFunc(words, func(w string) bool { return len(w) > 1 && w[0] == '-' && strings.HasSuffix(w, "c") }); i >= 0 && i+1 < len(words) {
			return shellPrograms(words[i+1], first)
		}
	case slices.Contains(wrappers, base):
		for i := 1; i < len(words); i++ {
			if w := words[i]; strings.HasPrefix(w, "-") || duration.MatchString(w) || assignment.MatchString(w) {
				continue
			}
			inner := argPrograms(words[i:])
			for n := range inner {
				inner[n] = append([]string{first}, inner[n]...)
			}
			return inner
		}
	}
	return [][]string{{first}}
}

var (
	assignment = regexp.MustCompile(`^[A-Za-z_]\w*=`)
	duration   = regexp.MustCompile(`^[\d.]+[smhd]?$`)
	shells     = []string{"sh", "bash", "ash", "dash"}
	wrappers   = []string{"timeout", "env", "nice", "exec", "command"}
	// builtins are a shell's own (POSIX, Shell Command Language), with words that
	// may stand in front of a command.
	builtins = []string{
		"exit", "true", "false", "test", "[", "[[", "echo", "printf", "cd", ":", "kill", "read", "set", "export", "return", "wait", "trap", "unset", "shift",
		"eval", ".", "source",
	}
	keywords = []string{"if", "then", "else", "elif", "fi", "while", "until", "do", "done", "!", "{", "}", "exec", "command"}
)

// shellPrograms are those of a line that a shell reads. The shell itself is
// needed by each way.
func shellPrograms(line, shell string) [][]string {
	var ways [][]string
	for _, way := range commands(line) {
		needs := []string{shell}
		passes := false // without any program
		for _, words := range way {
			for len(words) > 0 && (slices.Contains(keywords, words[0]) || assignment.MatchString(words[0])) {
				words = words[1:]
			}
			switch {
			case len(words) == 0:
			case slices.Contains(builtins, words[0]):
				passes = passes || words[0] == "true" || words[0] == ":" || words[0] == "echo" || words[0] == "exit" && len(words) > 1 && words[1] == "0"
			default:
				inner := argPrograms(words)
				if len(inner) == 0 {
					return nil // a variable may stand for anything
				}
				for _, name := range inner[0] {
					if !slices.Contains(needs, name) {
						needs = append(needs, name)
					}
				}
			}
		}
		switch {
		case len(needs) > 1:
			ways = append(ways, needs)
		case passes:
			return nil
		}
	}
	return ways
}

// commands takes a line of shell apart: ways (||) of commands (&&, ;, |) of
// words. What quotes hold is one word.
func commands(line string) [][][]string {
	ways := [][][]string{{nil}}
	word, begun := "", false
	way := func() *[][]string { return &ways[len(ways)-1] }
	end := func() {
		if begun {
			c := *way()
			c[len(c)-1] = append(c[len(c)-1], word)
		}
		word, begun = "", false
	}
	quote := byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word += string(c)
		case c == '\'' || c == '"':
			quote, begun = c, true
		case c == '\\' && i+1 < len(line):
			i++
			word, begun = word+string(line[i]), true
		case c == '|' && i+1 < len(line) && line[i+1] == '|':
			i++
			end()
			ways = append(ways, [][]string{nil})
		case c == '&' && i > 0 && line[i-1] == '>', c == '&' && i+1 < len(line) && line[i+1] == '>':
			word, begun = word+string(c), true // 2>&1
		case strings.IndexByte(";|&\n()", c) >= 0:
			end()
			*way() = append(*way(), nil)
		case c == ' ' || c == '\t':
			end()
		default:
			word, begun = word+string(c), true
		}
	}
	end()
	return ways
}

// asks finds the address in a command: its host and port.
var asks = regexp.MustCompile(`\b(https?)://(\[[0-9a-fA-F:]+\]|[\w.-]+)(?::(\d+|\$\S*))?(/[^\s"')?]*)?`)

// Asked is what a check asks over HTTP.
type Asked struct {
	Secure     bool
	Host, Path string
	// Port is "" where the command leaves it to a variable.
	Port string
}

// Starts tells whether the command has some words in this order, such as "busybox
// wget".
func (c *Check) Starts(words ...string) bool {
	return strings.Contains(" "+strings.Join(c.Words, " "), " "+strings.Join(words, " ")+" ")
}

// Brief is the programs that the check starts, and the URL that it asks. The
// command itself is not shown: there may be a password in it.
func (c *Check) Brief() string {
	var ways []string
	for _, way := range c.Programs() {
		ways = append(ways, strings.Join(way, " "))
	}
	text := strings.Join(ways, ", or ")
	if a, ok := c.Asks(); ok {
		scheme := "http://"
		if a.Secure {
			scheme = "https://"
		}
		if a.Port != "" {
			a.Host += ":" + a.Port
		}
		text += " " + scheme + a.Host + a.Path
	}
	return strings.TrimSpace(text)
}

// Asks returns what the check asks for; ok is false for one that names no URL, or
// one with a password.
func (c *Check) Asks() (a Asked, ok bool) {
	text := strings.Join(c.Words, " ")
	at := asks.FindStringSubmatchIndex(text)
	if at == nil {
		return Asked{}, false
	}
	if rest, _, _ := strings.Cut(text[at[4]:], "/"); strings.Contains(strings.SplitN(rest, " ", 2)[0], "@") {
		return Asked{}, false
	}
	m := asks.FindStringSubmatch(text)
	a = Asked{Secure: m[1] == "https", Host: m[2], Port: m[3], Path: m[4]}
	switch {
	case strings.HasPrefix(a.Port, "$"):
		a.Port = ""
	case a.Port == "" && a.Secure:
		a.Port = "443"
	case a.Port == "":
		a.Port = "80"
	}
	if a.Path == "" {
		a.Path = "/"
	}
	return a, true
}
