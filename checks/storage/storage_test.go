package storage_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/storage"
	"hale/test/checktest"
	"hale/test/servers"
)

// noEnvironment is the environment of nobody who uses AWS.
func noEnvironment(name string) (string, bool) {
	if name == "AWS_EC2_METADATA_DISABLED" {
		return "true", true
	}
	return "", false
}

// check is one of the fake's bucket, with keys that are good.
func (f *fake) check(change ...func(*storage.Check)) *storage.Check {
	c := &storage.Check{URL: "s3://media", Endpoint: f.URL, AccessKeyID: keyID, SecretAccessKey: secret, Lookup: noEnvironment}
	for _, change := range change {
		change(c)
	}
	return c
}

func writing(c *storage.Check) { c.Mode = "write" }

// expect runs a check once and compares the end of it, to the letter.
func expect(t *testing.T, c *storage.Check, want string) {
	t.Helper()
	got := checktest.Outcome(t, c, 0)
	if got != want {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
	if strings.Contains(got, secret) || strings.Contains(got, "hunter2") {
		t.Errorf("the secret is in %q", got)
	}
}

func TestFaults(t *testing.T) {
	for _, mode := range []string{"list", "write"} {
		t.Run(mode, func(t *testing.T) {
			f := newFake().start(t)
			checktest.Target{
				Address: f.address(),
				New: func(address string) checks.Check {
					return f.check(func(c *storage.Check) { c.Endpoint, c.Mode = "http://"+address, mode })
				},
				Secrets:     []string{secret},
				Connections: f.open,
			}.Faults(t)
			if n := f.left(); n != 0 {
				t.Errorf("%d objects are left", n)
			}
		})
	}
}

func TestSoak(t *testing.T) {
	f := newFake().start(t)
	checktest.Soak(t, f.check(writing), f.open)
	if n := f.left(); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	checktest.TLS{
		Serve: func(t *testing.T, cert servers.Certificate) string { return newFake().start(t, cert).address() },
		New: func(address, ca string, insecure bool) checks.Check {
			return newFakeCheck("https://"+address, ca, insecure)
		},
	}.Faults(t)
}

func newFakeCheck(endpoint, ca string, insecure bool) *storage.Check {
	return &storage.Check{URL: "s3://media", Mode: "write", Endpoint: endpoint, AccessKeyID: keyID, SecretAccessKey: secret, CA: ca, Insecure: insecure, Lookup: noEnvironment}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	f := newFake().start(t)
	a := f.address()
	for _, test := range []struct {
		name   string
		change func(*storage.Check)
		want   string
	}{
		{"list", func(*storage.Check) {}, "pass: can be listed: s3://media/ at " + a},
		{"write", writing, "pass: wrote, read and deleted an object: s3://media/ at " + a},
		{"prefix", func(c *storage.Check) { c.URL, c.Mode = "s3://media/uploads/2026", "write" }, "pass: wrote, read and deleted an object: s3://media/uploads/2026/ at " + a},
		{"prefix that needs escaping", func(c *storage.Check) { c.URL, c.Mode = "s3://media/a b+c%20d/ä=&?#/*'()~", "write" }, "pass: wrote, read and deleted an object: s3://media/a b+c%20d/ä=&?#/*'()~/ at " + a},
		{"list of a prefix that needs escaping", func(c *storage.Check) { c.URL = "s3://media/a b+c%20d/ä=&?#/*'()~" }, "pass: can be listed: s3://media/a b+c%20d/ä=&?#/*'()~/ at " + a},
		{"region", func(c *storage.Check) { c.Region = "us-east-1" }, "pass: can be listed: s3://media/ at " + a},

		{"no such bucket", func(c *storage.Check) { c.URL = "s3://absent" }, `fail: no such bucket "absent": ` + a},
		{"wrong secret", func(c *storage.Check) { c.SecretAccessKey = "hunter2" }, `fail: wrong secret for access key "AKIDEXAMPLE": ` + a},
		{"unknown key", func(c *storage.Check) { c.AccessKeyID = "AKIDOTHER" }, `fail: unknown access key "AKIDOTHER": ` + a},
		{"token of another session", func(c *storage.Check) { c.SessionToken = "hunter2" }, `fail: the session token of access key "AKIDEXAMPLE" is no longer valid: ` + a},
		{"wrong region", func(c *storage.Check) { c.Region = "eu-west-1" }, `fail: bucket "media" is in another region, not in eu-west-1: set region: us-east-1: ` + a},
		{"unknown name", func(c *storage.Check) { c.Endpoint = "http://s3.invalid:9000" }, "fail: name does not resolve: s3.invalid"},
		{"TLS to a plain port", func(c *storage.Check) { c.Endpoint = "https://" + a }, "fail: TLS: the server does not speak TLS on this port: " + a},
		{"no keys", func(c *storage.Check) { c.AccessKeyID, c.SecretAccessKey = "", "" }, "fail: no credentials: there are none in the options, the environment or the shared credentials file, and no role of a task or an instance"},
		{"no region", func(c *storage.Check) { c.Endpoint = "" }, "fail: no region: set region, or AWS_REGION in the environment"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			expect(t, f.check(test.change), test.want)
		})
	}
	t.Cleanup(func() {
		if n := f.left(); n != 0 {
			t.Errorf("%d objects are left", n)
		}
	})
}

