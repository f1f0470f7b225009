package celery

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hale/checks/internal/report"
)

// fakeList is a list of Redis, the oldest message first.
type fakeList []string

// Ask knows LPOS list message RANK -1 MAXLEN n, and LINDEX list n.
func (l fakeList) Ask(commands ...[]string) ([]any, error) {
	var replies []any
	for _, command := range commands {
		var reply any
		number, err := strconv.Atoi(command[len(command)-1])
		if err != nil {
			return nil, err
		}
		switch command[0] {
		case "LPOS":
			if i := slices.Index(l[:min(len(l), number)], command[2]); i >= 0 {
				reply = int64(len(l) - 1 - i)
			}
		case "LINDEX":
			i := len(l) - 1 - number // from the newest
			if number < 0 {
				i = -number - 1
			}
			if i >= 0 && i < len(l) {
				reply = l[i]
			}
		}
		replies = append(replies, reply)
	}
	return replies, nil
}

// The age that is told is never more than the real one, and less by no more than
// a look's interval and one part of precision of the age that matters.
func TestAgeOfTheOldestMessage(t *testing.T) {
	t.Parallel()
	const interval, matters = 10 * time.Second, 10 * time.Minute
	for _, test := range []struct {
		name    string
		already int                            // how many wait at the start
		move    func(step int) (come, go_ int) // between two looks
		exact   bool                           // the least that is told is near the truth
	}{
		{"nobody takes any", 3, func(int) (int, int) { return 1, 0 }, true},
		{"stands still", 3, func(int) (int, int) { return 0, 0 }, true},
		{"as many go as come, and wait long", 300, func(int) (int, int) { return 3, 3 }, true},
		{"as many go as come, at once", 1, func(int) (int, int) { return 5, 5 }, true},
		{"grows slowly", 0, func(int) (int, int) { return 3, 2 }, true},
		{"comes and goes in waves", 0, func(step int) (int, int) { return step % 7, 3 }, true},
		{"longer than can be reached", reach + 5000, func(int) (int, int) { return 10, 10 }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var list fakeList
				var came []time.Time // of those in the list, the oldest first
				sent := 0
				push := func() {
					sent++
					list = append(list, fmt.Sprint("message ", sent))
					came = append(came, time.Now())
				}
				for range test.already {
					push()
				}
				begin := time.Now()
				known := new(markers)
				for step := range 400 {
					if len(list) == 0 {
						known = new(markers)
					} else {
						told, err := known.waited(list, "queue", matters)
						if err != nil {
							t.Fatal(err)
						}
						// What was there before the first look is as old as that.
						truth := min(time.Since(came[0]), time.Since(begin))
						slack := 2*interval + matters/precision + told/precision*2
						if told > truth || test.exact && told < truth-slack {
							t.Fatalf("look %d: %v is told, %v is true", step, told, truth)
						}
						if len(known.list) > maxMarkers {
							t.Fatalf("%d markers", len(known.list))
						}
					}
					come, gone := test.move(step)
					time.Sleep(interval / 2)
					for range come {
						push()
					}
					for range min(gone, len(list)) {
						list, came = list[1:], came[1:]
					}
					time.Sleep(interval / 2)
				}
			})
		})
	}
}

func TestStill(t *testing.T) {
	t.Parallel()
	var s still
	at := func(minute int) time.Time { return time.Unix(0, 0).Add(time.Duration(minute) * time.Minute) }
	for minute, test := range []struct {
		length int64
		since  int
	}{{5, 0}, {5, 0}, {7, 0}, {6, 3}, {6, 3}, {0, 5}, {0, 6}, {1, 6}, {1, 6}} {
		if s = s.look(test.length, at(minute)); s.since != at(test.since) {
			t.Errorf("minute %d: since %v, want %v", minute, s.since, at(test.since))
		}
	}
}

