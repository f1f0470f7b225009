package memory

import (
	"testing"

	"hale/test/checktest"
)

func TestSoak(t *testing.T) {
	checktest.Soak(t, &Check{WarnUsed: 100, MaxUsed: 100}, nil)
}
