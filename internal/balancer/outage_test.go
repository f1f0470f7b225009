package balancer_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hale/internal/balancer"
	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/test/servers"
)

// instanceVariable makes the test's program an instance that listens at the
// address it holds.
const instanceVariable = "HALE_TEST_INSTANCE"

func TestMain(m *testing.M) {
	if address := os.Getenv(instanceVariable); address != "" {
		err := http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "well")
		}))
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// instance is a process that can be killed.
type instance struct {
	netip.AddrPort
	command *exec.Cmd
}

func (i *instance) start() error {
	i.command = exec.Command(os.Args[0])
	i.command.Env = append(os.Environ(), instanceVariable+"="+i.String())
	i.command.Stderr = os.Stderr
	return i.command.Start()
}

func (i *instance) kill() {
	if i.command.Process == nil { // it could not be started
		return
	}
	_ = i.command.Process.Kill()
	_ = i.command.Wait()
}

// TestKilledInstances: of ten instances one is killed each second, and comes back
// when the load balancer has seen that it is gone. No request notices. The test
// goes on for 10 seconds, or for as many as HALE_SECONDS says.
func TestKilledInstances(t *testing.T) {
	const (
		instances = 10
		rate      = 500 // requests a second
		interval  = time.Second
		threshold = 2
	)
	seconds, err := strconv.Atoi(os.Getenv("HALE_SECONDS"))
	if err != nil {
		seconds = 10
	}
	fast := place
	fast.FastChecks = true
	b, err := balancer.Open(balancer.Options{Place: fast})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutdown(t, b) })
	h := houseOf(t, b, elb.Attributes{})
	h.change(func(e *inventory.Edit) error {
		_, err := e.ModifyHealthCheck(h.group, elb.HealthCheck{Interval: interval, Timeout: interval, Healthy: threshold, Unhealthy: threshold})
		return err
	})
	var all []*instance
	for range instances {
		i := &instance{AddrPort: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(servers.FreePort(t)))}
		if err := i.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(i.kill)
		all = append(all, i)
		h.register(i.AddrPort)
	}
	for _, i := range all {
		h.await(i.AddrPort, elb.Healthy)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var answered atomic.Int64
	wg.Go(func() {
		tick := time.NewTicker(time.Second / rate)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			wg.Go(func() {
				if got, err := fetch(t.Context(), h.url); err != nil || got.status != 200 {
					t.Errorf("a request was answered with %d %q, %v", got.status, got.body, err)
				}
				answered.Add(1)
			})
		}
	})
	var (
		mu   sync.Mutex
		took []time.Duration // until a killed instance was out
		dead = make(map[*instance]bool)
	)
	for tick := time.NewTicker(time.Second); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		mu.Lock()
		alive := slices.DeleteFunc(slices.Clone(all), func(i *instance) bool { return dead[i] })
		if len(alive) < 2 || ctx.Err() != nil { // a machine so busy that nothing comes back
			mu.Unlock()
			continue
		}
		i := alive[rand.N(len(alive))]
		dead[i] = true
		mu.Unlock()
		killed := time.Now()
		i.kill()
		wg.Go(func() {
			if _, err := h.awaits(i.AddrPort, elb.Unhealthy); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			took = append(took, time.Since(killed))
			mu.Unlock()
			if err := i.start(); err != nil {
				t.Error(err)
				return
			}
			if _, err := h.awaits(i.AddrPort, elb.Healthy); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			delete(dead, i)
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(took) == 0 {
		t.Fatal("none was killed")
	}
	slices.Sort(took)
	t.Logf("%d requests; %d instances killed; out after %v at least, %v in the middle, %v at most; threshold x interval is %v",
		answered.Load(), len(took), took[0], took[len(took)/2], took[len(took)-1], threshold*interval)
	// It can't be sooner than by the second failure, and that comes within the two
	// intervals, on a machine that is not busy.
	if most := took[len(took)-1]; most > 20*interval {
		t.Errorf("a killed instance was out after %v", most)
	}
}
