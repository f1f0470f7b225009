// Package spread chooses which target of a group gets a request or a connection,
// by the rules of Elastic Load Balancing: round robin, least outstanding
// requests, weighted random with anomaly mitigation, slow start, weighted target
// groups, and stickiness by cookie and by address.
//
// It knows nothing of health: a Group is told which targets may take traffic.
// Choosing allocates nothing and takes no lock.
package spread

import (
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hale/internal/elb"
)

// Algorithm is how a group's targets are chosen (ELBv2 API,
// TargetGroupAttribute, load_balancing.algorithm.type).
type Algorithm string

// Algorithms. The zero value stands for RoundRobin.
const (
	RoundRobin       Algorithm = "round_robin"
	LeastOutstanding Algorithm = "least_outstanding_requests"
	WeightedRandom   Algorithm = "weighted_random"
)

// Settings is how a group chooses.
type Settings struct {
	Algorithm Algorithm
	// Mitigate lowers the weight of targets that Assess finds to fail more than
	// the others. Of WeightedRandom alone.
	Mitigate bool
	// SlowStart is how long a target that turns healthy gets a rising share; 0:
	// it gets its full share at once. Not of LeastOutstanding.
	SlowStart time.Duration
}

// SettingsOf returns the settings of a group with these attributes.
func SettingsOf(k elb.Kind, attributes elb.Attributes) Settings {
	full := elb.GroupAttributes(k).Full(attributes)
	return Settings{
		Algorithm: Algorithm(full["load_balancing.algorithm.type"]),
		Mitigate:  full.Bool("load_balancing.algorithm.anomaly_mitigation"),
		SlowStart: full.Duration("slow_start.duration_seconds"),
	}
}

// Target is a target's part in the choice, and what is counted for it. Embed it in
// the type that a Group is to choose among. It must not be copied after first use,
// and belongs to one group.
type Target struct {
	// Key is what cookies know the target by; KeyOf makes one. It must not
	// change while the target is in a Group.
	Key uint64

	inFlight atomic.Int64
	// tally is the requests since the last Assess, and in the lower half those
	// of them that failed.
	tally tally
	// lowered is how often mitigation has halved the weight.
	lowered   atomic.Int32
	anomalous atomic.Bool
	// warmSince is when slow start began, in nanoseconds since 1970; 0: it
	// didn't, or is over.
	warmSince atomic.Int64
	healthy   bool // guarded by the Group's mu
}

// Begin counts a request or connection that the target got.
func (t *Target) Begin() { t.inFlight.Add(1) }

// End counts its end. Failed is for an answer 5xx, and for an error of TCP or TLS
// with the target.
func (t *Target) End(failed bool) {
	t.inFlight.Add(-1)
	t.tally.count(failed)
}

// InFlight returns how many requests have begun and not ended.
func (t *Target) InFlight() int64 { return t.inFlight.Load() }

func (t *Target) spread() *Target { return t }

// Chosen is what a Group chooses among: a pointer to a struct that embeds Target.
type Chosen interface {
	comparable
	spread() *Target
}

// Member is a target that may take traffic. One that is not healthy is there
// because its group fails open; it gets its full share.
type Member[T Chosen] struct {
	Target  T
	Healthy bool
}

// Group is the targets of a target group that may take traffic. The zero value
// has none. Any number of goroutines may use it at once.
type Group[T Chosen] struct {
	list atomic.Pointer[list[T]]
	_    [56]byte // turn changes with each choice, and list hardly ever
	turn atomic.Uint64
	_    [56]byte
	mu   sync.Mutex // held by Use and Assess
}

// list is what a group chooses among between two changes. It never changes.
type list[T Chosen] struct {
	Settings
	members []Member[T]
	targets []*Target // of the members
	keys    []uint64  // of the members
	byKey   map[uint64]int
	// warmUntil is when the last slow start is over, in nanoseconds since 1970.
	warmUntil int64
}

