package sites

import (
	"net"
	"testing"
)

func inContainerProofs() map[string]proof {
	return map[string]proof{
		"docker-application-on-loopback": {
			asked(fails(closed)),
			asked(fails(closed), host(Domain)),
			asked(fails(tlsFailed), overTLS(Domain)),
			asked(fails(closed), proxyLine),
		},
		"node-localhost-is-ipv6": {
			asked(fails(refused), on("::1")),
			asked(says(200, "healthy"), on("127.0.0.1")),
			does(func(t *testing.T, _ Site) {
				addresses, err := net.DefaultResolver.LookupHost(t.Context(), "localhost")
				if err != nil || len(addresses) == 0 || addresses[0] != "::1" {
					t.Errorf("localhost is %v, %v; want ::1 first", addresses, err)
				}
			}),
		},
		"envoy-sidecar-strict": {
			asked(fails(closed)),
			asked(fails(closed), from(Private)),
			asked(fails(closed), host(Domain)),
			asked(says(200, "healthy"), on("127.0.0.1")),
		},
	}
}
