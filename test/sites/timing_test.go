package sites

import (
	"testing"
	"time"
)

func lateProofs() map[string]proof {
	slow := proof{
		asked(fails(silent)),
		asked(fails(silent), host(Domain)),
		asked(says(200, "healthy"), within(time.Minute)),
		asked(status(200), path("/")),
	}
	return map[string]proof{
		"go-slow-handler":     slow,
		"nginx-slow-upstream": slow,
		"go-flapping": {does(func(t *testing.T, s Site) {
			var passed, failed int
			for range 40 {
				switch a := health(s, time.Second).send(); {
				case a.outcome == silent:
					failed++
				case a.body == "healthy\n":
					passed++
				default:
					t.Errorf("%v", a)
				}
				if passed > 1 && failed > 1 {
					return
				}
			}
			t.Errorf("%d probes passed and %d timed out, want some of each", passed, failed)
		})},
		"go-drip": {
			asked(fails(bodySilent)),
			asked(fails(bodySilent), host(Domain)),
			asked(status(200), path("/")),
		},
		"go-short-body": {
			asked(fails(bodyCut)),
			asked(status(200), path("/")),
		},
		"python-no-length": {
			asked(says(200, "healthy")),
			does(func(t *testing.T, s Site) {
				if a := health(s, time.Minute).send(); a.response == nil || a.response.ContentLength != -1 || a.response.TransferEncoding != nil {
					t.Errorf("want an answer that ends with the connection, got %v", a)
				}
			}),
		},
		"node-keepalive": {asked(says(200, "healthy")), does(closesIdle)},
		"go-keepalive":   {asked(says(200, "healthy")), does(closesIdle)},
	}
}
