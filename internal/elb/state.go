package elb

// State is what a load balancer holds a target for (ELBv2 API,
// TargetHealthStateEnum).
type State string

// States.
const (
	Initial           State = "initial"            // being registered, or without a verdict yet
	Healthy           State = "healthy"            // takes traffic
	Unhealthy         State = "unhealthy"          // takes none, unless no other is healthy
	UnhealthyDraining State = "unhealthy.draining" // of a Network Load Balancer: open connections may go on for a while
	Unused            State = "unused"             // not probed at all
	Draining          State = "draining"           // deregistered; what is in flight may end
	Unavailable       State = "unavailable"        // health checks are off, or ELB has an error of its own
)
