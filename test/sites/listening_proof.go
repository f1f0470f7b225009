package sites

import (
	"net"
	"testing"
)

func notListeningProofs() map[string]proof {
	nobody := proof{asked(fails(refused)), asked(fails(refused), on("127.0.0.1"))}
	fatal := func(text string) proof { return append(nobody[:2:2], inLog(text)) }
	return map[string]proof{
		"nothing-listening":         nobody,
		"node-crashed":              fatal("Cannot find module './routes/index.js'"),
		"gunicorn-missing-variable": append(fatal("KeyError: 'SECRET_KEY'"), inLog("Worker failed to boot.")),
		"node-missing-variable":     fatal("DATABASE_URL is not set in the environment"),
		"node-port-in-use": {
			asked(want{status: 404, header: "Server: SimpleHTTP"}),
			inLog("listen EADDRINUSE: address already in use 127.0.0.5:"),
		},
		"nginx-port-in-use": {
			asked(want{status: 404, header: "Server: SimpleHTTP"}),
			inLog("(98: Address already in use)"),
		},
		"node-port-80": fatal("listen EACCES: permission denied 127.0.0.5:80"),
		"go-on-loopback": {
			asked(fails(refused)),
			asked(says(200, "healthy"), on("127.0.0.1")),
		},
		"node-on-localhost": {
			asked(fails(refused)),
			asked(says(200, "healthy"), on("127.0.0.1")),
		},
		"nginx-on-loopback": {
			asked(fails(refused)),
			asked(says(200, "healthy"), on("127.0.0.1")),
		},
		"go-on-other-address": {
			asked(fails(refused)),
			asked(fails(refused), on("127.0.0.1")),
			asked(says(200, "healthy"), on("127.0.0.7")),
		},
		"nginx-ipv6-only": {
			asked(fails(refused)),
			asked(fails(refused), on("127.0.0.1")),
			asked(says(200, "healthy"), on("::1")),
		},
		"haproxy-ipv6-only": {
			asked(fails(refused)),
			asked(fails(refused), on("127.0.0.1")),
			asked(says(200, "healthy"), on("::1")),
		},
		"node-wrong-port": {
			asked(fails(refused)),
			asked(fails(refused), on("127.0.0.1")),
			asked(says(200, "healthy"), port("3000")),
		},
		"node-wrong-port-any-path": {
			asked(fails(refused)),
			asked(says(200, "welcome"), port("3000")),
			asked(says(200, "welcome"), port("3000"), path(nowhere)),
		},
		"node-port-undefined": {
			asked(fails(refused)),
			does(func(t *testing.T, s Site) {
				for _, socket := range tcpSockets(t) {
					host, number, err := net.SplitHostPort(socket.local)
					if err != nil || !socket.listens {
						continue
					}
					if host != "::" {
						t.Errorf("listens on %s, want every address", socket.local)
					}
					r := health(s, 0)
					port(number)(r)
					if a := r.send(); a.body != "healthy\n" {
						t.Errorf("port %s: %v", number, a)
					}
					return
				}
				t.Error("nobody listens at all")
			}),
		},
	}
}
