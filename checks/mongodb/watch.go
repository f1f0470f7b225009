package mongodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"

	"hale/internal/explain"
)

// member is a server as far as it is known.
type member struct {
	address   string
	kind      string // as people say it; empty: it has not answered
	lastWrite time.Time
	err       error // why it has not answered; nil: not known yet
}

// Kinds of members (Server Discovery and Monitoring, "ServerType").
const (
	primaryKind   = "primary"
	secondaryKind = "secondary"
	arbiter       = "arbiter"
)

var kinds = map[string]string{
	"RSPrimary":    primaryKind,
	"RSSecondary":  secondaryKind,
	"RSArbiter":    arbiter,
	"RSOther":      "member in another state", // starting, recovering, hidden
	"RSGhost":      "server without a replica set's configuration",
	"Standalone":   "server",
	"Mongos":       "router",
	"LoadBalancer": "load balancer",
}

func (m member) holdsData() bool {
	return m.kind == primaryKind || m.kind == secondaryKind || m.kind == kinds["Standalone"]
}

// has reports whether a member can answer for a role.
func (m member) has(role Role) bool {
	alone := m.kind == kinds["Standalone"] || m.kind == kinds["Mongos"] || m.kind == kinds["LoadBalancer"]
	switch role {
	case Secondary:
		return m.kind == secondaryKind
	case Any:
		return alone || m.kind == primaryKind || m.kind == secondaryKind
	case Primary:
		return alone || m.kind == primaryKind
	default:
		return false
	}
}

// watch hears what the driver's monitors find out about the members.
type watch struct {
	role Role
	all  bool // wait for all members, not for one with the role

	changed chan struct{} // has room for one; filled when members has changed

	mu       sync.Mutex // guards everything that follows
	members  []member
	removed  []string         // those that the driver has found to belong elsewhere
	failures map[string]error // the last of each address, which may come before it is a member
}

func newWatch(role Role, all bool) *watch {
	return &watch{role: role, all: all, changed: make(chan struct{}, 1), failures: make(map[string]error)}
}

func (w *watch) monitor() *event.ServerMonitor {
	return &event.ServerMonitor{
		TopologyDescriptionChanged: func(e *event.TopologyDescriptionChangedEvent) { w.topology(e.NewDescription.Servers) },
		ServerHeartbeatFailed: func(e *event.ServerHeartbeatFailedEvent) {
			// The id is the address with a number, HOST:PORT[-7].
			address, _, _ := strings.Cut(e.ConnectionID, "[-")
			w.failed(address, e.Failure)
		},
	}
}

// topology takes over what the driver knows now.
func (w *watch) topology(servers []event.ServerDescription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	members := make([]member, 0, len(servers))
	for _, server := range servers {
		m := member{address: server.Addr.String(), kind: kinds[server.Kind], lastWrite: server.LastWriteTime}
		if m.kind == "" {
			m.err = w.failures[m.address]
		}
		members = append(members, m)
	}
	for _, m := range w.members {
		if !slices.ContainsFunc(members, func(n member) bool { return n.address == m.address }) {
			w.removed = append(w.removed, m.address)
		}
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.address, b.address) })
	w.members = members
	w.signal()
}

func (w *watch) failed(address string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures[address] = err
	for i := range w.members {
		if m := &w.members[i]; m.address == address && m.kind == "" {
			m.err = err
		}
	}
	w.signal()
}

func (w *watch) signal() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// wait returns the members when enough is known of them: one has the role, or
// none has, and each has answered or failed to. It does not wait for an
// election, or for a server that may come back: that is for the next run. Where
// all members are to be heard, those that hang have half of the time.
func (w *watch) wait(ctx context.Context) []member {
	half, cancel := context.WithCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		half, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
	}
	defer cancel()
	patience := half.Done()
	for {
		members, found, heard := w.known()
		if found && (heard || !w.all) || !found && heard {
			return members
		}
		select {
		case <-w.changed:
		case <-patience:
			if _, found, _ := w.known(); found || ctx.Err() != nil {
				members, _, _ := w.known()
				return members
			}
			patience = ctx.Done()
		}
	}
}

// known returns the members, and whether one has the role, and whether each has
// been heard of.
func (w *watch) known() (members []member, found, heard bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	heard = len(w.members) > 0 || len(w.removed) > 0
	for _, m := range w.members {
		found = found || m.has(w.role)
		heard = heard && (m.kind != "" || m.err != nil)
	}
	return slices.Clone(w.members), found, heard
}

// chosen returns a member with the role.
func (w *watch) chosen() (member, bool) {
	members, _, _ := w.known()
	if i := slices.IndexFunc(members, func(m member) bool { return m.has(w.role) }); i >= 0 {
		return members[i], true
	}
	return member{}, false
}

// nobody says why no member has the role.
func (w *watch) nobody(ctx context.Context, start time.Time, wire *wire) error {
	members, _, _ := w.known()
	var answered, silent []string
	var first error
	for _, m := range members {
		if m.kind != "" {
			answered = append(answered, fmt.Sprintf("%s is a %s", m.address, m.kind))
			continue
		}
		if m.err == nil {
			m.err = context.DeadlineExceeded
		}
		err := wire.explain(ctx, start, m.address, m.err)
		first = errors.Join(first, err)
		silent = append(silent, err.Error())
	}
	text := strings.Join(append(answered, silent...), "; ")
	if len(answered) > 0 {
		text = fmt.Sprintf("no %s: %s", w.role, text)
	}
	if text == "" { // nobody is left
		w.mu.Lock()
		defer w.mu.Unlock()
		text = fmt.Sprintf("not of the replica set that the URL names, or not by this address: %s", strings.Join(w.removed, ", "))
	}
	return &explain.Error{Text: text, Err: first}
}
