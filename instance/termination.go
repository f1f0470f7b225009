package instance

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

// noticeInterval is how often the notices are asked for: a Spot interruption is
// announced two minutes ahead, and AWS advises to look every five seconds (EC2
// guide, "Spot Instance interruption notices").
const noticeInterval = 5 * time.Second

// The items of metadata in which notices appear.
const (
	spotAction     = "spot/instance-action"
	lifecycleState = "autoscaling/target-lifecycle-state"
)

// Termination announces that this machine is about to be taken away.
type Termination struct {
	Source string    // the item of metadata: "spot/instance-action" or "autoscaling/target-lifecycle-state"
	Action string    // "terminate", "stop" or "hibernate"; or the Auto Scaling state, "Terminated"
	Time   time.Time // when; zero where the notice does not say
}

// notices asks for notices of termination.
type notices struct {
	ec2       *ec2
	inService bool // the group has wanted this instance in service
}

func newNotices(o Options) *notices { return &notices{ec2: newEC2(o.Endpoint, o.dial)} }

func (n *notices) close() { n.ec2.wire.close() }

// ask returns a notice if there is one. That there is none, and that the
// service cannot be asked, look the same: what else would there be to do.
func (n *notices) ask(ctx context.Context) (Termination, bool) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	n.ec2.wire.begin()
	if text, err := n.ec2.get(ctx, spotAction); err == nil {
		if t, ok := parseSpotAction(text); ok {
			return t, true
		}
	}
	if state, err := n.ec2.get(ctx, lifecycleState); err == nil {
		n.inService = n.inService || state == "InService"
		if leaving(state, n.inService) {
			return Termination{Source: lifecycleState, Action: state}, true
		}
	}
	return Termination{}, false
}

// parseSpotAction reads {"action": "terminate", "time": "2017-09-18T08:22:00Z"}.
func parseSpotAction(text string) (Termination, bool) {
	var notice struct {
		Action string
		Time   time.Time
	}
	if err := json.Unmarshal([]byte(text), &notice); err != nil || notice.Action == "" {
		return Termination{}, false
	}
	return Termination{spotAction, notice.Action, notice.Time}, true
}

// leaving says whether an Auto Scaling group that wants its instance in state
// is about to end it. Standby and Detached take it out of the load balancer but
// leave it running, for somebody to look at: nothing to drain for. A warm
// pool's states count only once the instance has been in service: it begins
// its life in them.
func leaving(state string, inService bool) bool {
	if state == "Terminated" || state == "Warmed:Terminated" {
		return true
	}
	return inService && strings.HasPrefix(state, "Warmed:")
}
