package exec_test

import (
	"testing"

	"hale/checks/exec"
	"hale/test/checktest"
)

func TestSoak(t *testing.T) {
	checktest.Soak(t, &exec.Check{Command: []string{"echo", "OK"}}, nil)
}
