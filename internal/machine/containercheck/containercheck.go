// Package containercheck reads the files that define containers, as far as they
// say how a container is checked from within and how it is stopped: HEALTHCHECK
// and STOPSIGNAL of a Dockerfile, healthcheck and stop_signal of a compose file,
// healthCheck of a task definition of ECS.
package containercheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Kind is the kind of file that defines a container.
type Kind string

// Kinds of files.
const (
	Dockerfile Kind = "Dockerfile"
	Compose    Kind = "compose file"
	Task       Kind = "task definition"
)

// Definition is what a file says of one container.
type Definition struct {
	Kind Kind
	// Name is the service's or the container's; "" in a Dockerfile.
	Name string
	// Ports are where the container listens inside, as far as the file says.
	Ports []int
	// Builds tells that a compose file has the image built.
	Builds bool
	// Check is its health check; nil: the file gives none.
	Check *Check
	// NoCheck tells that the file switches a check off that the image may have.
	NoCheck bool
	// StopSignal is what a stop sends it, "SIGQUIT"; "": SIGTERM, unless the
	// image says something else.
	StopSignal string
}

// Check is a health check's command.
type Check struct {
	Line int
	// Words are the command's; with Shell there is one, for a shell to read.
	Words []string
	Shell bool
}

// KindOf tells by its name what a file defines; "" for other files.
func KindOf(name string) Kind {
	base := strings.ToLower(path.Base(name))
	yamlFile := strings.HasSuffix(base, ".yaml") || strings.HasSuffix(base, ".yml")
	switch {
	case base == "dockerfile", base == "containerfile", strings.HasPrefix(base, "dockerfile."), strings.HasSuffix(base, ".dockerfile"):
		return Dockerfile
	case yamlFile && (strings.HasPrefix(base, "compose.") || strings.HasPrefix(base, "docker-compose.")):
		return Compose
	case strings.HasSuffix(base, ".json") && strings.Contains(base, "task") && strings.Contains(base, "def"):
		return Task
	default:
		return ""
	}
}

// Read returns what a file defines. It takes no more of it than it knows.
func Read(name string, content []byte) ([]Definition, error) {
	switch kind := KindOf(name); kind {
	case Dockerfile:
		return []Definition{readDockerfile(content)}, nil
	case Compose:
		return readCompose(name, content)
	case Task:
		return readTask(name, content)
	default:
		return nil, fmt.Errorf("%s: neither a Dockerfile nor a compose file nor a task definition", name)
	}
}

