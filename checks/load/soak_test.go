package load

import (
	"testing"

	"hale/test/checktest"
)

func TestSoak(t *testing.T) {
	checktest.Soak(t, &Check{WarnLoad: 1e6, WarnSteal: 100, WarnThrottled: 100}, nil)
}
