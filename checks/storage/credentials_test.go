package storage_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/checks/storage"
)

// environment makes a lookup of variables.
func environment(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	f := newFake().start(t)
	session := newFake()
	session.token = "session/token=="
	session.start(t)
	home := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write(".aws/credentials", "# of the app\n[default]\naws_access_key_id = AKIDOTHER\naws_secret_access_key=x\n\n[ app ]\nAWS_ACCESS_KEY_ID="+keyID+"\naws_secret_access_key = "+secret+"\n; the end\n[empty]\n")
	write(".aws/config", "[default]\nregion = eu-west-1\n[profile app]\nregion = us-east-1\n")
	elsewhere := write("keys", "[default]\naws_access_key_id="+keyID+"\naws_secret_access_key="+secret+"\naws_session_token="+session.token+"\n")
	agent := agentOf(t, session.token, "agent token")
	tokenFile := write("token", "agent token\n")
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"Code":"Failed"}`) }))
	t.Cleanup(broken.Close)
	roleless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(roleless.Close)

	pass := func(f *fake) string { return "pass: wrote, read and deleted an object: s3://media/ at " + f.address() }
	for _, test := range []struct {
		name    string
		f       *fake
		vars    map[string]string
		profile string
		want    string
	}{
		{"environment", f, map[string]string{"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": secret}, "", pass(f)},
		{"environment, with a session", session, map[string]string{"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": session.token}, "", pass(session)},
		{"environment before files", f, map[string]string{"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": secret, "HOME": home, "AWS_REGION": "us-east-1"}, "", pass(f)},
		{"profile of the environment", f, map[string]string{"HOME": home, "AWS_PROFILE": "app"}, "", pass(f)},
		{"profile of the option", f, map[string]string{"HOME": home, "AWS_ACCESS_KEY_ID": "AKIDOTHER", "AWS_SECRET_ACCESS_KEY": "x"}, "app", pass(f)},
		{"another file, with a session", session, map[string]string{"HOME": home, "AWS_SHARED_CREDENTIALS_FILE": elsewhere, "AWS_DEFAULT_REGION": "us-east-1"}, "", pass(session)},
		{"role of a task in ECS", session, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": agent + "/v2/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "agent token"}, "", pass(session)},
		{"role of a pod in EKS", session, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": agent + "/v2/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": tokenFile}, "", pass(session)},
		{"role of an instance", session, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": agent}, "", pass(session)},

		{"default profile, of another region", f, map[string]string{"HOME": home}, "", `fail: unknown access key "AKIDOTHER": ` + f.address()},
		{"profile without a key", f, map[string]string{"HOME": home}, "empty", "fail: no credentials: no keys of the profile empty in " + filepath.Join(home, ".aws/credentials")},
		{"profile without a file, though there is a role", f, map[string]string{"HOME": "/nowhere", "AWS_CONTAINER_CREDENTIALS_FULL_URI": agent + "/v2/credentials"}, "app", "fail: no credentials: no such file: /nowhere/.aws/credentials"},
		{"half of the environment", f, map[string]string{"AWS_ACCESS_KEY_ID": keyID}, "", "fail: not set: AWS_SECRET_ACCESS_KEY"},
		{"role to be assumed", f, map[string]string{"HOME": home, "AWS_WEB_IDENTITY_TOKEN_FILE": tokenFile}, "", "fail: AWS_WEB_IDENTITY_TOKEN_FILE is set: the app's SDK gets its credentials with that token, which is not known here: set access_key_id and secret_access_key"},
		{"agent refuses", session, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": agent + "/v2/credentials"}, "", "fail: no credentials for the container: 401 Unauthorized: " + strings.TrimPrefix(agent, "http://")},
		{"agent elsewhere", f, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/credentials"}, "", "fail: AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of an agent on this machine"},
		{"agent without keys", f, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": broken.URL}, "", "fail: no credentials for the container: 200, Failed: " + broken.Listener.Addr().String()},
		{"token file is gone", f, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": agent, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nowhere"}, "", "fail: AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: no such file or directory: /nowhere"},
		{"instance without a role", f, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": roleless.URL}, "", "fail: the instance has no role: attach an instance profile to it"},
		{"no instance", f, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}, "", "fail: no credentials: there are none in the options, the environment or the shared credentials file, and no role of a task or an instance"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := &storage.Check{URL: "s3://media", Mode: "write", Endpoint: test.f.URL, Profile: test.profile, Lookup: environment(test.vars)}
			expect(t, c, test.want)
		})
	}
}

// A role is asked again for its keys only when they are about to end.
func TestRoleIsAskedSeldom(t *testing.T) {
	t.Parallel()
	f := newFake().start(t)
	asked, lasts := 0, time.Hour
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		roleKeys(w, "", lasts)
	}))
	t.Cleanup(agent.Close)
	c := &storage.Check{URL: "s3://media", Endpoint: f.URL, Lookup: environment(map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": agent.URL})}
	for range 3 {
		expect(t, c, "pass: can be listed: s3://media/ at "+f.address())
	}
	if asked != 1 {
		t.Errorf("asked %d times for keys that last", asked)
	}
	asked, lasts = 0, time.Minute
	c = &storage.Check{URL: "s3://media", Endpoint: f.URL, Lookup: c.Lookup}
	for range 3 {
		expect(t, c, "pass: can be listed: s3://media/ at "+f.address())
	}
	if asked != 3 {
		t.Errorf("asked %d times for keys that are about to end", asked)
	}
}

// agentOf answers as the agent of ECS and EKS does, and as the metadata service
// of EC2, version 2.
func agentOf(t *testing.T, session, token string) (url string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/credentials", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		roleKeys(w, session, time.Hour)
	})
	mux.HandleFunc("PUT /latest/api/token", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, "metadata token")
	})
	metadata := func(answer func(http.ResponseWriter)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Aws-Ec2-Metadata-Token") != "metadata token" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			answer(w)
		}
	}
	mux.HandleFunc("GET /latest/meta-data/iam/security-credentials/{$}", metadata(func(w http.ResponseWriter) { _, _ = io.WriteString(w, "web-role\n") }))
	mux.HandleFunc("GET /latest/meta-data/iam/security-credentials/web-role", metadata(func(w http.ResponseWriter) { roleKeys(w, session, time.Hour) }))
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func roleKeys(w io.Writer, session string, lasts time.Duration) {
	fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q}`,
		keyID, secret, session, time.Now().Add(lasts).UTC().Format(time.RFC3339))
}
