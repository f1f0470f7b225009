package spread_test

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hale/internal/elb"
	"hale/internal/elb/spread"
)

type target struct {
	name string
	spread.Target
}

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// named makes targets, one for each letter.
func named(names string) []*target {
	var targets []*target
	for _, name := range names {
		t := &target{name: string(name)}
		t.Key = spread.KeyOf(t.name, 80)
		targets = append(targets, t)
	}
	return targets
}

// healthy makes members of targets.
func healthy(targets ...*target) []spread.Member[*target] {
	var members []spread.Member[*target]
	for _, t := range targets {
		members = append(members, spread.Member[*target]{Target: t, Healthy: true})
	}
	return members
}

// group is one of the targets that start out healthy together.
func group(s spread.Settings, targets ...*target) *spread.Group[*target] {
	g := new(spread.Group[*target])
	g.Use(start, s, healthy(targets...))
	return g
}

// picks returns the names of the next n choices.
func picks(t *testing.T, g *spread.Group[*target], n int, tried ...*target) string {
	t.Helper()
	var names strings.Builder
	for range n {
		chosen, ok := g.Pick(start, tried...)
		if !ok {
			names.WriteString("-")
			continue
		}
		names.WriteString(chosen.name)
	}
	return names.String()
}

// shares counts n choices at a time.
func shares(g *spread.Group[*target], at time.Time, n int) map[string]float64 {
	share := make(map[string]float64)
	for range n {
		if chosen, ok := g.Pick(at); ok {
			share[chosen.name] += 1 / float64(n)
		}
	}
	return share
}

// near allows for chance: with 20,000 choices, a share is hardly ever off by as
// much (six standard deviations are 0.022).
func near(got, want float64) bool { return math.Abs(got-want) < 0.03 }

const many = 20_000

func TestRoundRobin(t *testing.T) {
	t.Parallel()
	all := named("abcd")
	g := group(spread.Settings{}, all...)
	if got := picks(t, g, 8); got != "bcdabcda" {
		t.Errorf("in turn: %s", got)
	}
	if got := picks(t, g, 8, all[1], all[2]); strings.ContainsAny(got, "bc") || !strings.Contains(got, "a") || !strings.Contains(got, "d") {
		t.Errorf("without b and c, which were tried: %s", got)
	}
	if got := picks(t, g, 2, all...); got != "--" {
		t.Errorf("without all: %s", got)
	}
	g.Use(start, spread.Settings{}, healthy(all[2]))
	if got := picks(t, g, 3); got != "ccc" || g.Len() != 1 {
		t.Errorf("with c alone: %s, of %d", got, g.Len())
	}
	g.Use(start, spread.Settings{}, nil)
	if got := picks(t, g, 1); got != "-" || g.Len() != 0 {
		t.Errorf("with none: %s", got)
	}
}

func TestZeroGroup(t *testing.T) {
	t.Parallel()
	var g spread.Group[*target]
	g.Assess()
	_, picked := g.Pick(start)
	_, found := g.Find(1)
	_, hashed := g.PickFor(1)
	if picked || found || hashed || g.Len() != 0 {
		t.Errorf("picked %v, found %v, hashed %v of %d", picked, found, hashed, g.Len())
	}
}

func TestLeastOutstanding(t *testing.T) {
	t.Parallel()
	all := named("abc")
	g := group(spread.Settings{Algorithm: spread.LeastOutstanding}, all...)
	busy := func(counts ...int64) {
		for i, n := range counts {
			for all[i].InFlight() < n {
				all[i].Begin()
			}
			for all[i].InFlight() > n {
				all[i].End(false)
			}
		}
	}
	for _, test := range []struct {
		busy  []int64
		tried []*target
		want  string // any of them
	}{
		{[]int64{3, 1, 2}, nil, "b"},
		{[]int64{3, 1, 0}, nil, "c"},
		{[]int64{5, 5, 4}, nil, "c"},
		{[]int64{2, 1, 1}, nil, "bc"},
		{[]int64{0, 0, 0}, nil, "abc"},
		{[]int64{3, 1, 2}, []*target{all[1]}, "c"},
		{[]int64{3, 0, 2}, []*target{all[1], all[2]}, "a"},
		{[]int64{0, 0, 0}, all, "-"},
	} {
		busy(test.busy...)
		got := picks(t, g, 30, test.tried...)
		if strings.Trim(got, test.want) != "" {
			t.Errorf("in flight %v, without %d: %s, want of %s alone", test.busy, len(test.tried), got, test.want)
		}
		for _, one := range test.want {
			if !strings.ContainsRune(got, one) {
				t.Errorf("in flight %v: %s, but never %c", test.busy, got, one)
			}
		}
	}
}

