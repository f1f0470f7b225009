package nginx_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/nginx"
	"hale/test/checktest"
	"hale/test/servers"
)

const locations = `
	location = /nginx_status { stub_status; }
	location = /closed { stub_status; deny all; }
	location = /moved { return 301 https://$host/nginx_status?token=hunter2; }
	location = /page { return 200 "<!doctype html>\n<title>Welcome</title>"; }
`

// start starts nginx with the locations above.
func start(t *testing.T, events string) (address string) {
	t.Helper()
	address = servers.FreeAddress(t)
	servers.Nginx(t, events, fmt.Sprintf("server { listen %s; %s }", address, locations), address)
	return address
}

func TestFaults(t *testing.T) {
	address := start(t, "")
	target := checktest.Target{
		Address: address,
		New:     func(address string) checks.Check { return &nginx.Check{URL: "http://" + address + "/nginx_status"} },
		Connections: func() int {
			resp, err := http.Get("http://" + address + "/nginx_status")
			if err != nil {
				return -1
			}
			defer resp.Body.Close()
			http.DefaultClient.CloseIdleConnections()
			var active int
			if _, err := fmt.Fscanf(resp.Body, "Active connections: %d", &active); err != nil {
				return -1
			}
			return active - 1 // itself
		},
	}
	target.Faults(t)
	checktest.Soak(t, target.New(address), target.Connections)
}

// Clients keep connections: idle ones cost nothing, half a request takes a
// place, and when all places are taken nginx drops what comes.
func TestConnections(t *testing.T) {
	t.Parallel()
	address := start(t, "worker_connections 16;")
	check := &nginx.Check{URL: "http://" + address + "/nginx_status", WarnConnections: 2, MaxConnections: 4}
	checktest.Become(t, check, 0, "pass: 0 reading, 0 writing, 0 waiting")

	idle := connect(t, address)
	io.WriteString(idle, "GET /page HTTP/1.1\r\nHost: h\r\n\r\n")
	checktest.Become(t, check, 0, "pass: 0 reading, 0 writing, 1 waiting")
	for i, want := range []string{
		"pass: 1 reading, 0 writing, 1 waiting",
		"pass: 2 reading, 0 writing, 1 waiting",
		"warn: 3 reading, 0 writing, 1 waiting: more than 2 being served",
		"warn: 4 reading, 0 writing, 1 waiting: more than 2 being served",
		"fail: 5 reading, 0 writing, 1 waiting: more than 4 being served",
	} {
		io.WriteString(connect(t, address), "GET /page HTTP/1.1\r\nHost:")
		t.Run(fmt.Sprint(i+1), func(t *testing.T) { checktest.Become(t, check, 0, want) })
	}

	full := regexp.MustCompile(`^fail: GET http://` + address + `/nginx_status: connection (closed without an answer|reset): ` + address + ` \(nginx does so when its worker_connections are taken\)$`)
	dropped := regexp.MustCompile(`; \d+ connections? dropped since the last run: more than worker_connections allows, or too few open files$`)
	told := false
	var taken []net.Conn
	checktest.Eventually(t, "nginx drops the check's connection, too", func() bool {
		for range 16 {
			conn := connect(t, address)
			io.WriteString(conn, "GET /page HTTP/1.1\r\nHost:")
			taken = append(taken, conn)
		}
		got := checktest.Outcome(t, check, 0)
		told = told || dropped.MatchString(got)
		return full.MatchString(got)
	})
	for _, conn := range taken {
		conn.Close()
	}
	checktest.Eventually(t, "nginx has room, and tells of those that it dropped", func() bool {
		got := checktest.Outcome(t, check, 0)
		told = told || dropped.MatchString(got)
		return told && !full.MatchString(got)
	})
	// To make room, nginx has closed the connection that was idle.
	checktest.Become(t, check, 0, "fail: 5 reading, 0 writing, 0 waiting: more than 4 being served")
}

