package config

import (
	"context"
	"errors"
	"reflect"

	"hale/internal/yamlfile"

	"go.yaml.in/yaml/v4"

	"hale/health"
)

// OneOrMore is a list that may be written as one word where it has no more.
type OneOrMore[T ~string] []T

// decodeNode implements nodeDecoder.
func (w *OneOrMore[T]) decodeNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.SequenceNode {
		d.List(n, reflect.ValueOf((*[]T)(w)).Elem(), yamlfile.Field{}, path)
		return
	}
	var word T
	v := reflect.ValueOf(&word).Elem()
	if text, ok := d.Scalar(n, "a word or a list of words", path); ok {
		d.Text(n, v, yamlfile.Field{}, path, text)
		*w = OneOrMore[T]{word}
	}
}

// Profile is an endpoint that a check counts for: "ready", "startup", or a word
// of one's own.
type Profile string

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Profile) UnmarshalText(b []byte) error {
	*p = Profile(b)
	for _, wrong := range asHealthSays(health.Check{Name: "a", Profiles: []string{string(b)}, Run: nothing}) {
		return yamlfile.ValueError(wrong.Problem)
	}
	return nil
}

// nothing is asked by checks that stand for others.
func nothing(context.Context) (string, error) { return "", nil }

// asHealthSays returns what a monitor has against checks.
func asHealthSays(checks ...health.Check) []*health.CheckError {
	_, err := health.NewMonitor(health.Options{}, checks...)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var all []*health.CheckError
	for _, e := range joined.Unwrap() {
		if wrong, ok := errors.AsType[*health.CheckError](e); ok {
			all = append(all, wrong)
		}
	}
	return all
}
