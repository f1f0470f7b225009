package awskeys

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"

	"hale/internal/awsprofile"
	"hale/internal/explain"
)

// files returns where the profile's settings are, in the two shared files.
func (f *Finder) files() [2]awsprofile.File { return awsprofile.Files(f.Lookup, f.profile()) }

func (f *Finder) profile() string { return awsprofile.Name(f.Lookup, f.Profile) }

// File returns the keys of the profile in the shared credentials file, or else in
// the shared config file. An SDK does without a file that it cannot open; so
// what is not there, or may not be read, is ErrNone.
func (f *Finder) File() (Found, error) {
	var first error // the credentials file is where keys should be
	for _, file := range f.files() {
		values, err := file.Values()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = fmt.Errorf("%w: no such file: %s", ErrNone, file.Path)
		case errors.Is(err, fs.ErrPermission):
			err = fmt.Errorf("%w: permission denied: %s", ErrNone, file.Path)
		case err != nil:
			return Found{}, fmt.Errorf("%s: %s", explain.Innermost(err), file.Path)
		}
		keys := aws.Credentials{
			AccessKeyID: values["aws_access_key_id"], SecretAccessKey: values["aws_secret_access_key"], SessionToken: values["aws_session_token"],
		}
		if keys.HasKeys() {
			return Found{Keys: keys, Name: fmt.Sprintf("keys of the profile %s in %s", f.profile(), file.Path)}, nil
		}
		if err == nil {
			err = fmt.Errorf("%w: no keys of the profile %s in %s", ErrNone, f.profile(), file.Path)
		}
		first = cmp.Or(first, err)
	}
	return Found{}, first
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