func connect(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// What nginx says when the page is not where it was looked for.
func TestNoPage(t *testing.T) {
	t.Parallel()
	address := start(t, "")
	for path, want := range map[string]string{
		"/closed":                        "403, expected 200 (the location does not let this machine in: see its allow and deny)",
		"/absent":                        "404, expected 200 (no stub_status there: add location = /nginx_status { stub_status; allow 127.0.0.1; deny all; } to the server that answers for this host)",
		"/page":                          `200, but "<!doctype html>" is not the page of stub_status`,
		"/moved":                         "301 to https://" + address[:len("127.0.0.1")] + "/nginx_status?..., expected 200",
		"/absent?token=hunter2&x=y#frag": "404, expected 200 (no stub_status there: add location = /nginx_status { stub_status; allow 127.0.0.1; deny all; } to the server that answers for this host)",
	} {
		name := "http://" + address + path
		if path[len(path)-1] == 'g' {
			name = "http://" + address + "/absent?..."
		}
		if got := checktest.Outcome(t, &nginx.Check{URL: "http://" + address + path}, 0); got != "fail: GET "+name+": "+want {
			t.Errorf("%s\nwant fail: GET %s: %s", got, name, want)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "status.sock")
	server := servers.Nginx(t, "", fmt.Sprintf("server { listen unix:%s; %s }", socket, locations), socket)
	check := &nginx.Check{URL: "http://localhost/nginx_status", Socket: socket}
	checktest.Become(t, check, 0, "pass: 0 reading, 0 writing, 0 waiting")
	server.Stop()
	if got, want := checktest.Outcome(t, check, 0), "fail: GET http://localhost/nginx_status: no such socket: "+socket; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	serve := func(certificate servers.Certificate) (address string) {
		address = servers.FreeAddress(t)
		servers.Nginx(t, "", fmt.Sprintf("server { listen %s ssl; ssl_certificate %s; ssl_certificate_key %s; %s }",
			address, certificate.CertFile, certificate.KeyFile, locations), address)
		return address
	}
	good, other, expired := servers.NewCertificate(t, "127.0.0.1"), servers.NewCertificate(t, "status.example.com"), servers.ExpiredCertificate(t, "127.0.0.1")
	plain, secured, misnamed, ended := start(t, ""), serve(good), serve(other), serve(expired)
	const well = "pass: 0 reading, 0 writing, 0 waiting"
	for _, test := range []struct {
		name  string
		check *nginx.Check
		want  string // of a failure, what follows "GET URL: "
	}{
		{"trusted", &nginx.Check{URL: "https://" + secured + "/nginx_status", CA: good.CertFile}, ""},
		{"whoever it is", &nginx.Check{URL: "https://" + misnamed + "/nginx_status", Insecure: true}, ""},
		{"unknown authority", &nginx.Check{URL: "https://" + secured + "/nginx_status"}, "TLS: certificate signed by an unknown authority: " + secured},
		{"expired", &nginx.Check{URL: "https://" + ended + "/nginx_status", CA: expired.CertFile}, "TLS: certificate expired on "},
		{"for another name", &nginx.Check{URL: "https://" + misnamed + "/nginx_status", CA: other.CertFile}, "TLS: certificate is not for 127.0.0.1 but for status.example.com: " + misnamed},
		{"asked without TLS", &nginx.Check{URL: "http://" + secured + "/nginx_status"}, "400, expected 200 (does the port speak TLS? Then write https://)"},
		{"asked with TLS", &nginx.Check{URL: "https://" + plain + "/nginx_status"}, "TLS: the server does not speak TLS on this port: " + plain},
	} {
		if test.want == "" {
			checktest.Become(t, test.check, 0, well) // once nginx has forgotten who looked whether it listens
			continue
		}
		got := checktest.Outcome(t, test.check, 0)
		want := "fail: GET " + test.check.URL + ": " + test.want
		if len(got) < len(want) || got[:len(want)] != want {
			t.Errorf("%s: %s\nwant %s", test.name, got, want)
		}
	}
}

// The page is behind a password, which no message repeats.
func TestPassword(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "monitor" || password != "hunter2" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		io.WriteString(w, page(1, 1, 1))
	}))
	defer server.Close()
	address := server.Listener.Addr().String()
	for user, want := range map[string]string{
		"monitor:hunter2@": "pass: 0 reading, 0 writing, 0 waiting",
		"monitor:hunter3@": "fail: GET http://" + address + "/s: 401, expected 200 (it asks for a password: write https://USER:PASSWORD@HOST/PATH)",
	} {
		if got := checktest.Outcome(t, &nginx.Check{URL: "http://" + user + address + "/s"}, 0); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func page(active, accepted, handled int) string {
	return fmt.Sprintf("Active connections: %d \nserver accepts handled requests\n %d %d 99 \nReading: 0 Writing: 1 Waiting: 0 \n", active, accepted, handled)
}

// The counters tell of what was dropped since the last run, unless nginx was
// started anew.
func TestDropped(t *testing.T) {
	t.Parallel()
	var text atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text.Load().(string)) }))
	defer server.Close()
	check := &nginx.Check{URL: server.URL}
	const well = "pass: 0 reading, 0 writing, 0 waiting"
	for _, step := range []struct {
		name              string
		accepted, handled int
		want              string
	}{
		{"dropped long ago", 100, 90, well},
		{"as before", 110, 100, well},
		{"dropped three", 120, 107, "warn: 3 connections dropped since the last run: more than worker_connections allows, or too few open files"},
		{"as before", 121, 108, well},
		{"started anew", 9, 2, well},
		{"dropped one", 11, 3, "warn: 1 connection dropped since the last run: more than worker_connections allows, or too few open files"},
		{"seen in between", 12, 13, well},
	} {
		text.Store(page(1, step.accepted, step.handled))
		if got := checktest.Outcome(t, check, 0); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
}

