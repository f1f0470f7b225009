package awskeys_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/checks/internal/awskeys"
	"hale/test/checktest"
	"hale/test/servers"
)

// None of these tests may reach the metadata service of the machine that they
// run on: it is off unless a fake stands in for it. What fakes of it and of the
// agents answer is tested with the checks that ask.

func environ(pairs ...string) func(string) string {
	env := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	if env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] == "" {
		env["AWS_EC2_METADATA_DISABLED"] = "true"
	}
	return func(name string) string { return env[name] }
}

const keysOf = "aws_secret_access_key = hunter2\naws_access_key_id = "

func TestFiles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                string
		credentials, config string // "-": there is no such file
		profile             string // of AWS_PROFILE
		id, region, want    string // want: the error, or what found them; HOME is the directory
	}{
		{name: "none", credentials: "-", config: "-", want: "no credentials: no such file: HOME/credentials"},
		{name: "credentials", credentials: "[default]\n" + keysOf + "A", config: "-", id: "A", want: "keys of the profile default in HOME/credentials"},
		{name: "config", credentials: "-", config: "[default]\nregion = eu-west-1\n" + keysOf + "A", id: "A", region: "eu-west-1", want: "keys of the profile default in HOME/config"},
		{name: "credentials before config", credentials: "[default]\nregion=eu-north-1\n" + keysOf + "A", config: "[default]\nregion=eu-west-1\n" + keysOf + "B", id: "A", region: "eu-north-1", want: "keys of the profile default in HOME/credentials"},
		{name: "keys of both are not mixed", credentials: "[default]\naws_access_key_id = A", config: "[default]\n" + keysOf + "B", id: "B", want: "keys of the profile default in HOME/config"},
		{name: "profile", credentials: "[default]\n" + keysOf + "B\n[ app ]\n" + strings.ToUpper(keysOf) + "A", config: "[default]\nregion = x\n[profile  app]\nregion = eu-west-1", profile: "app", id: "A", region: "eu-west-1", want: "keys of the profile app in HOME/credentials"},
		{name: "profile of the config", credentials: "[profile app]\n" + keysOf + "B", config: "[app]\n" + keysOf + "B\n[profile app] # ours\n" + keysOf + "A", profile: "app", id: "A", want: "keys of the profile app in HOME/config"},
		{name: "the word is more than the name alone", credentials: "-", config: "[default]\n" + keysOf + "B\n[profile default]\n" + keysOf + "A", id: "A", want: "keys of the profile default in HOME/config"},
		{name: "no such profile", credentials: "[default]\n" + keysOf + "A", config: "-", profile: "app", want: "no credentials: no keys of the profile app in HOME/credentials"},
		{name: "comments", credentials: "; a\n# b\n[default]\n#" + keysOf + "A\n;x=y", config: "-", want: "no credentials: no keys of the profile default in HOME/credentials"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, content := range map[string]string{"credentials": test.credentials, "config": test.config} {
				if content == "-" {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			finder := awskeys.Finder{Lookup: environ(
				"AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"), "AWS_CONFIG_FILE", filepath.Join(dir, "config"), "AWS_PROFILE", test.profile)}
			found, err := finder.File()
			got := found.Name
			if err != nil {
				got = err.Error()
			}
			if want := strings.ReplaceAll(test.want, "HOME", dir); got != want || found.Keys.AccessKeyID != test.id || found.Keys.HasKeys() != (err == nil) {
				t.Errorf("%s, key %q\nwant %s, key %q", got, found.Keys.AccessKeyID, want, test.id)
			}
			if err != nil && !errors.Is(err, awskeys.ErrNone) {
				t.Errorf("%v is not ErrNone", err)
			}
			if region := finder.Region(); region != test.region {
				t.Errorf("region %q, want %q", region, test.region)
			}
		})
	}
}

// A file that an SDK could not open is done without: the root's, which the app
// may not read, for one.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(path, []byte("[default]\n"+keysOf+"A"), 0); err != nil {
		t.Fatal(err)
	}
	finder := awskeys.Finder{Lookup: environ("AWS_SHARED_CREDENTIALS_FILE", path)}
	servers.AsNobody(t, func() {
		if _, err := finder.File(); !errors.Is(err, awskeys.ErrNone) || err.Error() != "no credentials: permission denied: "+path {
			t.Errorf("error = %v", err)
		}
	})
}

// Which errors let the next source be tried.
func TestNone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		env  []string
		want string
		none bool
	}{
		{"half of the environment", []string{"AWS_ACCESS_KEY_ID", "A"}, "not set: AWS_SECRET_ACCESS_KEY", false},
		{"web identity", []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "/t"}, awskeys.ErrWebIdentity.Error(), false},
		{"a file that is none", []string{"AWS_SHARED_CREDENTIALS_FILE", "/"}, "is a directory: /", false},
		{"metadata service switched off", nil, "the metadata service is not asked: the environment has AWS_EC2_METADATA_DISABLED=true", true},
		{"no metadata service", []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"}, "no metadata service: connection refused: 127.0.0.1:1", true},
		{"no URL of a service", []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "here"}, "AWS_EC2_METADATA_SERVICE_ENDPOINT is not a URL such as http://169.254.169.254", false},
	} {
		finder := awskeys.Finder{Lookup: environ(append(test.env, "HOME", "/nowhere")...)}
		if _, err := finder.Find(t.Context()); err == nil || err.Error() != test.want || errors.Is(err, awskeys.ErrNone) != test.none {
			t.Errorf("%s: %v, ErrNone: %v\nwant %s", test.name, err, !test.none, test.want)
		}
	}
}

// Off EC2, something may take the connection and never answer.
func TestInstanceTime(t *testing.T) {
	t.Parallel()
	proxy := servers.Proxy(t, "127.0.0.1:1")
	proxy.Break(servers.BlackHole)
	const silence = time.Second
	finder := awskeys.Finder{Lookup: environ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://"+proxy.Address()), InstanceTime: silence}
	start := time.Now()
	_, err := finder.Instance(t.Context())
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	if want := "no metadata service: connected, but no answer within 1s: " + proxy.Address(); err == nil || !strings.HasPrefix(checktest.OnTime(err.Error(), silence), want+"; ") {
		t.Errorf("error = %v\nwant    %s; ...", err, want)
	}
}
