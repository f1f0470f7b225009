package credentials

import (
	"context"
	"errors"
	"fmt"
	"os"

	"hale/checks/internal/awskeys"
)

func (c *Check) lookup(name string) string {
	lookup := c.Lookup
	if lookup == nil {
		lookup = os.LookupEnv
	}
	value, _ := lookup(name)
	return value
}

func (c *Check) finder() *awskeys.Finder {
	return &awskeys.Finder{
		Lookup:    c.lookup,
		Agent:     "credentials",
		AskRegion: c.Verify && c.Region == "" && c.endpoint() == "",
	}
}

// find gets the credentials from the source, or from the first that has any.
func (c *Check) find(ctx context.Context, finder *awskeys.Finder) (awskeys.Found, error) {
	switch c.Source {
	case Environment:
		return finder.Environment()
	case File:
		return finder.File()
	case Container:
		return finder.Container(ctx)
	case Instance:
		return finder.Instance(ctx)
	case Auto:
	}
	found, err := finder.Find(ctx)
	if errors.Is(err, awskeys.ErrWebIdentity) {
		err = fmt.Errorf("%w; name another source, or check what the app does with them", err)
	}
	return found, err
}
