package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// maxEnvFile bounds an environment file; the kernel gives arguments and
// environment some megabytes together.
const maxEnvFile = 1 << 20

// Variable is one assignment of an environment file.
type Variable struct {
	Name, Value string
	Line        int
}

// LoadEnv returns env with the variables that the environment file at path
// sets, as a shell's `set -a; . path` would with that environment. See ParseEnv
// for what a file may hold, and ReadEnv for errors.
func LoadEnv(path string, env []string) ([]string, error) {
	variables, err := ReadEnv(path, func(name string) string { return valueOf(env, name) })
	if err != nil {
		return nil, err
	}
	return setAll(env, variables), nil
}

// ReadEnv reads the environment file at path: see ParseEnv. An error names the
// file, and the line where there is one, and never a value; that the file does
// not exist is fs.ErrNotExist.
func ReadEnv(path string, lookup func(string) string) ([]Variable, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("env_file %s: make it, or remove env_file: %w", path, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("env_file: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("env_file %s is not a regular file", path) // to open a pipe could block for ever
	case info.Size() > maxEnvFile:
		return nil, fmt.Errorf("env_file %s is %d bytes long; at most %d are read", path, info.Size(), maxEnvFile)
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("env_file %s: the user that hale runs as may not read it: %w", path, fs.ErrPermission)
	}
	if err != nil {
		return nil, fmt.Errorf("env_file: %w", err)
	}
	return ParseEnv(path, text, lookup)
}

// setAll returns env with variables in the place of those of the same name.
func setAll(env []string, variables []Variable) []string {
	value := make(map[string]string, len(variables))
	for _, v := range variables {
		value[v.Name] = v.Value
	}
	var result []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if _, replaced := value[name]; !replaced {
			result = append(result, e)
		}
	}
	for _, v := range variables {
		if text, ok := value[v.Name]; ok {
			result = append(result, v.Name+"="+text)
			delete(value, v.Name)
		}
	}
	return result
}

// ParseEnv reads an environment file: the assignments that a POSIX shell would
// make of it, in order, and systemd's EnvironmentFile form.
//
//	# a comment; in systemd's form a line that begins with ; is one too
//	NAME=value
//	export NAME='single: all literal' OTHER="double: $NAME ${NAME} \" \\ \$"
//	PATH=/srv/venv/bin:$PATH
//	OPTIONS=-a -b
//	KEY="-----BEGIN
//	several lines"
//
// Where the two forms differ the shell counts, but for three things that it
// would trip over: a bare value may hold blanks as in OPTIONS above, a line
// that begins with ; is a comment, and lines may end in CR LF.
//
// lookup gives the variables that the file itself does not set, "" for none.
// What would need a real shell is an error that says what to write instead; all
// such lines are reported, as name:line, and no value is ever shown.
func ParseEnv(name string, text []byte, lookup func(string) string) ([]Variable, error) {
	text = bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF")) // an editor's byte order mark
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	if i := bytes.IndexByte(text, 0); i >= 0 {
		return nil, fmt.Errorf("%s:%d: holds a NUL byte: save it as plain text (UTF-8)", name, 1+bytes.Count(text[:i], []byte("\n")))
	}
	p := &envParser{file: name, src: string(text), line: 1, lookup: lookup, values: make(map[string]string)}
	for p.pos < len(p.src) {
		if err := p.statement(); err != nil {
			p.errs = append(p.errs, err)
			p.skipLine()
		}
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return p.variables, nil
}
