package sites

import (
	"maps"
	"net/http"
	"testing"
)

// Prove holds a case's site to its fault, by requests that are written by hand: no
// code of Hale's takes part. It returns what is not as it should be.
func Prove(t *testing.T, c Case, s Site) (wrong []string) {
	t.Helper()
	return proofs()[c.Name].hold(t, c, s)
}

// ProveGroup is Prove for the targets of a group.
func ProveGroup(t *testing.T, c GroupCase, g Group) (wrong []string) {
	t.Helper()
	for i, p := range groupProofs()[c.Name] {
		s := g.Sites[i]
		s.Path = g.Path
		wrong = append(wrong, p.hold(t, Case{}, s)...)
	}
	return wrong
}

// proofs are the proofs of the cases, by their names.
func proofs() map[string]proof {
	all := make(map[string]proof)
	for _, some := range []map[string]proof{
		healthyProofs(), healthyServersProofs(),
		notListeningProofs(), inContainerProofs(), firewallProofs(), busyProofs(),
		tlsProofs(), firstBytesProofs(),
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
		namedProofs(), idleProofs(), mistakenProofs(), besideProofs(),
	} {
		for name := range some {
			if _, twice := all[name]; twice {
				panic(name + " has two proofs")
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
