// Package awsprofile reads AWS's shared files, ~/.aws/credentials and
// ~/.aws/config, as its SDKs do
// (https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html).
package awsprofile

import (
	"cmp"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// File is where one of the two shared files has the settings of a profile.
type File struct {
	Path     string
	sections []string // what the profile's may be called; the first that is there counts
}

// Name is the name of the profile: the given one, or else AWS_PROFILE's, or
// default. Lookup finds a variable of the environment.
func Name(lookup func(name string) string, profile string) string {
	return cmp.Or(profile, lookup("AWS_PROFILE"), "default")
}

// Files returns where a profile's settings are, the file that goes before the
// other first: credentials, then config.
func Files(lookup func(name string) string, profile string) [2]File {
	inConfig := []string{"profile " + profile}
	if profile == "default" {
		inConfig = append(inConfig, profile)
	}
	home := filepath.Join(lookup("HOME"), ".aws")
	return [2]File{
		{cmp.Or(lookup("AWS_SHARED_CREDENTIALS_FILE"), filepath.Join(home, "credentials")), []string{profile}},
		{cmp.Or(lookup("AWS_CONFIG_FILE"), filepath.Join(home, "config")), inConfig},
	}
}

// Values reads the profile's settings, with their keys in lower case; nil if the
// file has no such profile.
func (f File) Values() (map[string]string, error) {
	content, err := f.read()
	if err != nil {
		return nil, err
	}
	for _, name := range f.sections {
		if values := section(string(content), name); values != nil {
			return values, nil
		}
	}
	return nil, nil
}

// maxFile bounds how much is read of a file that should be small, in bytes.
const maxFile = 1 << 20

func (f File) read() ([]byte, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxFile))
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
