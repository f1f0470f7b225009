package config

import (
	"errors"
	"sync"

	"hale/internal/yamlfile"

	"go.yaml.in/yaml/v4"
)

const envFileKey = "app.env_file"

// environment is the variables that the app will see: those of app.env_file,
// then those of this process. It may be used by several goroutines at once,
// since checks ask it too.
type environment struct {
	process  func(name string) (string, bool) // nil knows none
	read     func(file string) (map[string]string, error)
	file     string // app.env_file; empty means none
	fromFile func() (map[string]string, error)
}

func newEnvironment(o Options, file string) *environment {
	e := &environment{process: o.Env, read: o.EnvFile, file: file}
	e.fromFile = sync.OnceValues(func() (map[string]string, error) {
		if e.read == nil || e.file == "" {
			return nil, nil
		}
		return e.read(e.file)
	})
	return e
}

// lookup finds a variable. That the file cannot be read is a fault of its key, and
// not of each variable: but see whyMissing.
func (e *environment) lookup(name string) (string, bool) {
	vars, _ := e.fromFile()
	if value, ok := vars[name]; ok {
		return value, true
	}
	return e.lookupProcess(name)
}

// environ returns the variables of app.env_file, as NAME=value.
func (e *environment) environ() []string {
	vars, _ := e.fromFile()
	all := make([]string, 0, len(vars))
	for name, value := range vars {
		all = append(all, name+"="+value)
	}
	return all
}

// lookupProcess finds a variable of this process.
func (e *environment) lookupProcess(name string) (string, bool) {
	if e.process == nil {
		return "", false
	}
	return e.process(name)
}

// whyMissing adds to the error of a variable that is not there that app.env_file
// could not tell.
func (e *environment) whyMissing(err error) string {
	if _, ok := errors.AsType[*yamlfile.VariableError](err); ok {
		if _, fileErr := e.fromFile(); fileErr != nil {
			return err.Error() + "; " + envFileKey + " could not be read"
		}
	}
	return err.Error()
}

// envFileOf finds app.env_file ahead of everything else, since any value may
// name its variables. What is wrong with it, decoding reports.
func (d *decoder) envFileOf(root *yaml.Node) string {
	n := yamlfile.Child(yamlfile.Child(root, "app"), "env_file")
	if n == nil || n.Kind != yaml.ScalarNode || yamlfile.IsNull(n) {
		return ""
	}
	e, err := yamlfile.Expand(n.Value, newEnvironment(d.options, "").lookupProcess)
	if err != nil {
		return ""
	}
	return d.InDir(e.Text)
}
