package health_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"hale/health"
)

// database stands for a *sql.DB, to keep the example free of drivers.
type database struct{ err error }

func (d *database) PingContext(context.Context) error { return d.err }

func Example() {
	db := &database{errors.New("dial tcp 127.0.0.1:5432: connection refused")}

	monitor, err := health.NewMonitor(health.Options{},
		health.Check{Name: "database", Type: "sql", Run: health.Func(db.PingContext)},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := health.NewHandler(monitor, health.HandlerOptions{Details: health.DetailsLoopback})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() { done <- monitor.Run(ctx) }()

	<-monitor.Settled() // each check has answered once; a server would not wait
	server := httptest.NewServer(handler)
	defer server.Close()
	response, err := http.Get(server.URL + "/health")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	fmt.Printf("%s\n%s", response.Status, body)

	stop()
	fmt.Println("stopped:", <-done)
	// Output:
	// 503 Service Unavailable
	// fail: database
	// stopped: <nil>
}

func ExampleWarnf() {
	used := 91
	disk := func(context.Context) (string, error) {
		if used > 85 {
			return "", health.Warnf("%d%% used", used)
		}
		return fmt.Sprintf("%d%% used", used), nil
	}
	results := health.RunOnce(context.Background(), nil, health.Check{Name: "disk", Run: disk})
	fmt.Println(results[0].Name, results[0].Status, results[0].Output)
	// Output: disk warn 91% used
}

func ExampleRunOnce() {
	results := health.RunOnce(context.Background(),
		func(r health.Result) { fmt.Fprintln(os.Stderr, r.Name, "has answered") },
		health.Check{Name: "queue", Run: func(context.Context) (string, error) { return "3 jobs", nil }},
		health.Check{Name: "database", Timeout: time.Second, Run: func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}},
	)
	for _, r := range results {
		fmt.Printf("%s: %v (%s)\n", r.Name, r.Status, r.Output)
	}
	// Output:
	// queue: pass (3 jobs)
	// database: fail (no answer within 1s)
}

func ExampleOptions_listener() {
	heard := make(chan health.Transition, 8)
	monitor, err := health.NewMonitor(
		health.Options{OnTransition: func(t health.Transition) { heard <- t }},
		health.Check{Name: "queue", Run: health.Func(func(context.Context) error { return nil })},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() { done <- monitor.Run(ctx) }()
	for range 2 {
		t := <-heard
		if t.Check == "" {
			t.Check = "verdict"
		}
		fmt.Printf("%s: %v -> %v\n", t.Check, t.From, t.To)
	}
	stop()
	<-done
	// Output:
	// queue: unknown -> pass
	// verdict: fail -> pass
}

// Only transitions are logged, with their explanations.
func ExampleOptions_logger() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	monitor, err := health.NewMonitor(health.Options{Logger: logger},
		health.Check{Name: "queue", Run: health.Func(func(context.Context) error { return errors.New("no consumer") })},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() { done <- monitor.Run(ctx) }()
	<-monitor.Settled()
	stop()
	<-done
	// Output: level=WARN msg="check changed" check=queue status=fail was=unknown explanation="no consumer"
}

// A database that every instance uses is down, and with it all that needs it:
// one report, which only warns, since taking out every instance would help nobody.
func ExampleCheck_dependsOn() {
	refused := health.Func(func(context.Context) error { return errors.New("connection refused") })
	checks := []health.Check{
		{Name: "database", Run: refused, Scope: health.Shared},
		{Name: "sessions", Run: refused, DependsOn: []string{"database"}},
		{Name: "home page", Run: refused, DependsOn: []string{"sessions"}},
	}
	results := health.RunOnce(context.Background(), nil, checks...)
	for _, r := range results {
		fmt.Printf("%s: %v, caused by %q\n", r.Name, r.Status, r.CausedBy)
	}
	fmt.Println("verdict:", health.Judge(results, health.SharedWarns))
	// Output:
	// database: fail, caused by ""
	// sessions: fail, caused by "database"
	// home page: fail, caused by "database"
	// verdict: warn
}

// A check that counts for an endpoint of its own.
func ExampleMonitor_VerdictOf() {
	monitor, err := health.NewMonitor(health.Options{},
		health.Check{Name: "report", Profiles: []string{"deep"}, Run: health.Func(func(context.Context) error { return nil })},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	deep, _ := monitor.VerdictOf("deep")
	fmt.Println("/health:", monitor.Verdict().Status)
	fmt.Println("/health/deep:", deep.Status, deep.Reason)
	fmt.Println("paths of their own:", monitor.Endpoints())
	// Output:
	// /health: pass
	// /health/deep: fail starting: waiting for report
	// paths of their own: [deep]
}

func ExampleHandler_Answer() {
	monitor, err := health.NewMonitor(health.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := health.NewHandler(monitor, health.HandlerOptions{Path: "/status"})
	if err != nil {
		fmt.Println(err)
		return
	}
	monitor.Drain("SIGTERM")
	a := handler.Answer(health.Query{Method: "GET", Path: "/status", Accept: "application/json"})
	fmt.Println(a.Status, a.Header.Get("Content-Type"))
	fmt.Printf("%s", a.Body)
	// Output:
	// 503 application/json
	// {"status":"fail"}
}
