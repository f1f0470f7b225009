package config

import (
	"reflect"

	"go.yaml.in/yaml/v4"
)

// decodeNode implements nodeDecoder: a step is its command alone, or a mapping.
func (s *Step) decodeNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.MappingNode {
		d.object(n, reflect.ValueOf(s).Elem(), path)
		return
	}
	d.list(n, reflect.ValueOf(&s.Command).Elem(), field{key: "command"}, path)
}
