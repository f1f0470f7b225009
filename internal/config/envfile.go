package config

import (
	"errors"

	"go.yaml.in/yaml/v4"
)

const envFileKey = "app.env_file"

// envFile is what the variables of app.env_file are, once they were asked for.
type envFile struct {
	name string
	read bool
	vars map[string]string
	err  error
}

// findEnvFile looks for app.env_file ahead of everything else, since any value
// may name its variables. What is wrong with it, decoding reports.
func (d *decoder) findEnvFile(root *mapping) {
	n := child(child(root.node, "app"), "env_file")
	if n == nil || n.Kind != yaml.ScalarNode || isNull(n) {
		return
	}
	if e, err := expand(n.Value, d.lookupEnv); err == nil {
		d.envFile.name = d.inDir(e.text)
	}
}

// child returns the value of a key of a mapping, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// lookup finds a variable in app.env_file, then in the environment: the app
// sees them in this order too. A file that cannot be read matters only to a
// variable that is nowhere else.
func (d *decoder) lookup(name string) (string, bool) {
	if d.options.EnvFile != nil && d.envFile.name != "" && !d.envFile.read {
		d.envFile.read = true
		d.envFile.vars, d.envFile.err = d.options.EnvFile(d.envFile.name)
	}
	if value, ok := d.envFile.vars[name]; ok {
		return value, true
	}
	return d.lookupEnv(name)
}

// lookupEnv finds a variable in the environment.
func (d *decoder) lookupEnv(name string) (string, bool) {
	if d.options.Env == nil {
		return "", false
	}
	return d.options.Env(name)
}

// missing adds to the error of a variable that is not there why app.env_file
// could not tell.
func (d *decoder) missing(err error) string {
	if _, ok := errors.AsType[*variableError](err); ok && d.envFile.err != nil {
		return err.Error() + "; " + envFileKey + " could not be read: " + oneLine(d.envFile.err.Error())
	}
	return err.Error()
}
