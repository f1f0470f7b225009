package spread

import (
	"math/bits"
	"sync/atomic"
)

// Split shares requests out to target groups by their weights (ELBv2 API,
// ForwardActionConfig). Any number of goroutines may use it at once.
type Split struct {
	turn atomic.Uint64
	upTo []uint64 // the sum of the weights up to each group's
}

// NewSplit returns a split by weights of 0-999. A group of weight 0 gets nothing.
func NewSplit(weights ...int) *Split {
	s := new(Split)
	var sum uint64
	for _, weight := range weights {
		sum += uint64(max(weight, 0))
		s.upTo = append(s.upTo, sum)
	}
	return s
}

// Pick chooses a group, by its place among the weights. There is none if ok is
// false: no weights, or all of them 0 (what ELB does then is unconfirmed).
//
// Requests are not drawn by chance: multiples of the golden ratio put them so
// evenly that among any hundred in a row, a weight of a tenth gets ten, give or
// take two.
func (s *Split) Pick() (i int, ok bool) {
	if len(s.upTo) == 0 {
		return 0, false
	}
	const golden = 0x9e3779b97f4a7c15
	sum := s.upTo[len(s.upTo)-1]
	point, _ := bits.Mul64(s.turn.Add(1)*golden, sum)
	for i, upTo := range s.upTo {
		if point < upTo {
			return i, true
		}
	}
	return 0, false
}
