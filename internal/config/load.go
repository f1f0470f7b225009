package config

import (
	"hale/internal/checktype"
	"hale/internal/yamlfile"
)

// Options are what reading a hale.yaml depends on besides the file.
type Options struct {
	// Env looks up a variable for ${NAME}; os.LookupEnv is the usual one. Nil
	// knows no variable.
	Env func(name string) (value string, ok bool)

	// EnvFile reads the variables of app.env_file. They come before those of
	// Env, as they do for the app. It is called at most once; its error is a fault
	// of the key. Nil leaves app.env_file out of it.
	EnvFile func(file string) (map[string]string, error)

	// Types are the types of checks; nil means checktype.Types().
	Types []checktype.Type
}

// Load reads the file at path. What is wrong with its content is an *Error
// that lists every fault; a file that cannot be read is another error, which
// wraps the operating system's.
func Load(path string, o Options) (*Config, error) {
	data, err := yamlfile.Read(path, "hale.yaml")
	if err != nil {
		return nil, err
	}
	return Parse(path, data, o)
}

// Parse reads a hale.yaml from memory. The name stands for the file in errors,
// and its directory is what relative file names relate to. Its only error is
// an *Error.
func Parse(name string, data []byte, o Options) (*Config, error) {
	if o.Types == nil {
		o.Types = checktype.Types()
	}
	d := newDecoder(name, o)
	if root := d.Document(data); root != nil {
		d.root(root)
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return d.config, nil
}

// Default returns the configuration that an absent key falls back to.
func Default() *Config {
	c := new(Config)
	yamlfile.SetDefaults(c)
	return c
}

// Error is all that is wrong with one hale.yaml.
type Error = yamlfile.Error

// Fault is one mistake in hale.yaml.
type Fault = yamlfile.Fault

// Address is where to listen: "host:port" or ":port". Empty means off, where
// off is allowed.
type Address = yamlfile.Address

// LogTarget is where a log goes: LogStdout, LogStderr, or the name of a file.
// Empty means off.
type LogTarget = yamlfile.LogTarget

// Targets that are not files.
const (
	LogOff    = yamlfile.LogOff
	LogStdout = yamlfile.LogStdout
	LogStderr = yamlfile.LogStderr
)
