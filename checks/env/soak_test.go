package env_test

import (
	"testing"

	"hale/checks/env"
	"hale/test/checktest"
)

func TestSoak(t *testing.T) {
	checktest.Soak(t, &env.Check{Names: []string{"PATH"}}, nil)
}
