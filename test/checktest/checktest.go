// Package checktest holds the checks of servers to one table of faults: what
// each of them has to survive and to say, and that it leaves nothing behind.
package checktest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hale/checks"
	"hale/test/servers"
)

// Target is a server that is well, and the check of it.
type Target struct {
	// Address is where the server listens, host:port.
	Address string

	// New makes a check, ready to run, of a server at an address. Its first run
	// against Address passes. It is made for 127.0.0.1, so where TLS is in play
	// the certificate has to be.
	New func(address string) checks.Check

	// Secrets are what no message may hold: passwords above all.
	Secrets []string

	// Connections counts the clients that the server itself sees now; nil if it
	// cannot tell.
	Connections func() int

	// Silent says that the check proves nothing about the answer, so that
	// another kind of server passes it.
	Silent bool
}

const (
	// timeout is what a run may take that meets a server which hangs.
	timeout = 300 * time.Millisecond

	// patience bounds what a busy machine may take for something that should take
	// none. Only a test that fails spends it.
	patience = 3 * time.Minute

	// lateness is what may be between the end of a run's context and the end of
	// the run, likewise.
	lateness = 15 * time.Second
)

// Faults runs the rows that every check of a server has in common: the server
// is down, hangs after accept, hangs up, resets; its name does not resolve;
// something else answers; the run is cut off half-way. After each fault the
// same check passes again, and when it is closed no connection and no goroutine
// is left.
//
// It counts goroutines, so the test must not be a parallel one.
func (target Target) Faults(t *testing.T) {
	t.Helper()
	alone(t)
	proxy := servers.Proxy(t, target.Address)
	goroutines := runtime.NumGoroutine()
	check := target.make(t, proxy.Address())
	target.passes(t, check)

	for _, row := range []struct {
		name  string
		fault servers.Fault
		want  string // in the message; empty: anything
	}{
		{"the server is down", servers.Refuse, "connection refused"},
		{"the server hangs after accept", servers.BlackHole, "within " + timeout.String()},
		{"the server hangs up", servers.Close, ""},
		{"the server resets", servers.Reset, ""},
	} {
		proxy.Break(row.fault)
		target.fails(t, row.name, check, row.want)
		// A check made anew meets the fault while it connects.
		fresh := target.make(t, proxy.Address())
		target.fails(t, row.name+", from the start", fresh, row.want)
		closeCheck(t, fresh)
		proxy.Break(servers.None)
		target.passes(t, check)
	}

	nowhere := target.make(t, "nowhere.invalid:6379")
	target.fails(t, "the name does not resolve", nowhere, "name does not resolve: nowhere.invalid")
	closeCheck(t, nowhere)

	if !target.Silent {
		for _, answer := range []struct{ name, greeting, reply string }{
			{"a web server answers", "", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
			{"a mail server answers", "220 mx.example.com ESMTP\r\n", "500 unrecognized\r\n"},
			{"rubbish is answered", "", strings.Repeat("\xff\x00\x7f\n\x01", 2000)},
		} {
			address, stop := speaker(t, answer.greeting, answer.reply)
			stranger := target.make(t, address)
			target.fails(t, answer.name, stranger, "")
			closeCheck(t, stranger)
			stop()
		}
	}

	target.cutOff(t, proxy, check)
	target.passes(t, check)
	closeCheck(t, check)
	Eventually(t, "the proxy's connections are closed", func() bool { return proxy.Open() == 0 })
	if target.Connections != nil {
		Eventually(t, "the server has no client", func() bool { return target.Connections() == 0 })
	}
	// The proxy has ended those that served its connections by now.
	Eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// cutOff cancels runs after ever longer times, so that each step of the
// conversation is interrupted at some time.
func (target Target) cutOff(t *testing.T, proxy *servers.FaultProxy, check checks.Check) {
	t.Helper()
	proxy.Delay(5 * time.Millisecond)
	defer proxy.Delay(0)
	for after := time.Duration(0); after < 80*time.Millisecond; after += 4 * time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		start := time.Now()
		_, err := check.Run(ctx)
		cancel()
		if took := time.Since(start); took > after+lateness {
			t.Errorf("cut off after %v, the run took %v", after, took)
		}
		if err != nil {
			target.inspect(t, "cut off after "+after.String(), err)
		}
	}
}

func (target Target) make(t *testing.T, address string) checks.Check {
	t.Helper()
	check := target.New(address)
	if err := check.Validate(); err != nil {
		t.Fatal(err)
	}
	return check
}

func (target Target) passes(t *testing.T, check checks.Check) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	output, err := check.Run(ctx)
	if err != nil {
		t.Fatalf("the server is well, but the check says: %v", err)
	}
	if output == "" {
		t.Error("a pass that says nothing")
	}
	for _, secret := range target.Secrets {
		if strings.Contains(output, secret) {
			t.Errorf("%q holds a secret", output)
		}
	}
}

