package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"hale/checks/internal/awskeys"
)

// roles holds the keys of a role until shortly before they expire.
type roles struct{ keys aws.Credentials }

// renewal is how long before the end of its keys a role is asked for new ones,
// which are there by then.
const renewal = 5 * time.Minute

func (c *Check) finder() *awskeys.Finder {
	return &awskeys.Finder{
		Lookup:       c.lookup,
		Profile:      c.Profile,
		Agent:        "storage",
		InstanceTime: time.Second, // so that off EC2, where nobody answers, nobody waits long
	}
}

// credentials returns the keys of the options, or finds them where AWS's SDKs do.
func (c *Check) credentials(ctx context.Context, finder *awskeys.Finder) (aws.Credentials, error) {
	if c.AccessKeyID != "" {
		return aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}, nil
	}
	found, err := finder.Local()
	switch {
	case errors.Is(err, awskeys.ErrWebIdentity):
		return aws.Credentials{}, fmt.Errorf("%w: set access_key_id and secret_access_key", err)
	case c.Profile == "" && errors.Is(err, awskeys.ErrNone):
		return c.roleKeys(ctx, finder)
	default:
		return found.Keys, err
	}
}

func (c *Check) roleKeys(ctx context.Context, finder *awskeys.Finder) (aws.Credentials, error) {
	if c.roles.keys.HasKeys() && time.Until(c.roles.keys.Expires) > renewal {
		return c.roles.keys, nil
	}
	found, err := finder.OfRole(ctx)
	switch {
	case errors.Is(err, awskeys.ErrNone):
		return aws.Credentials{}, errNoKeys
	case err != nil:
		return aws.Credentials{}, err
	}
	c.roles.keys = found.Keys
	return found.Keys, nil
}