// Each right that docs/checks.md names is needed.
func TestRights(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]string{
		"LIST":           `fail: access key "AKIDEXAMPLE" may not list in bucket "media" (s3:ListBucket): `,
		"PUT":            `fail: access key "AKIDEXAMPLE" may not write an object in bucket "media" (s3:PutObject): `,
		"GET":            `fail: access key "AKIDEXAMPLE" may not read an object in bucket "media" (s3:GetObject): `,
		"DELETE":         `fail: access key "AKIDEXAMPLE" may not delete an object in bucket "media" (s3:DeleteObject): `,
		"DELETE version": `fail: access key "AKIDEXAMPLE" may not delete an object in bucket "media" (s3:DeleteObjectVersion): `,
	} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.denied, f.versions = action, action == "DELETE version"
			f.start(t)
			c := f.check(func(c *storage.Check) { c.Mode = "write" })
			if action == "LIST" {
				// Writing goes without: only what others left is not looked for.
				expect(t, c, "pass: wrote, read and deleted an object: s3://media/ at "+f.address())
				c.Mode = "list"
			}
			expect(t, c, want+f.address())
			// With the right, the next run deletes what the last one could not.
			f.set(func() { f.denied = "" })
			expect(t, f.check(), "pass: can be listed: s3://media/ at "+f.address())
			c.Mode = "write"
			expect(t, c, "pass: wrote, read and deleted an object: s3://media/ at "+f.address())
			if n := f.left(); n != 0 && !f.versions {
				t.Errorf("%d objects are left", n)
			}
		})
	}
}

func TestServiceInTrouble(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*fake)
		want   string // without the address
	}{
		{"bucket elsewhere", func(f *fake) { f.elsewhere = "eu-central-1" }, `fail: bucket "media" is in another region, not in us-east-1: set region: eu-central-1`},
		{"clock behind", func(f *fake) { f.ahead = 20 * time.Minute }, "fail: this machine's clock is wrong: 20m0s behind the server's"},
		{"clock ahead", func(f *fake) { f.ahead = -20 * time.Minute }, "fail: this machine's clock is wrong: 20m0s ahead of the server's"},
		{"busy", func(f *fake) { f.broken = always(503, "SlowDown") }, "fail: the service is busy, and asks to come back later"},
		{"full", func(f *fake) { f.broken = always(507, "XMinioStorageFull") }, "fail: the storage is full: We encountered an internal error. Please try again."},
		{"internal error", func(f *fake) { f.broken = always(500, "InternalError") }, "fail: cannot write an object: 500 InternalError: We encountered an internal error. Please try again."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			test.change(f)
			f.start(t)
			got := checktest.Outcome(t, f.check(writing), 0)
			// A second passes between the clocks now and then.
			got = strings.Replace(strings.Replace(got, "19m59s", "20m0s", 1), "20m1s", "20m0s", 1)
			if want := test.want + ": " + f.address(); got != want {
				t.Errorf("\ngot  %s\nwant %s", got, want)
			}
		})
	}
}

func always(status int, code string) func(string) (int, string) {
	return func(string) (int, string) { return status, code }
}