// fails runs a check that has to fail, with want in its message. Whatever else
// than silence it is to tell may take a busy machine longer than the time-out:
// then there is another run with more time.
func (target Target) fails(t *testing.T, name string, check checks.Check, want string) {
	t.Helper()
	for limit := timeout; ; limit *= 4 {
		output, err := target.run(t, name, check, limit)
		if err == nil {
			t.Errorf("%s: passes, and says %q", name, output)
			return
		}
		target.inspect(t, name, err)
		message := OnTime(err.Error(), limit)
		if strings.Contains(message, want) {
			return
		}
		if limit > patience || !strings.Contains(message, "within "+limit.String()) {
			t.Errorf("%s: error = %v\nwant in it: %s", name, err, want)
			return
		}
	}
}

// run runs a check, which has to end with its time-out.
func (target Target) run(t *testing.T, name string, check checks.Check, timeout time.Duration) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	start := time.Now()
	output, err := check.Run(ctx)
	if took := time.Since(start); took > timeout+lateness {
		t.Errorf("%s: took %v with a time-out of %v", name, took, timeout)
	}
	return output, err
}

// inspect holds a message to what all messages are held to.
func (target Target) inspect(t *testing.T, name string, err error) {
	t.Helper()
	message := err.Error()
	switch {
	case message == "":
		t.Errorf("%s: fails, and says nothing", name)
	case strings.ContainsAny(message, "\n\r\x00\x1b"):
		t.Errorf("%s: not one printable line: %q", name, message)
	case len(message) > 500:
		t.Errorf("%s: %d bytes: %.200q...", name, len(message), message)
	}
	for _, secret := range target.Secrets {
		if strings.Contains(message, secret) {
			t.Errorf("%s: %q holds a secret", name, message)
		}
	}
}

// Soak runs a check over and over, 200 times, or as often as HALE_SOAK says,
// and fails if the number of the server's connections, of our goroutines or of
// our open files has grown, for which the test must not be a parallel one.
// Connections may be nil. It closes the check.
func Soak(t *testing.T, check checks.Check, connections func() int) {
	t.Helper()
	alone(t)
	runs := 200
	if n, err := strconv.Atoi(os.Getenv("HALE_SOAK")); err == nil {
		runs = n
	}
	run := func(times int) {
		for range times {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			_, err := check.Run(ctx)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	// What a server within the test copies from one connection to another goes
	// through pipes, of which io.Copy keeps some for the next time.
	const pipes = 10
	counts := []struct {
		what   string
		now    func() int
		more   int // that there may be afterwards
		before int
	}{
		{what: "connections", now: connections}, // first, since it may start goroutines of its own
		{what: "goroutines", now: runtime.NumGoroutine},
		{what: "open files", now: openFiles, more: pipes},
	}
	if connections == nil {
		counts = counts[1:]
	}
	run(10)
	for i, count := range counts {
		counts[i].before = settled(count.now)
	}
	start := time.Now()
	run(runs)
	report := []string{fmt.Sprintf("%d runs, %v each", runs, (time.Since(start) / time.Duration(max(runs, 1))).Round(time.Microsecond))}
	for _, count := range counts {
		Eventually(t, fmt.Sprintf("%s are %d, as before", count.what, count.before), func() bool { return count.now() <= count.before+count.more })
		report = append(report, fmt.Sprintf("%s %d -> %d", count.what, count.before, settled(count.now)))
	}
	t.Log(strings.Join(report, ", "))
	closeCheck(t, check)
}

// alone refuses a parallel test, beside which others would be counted.
func alone(t *testing.T) {
	t.Helper()
	t.Setenv("HALE_TEST_ALONE", "true") // panics if the test, or one around it, is parallel
}

// settled counts, with a moment for the other side to let go.
func settled(count func() int) int {
	least := count()
	for start := time.Now(); time.Since(start) < 50*time.Millisecond; time.Sleep(5 * time.Millisecond) {
		least = min(least, count())
	}
	return least
}

// openFiles counts this process's file descriptors, sockets among them, where
// the system tells them.
func openFiles() int {
	names, _ := os.ReadDir("/proc/self/fd")
	return len(names)
}

func closeCheck(t *testing.T, check checks.Check) {
	t.Helper()
	if closer, ok := check.(io.Closer); ok {
		if err := closer.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// Eventually waits up to three minutes for something to become true.
func Eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for start := time.Now(); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > patience {
			buf := make([]byte, 64<<10)
			t.Fatalf("not after %v: %s\n%s", patience, what, buf[:runtime.Stack(buf, true)])
		}
	}
}

// speaker is a server that greets, gives the same reply to whatever it gets
// first, and hangs up.
func speaker(t *testing.T, greeting, reply string) (address string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(patience))
				_, _ = io.WriteString(conn, greeting)
				if _, err := bufio.NewReader(conn).ReadByte(); err == nil {
					_, _ = io.WriteString(conn, reply)
				}
			})
		}
	})
	return listener.Addr().String(), func() {
		listener.Close()
		conns.Wait()
	}
}