// Use replaces the settings and the targets. Call it when the settings or the
// health of any target changes. A target that turned healthy since the last call
// begins its slow start here. The slice is the group's from then on.
func (g *Group[T]) Use(now time.Time, s Settings, members []Member[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := &list[T]{Settings: s, members: members, byKey: make(map[uint64]int, len(members))}
	for i, m := range members {
		t := m.Target.spread()
		l.targets = append(l.targets, t)
		l.keys = append(l.keys, t.Key)
		l.byKey[t.Key] = i
	}
	var before []Member[T]
	if old := g.list.Load(); old != nil {
		before = old.members
	}
	l.warmUntil = warm(now, s.SlowStart, healthy(before), healthy(members))
	g.list.Store(l)
}

func healthy[T Chosen](members []Member[T]) []*Target {
	var targets []*Target
	for _, m := range members {
		if m.Healthy {
			targets = append(targets, m.Target.spread())
		}
	}
	return targets
}

// Len returns how many targets may take traffic.
func (g *Group[T]) Len() int {
	l := g.list.Load()
	if l == nil {
		return 0
	}
	return len(l.targets)
}

// Pick chooses a target for a request, but none of those that were tried. There
// is none if ok is false.
func (g *Group[T]) Pick(now time.Time, tried ...T) (chosen T, ok bool) {
	l := g.list.Load()
	if l == nil || len(l.targets) == 0 {
		return chosen, false
	}
	var i int
	switch {
	case l.Algorithm == LeastOutstanding:
		i = l.leastBusy(g.turn.Add(1), tried)
	case l.Algorithm == WeightedRandom:
		i = l.byWeight(rand.Uint64(), now, tried) //nolint:gosec // which target is no secret
	case l.warmUntil > now.UnixNano():
		i = l.byWeight(g.turn.Add(1), now, tried)
	default:
		i = l.next(g.turn.Add(1), tried)
	}
	if i < 0 {
		return chosen, false
	}
	return l.members[i].Target, true
}

// next takes the target whose turn it is, or the next one that was not tried.
func (l *list[T]) next(turn uint64, tried []T) int {
	n := uint64(len(l.targets))
	for k := range n {
		if i := int((turn + k) % n); !has(tried, l.targets[i]) { //nolint:gosec // less than n
			return i
		}
	}
	return -1
}

// leastBusy takes the target with the fewest requests in flight; among equals,
// the one whose turn it is.
func (l *list[T]) leastBusy(turn uint64, tried []T) int {
	n := len(l.targets)
	best, least := -1, int64(0)
	i := int(turn % uint64(n)) //nolint:gosec // less than n
	for range n {
		if busy := l.targets[i].InFlight(); (best < 0 || busy < least) && !has(tried, l.targets[i]) {
			best, least = i, busy
			if least <= 0 {
				break
			}
		}
		if i++; i == n {
			i = 0
		}
	}
	return best
}

// mostDraws is after how many targets that were drawn and not taken the next one
// is taken. It is enough for shares of one in sixteen, and hardly ever reached by
// those of slow start.
const mostDraws = 128

// byWeight draws targets until one is taken: each is with a probability that is
// its share. So each gets requests as its share is of all shares, wherever the
// first one was drawn from, as long as it may be any of them.
func (l *list[T]) byWeight(first uint64, now time.Time, tried []T) int {
	n, at := uint64(len(l.targets)), now.UnixNano()
	i := first % n
	for range mostDraws {
		t := l.targets[i]
		random := rand.Uint64() //nolint:gosec // which target is no secret
		share := l.share(t, at)
		if uint32(random)>>shareBits < share && !has(tried, t) { //nolint:gosec // the lower half
			return int(i) //nolint:gosec // less than n
		}
		i, _ = bits.Mul64(random, n)
	}
	return l.next(first, tried)
}

// Shares are fixed-point numbers: fullShare is a whole one.
const (
	shareBits = 16
	fullShare = 1 << shareBits
)

// share returns what a target gets of a full share.
func (l *list[T]) share(t *Target, at int64) uint32 {
	share := uint32(fullShare)
	if l.Mitigate {
		share >>= t.lowered.Load()
	}
	if at < l.warmUntil {
		share = uint32(uint64(share) * uint64(t.warmth(at, l.SlowStart)) / fullShare) //nolint:gosec // no more than share
	}
	return share
}

func has[T Chosen](tried []T, t *Target) bool {
	for _, other := range tried {
		if other.spread() == t {
			return true
		}
	}
	return false
}

// Find returns the target of a cookie's key, if it may take traffic.
func (g *Group[T]) Find(key uint64) (found T, ok bool) {
	l := g.list.Load()
	if l == nil {
		return found, false
	}
	i, ok := l.byKey[key]
	if !ok {
		return found, false
	}
	return l.members[i].Target, true
}

// PickFor chooses the target for a hash: always the same one, as long as it may
// take traffic. When another one comes or goes, only what is that one's moves.
func (g *Group[T]) PickFor(hash uint64, tried ...T) (chosen T, ok bool) {
	l := g.list.Load()
	if l == nil {
		return chosen, false
	}
	best, highest := -1, uint64(0)
	for i, key := range l.keys { // rendezvous hashing
		if score := mix(hash ^ key); (best < 0 || score > highest) && !has(tried, l.targets[i]) {
			best, highest = i, score
		}
	}
	if best < 0 {
		return chosen, false
	}
	return l.members[best].Target, true
}

// HashSource returns the hash of a client's address, for stickiness by
// source_ip.
func HashSource(client netip.Addr) uint64 {
	b := client.Unmap().As16()
	var high, low uint64
	for i := range 8 {
		high, low = high<<8|uint64(b[i]), low<<8|uint64(b[8+i])
	}
	return mix(mix(high) ^ low)
}

// HashFlow returns the hash of a connection, by which a Network Load Balancer
// chooses without stickiness: addresses and ports of both ends.
func HashFlow(client, listener netip.AddrPort) uint64 {
	ports := uint64(client.Port())<<16 | uint64(listener.Port())
	return mix(mix(HashSource(client.Addr())^HashSource(listener.Addr())) ^ ports)
}

// KeyOf returns the key of a target by its ID and port, the same in every
// process. It is also good for other names: a group's ARN, with port 0.
func KeyOf(id string, port int) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return mix(h ^ uint64(port)<<48) //nolint:gosec // a port is no negative number
}

// mix spreads what differs over all bits (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
