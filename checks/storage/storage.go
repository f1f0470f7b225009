// Package storage checks where an app keeps its files: a bucket that speaks the
// S3 API, or a directory.
package storage

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"hale/checks"
	"hale/checks/internal/trust"
	"hale/internal/explain"
)

// marker begins the name of every object that a check writes, after the prefix.
const marker = ".hale-check-"

// Check looks into a bucket of an S3-compatible service (AWS, MinIO, Ceph, ...),
// or into a directory, which may be that of a network file system.
//
// Mode "list" proves that the service can be reached, accepts the credentials,
// has the bucket, and may be asked for what is in it. Mode "write" proves that a
// small object can be written, read back and deleted: that a disk is not full or
// read-only, that a key may be used for what the app does with it. It costs one
// connection and one request a run with "list", three with "write"; of a
// directory, one flush to the disk.
//
// A run that is cut off in the middle still asks for the deletion of its object,
// in the last quarter of its time, of which it takes at most half a second. An
// object whose deletion fails is written over and deleted by the next run; one whose
// deletion has no answer is deleted once more by the next run that passes; one that a
// process left which is no more, by the first run of another that finds it an hour
// old.
//
//	&storage.Check{URL: "s3://media/uploads", Region: "eu-west-1", Mode: "write"}
type Check struct {
	URL  string `yaml:"url" jsonschema:"required" jsonschema_description:"What to look into: s3://BUCKET/PREFIX, or a directory as a path, which may be relative, or file:///PATH."`
	Mode string `yaml:"mode" jsonschema:"enum=list,enum=write,default=list" jsonschema_description:"What to do: list, or write, read back and delete a small object."`

	Endpoint string `yaml:"endpoint" jsonschema_description:"Where the S3 service is, if it is not AWS: http://HOST:PORT or https://HOST; by default AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL of the environment."`
	Region   string `yaml:"region" jsonschema_description:"The bucket's region; by default AWS_REGION or AWS_DEFAULT_REGION of the environment, or the profile's; us-east-1 where there is an endpoint."`
	Style    string `yaml:"style" jsonschema:"enum=auto,enum=path,enum=virtual,default=auto" jsonschema_description:"Where the bucket stands in a request: in the path, or in the host name (virtual); auto means path if there is an endpoint."`

	AccessKeyID     string `yaml:"access_key_id" jsonschema_description:"The access key; by default that of the environment, of the profile, or of the task's or the instance's role, in this order."`
	SecretAccessKey string `yaml:"secret_access_key" jsonschema_description:"The secret of the access key."`
	SessionToken    string `yaml:"session_token" jsonschema_description:"The session token of a temporary access key."`
	Profile         string `yaml:"aws_profile" jsonschema_description:"The profile of the shared files (~/.aws/credentials, ~/.aws/config); by default AWS_PROFILE of the environment, or default."`

	CA       string `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's; relative to the directory of hale.yaml."`
	Insecure bool   `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate."`

	// Dir is where relative paths start; empty means the working directory.
	Dir string `yaml:"-"`
	// Lookup finds a variable of the environment; nil means that of this process.
	Lookup func(name string) (value string, ok bool) `yaml:"-"`

	// mu guards everything that follows, and is held for a whole run.
	mu    sync.Mutex
	left  string   // the name of an object that may still be there; empty: none
	asked []string // those of which the deletion was asked for, and had no answer
	swept bool     // what other processes left has been looked for
	roles roles

	dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: as usual
}

// store is where objects are kept. Names are relative to what the check's URL
// says.
type store interface {
	put(ctx context.Context, name, content string) (version string, err error)
	get(ctx context.Context, name string) (content string, err error)
	remove(ctx context.Context, name, version string) error
	// list returns some objects whose names begin with prefix.
	list(ctx context.Context, prefix string) ([]object, error)
	where() string // for messages
	close()
}

type object struct {
	name    string
	written time.Time
}

// Validate refuses a URL that names neither a bucket nor a directory, and
// options that contradict one another.
func (c *Check) Validate() error {
	var errs []error
	refuse := func(is bool, key, format string, args ...any) {
		if is {
			errs = append(errs, checks.Optionf(key, format, args...))
		}
	}
	refuse(!slices.Contains([]string{"", "list", "write"}, c.Mode), "mode", "%q is neither list nor write", c.Mode)
	place, err := parsePlace(c.URL)
	if err != nil {
		return errors.Join(append(errs, &checks.OptionError{Key: "url", Err: err})...)
	}
	if place.bucket == "" {
		for _, option := range []struct {
			key string
			set bool
		}{
			{"endpoint", c.Endpoint != ""},
			{"region", c.Region != ""},
			{"style", c.Style != ""},
			{"access_key_id", c.AccessKeyID != ""},
			{"secret_access_key", c.SecretAccessKey != ""},
			{"session_token", c.SessionToken != ""},
			{"aws_profile", c.Profile != ""},
			{"ca", c.CA != ""},
			{"insecure", c.Insecure},
		} {
			refuse(option.set, option.key, "is for buckets, and url is a directory")
		}
		return errors.Join(errs...)
	}
	refuse(!slices.Contains([]string{"", "auto", "path", "virtual"}, c.Style), "style", "%q is none of auto, path and virtual", c.Style)
	refuse(c.AccessKeyID == "" && c.SecretAccessKey != "", "access_key_id", "is missing: the secret is that of a key")
	refuse(c.AccessKeyID != "" && c.SecretAccessKey == "", "secret_access_key", "is missing")
	refuse(c.AccessKeyID == "" && c.SessionToken != "", "session_token", "belongs to an access key: add access_key_id and secret_access_key")
	refuse(c.AccessKeyID != "" && c.Profile != "", "aws_profile", "is one way to log in, access_key_id another: remove one of them")
	refuse(strings.ContainsAny(c.Region, "/?#@: "), "region", "%q is not a region: write eu-west-1, for example", c.Region)
	if c.Endpoint != "" {
		if _, err := parseEndpoint(c.Endpoint); err != nil {
			errs = append(errs, &checks.OptionError{Key: "endpoint", Err: err})
		}
		if strings.HasPrefix(c.Endpoint, "http:") {
			errs = append(errs, c.trust().WithoutTLS("write https:// in endpoint"))
		}
	}
	return errors.Join(errs...)
}

