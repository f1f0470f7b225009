package instance_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hale/instance"
)

// watch runs a Watcher within a bubble of synctest until body returns.
func watch(t *testing.T, fake *fakeEC2, configure func(*instance.Watcher), body func(*testing.T, *instance.Watcher, *bytes.Buffer)) {
	t.Helper()
	forgetAWS(t)
	synctest.Test(t, func(t *testing.T) {
		dial, stop := serveMemory(fake)
		var log bytes.Buffer // read while all goroutines rest
		w := &instance.Watcher{
			Options: instance.Options{}.Through(dial, ethernet),
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}})),
		}
		configure(w)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := w.Run(ctx); err != nil {
				t.Errorf("Run returns %v", err)
			}
		})
		body(t, w, &log)
		cancel()
		wg.Wait()
		stop()
	})
}

func plainWatch(*instance.Watcher) {}

// pass lets time pass and everything come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestWatcherKeepsAddressesFresh(t *testing.T) {
	fake := &fakeEC2{items: machine(), tokenRequired: true}
	watch(t, fake, plainWatch, func(t *testing.T, w *instance.Watcher, log *bytes.Buffer) {
		if w.Addresses() != nil || w.Instance().ID.Value != "" {
			t.Errorf("before the first look: %v", w.Addresses())
		}
		<-w.Known()
		synctest.Wait()
		if got := w.Addresses(); len(got) != 5 || got[0] != ethernet || w.Instance().ID.Value != "i-0123456789abcdef0" {
			t.Errorf("addresses %v", got)
		}
		pass(10 * time.Minute)
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "instance known") {
			t.Errorf("nothing changed for ten minutes, yet logged:\n%s", log)
		}
		fake.set("network/interfaces/macs/0a:ff:ff:ff:ff:02/local-ipv4s", "10.0.2.50\n10.0.2.51")
		pass(time.Minute)
		if !slices.Contains(w.Addresses(), netip.MustParseAddr("10.0.2.51")) {
			t.Errorf("a new address is not known after a minute: %v", w.Addresses())
		}
		if !strings.Contains(log.String(), "instance addresses changed") {
			t.Errorf("the change is not logged:\n%s", log)
		}
	})
}

func TestWatcherKeepsWhatItKnew(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func(*fakeEC2)
		mend func(*fakeEC2)
		logs []string
	}{
		{
			"the service fails",
			func(f *fakeEC2) { f.throttled = 1 << 30 },
			func(f *fakeEC2) { f.throttled = 0 },
			[]string{"instance known", "instance source does not answer", "instance source answers again"},
		},
		{
			"the service is silent",
			func(f *fakeEC2) { f.tokenLost, f.lost = true, "instance-id" },
			func(f *fakeEC2) { f.tokenLost, f.lost = false, "" },
			[]string{"instance known", "instance source does not answer", "instance source answers again"},
		},
		{
			"one item fails",
			func(f *fakeEC2) { f.lost = "0a:ff:ff:ff:ff:02/local-ipv4s" },
			func(f *fakeEC2) { f.lost = "" },
			[]string{"instance known"},
		},
		{
			"it forgets its tokens",
			func(f *fakeEC2) { clear(f.tokens) },
			func(*fakeEC2) {},
			[]string{"instance known"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := &fakeEC2{items: machine(), tokenRequired: true}
			change := func(f func(*fakeEC2)) {
				fake.mu.Lock()
				defer fake.mu.Unlock()
				f(fake)
			}
			watch(t, fake, plainWatch, func(t *testing.T, w *instance.Watcher, log *bytes.Buffer) {
				<-w.Known()
				before := w.Addresses()
				change(tt.fail)
				pass(5 * time.Minute)
				if !slices.Equal(w.Addresses(), before) || w.Instance().ID.Value == "" {
					t.Errorf("addresses %v, were %v", w.Addresses(), before)
				}
				change(tt.mend)
				pass(2 * time.Minute)
				if !slices.Equal(w.Addresses(), before) {
					t.Errorf("addresses %v, were %v", w.Addresses(), before)
				}
				var got []string
				for line := range strings.Lines(log.String()) {
					_, rest, _ := strings.Cut(line, `msg="`)
					message, _, _ := strings.Cut(rest, `"`)
					got = append(got, message)
				}
				if !slices.Equal(got, tt.logs) {
					t.Errorf("logged\n%s\nwant %q", log, tt.logs)
				}
			})
		})
	}
}

func TestWatcherBeginsWithoutMetadata(t *testing.T) {
	dials := 0
	down := func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		return blackHole(ctx, network, address)
	}
	watch(t, &fakeEC2{}, func(w *instance.Watcher) {
		w.Options = instance.Options{}.Through(down, ethernet)
		w.OnTermination = func(instance.Termination) { t.Error("termination without a metadata service") }
	}, func(t *testing.T, w *instance.Watcher, log *bytes.Buffer) {
		start := time.Now()
		<-w.Known()
		if took := time.Since(start); took > instance.DefaultTimeout {
			t.Errorf("the first look took %v", took)
		}
		if got := w.Addresses(); !slices.Equal(got, []netip.Addr{ethernet}) {
			t.Errorf("addresses %v", got)
		}
		pass(3 * time.Minute)
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("logged:\n%s", log)
		}
		if dials > 4 {
			t.Errorf("%d connections in three minutes: notices are asked for where nobody answers", dials)
		}
	})
}