func TestNodeNames(t *testing.T) {
	t.Parallel()
	got := nodeNames([]string{"celery@%h", "w1@%n", "a@x.%d", "100%%"}, "web-1.eu.example.com")
	if want := []string{"celery@web-1.eu.example.com", "w1@web-1", "a@x.eu.example.com", "100%"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Workers of one name share a queue, or answer twice: both is a mistake that the
// check cannot see through.
func TestJudge(t *testing.T) {
	t.Parallel()
	answer := func(name, content string) string { return fmt.Sprintf(`{%q: %s}`, name, content) }
	for _, test := range []struct {
		name    string
		request request
		answers []string
		want    string
	}{
		{
			"one name twice",
			request{least: 1},
			[]string{answer("a", `{"ok": "pong"}`), answer("a", `{"ok": "pong"}`)},
			"2 answers from 1 name: several workers go by one name, give each its own with celery worker -n",
		},
		{
			"an error",
			request{least: 1, queues: []string{"q"}},
			[]string{answer("a", `{"error": "KeyError('x')"}`)},
			`a answered with an error: KeyError('x'); queue "q" is consumed by no worker that answered`,
		},
		{
			"terminal codes",
			request{least: 2},
			[]string{`{"\u001b[31ma": {}}`},
			"only 1 worker answered within 1s, expected at least 2: [31ma",
		},
		{"a list of others", request{least: 1}, []string{`[1, 2]`}, "the workers' answers cannot be understood"},
	} {
		called := &roll{listening: unknown}
		for _, body := range test.answers {
			called.add(&test.request, test.request.ticket, "application/json", []byte(body))
		}
		var found report.Report
		test.request.judge(called, time.Second, &found)
		if _, err := found.Result(); err == nil || err.Error() != test.want {
			t.Errorf("%s: error = %v\nwant %s", test.name, err, test.want)
		}
	}
}

func TestJudgeFinding(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, test := range []struct {
		finding finding
		want    string
	}{
		{finding{succeeded: before(3 * time.Minute)}, `task "t" has succeeded 3m ago`},
		{finding{succeeded: before(-time.Second)}, `task "t" has succeeded 0s ago`},
		{finding{succeeded: before(3 * time.Minute), failed: before(time.Second)}, `task "t" has succeeded 3m ago, and has failed 1s ago`},
		{finding{succeeded: before(3 * time.Minute), failed: before(time.Hour)}, `task "t" has succeeded 3m ago`},
		{finding{succeeded: before(11 * time.Minute)}, `task "t" has last succeeded 11m ago, more than 10m0s`},
		{finding{failed: before(3 * time.Minute)}, `task "t" has not succeeded, and has failed 3m ago`},
		{finding{partial: true, looked: 10_000}, `no success of task "t" within 10m0s among the 10000 keys looked at so far: give the results a database of their own`},
		{finding{nameless: true}, "no result says of which task it is: set result_extended of the app to True"},
		{finding{large: 1}, `no result of task "t"; 1 result longer than 2KiB not looked at`},
		{finding{}, `no result of task "t"`},
	} {
		var found report.Report
		test.finding.judge("t", 10*time.Minute, now, &found)
		got, err := found.Result()
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%+v: %s\nwant %s", test.finding, got, test.want)
		}
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 11, 20, 19, 0, 1, 500_000_000, time.UTC)
	for _, text := range []string{"2026-11-20T19:00:01.500000", "2026-11-20T20:00:01.5+01:00", "2026-11-20 19:00:01.500000", "2026-11-20 19:00:01.5Z"} {
		if got, ok := parseTime(text); !ok || !got.Equal(want) {
			t.Errorf("%s: %v, %t", text, got, ok)
		}
	}
	if _, ok := parseTime("yesterday"); ok {
		t.Error("yesterday is a time")
	}
}

// Whatever comes as an answer, there is a line to be shown.
func FuzzAnswer(f *testing.F) {
	body := base64.StdEncoding.EncodeToString([]byte(`{"a@x": {"ok": "pong"}}`))
	f.Add(fmt.Sprintf(`{"body": %q, "content-type": "application/json", "headers": {"ticket": "t"}, "properties": {}}`, body))
	f.Add(`{"body": "{\"a\": [{\"name\": \"q\"}]}", "content-type": "application/json", "headers": {"ticket": "t"}}`)
	f.Add(`{"body": 1}`)
	f.Fuzz(func(t *testing.T, text string) {
		r := &request{method: "ping", queues: []string{"q"}, least: 1, ticket: "t"}
		called := &roll{listening: 2}
		called.take(r, text)
		var found report.Report
		r.judge(called, time.Second, &found)
		output, err := found.Result()
		if err != nil {
			output = err.Error()
		}
		if output == "" || strings.ContainsAny(output, "\r\n\x1b") {
			t.Errorf("%q", output)
		}
	})
}

// Whatever is found as a result, it is passed over or understood.
func FuzzResult(f *testing.F) {
	f.Add(`{"status": "SUCCESS", "result": 1, "date_done": "2026-11-20T19:00:00.123456", "name": "app.beat"}`)
	f.Add(`{"status": "FAILURE", "date_done": null}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, text string) {
		var b redisResults
		b.read(text, "app.beat")
		if b.known.succeeded.IsZero() && b.known.failed.IsZero() {
			return
		}
		if !json.Valid([]byte(text)) {
			t.Errorf("%q", text)
		}
	})
}
