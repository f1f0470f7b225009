package sites

import "testing"

func firewallProofs() map[string]proof {
	fromHere := []step{
		asked(says(200, "healthy"), from(Private)),
		asked(says(200, "healthy"), on("127.0.0.1")),
	}
	return map[string]proof{
		"firewall-drop": append(proof{
			asked(fails(noConnection)),
			does(func(t *testing.T, s Site) {
				if answersWait(t, s) {
					t.Error("the SYN came in")
				}
			}),
		}, fromHere...),
		"firewall-drops-answers": append(proof{
			asked(fails(noConnection)),
			does(func(t *testing.T, s Site) {
				if !answersWait(t, s) {
					t.Error("no connection is half open: the SYN did not come in")
				}
			}),
		}, fromHere...),
		"firewall-prohibits": append(proof{asked(fails(unreachable))}, fromHere...),
		"firewall-resets":    append(proof{asked(fails(refused))}, fromHere...),
	}
}

// answersWait tells whether the site has half-open connections, while it is
// probed.
func answersWait(t *testing.T, s Site) bool {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		health(s, 0).send()
	}()
	for {
		for _, socket := range tcpSockets(t) {
			if socket.synReceived && portOf(socket.local) == portOf(s.Address) {
				<-ended
				return true
			}
		}
		select {
		case <-ended:
			return false
		default:
		}
	}
}