func TestWatcherTellsOfTermination(t *testing.T) {
	const spot = "spot/instance-action"
	const asg = "autoscaling/target-lifecycle-state"
	at := time.Date(2026, 5, 1, 8, 22, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		before map[string]string // from the start
		after  map[string]string // after a minute
		want   *instance.Termination
	}{
		{"nothing", nil, nil, nil},
		{"spot terminates", nil, map[string]string{spot: `{"action":"terminate","time":"2026-05-01T08:22:00Z"}`}, &instance.Termination{Source: spot, Action: "terminate", Time: at}},
		{"spot stops", nil, map[string]string{spot: `{"action": "stop", "time": "2026-05-01T08:22:00Z"}`}, &instance.Termination{Source: spot, Action: "stop", Time: at}},
		{"spot garbage", nil, map[string]string{spot: "<html>"}, nil},
		{"group terminates", map[string]string{asg: "InService"}, map[string]string{asg: "Terminated"}, &instance.Termination{Source: asg, Action: "Terminated"}},
		{"in service", map[string]string{asg: "InService"}, map[string]string{asg: "InService"}, nil},
		{"standby lives on", map[string]string{asg: "InService"}, map[string]string{asg: "Standby"}, nil},
		{"detached lives on", map[string]string{asg: "InService"}, map[string]string{asg: "Detached"}, nil},
		{"back to the warm pool", map[string]string{asg: "InService"}, map[string]string{asg: "Warmed:Stopped"}, &instance.Termination{Source: asg, Action: "Warmed:Stopped"}},
		{"begins in the warm pool", map[string]string{asg: "Warmed:Stopped"}, map[string]string{asg: "Warmed:Stopped"}, nil},
		{"from the warm pool into service", map[string]string{asg: "Warmed:Stopped"}, map[string]string{asg: "InService"}, nil},
		{"out of the warm pool", map[string]string{asg: "Warmed:Stopped"}, map[string]string{asg: "Warmed:Terminated"}, &instance.Termination{Source: asg, Action: "Warmed:Terminated"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			items := machine()
			maps.Copy(items, tt.before)
			fake := &fakeEC2{items: items, tokenRequired: true}
			var got []instance.Termination
			watch(t, fake, func(w *instance.Watcher) {
				w.OnTermination = func(n instance.Termination) { got = append(got, n) }
			}, func(t *testing.T, w *instance.Watcher, log *bytes.Buffer) {
				<-w.Known()
				pass(time.Minute)
				if len(got) > 0 {
					t.Fatalf("told of %+v while nothing was announced", got)
				}
				for path, value := range tt.after {
					fake.set(path, value)
				}
				pass(5 * time.Second)
				told := len(got)
				pass(10 * time.Minute)
				if tt.want == nil {
					if len(got) > 0 {
						t.Errorf("told of %+v", got)
					}
					return
				}
				if told != 1 || len(got) != 1 || got[0] != *tt.want {
					t.Errorf("told of %+v within five seconds and %+v in all, want once %+v", got[:told], got, *tt.want)
				}
				if !strings.Contains(log.String(), "instance is about to be taken away") {
					t.Errorf("not logged:\n%s", log)
				}
			})
		})
	}
}

// Tokens live five minutes: the notices are asked for with one for as long.
func TestWatcherIsSparingWithTokens(t *testing.T) {
	fake := &fakeEC2{items: machine(), tokenRequired: true}
	watch(t, fake, func(w *instance.Watcher) {
		w.Refresh = time.Hour
		w.OnTermination = func(instance.Termination) {}
	}, func(t *testing.T, w *instance.Watcher, _ *bytes.Buffer) {
		<-w.Known()
		pass(20 * time.Minute)
		puts, polls := 0, 0
		for _, r := range fake.asked() {
			if strings.HasPrefix(r, "PUT") {
				puts++
			}
			if strings.HasSuffix(r, "spot/instance-action") {
				polls++
			}
		}
		if polls < 230 || polls > 250 {
			t.Errorf("%d polls in 20 minutes, want one in five seconds", polls)
		}
		if puts > 7 {
			t.Errorf("%d tokens taken in 20 minutes", puts)
		}
	})
}

func TestWatcherFollowsAFile(t *testing.T) {
	forgetAWS(t)
	path := t.TempDir() + "/ipv4"
	one := instance.Instance{Addresses: []instance.Address{{Addr: netip.MustParseAddr("10.9.8.7")}}}
	two := instance.Instance{Addresses: []instance.Address{{Addr: netip.MustParseAddr("10.9.8.8")}}}
	watch(t, &fakeEC2{}, func(w *instance.Watcher) {
		w.Options = instance.Options{Metadata: instance.Off, Interfaces: instance.Off, File: path}
	}, func(t *testing.T, w *instance.Watcher, log *bytes.Buffer) {
		<-w.Known()
		synctest.Wait()
		if len(w.Addresses()) != 0 || !strings.Contains(log.String(), "does not exist") {
			t.Errorf("before the file is there: %v\n%s", w.Addresses(), log)
		}
		for _, in := range []instance.Instance{one, two} {
			if err := in.WriteFile(path); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
			if got := w.Addresses(); !slices.Equal(got, in.Addrs()) {
				t.Errorf("addresses %v, want %v", got, in.Addrs())
			}
		}
	})
}

// The gateway asks with every request.
func TestWatcherAddressesIsCheap(t *testing.T) {
	forgetAWS(t)
	ctx, cancel := context.WithCancel(t.Context())
	w := &instance.Watcher{Options: instance.Options{Metadata: instance.Off}.Through(nil, ethernet)}
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.Run(ctx) })
	<-w.Known()
	allocs := testing.AllocsPerRun(1000, func() {
		if len(w.Addresses()) != 1 {
			t.Fatal("no address")
		}
	})
	cancel()
	wg.Wait()
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
