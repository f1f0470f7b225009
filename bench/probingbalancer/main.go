// Probingbalancer is hale's balancer with many targets, each probed at an interval
// that ELB, and so hale balance, does not allow: for the comparison with HAProxy's
// checks. Nothing else is different.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"hale/internal/balancer"
	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
)

func main() {
	listen := flag.String("listen", "", "`address` to listen on")
	targets := flag.String("targets", "", "`file` with an address in each line")
	groups := flag.Int("groups", 5, "`number` of target groups, of 1,000 targets at most each")
	interval := flag.Duration("interval", time.Second, "`time` between two probes of a target, and their time-out")
	profile := flag.String("profile", "", "`file` for a CPU profile; empty: none")
	flag.Parse()
	if err := run(*listen, *targets, *groups, *interval, *profile); err != nil {
		log.Fatal(err)
	}
}

func run(listen, targets string, groups int, interval time.Duration, profile string) error {
	addresses, err := read(targets)
	if err != nil {
		return err
	}
	at, err := netip.ParseAddrPort(listen)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := balancer.Open(balancer.Options{
		Place: inventory.Place{Region: "us-east-1", Account: "000000000000", FastChecks: true},
		Log:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	if err := b.Change(ctx, func(e *inventory.Edit) error { return fill(e, int(at.Port()), addresses, groups, interval) }); err != nil {
		return err
	}
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		time.AfterFunc(5*time.Second, func() { _ = pprof.StartCPUProfile(f) }) // the steady state
		defer pprof.StopCPUProfile()
	}
	<-ctx.Done()
	ending, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return b.Shutdown(ending)
}

// read returns the targets of a file.
func read(file string) ([]netip.AddrPort, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []netip.AddrPort
	for line := range strings.Lines(string(text)) {
		a, err := netip.ParseAddrPort(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, a)
	}
	return all, nil
}

// fill makes a load balancer with one listener, whose rules lead to the groups.
func fill(e *inventory.Edit, port int, addresses []netip.AddrPort, groups int, interval time.Duration) error {
	lb, err := e.CreateLoadBalancer(inventory.NewLoadBalancer{Name: "many", Scheme: inventory.Internal})
	if err != nil {
		return err
	}
	var listener *inventory.Listener
	each := (len(addresses) + groups - 1) / groups
	for i, of := range slices.Collect(slices.Chunk(addresses, each)) {
		g, err := e.CreateGroup(inventory.NewGroup{
			Name: fmt.Sprintf("many-%d", i), Port: int(of[0].Port()),
			Kind:        elb.Kind{Protocol: elb.HTTP, Targets: elb.Addresses},
			HealthCheck: elb.HealthCheck{Interval: interval, Timeout: interval},
		})
		if err != nil {
			return err
		}
		forward := []rule.Action{rule.ForwardTo(g.ARN)}
		if listener == nil {
			listener, err = e.CreateListener(lb.ARN, inventory.ListenerSettings{Protocol: elb.HTTP, Port: port, Default: forward})
		} else {
			path := rule.Condition{Field: rule.PathPattern, Values: []string{fmt.Sprintf("/%d/*", i)}}
			_, err = e.CreateRule(listener.ARN, rule.Rule{Priority: i, Conditions: []rule.Condition{path}, Actions: forward}, nil)
		}
		if err != nil {
			return err
		}
		var targets []inventory.Target
		for _, a := range of {
			targets = append(targets, inventory.Target{TargetID: inventory.TargetID{ID: a.Addr().String(), Port: int(a.Port())}})
		}
		if _, err := e.Register(g.ARN, targets); err != nil {
			return err
		}
	}
	return nil
}
