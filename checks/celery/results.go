package celery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hale/checks"
	"hale/checks/internal/database"
	"hale/checks/internal/redisserver"
	"hale/checks/internal/report"
)

// results is a result backend.
type results interface {
	// look finds out what there is of a task. Enough is how old a success may be
	// to make looking any further needless.
	look(ctx context.Context, task string, enough time.Duration) (finding, error)
	where() string
	close() error
}

// finding is what a result backend tells of a task.
type finding struct {
	succeeded time.Time // last; zero: not that anybody knows
	failed    time.Time
	partial   bool // there is more to be looked at
	looked    int64
	nameless  bool // results were found, but none says of which task it is
	large     int64
}

// most bounds how many results, or keys beside them, a run looks at.
const most = 10_000

// openResults finds out which result backend the URL names. It does not connect.
func (c *Check) openResults() (results, error) {
	if redisserver.Form.Is(c.Results) {
		address, err := redisserver.ParseAddress(c.Results)
		if err != nil {
			return nil, err
		}
		return &redisResults{address: address, trust: c.trust(), prefix: c.ResultsPrefix}, nil
	}
	scheme, rest, ok := strings.Cut(c.Results, "://")
	switch scheme {
	case "rpc", "amqp", "amqps", "cache+memory", "django-db", "django-cache":
		return nil, fmt.Errorf("%s is not a backend that others can look into: write redis://... or the URL of a database", scheme)
	}
	if !ok {
		return nil, errors.New("is no URL: write redis://HOST/DATABASE or db+postgresql://USER:PASSWORD@HOST/DATABASE")
	}
	session, err := database.Open(strings.TrimPrefix(scheme, "db+")+"://"+rest, c.Dir)
	if err != nil {
		return nil, err
	}
	return &sqlResults{session: session}, nil
}

func (c *Check) askResults(ctx context.Context, found *report.Report) (where string, err error) {
	if c.results == nil {
		if c.results, err = c.openResults(); err != nil {
			return "", fmt.Errorf("results %w", err)
		}
	}
	seen, err := c.results.look(ctx, c.Task, c.Within)
	if err != nil {
		return "", err
	}
	seen.judge(c.Task, c.Within, time.Now(), found)
	return c.results.where(), nil
}

// judge says what there is of a task.
func (f finding) judge(task string, within time.Duration, now time.Time, found *report.Report) {
	failed := ""
	if f.failed.After(f.succeeded) {
		failed = ", and has failed " + ago(now, f.failed)
	}
	switch {
	case !f.succeeded.IsZero() && now.Sub(f.succeeded) <= within:
		found.Passf("task %q has succeeded %s%s", task, ago(now, f.succeeded), failed)
	case f.partial:
		found.Warnf("no success of task %q within %v among the %d keys looked at so far: give the results a database of their own", task, within, f.looked)
	case !f.succeeded.IsZero():
		found.Failf("task %q has last succeeded %s, more than %v%s", task, ago(now, f.succeeded), within, failed)
	case !f.failed.IsZero():
		found.Failf("task %q has not succeeded%s", task, failed)
	case f.nameless:
		found.Failf("no result says of which task it is: set result_extended of the app to True")
	case f.large > 0:
		found.Failf("no result of task %q; %s longer than %v not looked at", task, report.Count(f.large, "result"), checks.Size(longest))
	default:
		found.Failf("no result of task %q", task)
	}
}

// ago is how long ago something was. Clocks differ a little.
func ago(now, then time.Time) string {
	return checks.Span(max(0, now.Sub(then))).Coarse() + " ago"
}

// parseTime reads a time as Celery writes it: in UTC, mostly without saying so.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00",
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
