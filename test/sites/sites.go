// Package sites starts faulty websites with the real programs that people run:
// each has one documented reason, or a chain of reasons, for which a load
// balancer's health check fails, and names what a diagnosis must find. A few
// are healthy, for a diagnosis that finds something there is wrong. Each case has a
// proof, in the _proof files: requests written by hand, and what comes back.
//
// A loopback address hides faults: what listens on it alone answers, and
// servers trust it. So a site listens on Private, which stands for the private
// IP of an instance, and is probed from Prober, which stands for the load
// balancer's. 127.0.0.1 is what a loopback address is in life: where the
// application behind a local proxy listens, and what an instance trusts.
package sites

import (
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"hale/test/servers"
)

// The two ends of a health check.
const (
	Private = "127.0.0.5" // the instance, seen from the load balancer
	Prober  = "127.0.0.6" // the load balancer, seen from the instance
)

// Domain is the name under which users know each site.
const Domain = "example.com"

// Site is a running site, stopped when the test ends that started it.
type Site struct {
	Address string // what the load balancer probes: "127.0.0.5:8080"
	Path    string // its health check path: "/health"
	Domain  string // the public name that users write
	// Scheme is what the target group is set to: http (if empty), https, tcp.
	Scheme string
	// As is the prober, "" for the Application Load Balancer.
	As string
	// Users is the address at which users reach it over TLS; "" for none, or for
	// port 443.
	Users string
	// Settings is JSON as of "aws elbv2 describe-target-groups", where the case
	// is about a setting; "" for the defaults.
	Settings string
	// Log are the files that hold the site's error log.
	Log []string

	// behind is the address of the program behind the site's proxy, where its
	// proof asks that; "" for others.
	behind string
	// within runs a shell's command in the site's container, where it has one, and
	// returns the exit code.
	within func(command string) int
	// relief ends the load of a site whose fault is its load; nil for others.
	relief func()
}

// Case is one row of the corpus.
type Case struct {
	Name string // of this case alone: "nginx-basic-auth"
	// Row is the failure mode that it is an example of, the name of a compound
	// case, or "healthy".
	Row string
	// Findings are the failure modes to find, in this order; none for a
	// healthy site.
	Findings []string
	// Inside tells that the cause can be proved on the instance alone.
	Inside bool
	// Path are more paths that a diagnosis is told to try.
	Path []string
	// Nameless tells that the diagnosis is not told the site's public name.
	Nameless bool
	// Timeout is the probe's, where the fault is slowness; 0 for Patience.
	Timeout time.Duration
	// IdleWait is how long an idle connection is to be watched; 0: as it is by
	// default.
	IdleWait time.Duration
	// Slow tells that the fault is a time-out, so that the diagnosis takes
	// several of them.
	Slow bool
	// Imitated tells that a stand-in sends the bytes of a program that is not
	// to be had here.
	Imitated bool
	// Alone tells that the site needs a machine without neighbours: nobody else
	// listens there, and a firewall's rules harm nobody. See OwnNetwork.
	Alone bool
	// Fresh tells that its proof sees what another examination leaves behind.
	Fresh bool
	Start func(t testing.TB) Site
}

// Patience is the time-out of the probes of a case that has none of its own.
const Patience = 2 * time.Second

// All is the corpus.
func All() []Case {
	return slices.Concat(
		healthy(), healthyServers(),
		notListening(), inContainer(), firewalls(), busy(),
		plainToTLS(), tlsToPlain(), tlsNames(), tlsRules(), newerHTTP(), firstBytes(),
		nginxHosts(), nginxRedirects(), nginxRefusals(), nginxPaths(), nginxProxies(), nginxBodies(), nginxStale(),
		apacheHosts(), apacheRedirects(), apacheRefusals(), apacheProxies(), apachePassing(), apacheFirewalls(),
		haproxySites(), caddySites(), lighttpdSites(), varnishSites(), phpSites(), imitatedSites(), lateSites(),
		webServerChains(),
		djangoHosts(), djangoRedirects(), djangoFailures(), djangoChains(), metadataCases(),
		loaded(), onPlatforms(),
		setups(), healthyApps(), healthySetups(),
		standInSites(),
		goSites(), symfonySites(),
		expressSites(), tomcatSites(),
		rubySites(), flaskSites(), fastapiSites(),
		namedSites(), idleSites(), mistakenSites(), besideSites(),
	)
}

// freeAddress returns an address of host on whose port nobody listens, on no
// address. Nobody else gets it until the test has ended, so that an address on
// which nobody ever listens stays one.
func freeAddress(t testing.TB, host string) string {
	t.Helper()
	return net.JoinHostPort(host, strconv.Itoa(servers.FreePort(t)))
}

// private returns a free address of Private.
func private(t testing.TB) string {
	t.Helper()
	return freeAddress(t, Private)
}

// loopback returns a free address of 127.0.0.1.
func loopback(t testing.TB) string {
	t.Helper()
	return freeAddress(t, "127.0.0.1")
}

// portOf returns the port of an address.
func portOf(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		panic(err) // every address here is made by freeAddress
	}
	return port
}

// site returns a site at address as most are: asked for /health over plain
// HTTP by an Application Load Balancer.
func site(address string, log ...string) Site {
	return Site{Address: address, Path: "/health", Domain: Domain, Log: log}
}
