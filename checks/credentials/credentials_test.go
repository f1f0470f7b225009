package credentials_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/credentials"
	"hale/test/checktest"
	"hale/test/servers"
)

var secrets = []string{keyID, secret, token, "token-0"}

func TestFaults(t *testing.T) {
	m := &metadata{role: "web", document: document(6*time.Hour, "Code", "Success"), v2Only: true}
	target := checktest.Target{
		Address: m.start(t),
		New: func(address string) checks.Check {
			return &credentials.Check{Source: credentials.Instance, Role: "web", Lookup: environ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://"+address)}
		},
		Secrets:     secrets,
		Connections: m.connections,
	}
	target.Faults(t)
	checktest.Soak(t, target.New(target.Address), m.connections)
	checktest.Eventually(t, "no connection is left", func() bool { return m.connections() == 0 })
}

func TestInstance(t *testing.T) {
	t.Parallel()
	good := document(6*time.Hour, "Code", "Success")
	const well = "credentials of the instance's role web, good for 6h more"
	const hop = "the request for a token of the metadata service is not answered: in a container, raise the hop limit of its answer: aws ec2 modify-instance-metadata-options --instance-id ID --http-put-response-hop-limit 2"
	for _, test := range []struct {
		name  string
		at    *metadata
		check credentials.Check
		env   []string
		want  string // the error; ADDRESS is the service's; empty: all is well
	}{
		{name: "version 2", at: &metadata{role: "web", document: good, v2Only: true}},
		{name: "version 2, not demanded", at: &metadata{role: "web", document: good}},
		{name: "the expected role", at: &metadata{role: "web", document: good}, check: credentials.Check{Role: "web"}},
		{name: "another role", at: &metadata{role: "web", document: good}, check: credentials.Check{Role: "worker"}, want: "credentials of the instance's role web, not of the role worker"},
		{name: "no role", at: &metadata{}, want: "the instance has no role: attach an instance profile to it"},
		{name: "nearly ended", at: &metadata{role: "web", document: document(2*time.Minute+25*time.Second, "Code", "Success")}, want: "warn: credentials of the instance's role web, good for 2m more, less than 5m: new ones should be there by now"},
		{name: "ends sooner than wanted", at: &metadata{role: "web", document: document(2*time.Hour, "Code", "Success")}, check: credentials.Check{MinLeft: 3 * time.Hour}, want: "credentials of the instance's role web, good for 2h more, less than 3h"},
		{name: "ended", at: &metadata{role: "web", document: document(-time.Hour, "Code", "Success")}, want: "credentials of the instance's role web: they ended 1h ago (is this machine's clock right?)"},
		{name: "may not be assumed", at: &metadata{role: "web", document: `{"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role web."}`}, want: "the instance gets no credentials of the role web: AssumeRoleUnauthorizedAccess: EC2 cannot assume the role web. (the role's trust policy does not let ec2.amazonaws.com assume it, or the role was deleted and made anew)"},
		{name: "profile deleted", at: &metadata{role: "web", document: `{"Code": "InstanceProfileNotFound"}`}, want: "the instance gets no credentials of the role web: InstanceProfileNotFound (the instance profile was deleted; attach another)"},
		{name: "not yet there", at: &metadata{role: "web", status: http.StatusNotFound}, want: "the metadata service answers 404 to the credentials of the role web: Not Found: ADDRESS"},
		{name: "no keys in it", at: &metadata{role: "web", document: `{"Code": "Success"}`}, want: "the instance gets no credentials of the role web: the answer has no keys: ADDRESS"},
		{name: "no document", at: &metadata{role: "web", document: `<html>`}, want: "the instance gets no credentials of the role web: the answer is not the document that it should be: ADDRESS"},
		{name: "no name of a role", at: &metadata{role: "<html> sign in </html>"}, want: "something else than the metadata service answers: ADDRESS"},
		{name: "version 1 alone", at: &metadata{role: "web", document: good, v1Only: true}, want: "warn: the metadata service gives no token (404), and is asked without (IMDSv1): ADDRESS"},
		{name: "version 1 alone, which is not to be asked", at: &metadata{role: "web", document: good, v1Only: true}, env: []string{"AWS_EC2_METADATA_V1_DISABLED", "true"}, want: "the metadata service answers 404 to the request for a token: Not Found: ADDRESS"},
		{name: "hop limit", at: &metadata{role: "web", document: good, tokenLost: true}, want: "warn: " + hop},
		{name: "hop limit, version 2 demanded", at: &metadata{role: "web", document: good, tokenLost: true, v2Only: true}, want: "the metadata service answers 401 to the name of the role: it wants a token (IMDSv2); " + hop + ": ADDRESS"},
		{name: "hop limit, version 1 not to be asked", at: &metadata{role: "web", document: good, tokenLost: true}, env: []string{"AWS_EC2_METADATA_V1_DISABLED", "true"}, want: hop},
		{name: "off", at: &metadata{off: true}, want: "the metadata service answers 403 to the name of the role: it is off for this instance (HttpEndpoint=disabled), or something on the way adds X-Forwarded-For: ADDRESS"},
		{name: "throttled", at: &metadata{tokenStatus: http.StatusServiceUnavailable}, want: "the metadata service answers 503 to the request for a token: something on this machine asks it too often: ADDRESS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := test.at.start(t)
			test.check.Source = credentials.Instance
			test.check.Lookup = environ(append(test.env, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://"+address)...)
			timeout := time.Minute
			if test.at.tokenLost { // of which a part is waited for the token
				timeout = 6 * time.Second
			}
			checktest.Expect(t, &test.check, timeout, well, strings.ReplaceAll(test.want, "ADDRESS", address))
		})
	}
}

func TestWhere(t *testing.T) {
	t.Parallel()
	task := serve(t, agent{document: document(time.Hour, "RoleArn", "arn:aws:iam::123456789012:role/path/mailer")}, nil)
	pod := serve(t, agent{authorization: "pod-token", document: document(time.Hour)}, nil)
	broken := serve(t, agent{status: http.StatusBadRequest, document: `{"code": "InvalidId", "message": "no task of this id"}`}, nil)
	silent := serve(t, agent{status: http.StatusBadGateway}, nil)
	machine := "http://" + (&metadata{role: "web", document: document(time.Hour, "Code", "Success")}).start(t)
	host := func(url string) string { return strings.TrimPrefix(url, "http://") }
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	shared := write("credentials", "; comment\n[default]\nregion = x\n[app]\naws_access_key_id = "+keyID+"\naws_secret_access_key="+secret+"\n# "+secret+"\n")
	podToken, twoLines := write("token", "pod-token\n"), write("lines", "a\nb\n")
	for _, test := range []struct {
		name         string
		check        credentials.Check
		env          []string
		output, want string
	}{
		{"environment", credentials.Check{}, []string{"AWS_ACCESS_KEY_ID", keyID, "AWS_SECRET_ACCESS_KEY", secret, "AWS_CONTAINER_CREDENTIALS_FULL_URI", task}, "keys of the environment (AWS_ACCESS_KEY_ID)", ""},
		{"half of it", credentials.Check{}, []string{"AWS_ACCESS_KEY_ID", keyID}, "", "not set: AWS_SECRET_ACCESS_KEY"},
		{"none of it", credentials.Check{Source: credentials.Environment}, nil, "", "not set: AWS_ACCESS_KEY_ID"},
		{"the environment, where a role was meant", credentials.Check{Role: "web"}, []string{"AWS_ACCESS_KEY_ID", keyID, "AWS_SECRET_ACCESS_KEY", secret, "AWS_EC2_METADATA_SERVICE_ENDPOINT", machine}, "", "keys of the environment (AWS_ACCESS_KEY_ID): they go before those of the role web"},
		{"web identity", credentials.Check{}, []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "/t"}, "", "AWS_WEB_IDENTITY_TOKEN_FILE is set: the app's SDK gets its credentials with that token, which is not known here; name another source, or check what the app does with them"},
		{"file", credentials.Check{}, []string{"AWS_SHARED_CREDENTIALS_FILE", shared, "AWS_PROFILE", "app"}, "keys of the profile app in " + shared, ""},
		{"file without the profile", credentials.Check{Source: credentials.File}, []string{"AWS_SHARED_CREDENTIALS_FILE", shared}, "", "no credentials: no keys of the profile default in " + shared},
		{"no file", credentials.Check{Source: credentials.File}, nil, "", "no credentials: no such file: /nowhere/.aws/credentials"},
		{"a directory", credentials.Check{}, []string{"AWS_SHARED_CREDENTIALS_FILE", dir}, "", "is a directory: " + dir},
		{"task", credentials.Check{Role: "mailer"}, []string{"AWS_SHARED_CREDENTIALS_FILE", shared, "AWS_CONTAINER_CREDENTIALS_FULL_URI", task, "AWS_EC2_METADATA_SERVICE_ENDPOINT", machine}, "credentials of the container's role mailer, good for 1h more", ""},
		{"pod", credentials.Check{}, []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", pod, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", podToken}, "credentials of the container, good for 1h more", ""},
		{"pod with the token itself", credentials.Check{}, []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", pod, "AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token"}, "credentials of the container, good for 1h more", ""},
		{"pod without its token", credentials.Check{}, []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", pod}, "", "no credentials for the container: 403, AccessDenied: wrong token: " + host(pod)},
		{"pod whose token's file is gone", credentials.Check{}, []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", pod, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nowhere"}, "", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: no such file or directory: /nowhere"},
		{"token of two lines", credentials.Check{}, []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", pod, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", twoLines}, "", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: more than one line: " + twoLines},
		{"unknown task", credentials.Check{}, []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", broken}, "", "no credentials for the container: 400, InvalidId: no task of this id: " + host(broken)},
		{"agent out of order", credentials.Check{}, []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", silent}, "", "no credentials for the container: 502 Bad Gateway: " + host(silent)},
		{"agent elsewhere", credentials.Check{}, []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/keys"}, "", "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of an agent on this machine"},
		{"no container", credentials.Check{Source: credentials.Container}, nil, "", "not set: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_CREDENTIALS_FULL_URI; the task has no role, or this is no task"},
		{"instance", credentials.Check{}, []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT", machine}, "credentials of the instance's role web, good for 1h more", ""},
		{"instance's service switched off", credentials.Check{}, nil, "", "the metadata service is not asked: the environment has AWS_EC2_METADATA_DISABLED=true"},
		{"no instance", credentials.Check{}, []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"}, "", "no metadata service: connection refused: 127.0.0.1:1"},
		{"no URL of a service", credentials.Check{}, []string{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "here"}, "", "AWS_EC2_METADATA_SERVICE_ENDPOINT is not a URL such as http://169.254.169.254"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.Lookup = environ(test.env...)
			checktest.Expect(t, &test.check, 0, test.output, test.want)
		})
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	machine := "http://" + (&metadata{role: "web", document: document(time.Hour, "Code", "Success")}).start(t)
	const name, well = "credentials of the instance's role web", "credentials of the instance's role web, good for 1h more"
	const arn = "; AWS knows them as arn:aws:sts::123456789012:assumed-role/web/i-0123456789abcdef0"
	known := sts{secret: secret, token: token, region: "eu-central-1"}
	other := servers.NewCertificate(t, "127.0.0.1")
	expired, elsewhere := servers.ExpiredCertificate(t, "127.0.0.1"), servers.NewCertificate(t, "elsewhere.example")
	for _, test := range []struct {
		name   string
		at     *sts
		url    string // instead of at
		region string
		want   string // ADDRESS is that of the STS
	}{
		{name: "known", at: &known, region: "eu-central-1"},
		{name: "another secret", at: &sts{secret: "other", token: token, region: "eu-central-1"}, region: "eu-central-1", want: name + `: AWS does not accept what was signed with them (SignatureDoesNotMatch): the secret is wrong, or this machine's clock: "The request signature we calculated does not match the signature you provided.": ADDRESS`},
		{name: "unknown", at: &sts{secret: secret, token: "other", region: "eu-central-1"}, region: "eu-central-1", want: name + ": AWS does not know them (InvalidClientTokenId): deleted, or switched off: ADDRESS"},
		{name: "ended", at: &sts{status: 403, answer: `<ErrorResponse><Error><Code>ExpiredToken</Code><Message>The security token ` + token + ` is expired</Message></Error></ErrorResponse>`}, region: "eu-central-1", want: name + ": AWS says that they have ended (ExpiredToken): ADDRESS"},
		{name: "refused with a secret in its words", at: &sts{status: 400, answer: `<ErrorResponse><Error><Code>Odd</Code><Message>` + token + `</Message></Error></ErrorResponse>`}, region: "eu-central-1", want: name + ": AWS refuses them (400, Odd): ADDRESS"},
		{name: "another kind of answer", at: &sts{status: 200, answer: `<html>sign in</html>`}, region: "eu-central-1", want: name + ": 200 without STS's own answer: does something else answer there? ADDRESS"},
		{name: "down", url: "http://127.0.0.1:1", region: "eu-central-1", want: name + ": STS: connection refused: 127.0.0.1:1"},
		{name: "name that does not resolve", url: "https://sts.invalid", region: "eu-central-1", want: name + ": STS: name does not resolve: sts.invalid"},
		{name: "unknown authority", url: serveTLS(t, &known, other), region: "eu-central-1", want: name + ": STS: TLS: certificate signed by an unknown authority: ADDRESS"},
		{name: "expired certificate", url: serveTLS(t, &known, expired), region: "eu-central-1", want: name + ": STS: TLS: certificate expired on " + expired.TLS(t).Leaf.NotAfter.UTC().Format(time.DateTime) + ": ADDRESS"},
		{name: "certificate of another name", url: serveTLS(t, &known, elsewhere), region: "eu-central-1", want: name + ": STS: TLS: certificate is not for 127.0.0.1 but for elsewhere.example: ADDRESS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.url == "" {
				test.url = serve(t, test.at, &test.at.conns)
			}
			_, address, _ := strings.Cut(test.url, "//")
			check := &credentials.Check{Verify: true, Region: test.region, Endpoint: test.url, Lookup: environ("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine)}
			checktest.Expect(t, check, 0, well+arn, strings.ReplaceAll(test.want, "ADDRESS", address))
		})
	}
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		proxy := servers.Proxy(t, "127.0.0.1:1")
		proxy.Break(servers.BlackHole)
		check := &credentials.Check{Verify: true, Endpoint: "http://" + proxy.Address(), Lookup: environ("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine)}
		checktest.Expect(t, check, 2*time.Second, "", name+": STS: connected, but no answer within 2s: "+proxy.Address())
	})
	t.Run("endpoint of the environment", func(t *testing.T) {
		t.Parallel()
		check := &credentials.Check{Verify: true, Lookup: environ("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine, "AWS_REGION", "eu-central-1", "AWS_ENDPOINT_URL_STS", serve(t, &known, nil))}
		checktest.Expect(t, check, 0, well+arn, "")
	})
	t.Run("region of the profile", func(t *testing.T) {
		t.Parallel()
		config := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(config, []byte("[default]\nregion = eu-central-1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		check := &credentials.Check{Verify: true, Lookup: environ("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine, "AWS_CONFIG_FILE", config, "AWS_ENDPOINT_URL_STS", serve(t, &known, nil))}
		checktest.Expect(t, check, 0, well+arn, "")
	})
	t.Run("no region", func(t *testing.T) {
		t.Parallel()
		check := &credentials.Check{Verify: true, Lookup: environ("AWS_ACCESS_KEY_ID", keyID, "AWS_SECRET_ACCESS_KEY", secret)}
		checktest.Expect(t, check, 0, "", "keys of the environment (AWS_ACCESS_KEY_ID): no region is known whose STS could be asked: set region")
	})
}

// The whole of it, with STS, over and over.
func TestSoakVerified(t *testing.T) {
	m := &metadata{role: "web", document: document(6*time.Hour, "Code", "Success"), v2Only: true}
	s := &sts{secret: secret, token: token, region: "eu-central-1"}
	open := func() int { return m.connections() + int(s.conns.Load()) }
	check := &credentials.Check{
		Verify: true, Region: "eu-central-1", Endpoint: serve(t, s, &s.conns),
		Lookup: environ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://"+m.start(t)),
	}
	checktest.Soak(t, check, open)
	checktest.Eventually(t, "no connection is left", func() bool { return open() == 0 })
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		check credentials.Check
		want  string
	}{
		{"nothing", credentials.Check{}, ""},
		{"all of it", credentials.Check{Source: credentials.Instance, Role: "web", WarnLeft: time.Hour, MinLeft: time.Minute, Verify: true, Region: "cn-north-1", Endpoint: "https://sts.internal"}, ""},
		{"source", credentials.Check{Source: "imds"}, `source: "imds" is not auto, environment, file, container or instance`},
		{"role of keys", credentials.Check{Source: credentials.File, Role: "web"}, "role: cannot be told of keys in the environment or a file: remove it, or write source: instance or container"},
		{"negative", credentials.Check{MinLeft: -1}, "min_left: -1ns is negative"},
		{"thresholds", credentials.Check{WarnLeft: time.Minute, MinLeft: time.Hour}, "warn_left: 1m0s is less than min_left (1h0m0s): the check would fail before it warns"},
		{"STS's options without it", credentials.Check{Region: "eu-central-1"}, "verify: is false, so that region and endpoint mean nothing: set verify: true, or remove them"},
		{"region", credentials.Check{Verify: true, Region: "evil.example.com/"}, `region: "evil.example.com/" is not the name of a region, such as eu-central-1`},
		{"endpoint", credentials.Check{Verify: true, Endpoint: "sts.internal"}, "endpoint: is not a URL such as https://sts.eu-central-1.amazonaws.com"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := test.check.Validate()
			if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
				t.Fatalf("error = %v\nwant    %s", err, test.want)
			}
			if _, ok := errors.AsType[*checks.OptionError](err); err != nil && !ok {
				t.Errorf("%T is no OptionError", err)
			}
		})
	}
}