// With requests of the same length that never wait, all get as many.
func TestLeastOutstandingIsEven(t *testing.T) {
	t.Parallel()
	all := named("abcde")
	g := group(spread.Settings{Algorithm: spread.LeastOutstanding}, all...)
	for range 50 {
		chosen, _ := g.Pick(start)
		chosen.Begin()
	}
	for _, one := range all {
		if one.InFlight() != 10 {
			t.Errorf("%s has %d of 50 requests", one.name, one.InFlight())
		}
	}
}

func TestWeightedRandom(t *testing.T) {
	t.Parallel()
	all := named("abcd")
	g := group(spread.Settings{Algorithm: spread.WeightedRandom}, all...)
	for name, share := range shares(g, start, many) {
		if !near(share, 0.25) {
			t.Errorf("%s gets %.3f, want 0.25", name, share)
		}
	}
	if got := picks(t, g, 100, all[0], all[3]); strings.Trim(got, "bc") != "" {
		t.Errorf("without a and d: %s", got)
	}
	if got := picks(t, g, 1, all...); got != "-" {
		t.Errorf("without all: %s", got)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	all := named("abc")
	g := group(spread.Settings{}, all[:2]...)
	if got, ok := g.Find(all[1].Key); !ok || got != all[1] {
		t.Errorf("b is not found: %v", got)
	}
	if got, ok := g.Find(all[2].Key); ok {
		t.Errorf("c, which may take no traffic, is found: %v", got)
	}
}

// What sticks to a target by hash stays with it, whoever else comes and goes.
func TestPickFor(t *testing.T) {
	t.Parallel()
	all := named("abcdefghij")
	g := group(spread.Settings{}, all...)
	const clients = 5000
	before := make(map[uint64]*target)
	share := make(map[*target]int)
	for i := range clients {
		hash := spread.HashSource(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		chosen, ok := g.PickFor(hash)
		again, _ := g.PickFor(hash)
		if !ok || again != chosen {
			t.Fatalf("%s, and then %s", chosen.name, again.name)
		}
		if other, _ := g.PickFor(hash, chosen); other == chosen {
			t.Fatalf("%s again, which was tried", other.name)
		}
		before[hash] = chosen
		share[chosen]++
	}
	for one, n := range share {
		if !near(float64(n)/clients, 0.1) {
			t.Errorf("%s gets %d of %d clients", one.name, n, clients)
		}
	}
	g.Use(start, spread.Settings{}, healthy(slices.Concat(all[:3], all[4:])...))
	for hash, was := range before {
		if now, _ := g.PickFor(hash); now != was && was != all[3] || now == all[3] {
			t.Fatalf("without d, a client of %s moves to %s", was.name, now.name)
		}
	}
}

func TestHashes(t *testing.T) {
	t.Parallel()
	a, b := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("192.0.2.1:40001")
	mapped := netip.MustParseAddr("::ffff:192.0.2.1")
	listener := netip.MustParseAddrPort("198.51.100.1:443")
	if spread.HashSource(a.Addr()) != spread.HashSource(mapped) {
		t.Error("an address that IPv6 holds is another one")
	}
	if spread.HashSource(a.Addr()) == spread.HashSource(listener.Addr()) {
		t.Error("two addresses have one hash")
	}
	if spread.HashFlow(a, listener) == spread.HashFlow(b, listener) {
		t.Error("two connections of a client have one hash")
	}
	if spread.KeyOf("i-1", 80) == spread.KeyOf("i-1", 81) || spread.KeyOf("i-1", 80) == spread.KeyOf("i-2", 80) {
		t.Error("two targets have one key")
	}
	// Cookies outlive the process: keys must not change from one version to the next.
	if got := spread.KeyOf("i-0123456789abcdef0", 8080); got != 0x7979df081acf6054 {
		t.Errorf("the key of a target has changed: %#x", got)
	}
}

func TestSettingsOf(t *testing.T) {
	t.Parallel()
	http := elb.Kind{Protocol: elb.HTTP}
	for _, test := range []struct {
		kind       elb.Kind
		attributes elb.Attributes
		want       spread.Settings
	}{
		{http, nil, spread.Settings{Algorithm: spread.RoundRobin}},
		{http, elb.Attributes{"slow_start.duration_seconds": "30"}, spread.Settings{Algorithm: spread.RoundRobin, SlowStart: 30 * time.Second}},
		{http, elb.Attributes{"load_balancing.algorithm.type": "least_outstanding_requests"}, spread.Settings{Algorithm: spread.LeastOutstanding}},
		{
			http,
			elb.Attributes{"load_balancing.algorithm.type": "weighted_random", "load_balancing.algorithm.anomaly_mitigation": "on"},
			spread.Settings{Algorithm: spread.WeightedRandom, Mitigate: true},
		},
		{elb.Kind{Protocol: elb.TCP}, nil, spread.Settings{}},
	} {
		if got := spread.SettingsOf(test.kind, test.attributes); got != test.want {
			t.Errorf("%v, %v: %+v, want %+v", test.kind, test.attributes, got, test.want)
		}
	}
}

// Many choose and count while the targets change: for the race detector, and
// nobody gets a target that was not in use.
func TestConcurrently(t *testing.T) {
	t.Parallel()
	all := named("abcdefgh")
	g := group(spread.Settings{Algorithm: spread.WeightedRandom, Mitigate: true}, all...)
	var pickers sync.WaitGroup
	for worker := range 4 {
		pickers.Go(func() {
			for i := range 2000 {
				chosen, ok := g.Pick(start.Add(time.Duration(i) * time.Millisecond))
				if !ok {
					t.Error("no target")
					return
				}
				chosen.Begin()
				chosen.End(i%7 == worker)
				if found, ok := g.Find(chosen.Key); ok && found != chosen {
					t.Error("another target of the same key")
				}
			}
		})
	}
	for i := range 200 {
		s := []spread.Settings{
			{Algorithm: spread.RoundRobin, SlowStart: 30 * time.Second},
			{Algorithm: spread.LeastOutstanding},
			{Algorithm: spread.WeightedRandom, Mitigate: true},
		}[i%3]
		g.Use(start.Add(time.Duration(i)*time.Second), s, healthy(all[i%7:]...))
		g.Assess()
	}
	pickers.Wait()
	for _, one := range all {
		if one.InFlight() != 0 {
			t.Errorf("%s has %d requests in flight", one.name, one.InFlight())
		}
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	all := named("abcdefgh")
	for _, algorithm := range []spread.Algorithm{spread.RoundRobin, spread.LeastOutstanding, spread.WeightedRandom} {
		g := group(spread.Settings{Algorithm: algorithm, Mitigate: true}, all...)
		if n := testing.AllocsPerRun(100, func() {
			chosen, _ := g.Pick(start)
			chosen.Begin()
			chosen.End(false)
		}); n != 0 {
			t.Errorf("%s: %v allocations", algorithm, n)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	now := time.Now()
	for _, targets := range []int{4, 1000} {
		for _, algorithm := range []spread.Algorithm{spread.RoundRobin, spread.LeastOutstanding, spread.WeightedRandom} {
			for _, state := range []string{"idle", "busy", "slow start"} {
				if state == "slow start" && algorithm != spread.RoundRobin {
					continue
				}
				b.Run(fmt.Sprintf("%s/%d targets, %s", algorithm, targets, state), func(b *testing.B) {
					g := new(spread.Group[*target])
					var all []*target
					for i := range targets {
						t := &target{}
						t.Key = spread.KeyOf("i-1", i)
						all = append(all, t)
						if state == "busy" {
							t.Begin()
						}
					}
					s := spread.Settings{Algorithm: algorithm, Mitigate: true, SlowStart: time.Hour}
					g.Use(now, s, healthy(all[:targets/2]...))
					at := now
					if state == "slow start" {
						g.Use(now, s, healthy(all...))
						at = now.Add(time.Minute)
					} else {
						g.Use(now, spread.Settings{Algorithm: algorithm, Mitigate: true}, healthy(all...))
					}
					b.ReportAllocs()
					b.RunParallel(func(p *testing.PB) {
						for p.Next() {
							chosen, _ := g.Pick(at)
							chosen.Begin()
							chosen.End(false)
						}
					})
				})
			}
		}
	}
}

func BenchmarkPickFor(b *testing.B) {
	var all []*target
	for i := range 1000 {
		t := &target{}
		t.Key = spread.KeyOf("i-1", i)
		all = append(all, t)
	}
	g := group(spread.Settings{}, all...)
	var hash uint64
	for b.Loop() {
		hash += 0x9e3779b97f4a7c15
		g.PickFor(hash)
	}
}
