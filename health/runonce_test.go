package health_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hale/health"
)

func TestHowRunsEnd(t *testing.T) {
	for _, tt := range []struct {
		name   string
		run    func(context.Context) (string, error)
		status health.Status
		output string
	}{
		{"passes", pass, health.Pass, "fine"},
		{"warns", warn, health.Warn, "91% used"},
		{"fails", fail, health.Fail, "refused"},
		{"output goes before the error's text", func(context.Context) (string, error) {
			return "3 unapplied", errors.New("exit status 1")
		}, health.Fail, "3 unapplied"},
		{"a wrapped warning", func(context.Context) (string, error) {
			return "", fmt.Errorf("disk: %w", health.Warnf("full"))
		}, health.Warn, "disk: full"},
		{"panics", func(context.Context) (string, error) {
			panic("index out of range")
		}, health.Fail, "panic: index out of range"},
		{"panics with an error", func(context.Context) (string, error) {
			var none []int
			return fmt.Sprint(none[len(none)]), nil
		}, health.Fail, "panic: runtime error: index out of range [0] with length 0"},
		{"an error that panics", func(context.Context) (string, error) {
			return "", (*nilError)(nil)
		}, health.Fail, "panic: runtime error: invalid memory address or nil pointer dereference"},
		{"ends its goroutine", func(context.Context) (string, error) {
			runtime.Goexit()
			return "", nil
		}, health.Fail, "ended its goroutine without an answer"},
		{"heeds its context", func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}, health.Fail, "no answer within 5s"},
		{"heeds its context and says more", func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", fmt.Errorf("dial tcp 10.0.0.7:5432: %w", ctx.Err())
		}, health.Fail, "dial tcp 10.0.0.7:5432: context deadline exceeded (no answer within 5s)"},
		{"heeds its context and says what it did", func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", errors.New("sh did not end within 5s and was killed")
		}, health.Fail, "sh did not end within 5s and was killed"},
		{"fails on time, another's deadline exceeded", func(context.Context) (string, error) {
			return "", context.DeadlineExceeded
		}, health.Fail, "context deadline exceeded"},
		{"passes a moment too late", func(context.Context) (string, error) {
			time.Sleep(5*time.Second + grace/2)
			return "fine", nil
		}, health.Fail, "fine (no answer within 5s)"},
		{"warns a moment too late", func(context.Context) (string, error) {
			time.Sleep(5*time.Second + grace/2)
			return "", health.Warnf("slow")
		}, health.Fail, "slow (no answer within 5s)"},
		{"ignores its context", func(context.Context) (string, error) {
			time.Sleep(time.Minute)
			return "fine", nil
		}, health.Fail, "no answer within 5s"},
		{"answers in several lines, with tricks for terminals", func(context.Context) (string, error) {
			return "\x1b[31mred\r\n\tsecond line\xff\n", nil
		}, health.Pass, " [31mred \n\tsecond line"},
		{"talks too much", func(context.Context) (string, error) {
			return strings.Repeat("ä", 5000), nil
		}, health.Pass, strings.Repeat("ä", 2048) + "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := health.Check{Name: "c", Run: tt.run}
				m, _ := monitor(t, health.Options{}, c)
				<-m.Settled()
				if r := m.Verdict().Results[0]; r.Status != tt.status || r.Output != tt.output {
					t.Errorf("in the background: %v %q, want %v %q", r.Status, r.Output, tt.status, tt.output)
				}
				if r := health.RunOnce(t.Context(), nil, c)[0]; r.Status != tt.status || r.Output != tt.output {
					t.Errorf("once: %v %q, want %v %q", r.Status, r.Output, tt.status, tt.output)
				}
			})
		})
	}
}

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

func TestRunOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		sleep := func(d time.Duration) func(context.Context) (string, error) {
			return func(context.Context) (string, error) { time.Sleep(d); return d.String(), nil }
		}
		var finished []string
		begun := time.Now()
		results := health.RunOnce(t.Context(), func(r health.Result) { finished = append(finished, r.Name) },
			health.Check{Name: "slow", Run: sleep(3 * time.Second), Type: "sql", Impact: health.Degraded, Scope: health.Shared},
			health.Check{Name: "hangs", Run: func(context.Context) (string, error) { <-release; return "", nil }, Timeout: 2 * time.Second},
			health.Check{Name: "quick", Run: sleep(time.Second)},
		)
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("took %v, want as long as the slowest answer", took)
		}
		if want := []string{"quick", "hangs", "slow"}; !slices.Equal(finished, want) {
			t.Errorf("finished %v, want %v", finished, want)
		}
		var got []string
		for _, r := range results {
			got = append(got, fmt.Sprint(r.Name, " ", r.Status, " ", r.Took, " ", r.Stuck))
		}
		if want := []string{"slow pass 3s false", "hangs fail 2s true", "quick pass 1s false"}; !slices.Equal(got, want) {
			t.Errorf("results %q, want %q", got, want)
		}
		if r := results[0]; r.Type != "sql" || r.Impact != health.Degraded || r.Scope != health.Shared || r.Output != "3s" {
			t.Errorf("result %+v", r)
		}
	})
}

func TestRunOnceCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("interrupted"))
		defer cancel()
		begun := time.Now()
		results := health.RunOnce(ctx, nil,
			health.Check{Name: "heeds", Run: func(ctx context.Context) (string, error) { <-ctx.Done(); return "", context.Cause(ctx) }},
			health.Check{Name: "ignores", Run: func(context.Context) (string, error) { <-release; return "", nil }},
		)
		if took := time.Since(begun); took != time.Second+grace {
			t.Errorf("took %v", took)
		}
		for i, want := range []string{"interrupted", "no answer: interrupted"} {
			if r := results[i]; r.Status != health.Fail || r.Output != want {
				t.Errorf("%s: %v %q, want fail %q", r.Name, r.Status, r.Output, want)
			}
		}
	})
}

func TestRunOnceWithoutChecks(t *testing.T) {
	if results := health.RunOnce(t.Context(), nil); len(results) != 0 {
		t.Errorf("results %v", results)
	}
}
