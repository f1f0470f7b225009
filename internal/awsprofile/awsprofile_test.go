package awsprofile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"credentials": "[default]\nREGION = x\n[ app ]\naws_access_key_id=A # not a comment\n; k = v\n",
		"config":      "[default]\na = 1\n[profile default]\na = 2\n[app]\nregion = wrong\n[profile  app]\nregion = eu-west-1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"HOME": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "credentials"), "AWS_CONFIG_FILE": filepath.Join(dir, "config"), "AWS_PROFILE": "app"}
	lookup := func(name string) string { return env[name] }
	for _, test := range []struct {
		profile, file, key, want string
		none                     bool // the file has no such profile
	}{
		{"", "credentials", "aws_access_key_id", "A # not a comment", false},
		{"", "credentials", "; k", "", false},
		{"", "config", "region", "eu-west-1", false},
		{"default", "credentials", "region", "x", false},
		{"default", "config", "a", "2", false},
		{"other", "credentials", "", "", true},
		{"other", "config", "", "", true},
	} {
		for _, file := range Files(lookup, Name(lookup, test.profile)) {
			if filepath.Base(file.Path) != test.file {
				continue
			}
			values, err := file.Values()
			if err != nil || values[test.key] != test.want || (values == nil) != test.none {
				t.Errorf("profile %q in %s: %s = %q of %v, %v", test.profile, test.file, test.key, values[test.key], values, err)
			}
		}
	}
	env["AWS_CONFIG_FILE"], env["AWS_SHARED_CREDENTIALS_FILE"] = "", ""
	files := Files(lookup, "default")
	if files[0].Path != "/nowhere/.aws/credentials" || files[1].Path != "/nowhere/.aws/config" {
		t.Errorf("files = %+v", files)
	}
	if _, err := files[0].Values(); !os.IsNotExist(err) {
		t.Errorf("error = %v", err)
	}
}

func FuzzSection(f *testing.F) {
	f.Add("[default]\nregion = x\n[profile app]\n# a = b\naws_access_key_id=\n", "profile app")
	f.Add("[a\n=\n;=\n[ a ] [b]\nk==v", "a")
	f.Fuzz(func(t *testing.T, content, name string) {
		for key, value := range section(content, name) {
			if key != strings.ToLower(key) || strings.TrimSpace(value) != value || strings.Contains(key+value, "\n") {
				t.Errorf("%q = %q", key, value)
			}
		}
	})
}
