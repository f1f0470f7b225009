package doctor

import (
	"slices"
	"strings"
	"testing"
)

// catalogue lists all failure modes that are known of, in the order of the way.
const catalogue = `
nothing-listening missing-env-var port-already-in-use privileged-port-denied bound-to-loopback
bound-to-other-address ipv6-only-bind wrong-port port-undefined-random firewall-drop
nacl-return-path firewall-reject cloud-probe-ranges-blocked ecs-dynamic-port-sg listen-backlog-full
worker-exhaustion idle-connection-holds-sync-worker event-loop-blocked fd-exhaustion
docker-published-app-on-loopback docker-port-not-published proxy-protocol-expected
wrong-application-protocol
http-to-https-port https-to-http-port tls-sni-required tls-version-mismatch
tls-client-cert-required lb-validates-certificate http2-only-listener protocol-version-mismatch-464
grpc-health-code mesh-mtls-strict
django-allowed-hosts django-allowed-hosts-looks-fixed django-host-from-local-proxy
imdsv2-required-401 imds-hop-limit imds-timeout-too-small rails-host-authorization
starlette-trusted-host flask-trusted-hosts flask-server-name-404 symfony-trusted-hosts
laravel-trust-hosts aspnet-allowed-hosts play-allowed-hosts app-level-host-guard
nginx-default-server-444 nginx-wrong-vhost apache-default-vhost host-port-mismatch host-missing
no-backend-for-host-503 caddy-empty-200 waf-numeric-host
django-ssl-redirect proto-header-not-trusted proxy-overwrites-proto rails-force-ssl
starlette-https-redirect aspnet-https-redirection express-https-redirect phoenix-force-ssl
servlet-requires-secure nginx-return-301 web-server-xfp-rewrite haproxy-redirect-scheme
caddy-auto-https trailing-slash-redirect canonical-host-redirect wordpress-canonical
wordpress-not-installed locale-redirect login-redirect success-matcher-mismatch
kubelet-follows-redirect
basic-auth spring-actuator-secured app-auth-middleware ip-allowlist ua-blocked rate-limited
apache-empty-docroot-403 docroot-permission-403
wrong-path-404 path-prefix path-moved-to-management-port method-not-allowed bad-request-by-app
false-positive-200
proxy-upstream-down-502 proxy-upstream-down-503 envoy-no-upstream iis-app-pool-or-binding
php-fpm-script-not-found proxy-unresolvable-upstream proxy-upstream-protocol proxy-timeout-504
uwsgi-no-app unapplied-migrations handler-exception dependency-down-500 disk-full
spring-health-down deep-check-cascade db-pool-exhausted maintenance-mode worker-killed
concurrency-limit-503
slow-handler tight-timeout-flapping body-never-ends no-length-no-chunked big-health-body
compressed-body asg-cold-start-vs-grace ecs-kill-loop container-healthcheck-localhost-v6
container-healthcheck-tool-missing keepalive-shorter-than-lb-idle shutdown-order-502
beanstalk-severe-4xx fail-open-masks probe-load nlb-host-is-node-ip stale-process
`

func TestEachModeOfTheCatalogueIsThereOnce(t *testing.T) {
	var ids []string
	for _, m := range Modes() {
		ids = append(ids, m.ID)
	}
	if want := strings.Fields(catalogue); !slices.Equal(ids, want) {
		for _, id := range want {
			if !slices.Contains(ids, id) {
				t.Errorf("no mode %s", id)
			}
		}
		t.Fatalf("the modes differ from the catalogue in number or order:\n%s", strings.Join(ids, " "))
	}
	for _, id := range ids {
		if m, ok := findMode(id); !ok || m.ID != id {
			t.Errorf("findMode(%q) = %q, %v", id, m.ID, ok)
		}
	}
	if m, ok := findMode("no-such-mode"); ok {
		t.Errorf("findMode found %q", m.ID)
	}
}

func TestACauseLeavesOutWhatIsNotKnown(t *testing.T) {
	m, _ := findMode("proxy-upstream-down-502")
	for _, tt := range []struct{ backend, want string }{
		{"", "the app behind it refuses the connection"},
		{"127.0.0.1:8000", "the app behind it (127.0.0.1:8000) refuses the connection"},
	} {
		if got := m.because(fixData{Backend: tt.backend}); !strings.Contains(got, tt.want) {
			t.Errorf("%q: %s; want %q in it", tt.backend, got, tt.want)
		}
	}
	for _, m := range Modes() {
		if strings.Contains(m.Cause(), "(<") {
			t.Errorf("%s: %s", m.ID, m.Cause())
		}
	}
}

func TestModesAreFitToBeRead(t *testing.T) {
	titles := map[string]string{}
	for _, m := range Modes() {
		if n := len([]rune(m.Title)); n == 0 || n > 60 {
			t.Errorf("%s: the title has %d characters: %s", m.ID, n, m.Title)
		}
		if other := titles[m.Title]; other != "" {
			t.Errorf("%s and %s have the same title: %s", m.ID, other, m.Title)
		}
		titles[m.Title] = m.ID
		if m.Source == "" {
			t.Errorf("%s does not tell its source", m.ID)
		}
		if m.Layer < LayerSocket || m.Layer > LayerAcceptance {
			t.Errorf("%s: layer %d", m.ID, m.Layer)
		}
		for name, data := range map[string]fixData{"nothing known": {}, "all known": example} {
			checkSentence(t, m.ID+" with "+name, m.because(data))
		}
	}
}

func checkSentence(t *testing.T, where, s string) {
	t.Helper()
	switch {
	case !strings.HasSuffix(s, ".") || strings.Contains(s, ". "):
		t.Errorf("%s: not one sentence: %s", where, s)
	case strings.Contains(s, "<no value>") || strings.Contains(s, "{{") || strings.Contains(s, "  "):
		t.Errorf("%s: badly rendered: %s", where, s)
	case s[:1] != strings.ToUpper(s[:1]):
		t.Errorf("%s: begins in lower case: %s", where, s)
	}
}

func TestLayersHaveNames(t *testing.T) {
	names := map[string]bool{}
	for l := LayerSocket; l <= LayerAcceptance; l++ {
		if l.String() == "" || names[l.String()] {
			t.Errorf("layer %d is called %q", l, l)
		}
		names[l.String()] = true
	}
	if got := (LayerAcceptance + 1).String(); got != "no such layer" {
		t.Errorf("a layer beyond the last is called %q", got)
	}
}

// example is data in which nothing is missing.
var example = fixData{
	Path: "/health", PathNoSlash: "health", RightPath: "/app/health", RightPort: "3000",
	Host: "10.0.0.10:8080", Domain: "example.com", Address: "10.0.0.10", Port: "8080",
	Status: 301, Location: "https://10.0.0.10/health", Timeout: "5s",
	Program: "gunicorn", Backend: "127.0.0.1:8000", Subnet: "10.0.0.0/16",
	Variable:    "DATABASE_URL",
	TargetGroup: "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/50dc6c495c0c9188",
}
