package handover_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"hale/internal/handover"
)

// greet answers each connection with a name, until the listener is closed.
func greet(l net.Listener, name string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, name)
		_ = conn.Close()
	}
}

func ask(t *testing.T, address string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	name, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(name)
}

// offered is an Offer under way.
type offered struct {
	paused, resumed chan struct{}
	result          chan bool
}

func offer(ctx context.Context, t *testing.T, s *handover.Sockets, dir string) offered {
	t.Helper()
	o := offered{make(chan struct{}, 9), make(chan struct{}, 9), make(chan bool, 1)}
	go func() {
		succeeded, err := s.Offer(ctx, dir, func() error { o.paused <- struct{}{}; return nil }, func() { o.resumed <- struct{}{} })
		if err != nil {
			t.Error(err)
		}
		o.result <- succeeded
	}()
	return o
}

func take(t *testing.T, s *handover.Sockets, dir string) *handover.Predecessor {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		p, err := s.Take(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if p != nil {
			return p
		}
	}
	t.Fatal("nobody offers sockets")
	return nil
}

func TestHandover(t *testing.T) {
	dir := t.TempDir() + "/" + strings.Repeat("a-long-name-", 12) // longer than a unix socket's path can be
	mkdir(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	var old handover.Sockets
	if p, err := old.Take(ctx, dir); p != nil || err != nil {
		t.Fatalf("no predecessor: %v, %v", p, err)
	}
	l, err := old.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	go greet(l, "old")
	o := offer(ctx, t, &old, dir)

	// One that gives up leaves all as it was.
	var failed handover.Sockets
	take(t, &failed, dir).Abandon()
	failed.CloseRest()
	<-o.paused
	<-o.resumed
	if got := ask(t, address); got != "old" {
		t.Fatalf("%q answers", got)
	}

	var next handover.Sockets
	p := take(t, &next, dir)
	<-o.paused
	taken, err := next.Listen(ctx, "127.0.0.1:0") // by the name that it was opened with
	if err != nil {
		t.Fatal(err)
	}
	if taken.Addr().String() != address {
		t.Fatalf("listens at %v, want %s", taken.Addr(), address)
	}
	// What is between the two stays in the kernel's queue.
	_ = l.Close()
	waiting := make(chan string, 1)
	go func() { waiting <- ask(t, address) }()
	if err := p.Ready(); err != nil {
		t.Fatal(err)
	}
	if !<-o.result {
		t.Error("the predecessor was not told")
	}
	go greet(taken, "new")
	if got := <-waiting; got != "new" {
		t.Errorf("%q answers", got)
	}
	_ = taken.Close()
	if _, err := net.DialTimeout("tcp", address, time.Minute); err == nil {
		t.Error("closed by both, it still listens")
	}
}

func TestOfferEnds(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	var s handover.Sockets
	o := offer(ctx, t, &s, dir)
	take(t, new(handover.Sockets), dir).Abandon()
	cancel()
	if <-o.result {
		t.Error("nobody came")
	}
	if p, err := s.Take(t.Context(), dir); p != nil || err != nil {
		t.Errorf("the offer is over: %v, %v", p, err)
	}
}

// A process that cannot pause hands nothing over.
func TestPauseFails(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	var s handover.Sockets
	go func() {
		defer close(done)
		if succeeded, err := s.Offer(ctx, dir, func() error { return errors.New("busy") }, nil); succeeded || err != nil {
			t.Errorf("got %v, %v", succeeded, err)
		}
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		_, err := new(handover.Sockets).Take(t.Context(), dir)
		if err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no refusal")
		}
	}
	cancel()
	<-done
}

