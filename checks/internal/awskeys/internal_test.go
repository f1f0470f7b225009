package awskeys

import (
	"strings"
	"testing"
)

func TestContainerURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ relative, full, want string }{
		{"", "", ""},
		{"/v2/credentials/x", "", "http://169.254.170.2/v2/credentials/x"},
		{"/v2/credentials/x", "http://127.0.0.1/y", "http://169.254.170.2/v2/credentials/x"},
		{"", "http://169.254.170.23/v1/credentials", "http://169.254.170.23/v1/credentials"},
	} {
		env := map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": test.relative, "AWS_CONTAINER_CREDENTIALS_FULL_URI": test.full}
		finder := Finder{Lookup: func(name string) string { return env[name] }}
		if got := finder.containerURL(); got != test.want {
			t.Errorf("%+v: %s, want %s", test, got, test.want)
		}
	}
	for host, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "localhost": true, "169.254.170.2": true, "169.254.170.23": true, "fd00:ec2::23": true,
		"169.254.169.254": false, "10.0.0.1": false, "example.com": false, "localhost.example.com": false,
	} {
		if isAgent(host) != want {
			t.Errorf("isAgent(%s) = %v", host, !want)
		}
	}
}

func TestComplaint(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		said document
		want string
	}{
		{"success", document{Code: "Success", Message: "m"}, ""},
		{"nothing", document{Message: "m"}, ""},
		{"code", document{Code: "Failed"}, "Failed"},
		{"code and message", document{Code: "Failed", Message: "not yet"}, "Failed: not yet"},
		{"the token in it", document{Code: "Failed", Message: "hunter2 is unknown"}, "Failed"},
	} {
		if got := test.said.complaint("hunter2"); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	const secret = "hunter2-hunter2"
	for _, seed := range []string{`{"Code": "Success"}`, `{"code": "x", "message": "y"}`, `{"Expiration": "never"}`, `[]`, `{"AccessKeyId": 1}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, body := range []string{text, strings.Replace(text, "{", `{"SecretAccessKey": "`+secret+`",`, 1)} {
			d, err := parse([]byte(body))
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Fatalf("%v holds the secret", err)
			}
			if err == nil && !d.keys().HasKeys() {
				t.Fatalf("%q is good, but has no keys", body)
			}
		}
	})
}
