package yamlfile

import (
	"path/filepath"

	"go.yaml.in/yaml/v4"
)

// OK tells whether the keys have no fault so far.
func (d *Decoder) OK(paths ...string) bool {
	for _, p := range paths {
		if d.bad[p] {
			return false
		}
	}
	return true
}

// FaultOf records a fault of the value of a key, if the file has it.
func (d *Decoder) FaultOf(path, format string, args ...any) {
	if n := d.nodes[path]; n != nil {
		d.Fault(n, path, format, args...)
	}
}

// InDir makes a relative file name relate to the directory of the file.
func (d *Decoder) InDir(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(d.about.File), name)
}

// Node returns the value of a key that has been decoded, or nil.
func (d *Decoder) Node(path string) *yaml.Node { return d.nodes[path] }

// FromEnvironment tells whether the environment had a part in a value, which is
// then not to be shown.
func (d *Decoder) FromEnvironment(n *yaml.Node) bool { return d.made[n] != nil }

// Dir is the directory that relative file names relate to.
func (d *Decoder) Dir() string { return filepath.Dir(d.about.File) }

// FaultNear records a fault of a key or, where the file does not have it, of
// what it would be in. Of values that the environment had a part in, nothing is
// shown.
func (d *Decoder) FaultNear(path, text string) {
	for at := path; at != ""; at = parent(at) {
		if n := d.nodes[at]; n != nil {
			d.Fault(n, path, "%s", d.WithoutSecrets(n, text))
			return
		}
	}
	d.FaultAt(1, 1, path, OneLine(text))
}