func TestInherit(t *testing.T) {
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var s handover.Sockets
	if err := s.Inherit(l); err != nil {
		t.Fatal(err)
	}
	got, err := s.Listen(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	go greet(got, "inherited")
	if name := ask(t, l.Addr().String()); name != "inherited" {
		t.Errorf("%q answers", name)
	}
}

// Who takes a place has the connections that wait there, while strangers are refused
// as before.
func TestSucceed(t *testing.T) {
	for _, tt := range []struct {
		name, first, then string
		opened, wider     int
	}{
		{"the same", "127.0.0.1", "127.0.0.1", 1, 0},
		{"wider", "127.0.0.1", "0.0.0.0", 2, 0},
		{"narrower", "0.0.0.0", "127.0.0.1", 1, 1},
		{"wider, dual-stack", "127.0.0.1", "[::]", 2, 0},
		{"wider, without a host", "127.0.0.1", "", 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s handover.Sockets
			first, err := s.Listen(t.Context(), tt.first+":0")
			if err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(first.Addr().String())
			here, there := "127.0.0.1:"+port, tt.then+":"+port
			if _, err := s.Listen(t.Context(), there); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("before: %v", err)
			}
			conn, err := net.DialTimeout("tcp", here, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			opened, wider, err := s.Succeed(t.Context(), there, first)
			if err != nil {
				t.Fatal(err)
			}
			if len(opened) != tt.opened || len(wider) != tt.wider {
				t.Errorf("%d opened, %d wider; want %d and %d", len(opened), len(wider), tt.opened, tt.wider)
			}
			_ = first.Close()
			for _, l := range opened {
				go greet(l, "then")
			}
			for _, l := range wider {
				go greet(l, "the last ones")
			}
			want := map[int]string{0: "then", 1: "the last ones"}[tt.wider]
			if got, err := io.ReadAll(conn); string(got) != want {
				t.Errorf("who waited is answered by %q, %v", got, err)
			}
			if got := ask(t, here); got != "then" {
				t.Errorf("%q answers", got)
			}
			if _, err := s.Listen(t.Context(), there); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("after: %v", err)
			}
			for _, l := range append(opened, wider...) {
				_ = l.Close()
			}
			if _, err := net.DialTimeout("tcp", here, time.Minute); err == nil {
				t.Error("closed by all, it still listens")
			}
			// Of what is closed nothing can be taken, and it is in nobody's way.
			opened, wider, err = s.Succeed(t.Context(), there, first)
			if err != nil || len(opened) != 1 || len(wider) != 0 {
				t.Fatalf("after one that is closed: %v, %v, %v", opened, wider, err)
			}
			_ = opened[0].Close()
			if _, _, err := new(handover.Sockets).Succeed(t.Context(), there, opened[0]); err == nil {
				t.Error("in the place of a stranger's")
			}
		})
	}
}

// Who listens at a wider address takes what was inherited of it, too: it would get the
// connections to its part until it is closed.
func TestInheritAPart(t *testing.T) {
	for _, tt := range []struct {
		name string
		both bool
	}{{"a part alone", false}, {"the address, too", true}} {
		t.Run(tt.name, func(t *testing.T) {
			var before, s handover.Sockets
			narrow, err := before.Listen(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(narrow.Addr().String())
			inherit(t, &s, narrow)
			if tt.both {
				of, _, err := before.Succeed(t.Context(), "0.0.0.0:"+port, narrow)
				if err != nil {
					t.Fatal(err)
				}
				inherit(t, &s, of[1])
				for _, l := range of {
					_ = l.Close()
				}
			}
			_ = narrow.Close()
			conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			opened, wider, err := s.Succeed(t.Context(), "0.0.0.0:"+port)
			if err != nil || len(opened) != 2 || len(wider) != 0 {
				t.Fatalf("got %v, %v, %v", opened, wider, err)
			}
			s.CloseRest()
			for _, l := range opened {
				defer l.Close()
				go greet(l, "next")
			}
			if got, err := io.ReadAll(conn); string(got) != "next" {
				t.Errorf("who waited is answered by %q, %v", got, err)
			}
		})
	}
}

// inherit has s inherit the socket of a listener, as from another process.
func inherit(t *testing.T, s *handover.Sockets, l net.Listener) {
	t.Helper()
	file, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	again, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Inherit(again); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}