// Who answers is not S3.
func TestStranger(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>hello")
	}))
	t.Cleanup(server.Close)
	a := server.Listener.Addr().String()
	c := newFakeCheck(server.URL, "", false)
	expect(t, c, "fail: what was read is not what was written: s3://media/ at "+a)
	c.Mode = "list"
	expect(t, c, "fail: answers, but not as S3: no list of a bucket in the answer: "+a)
}

func TestVirtualHost(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.domain, f.region = "s3.eu-west-1.example.com", "eu-west-1"
	f.start(t)
	c := f.check(writing, func(c *storage.Check) {
		c.Endpoint, c.Region, c.Style = "http://"+f.domain, "eu-west-1", "virtual"
		c.DialTo(f.address())
	})
	expect(t, c, "pass: wrote, read and deleted an object: s3://media/ at media.s3.eu-west-1.example.com:80")
}

// In a bucket with versions, neither a version nor a marker is left.
func TestVersions(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.versions = true
	f.start(t)
	c := f.check(writing)
	for range 3 {
		expect(t, c, "pass: wrote, read and deleted an object: s3://media/ at "+f.address())
	}
	if n := f.left(); n != 0 {
		t.Errorf("%d versions are left", n)
	}
}

// A run that is cut off while the service hangs deletes its object, in time.
func TestCutOff(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"PUT", "GET"} {
		f := newFake().start(t)
		c := f.check(writing)
		f.set(func() { f.stuck[action] = make(chan struct{}) })
		want := "fail: connected, but no answer within 3s: " + f.address()
		if got := checktest.Outcome(t, c, 3*time.Second); got != want {
			t.Errorf("%s: got %s, want %s", action, got, want)
		}
		f.mu.Lock()
		last := f.requests[len(f.requests)-1]
		f.mu.Unlock()
		if last != "DELETE" {
			t.Errorf("%s: the last request is %s", action, last)
		}
		if n := f.left(); n != 0 {
			t.Errorf("%s: %d objects are left", action, n)
		}
	}
}

// A run that is cancelled deletes its object as well.
func TestCancelled(t *testing.T) {
	t.Parallel()
	f := newFake().start(t)
	f.set(func() { f.stuck["GET"] = make(chan struct{}) })
	c := f.check(writing)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := c.Run(ctx)
		ended <- err
	}()
	checktest.Eventually(t, "the object is written", func() bool { return f.left() == 1 })
	cancel()
	if err := <-ended; err == nil || err.Error() != "interrupted: "+f.address() {
		t.Errorf("error = %v", err)
	}
	if n := f.left(); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}

// What could not be deleted is deleted by the next run.
func TestLeftoverOfLastRun(t *testing.T) {
	t.Parallel()
	f := newFake().start(t)
	c := f.check(writing)
	failing := func(action string) (int, string) {
		if action == "DELETE" {
			return 500, "InternalError"
		}
		return 0, ""
	}
	f.broken = failing
	expect(t, c, "fail: cannot delete an object: 500 InternalError: We encountered an internal error. Please try again.: "+f.address())
	expect(t, c, "fail: cannot delete an object: 500 InternalError: We encountered an internal error. Please try again.: "+f.address())
	if n := f.left(); n != 1 {
		t.Errorf("%d objects are left, want one however many runs fail", n)
	}
	f.broken = nil
	expect(t, c, "pass: wrote, read and deleted an object: s3://media/ at "+f.address())
	if n := f.left(); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}

