package supervise_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"hale/internal/supervise"
)

func TestBeforeRunsCommandsInOrderAndLogsTheirLines(t *testing.T) {
	var log syncBuffer
	err := supervise.Before(t.Context(), logTo(&log),
		supervise.Step{Command: script(`echo one; echo "last without newline" | tr -d '\n'`)},
		supervise.Step{Command: script(`echo $GREETING >&2; printf '10%%\r50%%\r100%%\n'; printf 'bad \377 byte\n'`), Env: []string{"GREETING=hello", "PATH=" + os.Getenv("PATH")}},
	)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(log.String()) {
		got = append(got, strings.TrimPrefix(strings.TrimSpace(line), "level=INFO "))
	}
	want := []string{
		`msg="before command started" command=1 program=/bin/sh`,
		`msg="before command says" command=1 program=/bin/sh stream=stdout line=one`,
		`msg="before command says" command=1 program=/bin/sh stream=stdout line="last without newline"`,
		`msg="before command done" command=1 program=/bin/sh`,
		`msg="before command started" command=2 program=/bin/sh`,
		`msg="before command says" command=2 program=/bin/sh stream=stderr line=hello`,
		`msg="before command says" command=2 program=/bin/sh stream=stdout line=100%`,
		`msg="before command says" command=2 program=/bin/sh stream=stdout line="bad ` + "\uFFFD" + ` byte"`,
		`msg="before command done" command=2 program=/bin/sh`,
	}
	// The two streams of a command come side by side.
	if !sameLines(got, want) {
		t.Errorf("logged:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// sameLines compares without order, but that commands follow one another.
func sameLines(got, want []string) bool {
	if len(got) != len(want) {
		return false
	}
	left := strings.Join(got, "\n") + "\n"
	for _, w := range want {
		if !strings.Contains(left, w+"\n") {
			return false
		}
		left = strings.Replace(left, w+"\n", "", 1)
	}
	return got[len(got)-1] == want[len(want)-1]
}

func TestBeforeStopsAtTheFirstFailure(t *testing.T) {
	var log syncBuffer
	err := supervise.Before(t.Context(), logTo(&log),
		supervise.Step{Command: script("true")},
		supervise.Step{Command: script("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; done; exit 4")},
		supervise.Step{Command: script("echo never")},
	)
	failure, ok := errors.AsType[*supervise.StepError](err)
	if !ok {
		t.Fatalf("error %v, want a *StepError", err)
	}
	if failure.Number != 2 || failure.Exit.Code != 4 || len(failure.Lines) != 10 || failure.Lines[9] != "line 12" {
		t.Errorf("failure %+v", failure)
	}
	if text := err.Error(); !strings.HasPrefix(text, "before command 2 (/bin/sh): exit code 4; its last lines:\n\tline 3\n") {
		t.Errorf("message %q", text)
	}
	if strings.Contains(log.String(), "never") {
		t.Error("the command after it was run")
	}
}

func TestBeforeTellsHowACommandFailed(t *testing.T) {
	for _, tt := range []struct {
		name string
		step supervise.Step
		want string
	}{
		{"killed", supervise.Step{Command: script("kill -9 $$")}, "before command 1 (/bin/sh): killed by signal 9 (killed)"},
		{"silent", supervise.Step{Command: script("exit 1")}, "before command 1 (/bin/sh): exit code 1"},
		{"not there", supervise.Step{Command: []string{"/none", "s3cr3t"}}, "before command 1: run /none: it, or the interpreter that its #! line names, does not exist: no such file or directory"},
		{"empty", supervise.Step{}, "before command 1: the command is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := supervise.Before(t.Context(), nil, tt.step); err == nil || err.Error() != tt.want {
				t.Errorf("error %q\n want %q", err, tt.want)
			}
		})
	}
}

func TestBeforeIsStoppedWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("shutting down")
	var log syncBuffer
	done := make(chan error, 1)
	go func() {
		done <- supervise.Before(ctx, logTo(&log), supervise.Step{Command: script("echo ready; while :; do sleep 0.05; done")})
	}()
	await(t, "the command runs", func() bool { return strings.Contains(log.String(), "line=ready") })
	cancel(reason)
	if err := <-done; !errors.Is(err, reason) {
		t.Errorf("error %v, want the cause %v", err, reason)
	}
	if err := supervise.Before(ctx, nil, supervise.Step{Command: script("true")}); !errors.Is(err, reason) {
		t.Errorf("after the end: error %v, want the cause", err)
	}
}

// slowStart is a log that takes its time over the line that a command started.
type slowStart struct{ slog.Handler }

func (h slowStart) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "before command started" {
		time.Sleep(200 * time.Millisecond) // for its output to come first, if that could be
	}
	return h.Handler.Handle(ctx, r)
}

func (h slowStart) WithAttrs(attrs []slog.Attr) slog.Handler {
	return slowStart{h.Handler.WithAttrs(attrs)}
}

func TestBeforeSaysThatACommandStartedBeforeWhatItSays(t *testing.T) {
	var log syncBuffer
	if err := supervise.Before(t.Context(), slog.New(slowStart{logTo(&log).Handler()}), supervise.Step{Command: script("echo one; echo two >&2")}); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); !strings.HasPrefix(text, `level=INFO msg="before command started"`) || strings.Count(text, "line=") != 2 {
		t.Errorf("logged:\n%s", text)
	}
}

// A person reads "1.5s", and none of 1500000000.
func TestBeforeLogsTimesAsText(t *testing.T) {
	var log syncBuffer
	if err := supervise.Before(t.Context(), slog.New(slog.NewJSONHandler(&log, nil)), supervise.Step{Command: script("true")}); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); !regexp.MustCompile(`"took":"[0-9.]+m?s"`).MatchString(text) {
		t.Errorf("logged:\n%s", text)
	}
}

func TestBeforeCutsLongLines(t *testing.T) {
	var log syncBuffer
	err := supervise.Before(t.Context(), logTo(&log), supervise.Step{Command: script("head -c 20000 /dev/zero | tr '\\0' x; echo; echo end")})
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "line="); n != 4 {
		t.Errorf("%d lines logged, want 20000 bytes in 3 pieces, and the last", n)
	}
}
