package config

import (
	"reflect"
	"slices"

	"hale/internal/yamlfile"

	"go.yaml.in/yaml/v4"
)

// Steps are the commands to run before the app, in order.
type Steps []Step

// Step is one of them. In hale.yaml it is a list of words, or a mapping where it
// needs another user.
type Step struct {
	// The command, as a list of words. No shell reads it.
	Command []string `yaml:"command" jsonschema:"required"`
	// User to run it as; absent: that of the app (app.user).
	User string `yaml:"user"`
}

// decodeNode implements nodeDecoder.
func (s *Steps) decodeNode(d *decoder, n *yaml.Node, path string) {
	switch {
	case n.Kind == yaml.SequenceNode && len(n.Content) > 0 && !slices.ContainsFunc(n.Content, isNotWord):
		words := make([]string, len(n.Content))
		for i, c := range n.Content {
			words[i] = yamlfile.Target(c).Value
		}
		d.Fault(n, path, "is one command, not a list of commands; write [%s]", yamlfile.Outline(words))
	case n.Kind == yaml.ScalarNode && !yamlfile.IsNull(n):
		d.Fault(n, path, "is one command, not a list of commands; write [%s]", yamlfile.AsCommand(n.Value))
	default:
		d.List(n, reflect.ValueOf(s).Elem(), yamlfile.Field{}, path)
	}
}

func isNotWord(n *yaml.Node) bool { return yamlfile.Target(n).Kind != yaml.ScalarNode }

// decodeNode implements nodeDecoder.
func (s *Step) decodeNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.MappingNode {
		d.Object(n, reflect.ValueOf(s).Elem(), path)
		return
	}
	d.List(n, reflect.ValueOf(&s.Command).Elem(), yamlfile.Field{Key: "command"}, path)
}