// readDockerfile reads the last stage (Dockerfile reference, HEALTHCHECK,
// STOPSIGNAL, EXPOSE).
func readDockerfile(content []byte) Definition {
	d := Definition{Kind: Dockerfile}
	line := 0
	var whole strings.Builder
	start := 0
	for text := range strings.Lines(string(content)) {
		line++
		text = strings.TrimSpace(text)
		if text == "" || strings.HasPrefix(text, "#") {
			continue // also between the lines of one instruction
		}
		if whole.Len() == 0 {
			start = line
		}
		if part, more := strings.CutSuffix(text, `\`); more {
			whole.WriteString(part)
			continue
		}
		whole.WriteString(text)
		d.instruction(start, whole.String())
		whole.Reset()
	}
	return d
}

func (d *Definition) instruction(line int, text string) {
	name, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToUpper(name) {
	case "FROM":
		*d = Definition{Kind: Dockerfile}
	case "STOPSIGNAL":
		d.StopSignal = signal(rest)
	case "EXPOSE":
		for word := range strings.FieldsSeq(rest) {
			d.addPort(word)
		}
	case "HEALTHCHECK":
		for strings.HasPrefix(rest, "--") {
			_, rest, _ = strings.Cut(rest, " ")
			rest = strings.TrimSpace(rest)
		}
		kind, command, _ := strings.Cut(rest, " ")
		command = strings.TrimSpace(command)
		d.Check, d.NoCheck = nil, strings.EqualFold(kind, "NONE")
		if !strings.EqualFold(kind, "CMD") || command == "" {
			return
		}
		var words []string
		if json.Unmarshal([]byte(command), &words) == nil && len(words) > 0 {
			d.Check = &Check{Line: line, Words: words}
		} else {
			d.Check = &Check{Line: line, Words: []string{command}, Shell: true}
		}
	}
}

// signal writes a signal's name as kill(1) has it in front: 3 and QUIT are
// SIGQUIT.
func signal(text string) string {
	text = strings.ToUpper(strings.Trim(text, `"'`))
	if name, ok := map[string]string{"1": "SIGHUP", "2": "SIGINT", "3": "SIGQUIT", "9": "SIGKILL", "10": "SIGUSR1", "12": "SIGUSR2", "15": "SIGTERM", "28": "SIGWINCH"}[text]; ok {
		return name
	}
	if text != "" && !strings.HasPrefix(text, "SIG") {
		text = "SIG" + text
	}
	return text
}

// portInside is the container's own of "8080", "80:8080", "127.0.0.1:80:8080/tcp".
var portInside = regexp.MustCompile(`(?:^|:)(\d+)(?:/tcp)?$`)

func (d *Definition) addPort(text string) {
	m := portInside.FindStringSubmatch(text)
	if m == nil {
		return
	}
	if port, err := strconv.Atoi(m[1]); err == nil && port > 0 && port < 1<<16 && !slices.Contains(d.Ports, port) {
		d.Ports = append(d.Ports, port)
	}
}

// readCompose reads a compose file (Compose specification, services).
func readCompose(name string, content []byte) ([]Definition, error) {
	var file struct {
		Services map[string]struct {
			Build      yaml.Node `yaml:"build"`
			StopSignal string    `yaml:"stop_signal"`
			Ports      []yaml.Node
			Expose     []yaml.Node
			Check      struct {
				Test    yaml.Node `yaml:"test"`
				Disable bool      `yaml:"disable"`
			} `yaml:"healthcheck"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var all []Definition
	for service, s := range file.Services {
		d := Definition{Kind: Compose, Name: service, Builds: !s.Build.IsZero(), StopSignal: signal(s.StopSignal), NoCheck: s.Check.Disable}
		for _, n := range append(s.Ports, s.Expose...) {
			var long struct {
				Target string `yaml:"target"`
			}
			if n.Kind == yaml.ScalarNode {
				d.addPort(n.Value)
			} else if n.Kind == yaml.MappingNode && n.Decode(&long) == nil {
				d.addPort(long.Target)
			}
		}
		if test := s.Check.Test; test.Kind == yaml.ScalarNode && test.Value != "" {
			d.Check = &Check{Line: test.Line, Words: []string{test.Value}, Shell: true}
		} else if d.command(&test); d.NoCheck {
			d.Check = nil
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b Definition) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// command takes a list of words whose first says how the rest is run.
func (d *Definition) command(n *yaml.Node) {
	var words []string
	if n.Kind != yaml.SequenceNode || n.Decode(&words) != nil || len(words) == 0 {
		return
	}
	how, words := words[0], words[1:]
	switch {
	case how == "NONE":
		d.NoCheck = true
	case len(words) == 0:
	case how == "CMD":
		d.Check = &Check{Line: n.Line, Words: words}
	case how == "CMD-SHELL":
		d.Check = &Check{Line: n.Line, Words: words[:1], Shell: true}
	}
}

// readTask reads a task definition, as it is registered or as the aws command
// prints it (ECS API, ContainerDefinition). JSON is YAML, too, which knows lines.
func readTask(name string, content []byte) ([]Definition, error) {
	type container struct {
		Name  string `yaml:"name"`
		Ports []struct {
			Container string `yaml:"containerPort"`
		} `yaml:"portMappings"`
		Check struct {
			Command yaml.Node `yaml:"command"`
		} `yaml:"healthCheck"`
	}
	var file struct {
		Containers []container `yaml:"containerDefinitions"`
		Described  struct {
			Containers []container `yaml:"containerDefinitions"`
		} `yaml:"taskDefinition"`
	}
	if !json.Valid(content) {
		return nil, fmt.Errorf("%s: %w", name, errNotJSON)
	}
	if err := yaml.Unmarshal(bytes.ReplaceAll(content, []byte("\t"), []byte("  ")), &file); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var all []Definition
	for _, c := range append(file.Containers, file.Described.Containers...) {
		d := Definition{Kind: Task, Name: c.Name}
		for _, p := range c.Ports {
			d.addPort(p.Container)
		}
		d.command(&c.Check.Command)
		all = append(all, d)
	}
	return all, nil
}

var errNotJSON = errors.New("not JSON")
