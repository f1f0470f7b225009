package configuration

import (
	_ "embed" // for the schema
	"reflect"

	"hale/internal/yamlfile"
)

// Options are what reading a file depends on besides the file.
type Options struct {
	// Env looks up a variable for ${NAME}; os.LookupEnv is the usual one. Nil
	// knows no variable.
	Env func(name string) (value string, ok bool)
}

// title is what such files are called in messages.
const title = "the balancer's configuration"

// Load reads the file at path. What is wrong with its content is a
// *yamlfile.Error that lists every fault; a file that cannot be read is another
// error, which wraps the operating system's.
func Load(path string, o Options) (*File, error) {
	data, err := yamlfile.Read(path, "configuration of hale balance")
	if err != nil {
		return nil, err
	}
	return Parse(path, data, o)
}

// Parse reads a file from memory. The name stands for the file in errors, and its
// directory is what relative file names relate to. Its only error is a
// *yamlfile.Error.
func Parse(name string, data []byte, o Options) (*File, error) {
	r := &reader{file: Default()}
	r.file.Name = name
	r.Decoder = yamlfile.New(yamlfile.About{
		File: name, Title: title, Begin: "TargetGroups",
		Empty: "TargetGroups: [{Name: web, Protocol: HTTP, Port: 8000, TargetType: ip}]",
		Root:  reflect.TypeFor[File](),
		Lookup: func(_, name string) (string, bool) {
			if o.Env == nil {
				return "", false
			}
			return o.Env(name)
		},
	})
	if root := r.Document(data); root != nil {
		if m := r.Mapping(root, ""); m != nil {
			r.Top(m, reflect.ValueOf(r.file).Elem())
			r.agree()
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return r.file, nil
}

// reader reads one file.
type reader struct {
	*yamlfile.Decoder
	file *File
}

//go:embed schema.json
var schema string

// Schema returns the JSON schema of the file (draft 7), for editors.
func Schema() string { return schema }
