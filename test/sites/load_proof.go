package sites

import (
	"strings"
	"testing"
)

func loadProofs() map[string]proof {
	return map[string]proof{
		"probe-load": {asked(says(200, "healthy")), inAccessLog(`127.0.0.16 - - `), does(func(t *testing.T, s Site) {
			log := strings.Replace(s.Log[0], "nginx-error.log", "nginx-access.log", 1)
			if n := strings.Count(readFile(t, log), "ELB-HealthChecker/2.0"); n < 180 {
				t.Errorf("%d probes in the log, want 180", n)
			}
		})},
	}
}