// A deletion that had no answer may be carried out while the next run is under way,
// which has an object of another name; and it is asked for again.
func TestLateDeletion(t *testing.T) {
	t.Parallel()
	f := newFake().start(t)
	c := f.check(writing)
	deletion, reading := make(chan struct{}), make(chan struct{})
	f.set(func() { f.stuck["DELETE"] = deletion })
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := c.Run(ctx); err == nil {
		t.Error("a run passes without an answer to its deletion")
	}
	f.set(func() {
		delete(f.stuck, "DELETE")
		f.stuck["GET"] = reading
	})
	next := make(chan string)
	go func() { next <- checktest.Outcome(t, c, 0) }()
	checktest.Eventually(t, "both objects are there", func() bool { return f.left() == 2 })
	close(deletion)
	checktest.Eventually(t, "the first is gone", func() bool { return f.left() == 1 })
	f.set(func() { delete(f.stuck, "GET") })
	close(reading)
	if got, want := <-next, "pass: wrote, read and deleted an object: s3://media/ at "+f.address(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := f.left(); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}

// What a process left that is no more goes once it is an hour old; nothing else
// does.
func TestLeftoverOfAnotherProcess(t *testing.T) {
	t.Parallel()
	f := newFake().start(t)
	for name, age := range map[string]time.Duration{
		"uploads/" + storage.Marker + "old": 2 * time.Hour,
		"uploads/" + storage.Marker + "new": time.Minute,
		"uploads/photo.jpg":                 2 * time.Hour,
		storage.Marker + "elsewhere":        2 * time.Hour,
	} {
		f.objects[name] = []version{{id: "v1", written: time.Now().Add(-age)}}
	}
	c := f.check(writing, func(c *storage.Check) { c.URL = "s3://media/uploads" })
	for range 2 {
		expect(t, c, "pass: wrote, read and deleted an object: s3://media/uploads/ at "+f.address())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.objects["uploads/"+storage.Marker+"old"]; ok || len(f.objects) != 3 {
		t.Errorf("left: %v", f.objects)
	}
	lists := len(slices.DeleteFunc(slices.Clone(f.requests), func(action string) bool { return action != "LIST" }))
	if lists != 1 {
		t.Errorf("%d lists, want that of the first run alone", lists)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		check *storage.Check
		want  string
	}{
		{"nothing", &storage.Check{}, "url: is missing: write s3://BUCKET/PREFIX, or the path of a directory"},
		{"another scheme", &storage.Check{URL: "gs://media"}, `url: has the scheme "gs", which is not known here: write s3://BUCKET/PREFIX, or the path of a directory`},
		{"keys in the URL", &storage.Check{URL: "s3://key:hunter2@host/bucket"}, "url: names no bucket: write s3://BUCKET/PREFIX; host and keys have options of their own"},
		{"line break", &storage.Check{URL: "s3://media\n"}, "url: holds a control character, perhaps a line break at its end"},
		{"file with a host", &storage.Check{URL: "file://media"}, "url: names a host: write file:///PATH, with three slashes"},
		{"mode", &storage.Check{URL: "media", Mode: "read"}, `mode: "read" is neither list nor write`},
		{"style", &storage.Check{URL: "s3://media", Style: "host"}, `style: "host" is none of auto, path and virtual`},
		{"region of a directory", &storage.Check{URL: "media", Region: "eu-west-1"}, "region: is for buckets, and url is a directory"},
		{"half a key", &storage.Check{URL: "s3://media", AccessKeyID: "AKID"}, "secret_access_key: is missing"},
		{"the other half", &storage.Check{URL: "s3://media", SecretAccessKey: "hunter2"}, "access_key_id: is missing: the secret is that of a key"},
		{"token of no key", &storage.Check{URL: "s3://media", SessionToken: "hunter2"}, "session_token: belongs to an access key: add access_key_id and secret_access_key"},
		{"two ways to log in", &storage.Check{URL: "s3://media", AccessKeyID: "AKID", SecretAccessKey: "hunter2", Profile: "app"}, "aws_profile: is one way to log in, access_key_id another: remove one of them"},
		{"region is none", &storage.Check{URL: "s3://media", Region: "evil.example.com/"}, `region: "evil.example.com/" is not a region: write eu-west-1, for example`},
		{"endpoint without a scheme", &storage.Check{URL: "s3://media", Endpoint: "minio:9000"}, "endpoint: is not an http or https URL: write https://HOST:PORT"},
		{"endpoint with keys", &storage.Check{URL: "s3://media", Endpoint: "http://key:hunter2@minio:9000"}, "endpoint: holds a user: keys have options of their own"},
		{"CA without TLS", &storage.Check{URL: "s3://media", Endpoint: "http://minio:9000", CA: "ca.pem"}, "ca: has no effect without TLS: write https:// in endpoint"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := test.check.Validate()
			if err == nil || err.Error() != test.want {
				t.Fatalf("error = %v\nwant    %s", err, test.want)
			}
			if _, ok := errors.AsType[*checks.OptionError](err); !ok {
				t.Errorf("not an OptionError: %#v", err)
			}
		})
	}
}
