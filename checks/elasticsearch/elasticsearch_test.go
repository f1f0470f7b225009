package elasticsearch_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/elasticsearch"
	"hale/test/checktest"
	"hale/test/servers"
)

const password = "corr3ct horse/battery@staple" // needs escaping in a URL

// expect runs a check once and compares the end of it, to the letter.
func expect(t *testing.T, c *elasticsearch.Check, timeout time.Duration, want string) {
	t.Helper()
	got := checktest.Outcome(t, c, timeout)
	if got != want {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
	if strings.Contains(got, password) || strings.Contains(got, "hunter2") {
		t.Errorf("the password is in %q", got)
	}
}

func well() *fake {
	return &fake{name: "search", nodes: 3, indices: map[string]string{"orders": "green", "users-1": "green", "users-2": "green"}}
}

func TestFaults(t *testing.T) {
	f := well()
	f.user, f.password = "elastic", password
	f.start(t)
	checktest.Target{
		Address: f.address(),
		New: func(address string) checks.Check {
			return &elasticsearch.Check{URL: (&url.URL{Scheme: "http", User: url.UserPassword("elastic", password), Host: address}).String(), MinNodes: 3}
		},
		Secrets:     []string{password, url.QueryEscape(password), base64.StdEncoding.EncodeToString([]byte("elastic:" + password))},
		Connections: f.open,
	}.Faults(t)
}

func TestSoak(t *testing.T) {
	f := well().start(t)
	checktest.Soak(t, &elasticsearch.Check{URL: f.URL}, f.open)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	checktest.TLS{
		Serve: func(t *testing.T, cert servers.Certificate) string { return well().start(t, cert).address() },
		New: func(address, ca string, insecure bool) checks.Check {
			return &elasticsearch.Check{URL: "https://" + address, CA: ca, Insecure: insecure}
		},
	}.Faults(t)
	cert := servers.NewCertificate(t, "127.0.0.1")
	secured, plain := well().start(t, cert), well().start(t)
	expect(t, &elasticsearch.Check{URL: "http://" + secured.address()}, 0, "fail: the server speaks TLS on this port, and was asked without: "+secured.address())
	expect(t, &elasticsearch.Check{URL: "https://" + plain.address()}, 0, "fail: TLS: the server does not speak TLS on this port: "+plain.address())
}

func TestHealth(t *testing.T) {
	t.Parallel()
	green := well().start(t)
	yellow := (&fake{name: "search", nodes: 1, indices: map[string]string{"orders": "yellow", "users": "green"}}).start(t)
	red := (&fake{name: "search", nodes: 2, indices: map[string]string{"orders": "yellow", "users": "red", "logs": "green"}}).start(t)
	lost := (&fake{noMaster: true}).start(t)
	for _, test := range []struct {
		name  string
		f     *fake
		check elasticsearch.Check
		want  string // without the address
	}{
		{"green", green, elasticsearch.Check{}, `pass: cluster "search" is green; nodes: 3`},
		{"green, and large enough", green, elasticsearch.Check{WarnNodes: 3, MinNodes: 2, Cluster: "search"}, `pass: cluster "search" is green; nodes: 3`},
		{"green, but smaller than it should be", green, elasticsearch.Check{WarnNodes: 5, MinNodes: 3}, "warn: nodes: 3, fewer than 5"},
		{"green, but too small", green, elasticsearch.Check{MinNodes: 4}, "fail: nodes: 3, fewer than 4"},
		{"another cluster", green, elasticsearch.Check{Cluster: "logs"}, `fail: the cluster is "search", expected "logs"`},
		{"yellow", yellow, elasticsearch.Check{}, `warn: cluster "search" is yellow, 1 of 4 shards not assigned`},
		{"yellow passes", yellow, elasticsearch.Check{Yellow: "pass"}, `pass: cluster "search" is yellow, 1 of 4 shards not assigned; nodes: 1`},
		{"yellow fails", yellow, elasticsearch.Check{Yellow: "fail"}, `fail: cluster "search" is yellow, 1 of 4 shards not assigned`},
		{"yellow, and too small", yellow, elasticsearch.Check{MinNodes: 2}, `fail: nodes: 1, fewer than 2; cluster "search" is yellow, 1 of 4 shards not assigned`},
		{"red", red, elasticsearch.Check{Yellow: "pass"}, `fail: cluster "search" is red, 3 of 6 shards not assigned`},
		{"index of a red cluster", red, elasticsearch.Check{Index: "logs"}, `pass: logs of cluster "search" is green; nodes: 2`},
		{"yellow index", red, elasticsearch.Check{Index: "orders"}, `warn: orders of cluster "search" is yellow, 1 of 2 shards not assigned`},
		{"red index", red, elasticsearch.Check{Index: "logs,users"}, `fail: logs,users of cluster "search" is red, 2 of 4 shards not assigned`},
		{"pattern", green, elasticsearch.Check{Index: "users-*"}, `pass: users-* of cluster "search" is green; nodes: 3`},
		{"no such index", green, elasticsearch.Check{Index: "absent"}, `fail: no index absent in cluster "search"`},
		{"one index of two", green, elasticsearch.Check{Index: "orders,absent"}, `fail: orders,absent of cluster "search" is red: an index is not there`},
		{"pattern of nothing", green, elasticsearch.Check{Index: "absent-*"}, `fail: no index absent-* in cluster "search"`},
		{"no master", lost, elasticsearch.Check{}, "fail: the node has no master: too few master-eligible nodes find one another"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.URL = test.f.URL
			// Half of it is spent in vain by a node that waits for something.
			expect(t, &test.check, 4*time.Second, test.want+": "+test.f.address())
		})
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	f := well()
	f.user, f.password, f.apiKey = "elastic", password, base64.StdEncoding.EncodeToString([]byte("id:key"))
	f.start(t)
	as := func(user, password string) string {
		return (&url.URL{Scheme: "http", User: url.UserPassword(user, password), Host: f.address()}).String()
	}
	const fine = `pass: cluster "search" is green; nodes: 3: `
	for _, test := range []struct {
		name  string
		check elasticsearch.Check
		want  string // without the address
	}{
		{"user and password", elasticsearch.Check{URL: as("elastic", password)}, fine},
		{"API key", elasticsearch.Check{URL: f.URL, APIKey: f.apiKey}, fine},
		{"API key in two parts", elasticsearch.Check{URL: f.URL, APIKey: "id:key"}, fine},
		{"wrong password", elasticsearch.Check{URL: as("elastic", "hunter2")}, "fail: wrong user, password or API key (unable to authenticate user [elastic] for REST request [/_cluster/health]): "},
		{"wrong API key", elasticsearch.Check{URL: f.URL, APIKey: "hunter2"}, "fail: wrong user, password or API key (missing authentication credentials for REST request [/_cluster/health]): "},
		{"nobody", elasticsearch.Check{URL: f.URL}, "fail: the cluster wants a user and password, or an API key (missing authentication credentials for REST request [/_cluster/health]): "},
		{"user without the right", elasticsearch.Check{URL: as("guest", password)}, "fail: not allowed to ask for the cluster's health (action [cluster:monitor/health] is unauthorized for user [guest] with effective roles [guest], this action is granted by the cluster privileges [monitor,manage,all]): "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			expect(t, &test.check, 0, test.want+f.address())
		})
	}
}

