package site

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"hale/health"
)

// Checks are the questions that this site asks itself. A program that runs it
// gives them to health.NewMonitor.
func (s *Site) Checks() []health.Check {
	const interval, timeout = 2 * time.Second, time.Second
	return []health.Check{
		{
			Name: "database", Type: "sqlite", Interval: interval, Timeout: timeout,
			Run: health.Func(s.book.ping),
		},
		{
			Name: "migrations", Interval: interval, Timeout: timeout,
			Run: s.checkSchema,
		},
		{
			Name: "home page", Interval: interval, Timeout: timeout,
			Run: s.checkHome,
		},
		{
			Name: "journal", Interval: interval, Timeout: timeout,
			Run: health.Func(func(context.Context) error { return s.journal.check() }),
		},
	}
}

func (s *Site) checkSchema(ctx context.Context) (string, error) {
	schema, err := s.book.schema(ctx)
	switch {
	case err != nil:
		return "", err
	case schema.Have < schema.Want:
		return "", fmt.Errorf("the schema is at version %d, this code needs %d: start the site once more to migrate it",
			schema.Have, schema.Want)
	case schema.Have > schema.Want:
		return "", health.Warnf("the schema is at version %d, newer than this code's %d", schema.Have, schema.Want)
	}
	return fmt.Sprintf("schema at version %d", schema.Have), nil
}

func (s *Site) checkHome(ctx context.Context) (string, error) {
	if err := cmp.Or(s.faults.hang(ctx), s.faults.delay(ctx)); err != nil {
		return "", fmt.Errorf("the home page takes too long: %w", err)
	}
	html, err := s.renderHome(ctx, homePage{})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d bytes", len(html)), nil
}
