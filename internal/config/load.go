package config

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"hale/internal/checktype"
)

// Options are what reading a hale.yaml depends on besides the file.
type Options struct {
	// Env looks up a variable for ${NAME}; os.LookupEnv is the usual one. Nil
	// knows no variable.
	Env func(name string) (value string, ok bool)

	// EnvFile reads the variables of app.env_file. They come before those of
	// Env, as they do for the app. It is called at most once, and only when the
	// file has a ${NAME}. Nil leaves app.env_file out of it.
	EnvFile func(file string) (map[string]string, error)

	// Types are the types of checks; nil means checktype.Types().
	Types []checktype.Type
}

// maxFile is the size above which a file is taken for something else.
const maxFile = 1 << 20

// Load reads the file at path. What is wrong with its content is an *Error
// that lists every fault; a file that cannot be read is another error, which
// wraps the operating system's.
func Load(path string, o Options) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	var data bytes.Buffer
	if _, err := data.ReadFrom(io.LimitReader(f, maxFile+1)); err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if data.Len() > maxFile {
		return nil, fmt.Errorf("read configuration: %s is larger than 1 MiB; is it a hale.yaml?", path)
	}
	return Parse(path, data.Bytes(), o)
}

// Parse reads a hale.yaml from memory. The name stands for the file in errors,
// and its directory is what relative file names relate to. Its only error is
// an *Error.
func Parse(name string, data []byte, o Options) (*Config, error) {
	if o.Types == nil {
		o.Types = checktype.Types()
	}
	d := &decoder{file: name, dir: filepath.Dir(name), options: o, config: Default()}
	d.config.File = name
	if root := d.document(data); root != nil {
		d.root(root)
	}
	if err := newError(d.faults); err != nil {
		return nil, err
	}
	return d.config, nil
}

// Default returns the configuration that an absent key falls back to.
func Default() *Config {
	c := new(Config)
	setDefaults(c)
	return c
}