func TestHangs(t *testing.T) {
	t.Parallel()
	address := servers.FreeAddress(t)
	server := servers.Nginx(t, "", fmt.Sprintf("server { listen %s; %s }", address, locations), address)
	server.Pause()
	got := checktest.Outcome(t, &nginx.Check{URL: "http://" + address + "/nginx_status"}, time.Second)
	if want := "fail: GET http://" + address + "/nginx_status: no answer within 1s: " + address; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		check *nginx.Check
		want  string // empty: it is good
	}{
		{"URL", &nginx.Check{URL: "http://127.0.0.1/nginx_status"}, ""},
		{"URL and socket", &nginx.Check{URL: "http://localhost/nginx_status", Socket: "/run/nginx.sock"}, ""},
		{"none", &nginx.Check{}, "url: is missing: write it as http://127.0.0.1/nginx_status"},
		{"address", &nginx.Check{URL: "127.0.0.1:80"}, "url: is not a URL: write it as http://127.0.0.1/nginx_status, and percent-encode special characters in user and password"},
		{"no host", &nginx.Check{URL: "http:///nginx_status"}, "url: has no host: write it as http://127.0.0.1/nginx_status"},
		{"another scheme", &nginx.Check{URL: "unix://u:hunter2@/run/nginx.sock"}, "url: is neither an http nor an https URL: write it as http://127.0.0.1/nginx_status"},
		{"relative socket", &nginx.Check{URL: "http://h/", Socket: "nginx.sock"}, `socket: "nginx.sock" is not an absolute path: write it as /run/nginx/status.sock`},
		{"late warning", &nginx.Check{URL: "http://h/", WarnConnections: 9, MaxConnections: 8}, "warn_connections: 9 is more than max_connections (8): the check would fail before it warns"},
		{"less than none", &nginx.Check{URL: "http://h/", MaxConnections: -8}, "max_connections: -8 is negative"},
	} {
		err := test.check.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("%s: error = %v\nwant %s", test.name, err, test.want)
		}
		if _, ok := errors.AsType[*checks.OptionError](err); err != nil && !ok {
			t.Errorf("%s: not an OptionError: %#v", test.name, err)
		}
	}
}
