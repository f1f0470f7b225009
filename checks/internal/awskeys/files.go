package awskeys

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"hale/internal/explain"
)

// settings is where one of the two shared files has those of a profile
// (https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html).
type settings struct {
	path     string
	sections []string // what the profile's may be called; the first that is there counts
}

// files returns the shared files, the one that goes before the other first.
func (f *Finder) files() []settings {
	home := filepath.Join(f.Lookup("HOME"), ".aws")
	name := f.profile()
	inConfig := []string{"profile " + name}
	if name == "default" {
		inConfig = append(inConfig, name)
	}
	return []settings{
		{cmp.Or(f.Lookup("AWS_SHARED_CREDENTIALS_FILE"), filepath.Join(home, "credentials")), []string{name}},
		{cmp.Or(f.Lookup("AWS_CONFIG_FILE"), filepath.Join(home, "config")), inConfig},
	}
}

func (f *Finder) profile() string { return cmp.Or(f.Profile, f.Lookup("AWS_PROFILE"), "default") }

// File returns the keys of the profile in the shared credentials file, or else in
// the shared config file. An SDK does without a file that it cannot open; so
// what is not there, or may not be read, is ErrNone.
func (f *Finder) File() (Found, error) {
	var first error // the credentials file is where keys should be
	for _, file := range f.files() {
		values, err := file.values()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = fmt.Errorf("%w: no such file: %s", ErrNone, file.path)
		case errors.Is(err, fs.ErrPermission):
			err = fmt.Errorf("%w: permission denied: %s", ErrNone, file.path)
		case err != nil:
			return Found{}, fmt.Errorf("%s: %s", explain.Innermost(err), file.path)
		}
		keys := aws.Credentials{
			AccessKeyID: values["aws_access_key_id"], SecretAccessKey: values["aws_secret_access_key"], SessionToken: values["aws_session_token"],
		}
		if keys.HasKeys() {
			return Found{Keys: keys, Name: fmt.Sprintf("keys of the profile %s in %s", f.profile(), file.path)}, nil
		}
		if err == nil {
			err = fmt.Errorf("%w: no keys of the profile %s in %s", ErrNone, f.profile(), file.path)
		}
		first = cmp.Or(first, err)
	}
	return Found{}, first
}

func (s settings) values() (map[string]string, error) {
	content, err := readFile(s.path)
	if err != nil {
		return nil, err
	}
	for _, name := range s.sections {
		if values := section(string(content), name); values != nil {
			return values, nil
		}
	}
	return nil, nil
}

// section returns the settings of one section; nil if there is no such section.
func section(content, name string) map[string]string {
	var values map[string]string
	in := false
	for line := range strings.Lines(content) {
		line = strings.TrimSpace(line)
		if inner, ok := strings.CutPrefix(line, "["); ok {
			title, _, _ := strings.Cut(inner, "]")
			in = strings.Join(strings.Fields(title), " ") == name
			if in && values == nil {
				values = make(map[string]string)
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if in && ok && line[0] != '#' && line[0] != ';' {
			values[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	return values
}

// readFile reads a file, of which it takes no more than it should have.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, 1<<20))
}
