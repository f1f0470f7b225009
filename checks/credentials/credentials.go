// Package credentials checks that AWS credentials are there for the app: those
// of the instance's role, the task's, or whatever AWS's own tools would take.
package credentials

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"hale/checks"
	"hale/checks/internal/awskeys"
	"hale/checks/internal/report"
	"hale/internal/explain"
)

// Source is where credentials come from.
type Source string

// The sources, in the order in which AWS's SDKs try them.
const (
	Auto        Source = "auto"        // the first that has any; the default
	Environment Source = "environment" // AWS_ACCESS_KEY_ID and so on
	File        Source = "file"        // the shared files
	Container   Source = "container"   // the agent of ECS, or of EKS Pod Identity
	Instance    Source = "instance"    // the metadata service of EC2
)

// DefaultWarnLeft is a zero WarnLeft. EC2 has new credentials at least so long
// before the old ones end (EC2 guide, "Retrieve security credentials from
// instance metadata").
const DefaultWarnLeft = 5 * time.Minute

// Check gets the credentials as the app's AWS SDK would.
//
// It proves that there are credentials, of the expected role, and that they are
// not about to end; with Verify, that AWS takes them. It costs three requests to
// the metadata service, or one to the container's agent; with Verify, one
// request to AWS STS, which is free and needs no permission. No message holds a
// key, its id or a token.
//
//	&credentials.Check{Source: credentials.Instance, Role: "web"}
type Check struct {
	Source   Source        `yaml:"source" jsonschema:"enum=auto,enum=environment,enum=file,enum=container,enum=instance,default=auto" jsonschema_description:"Where the credentials have to come from; auto takes the first that has any, as AWS's SDKs do."`
	Role     string        `yaml:"role" jsonschema_description:"Name of the role that they have to be of."`
	WarnLeft time.Duration `yaml:"warn_left" jsonschema:"default=5m" jsonschema_description:"Warn when they end sooner than this."`
	MinLeft  time.Duration `yaml:"min_left" jsonschema:"default=0s" jsonschema_description:"Fail when they end sooner than this."`
	Verify   bool          `yaml:"verify" jsonschema:"default=false" jsonschema_description:"Ask AWS STS who they belong to (GetCallerIdentity)."`
	Region   string        `yaml:"region" jsonschema_description:"Region of the STS to ask; by default AWS_REGION, the profile's, or the instance's own."`
	Endpoint string        `yaml:"endpoint" jsonschema_description:"URL of the STS to ask, such as that of a VPC endpoint; by default the region's."`

	// Lookup finds a variable of the app's environment; nil means os.LookupEnv.
	Lookup func(name string) (value string, ok bool) `yaml:"-"`
}

// Validate refuses what cannot work.
func (c *Check) Validate() error {
	var errs []error
	if !slices.Contains([]Source{"", Auto, Environment, File, Container, Instance}, c.Source) {
		errs = append(errs, checks.Optionf("source", "%q is not auto, environment, file, container or instance", string(c.Source)))
	}
	if c.Role != "" && (c.Source == Environment || c.Source == File) {
		errs = append(errs, checks.Optionf("role", "cannot be told of keys in the environment or a file: remove it, or write source: instance or container"))
	}
	switch {
	case c.MinLeft < 0:
		errs = append(errs, checks.Optionf("min_left", "%v is negative", c.MinLeft))
	case c.WarnLeft < 0:
		errs = append(errs, checks.Optionf("warn_left", "%v is negative", c.WarnLeft))
	case c.WarnLeft > 0 && c.WarnLeft < c.MinLeft:
		errs = append(errs, checks.Optionf("warn_left", "%v is less than min_left (%v): the check would fail before it warns", c.WarnLeft, c.MinLeft))
	}
	if !c.Verify && (c.Region != "" || c.Endpoint != "") {
		errs = append(errs, checks.Optionf("verify", "is false, so that region and endpoint mean nothing: set verify: true, or remove them"))
	}
	if c.Endpoint != "" {
		if u, err := url.Parse(c.Endpoint); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
			errs = append(errs, checks.Optionf("endpoint", "is not a URL such as https://sts.eu-central-1.amazonaws.com"))
		}
	}
	if c.Region != "" && !isRegion(c.Region) {
		errs = append(errs, checks.Optionf("region", "%q is not the name of a region, such as eu-central-1", c.Region))
	}
	return errors.Join(errs...)
}

// Run gets the credentials, and looks at them.
func (c *Check) Run(ctx context.Context) (string, error) {
	within, _ := explain.Budget(ctx, time.Now())
	finder := c.finder()
	found, err := c.find(ctx, finder)
	if err != nil {
		return "", err
	}
	if c.Role != "" && found.Role != c.Role {
		if found.Role == "" {
			return "", fmt.Errorf("%s: they go before those of the role %s", found.Name, c.Role)
		}
		return "", fmt.Errorf("%s, not of the role %s", found.Name, c.Role)
	}
	var report report.Report
	c.judgeTime(found, time.Now(), &report)
	if found.Oddity != "" {
		report.Warnf("%s", found.Oddity)
	}
	if c.Verify {
		region := cmp.Or(c.Region, finder.Region(), found.Region)
		who, err := c.verify(ctx, found.Keys, region, within)
		if err != nil {
			report.Failf("%s: %v", found.Name, err)
		} else {
			report.Passf("AWS knows them as %s", explain.Line(who))
		}
	}
	return report.Result()
}

// judgeTime looks at when credentials end.
func (c *Check) judgeTime(found awskeys.Found, now time.Time, report *report.Report) {
	if !found.Keys.CanExpire {
		report.Passf("%s", found.Name)
		return
	}
	left := found.Keys.Expires.Sub(now)
	warn := cmp.Or(c.WarnLeft, max(DefaultWarnLeft, c.MinLeft))
	text := fmt.Sprintf("%s, good for %v more", found.Name, round(left))
	switch {
	case left <= 0:
		report.Failf("%s: they ended %v ago (is this machine's clock right?)", found.Name, round(-left))
	case left < c.MinLeft:
		report.Failf("%s, less than %v", text, checks.Span(c.MinLeft))
	case left < warn:
		report.Warnf("%s, less than %v: new ones should be there by now", text, checks.Span(warn))
	default:
		report.Passf("%s", text)
	}
}

// round leaves out what nobody asks for.
func round(d time.Duration) checks.Span {
	if d > time.Minute {
		return checks.Span(d.Round(time.Minute))
	}
	return checks.Span(d.Round(time.Second))
}
