package spread_test

import (
	"math"
	"testing"

	"hale/internal/elb/spread"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	for _, weights := range [][]int{{1}, {90, 10}, {1, 1}, {0, 5}, {5, 0}, {999, 1}, {1, 2, 3, 4, 5}, {999, 999, 0, 999, 999}} {
		s := spread.NewSplit(weights...)
		sum := 0
		for _, weight := range weights {
			sum += weight
		}
		got := make([]int, len(weights))
		const requests = 1000
		for range requests {
			i, ok := s.Pick()
			if !ok {
				t.Fatalf("%v: none", weights)
			}
			got[i]++
		}
		for i, weight := range weights {
			want := float64(weight) * requests / float64(sum)
			if math.Abs(float64(got[i])-want) > 4 || weight == 0 && got[i] > 0 {
				t.Errorf("%v: group %d got %d of %d requests, want %.0f", weights, i, got[i], requests, want)
			}
		}
	}
}

// Any hundred requests in a row show a weight of a tenth.
func TestSplitIsEven(t *testing.T) {
	t.Parallel()
	s := spread.NewSplit(90, 10)
	for hundred := range 100 {
		second := 0
		for range 100 {
			if i, _ := s.Pick(); i == 1 {
				second++
			}
		}
		if second < 8 || second > 12 {
			t.Errorf("of requests %d00 to %d99, %d went to the second group", hundred, hundred, second)
		}
	}
}

func TestSplitOfNothing(t *testing.T) {
	t.Parallel()
	for _, weights := range [][]int{nil, {0}, {0, 0}} {
		if i, ok := spread.NewSplit(weights...).Pick(); ok {
			t.Errorf("%v: group %d", weights, i)
		}
	}
}
