// Package awskeys finds an app's AWS credentials where AWS's SDKs do: in the
// environment, the shared files, the agent of a container, or the metadata
// service of EC2.
package awskeys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"hale/checks/internal/web"
	"hale/internal/explain"
)

// Finder finds credentials. Each question reads or asks anew, and nothing stays
// open afterwards. No error repeats a key or a token.
type Finder struct {
	Lookup  func(name string) string // finds a variable of the app's environment
	Profile string                   // of the shared files; empty: AWS_PROFILE, or default
	Agent   string                   // the type of check, for the User-Agent

	// InstanceTime bounds how long the metadata service of EC2 is asked: off EC2,
	// mostly nobody answers. 0: as long as the context lasts.
	InstanceTime time.Duration
	// AskRegion lets Instance ask for the region, too, if Region does not know it.
	AskRegion bool
}

// Found are credentials, and what is known of them.
type Found struct {
	Keys   aws.Credentials
	Name   string // for messages
	Role   string // its name; empty: they are nobody's, or it is not told
	Region string // of the instance; empty: not known, or not asked for
	Oddity string // what somebody should look at; may be empty
}

// ErrNone is what an error is if a source has no credentials since there are
// none, so that the next one is to be tried.
var ErrNone = errors.New("no credentials")

// ErrWebIdentity means that an SDK would get credentials with the token of a web
// identity, which is not done here.
var ErrWebIdentity = errors.New("AWS_WEB_IDENTITY_TOKEN_FILE is set: the app's SDK gets its credentials with that token, which is not known here")

// Find returns the credentials of the first source that has any.
func (f *Finder) Find(ctx context.Context) (Found, error) {
	found, err := f.Local()
	if errors.Is(err, ErrNone) {
		return f.OfRole(ctx)
	}
	return found, err
}

// Local returns the first credentials for which nobody has to be asked: those of
// the environment, or of the shared files. A Profile goes before the environment.
func (f *Finder) Local() (Found, error) {
	if f.Profile == "" {
		if f.Lookup("AWS_ACCESS_KEY_ID") != "" {
			return f.Environment()
		}
		if f.Lookup("AWS_WEB_IDENTITY_TOKEN_FILE") != "" {
			return Found{}, ErrWebIdentity
		}
	}
	return f.File()
}

// OfRole returns the credentials of the container's role, or of the instance's
// if this is no container that has one.
func (f *Finder) OfRole(ctx context.Context) (Found, error) {
	if f.containerURL() != "" {
		return f.Container(ctx)
	}
	return f.Instance(ctx)
}

// Environment returns the keys of the environment.
func (f *Finder) Environment() (Found, error) {
	keys := aws.Credentials{
		AccessKeyID: f.Lookup("AWS_ACCESS_KEY_ID"), SecretAccessKey: f.Lookup("AWS_SECRET_ACCESS_KEY"), SessionToken: f.Lookup("AWS_SESSION_TOKEN"),
	}
	for _, variable := range []struct{ name, value string }{{"AWS_ACCESS_KEY_ID", keys.AccessKeyID}, {"AWS_SECRET_ACCESS_KEY", keys.SecretAccessKey}} {
		if variable.value == "" {
			return Found{}, fmt.Errorf("not set: %s", variable.name)
		}
	}
	return Found{Keys: keys, Name: "keys of the environment (AWS_ACCESS_KEY_ID)"}, nil
}

// Region returns the region of the environment, or of the profile; empty if
// neither says it.
func (f *Finder) Region() string {
	if region := cmp.Or(f.Lookup("AWS_REGION"), f.Lookup("AWS_DEFAULT_REGION")); region != "" {
		return region
	}
	for _, file := range f.files() {
		values, err := file.Values()
		if region := values["region"]; err == nil && region != "" {
			return region
		}
	}
	return ""
}

// client sends requests of one context.
type client struct {
	transport *http.Transport
	agent     string
}

func (f *Finder) client() *client { return &client{web.Transport(nil), f.Agent} }

func (c *client) close() { c.transport.CloseIdleConnections() }

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 64 << 10

// ask sends a request, which may take until its context ends. Its errors are
// explained; within is what they call that time.
func (c *client) ask(req *http.Request, within time.Duration) (*web.Answer, error) {
	req.Header.Set("User-Agent", "hale/"+web.Version()+" "+c.agent+" check")
	return web.Exchange(c.transport, req, req.URL.Host, within, maxAnswer)
}

// budget is the time that a context has; 0: no limit.
func budget(ctx context.Context) time.Duration {
	within, _ := explain.Budget(ctx, time.Now())
	return within
}
