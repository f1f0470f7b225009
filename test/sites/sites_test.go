package sites

import (
	"maps"
	"net/http"
	"strings"
	"testing"
)

// proofs are the proofs of the cases, by their names.
func proofs(t *testing.T) map[string]proof {
	all := make(map[string]proof)
	for _, some := range []map[string]proof{
		healthyProofs(), healthyServersProofs(),
		notListeningProofs(), inContainerProofs(), firewallProofs(), busyProofs(),
		tlsProofs(t), firstBytesProofs(),
		nginxProofs(),
		apacheProofs(),
		haproxyProofs(), caddyProofs(), lighttpdProofs(), varnishProofs(), phpProofs(), imitatedProofs(), lateProofs(),
		webServerChainsProofs(),
		djangoProofs(),
		loadProofs(), platformProofs(),
		setupProofs(), healthyAppProofs(),
		standInProofs(),
		goProofs(), symfonyProofs(),
		expressProofs(), tomcatProofs(),
		rubyProofs(), flaskProofs(), fastapiProofs(),
		namedProofs(), idleProofs(), mistakenProofs(),
	} {
		for name := range some {
			if _, twice := all[name]; twice {
				t.Errorf("%s has two proofs", name)
			}
		}
		maps.Copy(all, some)
	}
	return all
}

func healthyProofs() map[string]proof {
	well := proof{
		asked(status(http.StatusOK)),
		asked(status(http.StatusOK), host(Domain)),
		asked(status(http.StatusNotFound), path("/nobody-knows-this")),
	}
	return map[string]proof{"healthy-go": well}
}

func TestEachSiteHasItsFault(t *testing.T) {
	all := proofs(t)
	for _, c := range All() {
		proof, ok := all[c.Name]
		delete(all, c.Name)
		t.Run(c.Name, func(t *testing.T) {
			if !ok {
				t.Fatal("nothing proves its fault: give it an entry in proofs")
			}
			t.Parallel()
			if c.Alone {
				if _, within := OwnNetwork(t); !within {
					return
				}
			}
			proof.hold(t, c, c.Start(t))
		})
	}
	for name := range all {
		t.Errorf("%s is proved, but no case", name)
	}
}

func TestCasesAreWellFormed(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range All() {
		switch {
		case seen[c.Name]:
			t.Errorf("two cases are named %s", c.Name)
		case (c.Row == "healthy") != (len(c.Findings) == 0):
			t.Errorf("%s: a healthy site has no findings, any other has", c.Name)
		case c.Name != strings.ToLower(c.Name) || c.Row == "" || c.Start == nil:
			t.Errorf("%s: lacks a part", c.Name)
		}
		seen[c.Name] = true
	}
}