func (c *Check) trust() trust.Options {
	return trust.Options{CA: c.CA, Dir: c.Dir, Insecure: c.Insecure}
}

func (c *Check) lookup(name string) string {
	lookup := c.Lookup
	if lookup == nil {
		lookup = os.LookupEnv
	}
	value, _ := lookup(name)
	return value
}

// Run looks once.
func (c *Check) Run(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	within, _ := explain.Budget(ctx, time.Now())
	working, cancel := workTime(ctx)
	defer cancel()
	s, err := c.open(working, within)
	if err != nil {
		return "", err
	}
	defer s.close()
	if c.Mode != "write" {
		if _, err := s.list(working, ""); err != nil {
			return "", err
		}
		return "can be listed: " + s.where(), nil
	}
	if err := c.write(ctx, working, s); err != nil {
		return "", err
	}
	c.sweep(working, s)
	return "wrote, read and deleted an object: " + s.where(), nil
}

// open returns the store that the URL names.
func (c *Check) open(ctx context.Context, within time.Duration) (store, error) {
	place, err := parsePlace(c.URL)
	if err != nil {
		return nil, fmt.Errorf("url %w", err)
	}
	if place.bucket == "" {
		return newDirectory(place.path, c.Dir), nil
	}
	return c.openBucket(ctx, place, within)
}

// A run stops its work this long before its own deadline, so that there is time
// to delete what it wrote. It is the smaller of the two.
const (
	cleanTime  = 500 * time.Millisecond
	cleanShare = 4 // one part of so many of the time there is
)

// workTime is ctx, but for the time to clean up.
func workTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(cleanTime, time.Until(deadline)/cleanShare)))
}

// cleanUp is a context for deleting: what is left of the run's time, or a little
// if the run was cancelled.
func cleanUp(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), cleanTime/2)
}

// write writes, reads and deletes an object.
func (c *Check) write(ctx, working context.Context, s store) error {
	if err := working.Err(); err != nil {
		return explain.Network(err, s.where())
	}
	name, used := c.newName()
	content := rand.Text()
	version, err := s.put(working, name, content)
	written := err == nil
	switch {
	case refused(err):
		if used { // what an earlier run wrote may still be there
			c.left = name
		}
		return err
	case written:
		err = readBack(working, s, name, content)
	}
	cleaning, cancel := cleanUp(ctx)
	defer cancel()
	removeErr := s.remove(cleaning, name, version)
	switch _, unknown := errors.AsType[unanswered](removeErr); {
	case unknown, removeErr == nil && !written: // it may be written only now
		c.asked = append(c.asked, name)
	case removeErr != nil:
		c.left = name
	}
	if err = cmp.Or(err, removeErr); err == nil {
		c.asked = slices.DeleteFunc(c.asked, func(name string) bool { return s.remove(cleaning, name, "") == nil })
	}
	return err
}

// newName returns the name for an object, used that of one that may still be there,
// so that there is one however many runs fail. But a deletion that had no answer may
// reach the store only now, and what it names stays out of use as long as others
// will do.
func (c *Check) newName() (name string, used bool) {
	switch {
	case c.left != "":
		name, c.left = c.left, ""
	case len(c.asked) >= mostAsked:
		name, c.asked = c.asked[0], c.asked[1:]
	default:
		return marker + strings.ToLower(rand.Text()), false
	}
	return name, true
}

const mostAsked = 20

// unanswered is the error of a request that may yet be carried out.
type unanswered struct{ error }

func (u unanswered) Unwrap() error { return u.error }

func readBack(ctx context.Context, s store, key, content string) error {
	got, err := s.get(ctx, key)
	if err == nil && got != content {
		err = fmt.Errorf("what was read is not what was written: %s", s.where())
	}
	return err
}

// age is from when on an object counts as left behind.
const age = time.Hour

// sweep deletes what processes left that are no more. It is done once, as far as
// the rights and the time go: it is no part of the question.
func (c *Check) sweep(ctx context.Context, s store) {
	if c.swept {
		return
	}
	c.swept = true
	objects, err := s.list(ctx, marker)
	if err != nil {
		return
	}
	for _, object := range objects {
		if strings.HasPrefix(object.name, marker) && time.Since(object.written) > age {
			_ = s.remove(ctx, object.name, "")
		}
	}
}

// refusal is a definite no.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// refused reports whether a request was not carried out, for certain.
func refused(err error) bool {
	_, ok := errors.AsType[refusal](err)
	return ok
}
