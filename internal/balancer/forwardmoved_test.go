package balancer_test

import (
	"context"
	"sync"
	"testing"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/elb/rule"
)

// A listener's default goes from one group to another, and back: a request that is
// under way meanwhile is answered by a target of one of them, though the other has
// no rule any more.
func TestForwardMoved(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.newGroup("next", elb.Kind{}, nil)
	s.fill("app", newApp(t, "one").AddrPort)
	s.group = s.groups["next"]
	s.register(newApp(t, "two").AddrPort)
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				if got, err := fetch(t.Context(), s.url); err != nil || got.status != 200 {
					t.Errorf("got %+v, %v", got, err)
				}
			}
		})
	}
	for n := range 300 {
		to := s.groups[[]string{"next", "app"}[n%2]]
		s.change(func(e *inventory.Edit) error {
			_, err := e.ModifyListener(s.listener, inventory.ListenerSettings{Default: []rule.Action{rule.ForwardTo(to)}})
			return err
		})
	}
	cancel()
	clients.Wait()
}
