package configuration_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hale/internal/balancer/configuration"
	"hale/internal/yamlfile"
)

var update = flag.Bool("update", false, "write what is found into testdata, to be read before it is committed")

// variables are the environment of all tests. No fault may show a value that has
// "secret" in it.
var variables = map[string]string{"SECRET": "my-secret/value:1", "EMPTY": "", "NAME": "secret name", "PORT": "8080"}

func lookup(name string) (string, bool) {
	value, ok := variables[name]
	return value, ok
}

// TestFaults reads each file of testdata/broken, whose last lines say what must be
// said of it: "# want: balance.yaml:3:5: key: text".
func TestFaults(t *testing.T) {
	const prefix = "# want: "
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			body, want, _ := strings.Cut(string(data), prefix)
			_, err = configuration.Parse("balance.yaml", []byte(body), configuration.Options{Env: lookup})
			faults, ok := errors.AsType[*yamlfile.Error](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			var got strings.Builder
			for _, f := range faults.Faults {
				if strings.Contains(f.Error(), "secret") {
					t.Errorf("tells a secret: %v", f)
				}
				got.WriteString(prefix + f.Error() + "\n")
			}
			if *update {
				if err := os.WriteFile(file, []byte(body+got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want = prefix + want; got.String() != want {
				t.Errorf("got\n%swant\n%s", got.String(), want)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	f, err := configuration.Parse("dir/balance.yaml", []byte(strings.Join([]string{
		"AccessLog: access.log",
		"Certificates: [{Name: site, CertificateFile: site.crt, PrivateKeyFile: /etc/site.key}]",
		"TargetGroups: [{Name: web, Protocol: HTTP, Port: 80}]",
		"LoadBalancers: [{Name: site, Listeners: [{Protocol: HTTP, Port: 80, DefaultActions: [{Type: forward, ForwardConfig: {TargetGroups: [{TargetGroup: web}]}}]}]}]",
	}, "\n")), configuration.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ what, got, want string }{
		{"region", f.Region, "us-east-1"},
		{"account", string(f.Account), "000000000000"},
		{"API", string(f.API), "127.0.0.1:8087"},
		{"admin", string(f.Admin), ""},
		{"access log", string(f.AccessLog), "dir/access.log"},
		{"certificate", f.Certificates[0].CertificateFile, "dir/site.crt"},
		{"private key", f.Certificates[0].PrivateKeyFile, "/etc/site.key"},
		{"ARN", f.ARN("site"), "arn:aws:acm:us-east-1:000000000000:certificate/site"},
		{"target type", string(f.TargetGroups[0].TargetType), "instance"},
		{"scheme", string(f.LoadBalancers[0].Scheme), "internet-facing"},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %q, want %q", test.what, test.got, test.want)
		}
	}
	if weight := f.LoadBalancers[0].Listeners[0].DefaultActions[0].ForwardConfig.TargetGroups[0].Weight; weight != 1 {
		t.Errorf("weight %d, want 1", weight)
	}
}

// FuzzParse holds that any text ends in a configuration or in faults, and that
// what is accepted can be applied, once to a change and twice to none.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "testdata/full.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := configuration.Parse("balance.yaml", data, configuration.Options{Env: lookup})
		if err != nil {
			faults, ok := errors.AsType[*yamlfile.Error](err)
			if !ok || file != nil || len(faults.Faults) == 0 {
				t.Fatalf("%T %v, %v", err, err, file)
			}
			for _, fault := range faults.Faults {
				if fault.Line < 1 || fault.Column < 1 || fault.Text == "" || strings.ContainsAny(fault.Error(), "\n\x1b") {
					t.Errorf("no fault for people: %+v", fault)
				}
			}
			return
		}
		next := apply(t, file, nothing())
		if again := steps(t, file, next); len(again) > 0 {
			t.Errorf("the second time: %v", again)
		}
	})
}
