// Package instancetest makes a test's own program an instance: a web server that
// starts at once and ends when it is asked to, and with the test.
package instancetest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"hale/internal/autoscaling"
)

// answerVariable makes the test's program an instance. Its value is what the
// instance answers, before its id.
const answerVariable = "INSTANCETEST_ANSWER"

// ownerVariable is the number of the test's process. Instances outlive their host,
// and must not outlive a test that was broken off.
const ownerVariable = "INSTANCETEST_OWNER"

// Main is the TestMain of packages whose tests launch instances.
func Main(m *testing.M) {
	Serve()
	os.Exit(m.Run())
}

// Serve is what a TestMain that does more begins with: in an instance, it does not
// return.
func Serve() {
	answer, ok := os.LookupEnv(answerVariable)
	if !ok {
		return
	}
	if err := serve(answer); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Template returns a launch template of instances that answer GET / with a text, a
// space and their id.
func Template(t testing.TB, name, answer string) autoscaling.LaunchTemplate {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return autoscaling.LaunchTemplate{
		Name: name, Command: []string{program}, Environment: Environment(answer, os.Getpid()),
		StopTimeout: time.Minute,
	}
}

// Environment makes the test's program an instance that ends with the process
// owner.
func Environment(answer string, owner int) map[string]string {
	return map[string]string{answerVariable: answer, ownerVariable: strconv.Itoa(owner)}
}

// untilOwnerEnds returns a context that ends with the process that the environment
// names.
func untilOwnerEnds(ctx context.Context) (context.Context, error) {
	owner, err := strconv.Atoi(os.Getenv(ownerVariable))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ownerVariable, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		for syscall.Kill(owner, 0) == nil && ctx.Err() == nil {
			time.Sleep(time.Second)
		}
	}()
	return ctx, nil
}

func serve(answer string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, err := untilOwnerEnds(ctx)
	if err != nil {
		return err
	}
	fmt.Println("listening on port", os.Getenv("PORT"))
	server := &http.Server{
		Addr:              net.JoinHostPort(os.Getenv("HALE_ADDRESS"), os.Getenv("PORT")),
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "%s %s", answer, os.Getenv("HALE_INSTANCE_ID"))
		}),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		// What is in flight may end; the group's stop time-out is longer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		return server.Shutdown(ctx)
	}
}
