package host

import (
	"hale/internal/autoscaling"
	"hale/internal/statefile"
)

// stateFile is what the state directory holds of the groups, beside the balancer's
// own file and the instances' output.
const stateFile = "autoscaling.json"

// Kept returns the state that a state directory holds, whoever has it open: the
// last one that was saved, an empty one if there is none.
func Kept(dir string) (*autoscaling.State, error) {
	return statefile.Read[autoscaling.State](dir, stateFile)
}