// Answers of others than a node, or of a node that cannot say more.
func TestOtherAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body string
		status     int
		want       string // without the address
	}{
		{"a web site", "<html>hello", 200, "fail: answers, but not as Elasticsearch: no health of a cluster in the answer"},
		{"some API", `{"status": 200}`, 200, "fail: answers, but not as Elasticsearch: no health of a cluster in the answer"},
		{"a page that is not there", "<html>not found", 404, "fail: answers 404, and not as Elasticsearch does"},
		{"a redirect", "", 301, "fail: answers 301, and not as Elasticsearch does"},
		{"a slow proxy", "", 408, "fail: answers 408, and not with the health of a cluster"},
		{"a gateway without a server", "upstream connect error\n", 503, "fail: answers 503, and not as Elasticsearch does (upstream connect error)"},
		{"OpenSearch without credentials", "Unauthorized", 401, "fail: the cluster wants a user and password, or an API key (Unauthorized)"},
		{"a gateway that repeats the password", "no such login: hunter2", 401, "fail: wrong user, password or API key"},
		{"AWS", `{"Message":"User: anonymous is not authorized to perform: es:ESHttpGet"}`, 403, "fail: not allowed to ask for the cluster's health (User: anonymous is not authorized to perform: es:ESHttpGet)"},
		{"OpenSearch without a master", `{"error":{"type":"cluster_manager_not_discovered_exception","reason":null},"status":503}`, 503, "fail: the node has no master: too few master-eligible nodes find one another"},
		{"starting up", `{"error":{"type":"cluster_block_exception","reason":"blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];"},"status":503}`, 503, "fail: the cluster is blocked (blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];)"},
		{"out of memory", `{"error":{"type":"circuit_breaking_exception","reason":"[parent] Data too large"},"status":429}`, 429, "fail: the node is out of memory, and refuses requests ([parent] Data too large)"},
		{"another error", `{"error":{"type":"null_pointer_exception","reason":"\u001b[31mboo"},"status":500}`, 500, "fail: answers 500: null_pointer_exception ([31mboo)"},
		{"an old error", `{"error":"SomethingException[boo]","status":500}`, 500, "fail: answers 500, and not as Elasticsearch does (SomethingException[boo])"},
		{"a status of its own", `{"cluster_name":"search","status":"purple"}`, 200, `fail: cluster "search" is purple`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			t.Cleanup(server.Close)
			url := server.URL
			if strings.Contains(test.body, "hunter2") {
				url = strings.Replace(url, "http://", "http://app:hunter2@", 1)
			}
			expect(t, &elasticsearch.Check{URL: url}, 0, test.want+": "+server.Listener.Addr().String())
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const node = "https://search.internal:9200"
	for _, test := range []struct {
		name  string
		check elasticsearch.Check
		want  string
	}{
		{"nothing", elasticsearch.Check{}, "url: is missing: write https://USER:PASSWORD@HOST:9200"},
		{"host and port", elasticsearch.Check{URL: "search:9200"}, "url: is neither an http nor an https URL: write https://USER:PASSWORD@HOST:9200"},
		{"no host", elasticsearch.Check{URL: "https:///x"}, "url: has no host: write https://USER:PASSWORD@HOST:9200"},
		{"slash in the password", elasticsearch.Check{URL: "https://u:hunter2/x@h"}, "url: is not a URL: write https://USER:PASSWORD@HOST:9200, with special characters in user and password percent-encoded"},
		{"hash in the password", elasticsearch.Check{URL: "https://u:12#hunter2@h"}, "url: ends in a query or a fragment, perhaps since a password is not percent-encoded: write https://USER:PASSWORD@HOST:9200"},
		{"yellow", elasticsearch.Check{URL: node, Yellow: "green"}, `yellow: "green" is none of pass, warn and fail`},
		{"nodes swapped", elasticsearch.Check{URL: node, WarnNodes: 2, MinNodes: 3}, "warn_nodes: 2 is less than min_nodes (3): the check would fail before it warns"},
		{"negative nodes", elasticsearch.Check{URL: node, MinNodes: -1}, "min_nodes: -1 is negative"},
		{"path for an index", elasticsearch.Check{URL: node, Index: "../_all"}, `index: "../_all" is not a list of indices: write names separated by commas`},
		{"line break in the API key", elasticsearch.Check{URL: node, APIKey: "hunter2\n"}, "api_key: holds a space or a special character"},
		{"two ways to log in", elasticsearch.Check{URL: "https://u:hunter2@h", APIKey: "hunter2"}, "api_key: is one way to log in, the user in url another: remove one of them"},
		{"CA without TLS", elasticsearch.Check{URL: "http://h", CA: "ca.pem"}, "ca: has no effect without TLS: write https:// in url"},
		{"half a certificate", elasticsearch.Check{URL: node, Certificate: "c.pem"}, "key: is missing: the file of the private key that belongs to certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := test.check.Validate()
			if err == nil || err.Error() != test.want {
				t.Fatalf("error = %v\nwant    %s", err, test.want)
			}
			if _, ok := errors.AsType[*checks.OptionError](err); !ok {
				t.Errorf("not an OptionError: %#v", err)
			}
		})
	}
}
