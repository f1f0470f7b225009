package certificate_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/certificate"
	"hale/health"
	"hale/test/checktest"
	"hale/test/servers"
)

const day = 24 * time.Hour

// What a server can send, and what is said of it.
func TestServer(t *testing.T) {
	t.Parallel()
	root := sign(t, nil, order{name: "Test Root", ca: true, to: 3650 * day})
	other := sign(t, nil, order{name: "Other Root", ca: true, to: 3650 * day})
	middle := sign(t, root, order{name: "Test Intermediate", ca: true, to: 365 * day})
	oldMiddle := sign(t, root, order{name: "Old Intermediate", ca: true, from: -30 * day, to: -3 * day})
	shortMiddle := sign(t, root, order{name: "Short Intermediate", ca: true, to: 10*day + time.Hour})
	strangeMiddle := sign(t, other, order{name: "Strange Intermediate", ca: true, to: 365 * day})
	ca := file(t, "ca.pem", root.pem())
	oldRoot := sign(t, nil, order{name: "Old Root", ca: true, from: -30 * day, to: -3 * day})
	oldCA := file(t, "ca.pem", oldRoot.pem())

	hosts := []string{"mysite.com", "*.mysite.com", "127.0.0.1"}
	leaf := func(issuer *signed, o order) *signed {
		o.name = "mysite.com"
		if o.hosts == nil {
			o.hosts = hosts
		}
		return sign(t, issuer, o)
	}
	good := leaf(middle, order{})
	self := leaf(nil, order{})
	for _, test := range []struct {
		name   string
		server string
		check  certificate.Check
		status health.Status
		want   string // ADDRESS, and DATE for any, stand for what differs
	}{
		{
			"good", serve(t, nil, good, middle),
			certificate.Check{},
			health.Pass, "the certificate of mysite.com ends in 89d, on DATE: ADDRESS",
		}, {
			"good for more names", serve(t, nil, good, middle),
			certificate.Check{Names: []string{"mysite.com", "www.mysite.com"}},
			health.Pass, "the certificate of mysite.com ends in 89d, on DATE: ADDRESS",
		}, {
			"asks for a client certificate", serve(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert}, good, middle),
			certificate.Check{},
			health.Pass, "the certificate of mysite.com ends in 89d, on DATE: ADDRESS",
		}, {
			"asks for a client certificate in TLS 1.2", serve(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, good, middle),
			certificate.Check{},
			health.Pass, "the certificate of mysite.com ends in 89d, on DATE: ADDRESS",
		}, {
			"ends soon", serve(t, nil, leaf(middle, order{from: -69 * day, to: 20*day + time.Hour}), middle),
			certificate.Check{},
			health.Warn, "the certificate of mysite.com ends in 20d, on DATE, sooner than 21d: ADDRESS",
		}, {
			"ends soon, which is soon enough", serve(t, nil, leaf(middle, order{from: -69 * day, to: 20*day + time.Hour}), middle),
			certificate.Check{WarnLeft: 7 * checks.Day},
			health.Pass, "the certificate of mysite.com ends in 20d, on DATE: ADDRESS",
		}, {
			"ends too soon", serve(t, nil, leaf(middle, order{from: -87 * day, to: 2*day + time.Hour}), middle),
			certificate.Check{MinLeft: 3 * checks.Day},
			health.Fail, "the certificate of mysite.com ends in 2d, on DATE, sooner than 3d: ADDRESS",
		}, {
			"a short life warns later", serve(t, nil, leaf(middle, order{from: -2 * day, to: 4*day + time.Hour}), middle),
			certificate.Check{},
			health.Pass, "the certificate of mysite.com ends in 4d, on DATE: ADDRESS",
		}, {
			"a short life nearly over", serve(t, nil, leaf(middle, order{from: -5*day + time.Hour, to: day + time.Hour}), middle),
			certificate.Check{},
			health.Warn, "the certificate of mysite.com ends in 24h, on DATE, sooner than 36h: ADDRESS",
		}, {
			"an intermediate that ends first", serve(t, nil, leaf(shortMiddle, order{}), shortMiddle),
			certificate.Check{WarnLeft: 21 * checks.Day},
			health.Warn, `"Short Intermediate" in the chain of mysite.com ends in 10d, on DATE, sooner than 21d: ADDRESS`,
		}, {
			"expired", serve(t, nil, leaf(middle, order{from: -90 * day, to: -3*day - time.Hour}), middle),
			certificate.Check{},
			health.Fail, "the certificate of mysite.com expired 3d ago, on DATE: ADDRESS",
		}, {
			"not yet valid", serve(t, nil, leaf(middle, order{from: 5*time.Hour + time.Minute}), middle),
			certificate.Check{},
			health.Fail, "the certificate of mysite.com is not valid before DATE, in 5h: ADDRESS",
		}, {
			"another name", serve(t, nil, leaf(middle, order{hosts: []string{"shop.example.com", "127.0.0.2"}}), middle),
			certificate.Check{},
			health.Fail, "the certificate is for shop.example.com, 127.0.0.2, not for 127.0.0.1: ADDRESS",
		}, {
			"one name of several", serve(t, nil, good, middle),
			certificate.Check{Names: []string{"mysite.com", "mysite.net"}},
			health.Fail, "the certificate is for mysite.com, *.mysite.com, 127.0.0.1, not for mysite.net: ADDRESS",
		}, {
			"the intermediate is missing", serve(t, nil, good),
			certificate.Check{},
			health.Fail, `no way to a known authority: the issuer, "Test Intermediate", is neither sent along nor trusted (an intermediate certificate is missing, or an authority of your own): ADDRESS`,
		}, {
			"an unknown authority", serve(t, nil, leaf(strangeMiddle, order{}), strangeMiddle),
			certificate.Check{},
			health.Fail, `signed by an unknown authority, "Other Root": ADDRESS`,
		}, {
			"an unknown authority that is sent along", serve(t, nil, leaf(strangeMiddle, order{}), strangeMiddle, other),
			certificate.Check{},
			health.Fail, `signed by an unknown authority, "Other Root": ADDRESS`,
		}, {
			"signed by itself", serve(t, nil, self),
			certificate.Check{},
			health.Fail, "the certificate signed itself: no authority vouches for it: ADDRESS",
		}, {
			"signed by itself, which is allowed", serve(t, nil, self),
			certificate.Check{Insecure: true},
			health.Pass, "the certificate of mysite.com ends in 89d, on DATE: ADDRESS",
		}, {
			"expired and signed by itself, which is allowed", serve(t, nil, leaf(nil, order{from: -9 * day, to: -3 * day})),
			certificate.Check{Insecure: true},
			health.Fail, "the certificate of mysite.com expired 3d ago, on DATE: ADDRESS",
		}, {
			"an expired intermediate", serve(t, nil, leaf(oldMiddle, order{}), oldMiddle),
			certificate.Check{},
			health.Fail, `the intermediate certificate of "Old Intermediate" expired 3d ago, on DATE: ADDRESS`,
		}, {
			"an expired intermediate, whoever signed", serve(t, nil, leaf(oldMiddle, order{}), oldMiddle),
			certificate.Check{Insecure: true},
			health.Fail, `the intermediate certificate of "Old Intermediate" expired 3d ago, on DATE: ADDRESS`,
		}, {
			"an expired certificate too many", serve(t, nil, good, middle, oldMiddle),
			certificate.Check{},
			health.Warn, `"Old Intermediate" is sent along and expired 3d ago, on DATE: clients that do not look for another way stop there: ADDRESS`,
		}, {
			"an expired authority", serve(t, nil, leaf(oldRoot, order{})),
			certificate.Check{CA: oldCA},
			health.Fail, `the authority's certificate of "Old Root" expired 3d ago, on DATE: ADDRESS`,
		}, {
			"a client's", serve(t, nil, leaf(middle, order{usage: x509.ExtKeyUsageClientAuth}), middle),
			certificate.Check{},
			health.Fail, "the certificate is not meant for a server (extended key usage): ADDRESS",
		}, {
			"everything at once", serve(t, nil, leaf(nil, order{from: -9 * day, to: -3 * day, hosts: []string{"old.example.com"}})),
			certificate.Check{},
			health.Fail, "the certificate of old.example.com expired 3d ago, on DATE; the certificate signed itself: no authority vouches for it; the certificate is for old.example.com, not for 127.0.0.1: ADDRESS",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.Address = test.server
			if test.check.CA == "" {
				test.check.CA = ca
			}
			wants(t, &test.check, test.status, strings.ReplaceAll(test.want, "ADDRESS", test.server))
		})
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	root := sign(t, nil, order{name: "Test Root", ca: true, to: 3650 * day})
	middle := sign(t, root, order{name: "Test Intermediate", ca: true, to: 365 * day})
	leaf := sign(t, middle, order{name: "mysite.com", hosts: []string{"mysite.com"}})
	another := sign(t, middle, order{name: "mysite.com", hosts: []string{"mysite.com"}})
	client := sign(t, middle, order{name: "worker 7", usage: x509.ExtKeyUsageClientAuth})
	expired := sign(t, middle, order{name: "mysite.com", hosts: []string{"mysite.com"}, from: -9 * day, to: -3 * day})

	dir := t.TempDir()
	for name, parts := range map[string][][]byte{
		"ca.pem":        {root.pem()},
		"full.pem":      {leaf.pem(), middle.pem()},
		"together.pem":  {leaf.keyPEM(t), []byte("# a comment\n"), leaf.pem(), middle.pem()},
		"leaf.pem":      {leaf.pem()},
		"client.pem":    {client.pem(), middle.pem()},
		"expired.pem":   {expired.pem(), middle.pem()},
		"leaf.key":      {leaf.keyPEM(t)},
		"another.key":   {another.keyPEM(t)},
		"locked.key":    {[]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")},
		"empty.pem":     {},
		"der.pem":       {leaf.cert.Raw},
		"garbled.pem":   {leaf.pem(), []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")},
		"authority.pem": {root.pem()},
	} {
		var content []byte
		for _, part := range parts {
			content = append(content, part...)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name   string
		check  certificate.Check
		status health.Status
		want   string
	}{
		{"good", certificate.Check{File: "full.pem"}, health.Pass, "the certificate of mysite.com ends in 89d, on DATE: DIR/full.pem"},
		{"good for the name", certificate.Check{File: "full.pem", ServerName: "mysite.com"}, health.Pass, "the certificate of mysite.com ends in 89d, on DATE: DIR/full.pem"},
		{"with its key", certificate.Check{File: "full.pem", Key: "leaf.key"}, health.Pass, "the certificate of mysite.com ends in 89d, on DATE: DIR/full.pem"},
		{"with its key in one file", certificate.Check{File: "together.pem", Key: "together.pem"}, health.Pass, "the certificate of mysite.com ends in 89d, on DATE: DIR/together.pem"},
		{"a client's", certificate.Check{File: "client.pem"}, health.Pass, `the certificate of "worker 7" ends in 89d, on DATE: DIR/client.pem`},
		{"an authority's", certificate.Check{File: "authority.pem"}, health.Pass, `the certificate of "Test Root" ends in 3649d, on DATE: DIR/authority.pem`},

		{"another key", certificate.Check{File: "full.pem", Key: "another.key"}, health.Fail, "the private key in DIR/another.key does not belong to the certificate: DIR/full.pem"},
		{"an encrypted key", certificate.Check{File: "full.pem", Key: "locked.key"}, health.Fail, "the private key in DIR/locked.key is encrypted: DIR/full.pem"},
		{"no key", certificate.Check{File: "full.pem", Key: "full.pem"}, health.Fail, "the private key in DIR/full.pem cannot be read: DIR/full.pem"},
		{"no key file", certificate.Check{File: "full.pem", Key: "absent.key"}, health.Fail, "no such file: DIR/absent.key"},
		{"another name", certificate.Check{File: "full.pem", Names: []string{"mysite.net"}}, health.Fail, "the certificate is for mysite.com, not for mysite.net: DIR/full.pem"},
		{"a name for a client", certificate.Check{File: "client.pem", Names: []string{"mysite.net"}}, health.Fail, "the certificate is for no name at all, not for mysite.net: DIR/client.pem"},
		{"without its intermediate", certificate.Check{File: "leaf.pem"}, health.Fail, `no way to a known authority: the issuer, "Test Intermediate", is neither sent along nor trusted (an intermediate certificate is missing, or an authority of your own): DIR/leaf.pem`},
		{"expired", certificate.Check{File: "expired.pem"}, health.Fail, "the certificate of mysite.com expired 3d ago, on DATE: DIR/expired.pem"},
		{"no file", certificate.Check{File: "absent.pem"}, health.Fail, "no such file: DIR/absent.pem"},
		{"no certificate", certificate.Check{File: "empty.pem"}, health.Fail, "has no certificate in PEM form (-----BEGIN CERTIFICATE-----): DIR/empty.pem"},
		{"another form", certificate.Check{File: "der.pem"}, health.Fail, "has no certificate in PEM form (-----BEGIN CERTIFICATE-----): DIR/der.pem"},
		{"garbled", certificate.Check{File: "garbled.pem"}, health.Fail, "certificate 2 in the file cannot be read (malformed certificate): DIR/garbled.pem"},
		{"no authorities", certificate.Check{File: "full.pem", CA: "absent.pem"}, health.Fail, "ca DIR/absent.pem: no such file or directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.Dir = dir
			if test.check.CA == "" {
				test.check.CA = "ca.pem"
			}
			wants(t, &test.check, test.status, strings.ReplaceAll(test.want, "DIR", dir))
		})
	}
}

// The system's authorities are the default, and do not know the test's.
func TestSystemAuthorities(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "127.0.0.1")
	check := &certificate.Check{File: cert.CertFile}
	wants(t, check, health.Fail, "the certificate signed itself: no authority vouches for it: "+cert.CertFile)
}

func TestNginx(t *testing.T) {
	root := sign(t, nil, order{name: "Test Root", ca: true, to: 3650 * day})
	middle := sign(t, root, order{name: "Test Intermediate", ca: true, to: 365 * day})
	site := sign(t, middle, order{name: "mysite.com", hosts: []string{"mysite.com"}})
	fallback := sign(t, middle, order{name: "127.0.0.1", hosts: []string{"127.0.0.1"}})
	address := servers.FreeAddress(t)
	dir := t.TempDir()
	server := func(name string, s *signed) string {
		return fmt.Sprintf("server { listen %s ssl; server_name %s; ssl_certificate %s; ssl_certificate_key %s; }\n",
			address, name, file(t, "cert.pem", s.pem(), middle.pem()), file(t, "key.pem", s.keyPEM(t)))
	}
	config := file(t, "nginx.conf", []byte("daemon off; pid "+dir+"/pid; error_log stderr; events {}\n"+
		"http { access_log "+dir+"/access; client_body_temp_path "+dir+"; proxy_temp_path "+dir+"; fastcgi_temp_path "+dir+"; uwsgi_temp_path "+dir+"; scgi_temp_path "+dir+";\n"+
		server("127.0.0.1", fallback)+server("mysite.com", site)+"}\n"))
	servers.Run(t, servers.Spec{Name: "nginx", Args: []string{"-c", config, "-p", dir}, Listens: []string{address}})

	ca := file(t, "ca.pem", root.pem())
	wants(t, &certificate.Check{Address: address, CA: ca, ServerName: "mysite.com"}, health.Pass, "the certificate of mysite.com ends in 89d, on DATE: "+address)
	wants(t, &certificate.Check{Address: address, CA: ca}, health.Pass, "the certificate of 127.0.0.1 ends in 89d, on DATE: "+address)
	wants(t, &certificate.Check{Address: address, CA: ca, ServerName: "mysite.net"}, health.Fail, "the certificate is for 127.0.0.1, not for mysite.net: "+address)

	connections := func() int { return servers.Connections(t, address) }
	checktest.Target{
		Address:     address,
		New:         func(address string) checks.Check { return &certificate.Check{Address: address, CA: ca} },
		Connections: connections,
	}.Faults(t)
	checktest.Soak(t, &certificate.Check{Address: address, CA: ca}, connections)
	if log, err := os.ReadFile(filepath.Join(dir, "access")); err != nil || len(log) > 0 {
		t.Errorf("nginx has logged requests: %v\n%.500s", err, log)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "127.0.0.1")
	plain := speak(t, "HTTP/1.1 400 Bad Request\r\n\r\n")
	hanging := servers.Proxy(t, plain)
	hanging.Break(servers.BlackHole)
	for _, test := range []struct {
		name  string
		check certificate.Check
		want  string
	}{
		{"nobody listens", certificate.Check{Address: "127.0.0.1:1"}, "connection refused: 127.0.0.1:1"},
		{"unknown name", certificate.Check{Address: "mysite.invalid:443"}, "name does not resolve: mysite.invalid"},
		{"hangs", certificate.Check{Address: hanging.Address()}, "connected, but no answer within 1s: " + hanging.Address()},
		{"hangs before STARTTLS", certificate.Check{Address: hanging.Address(), StartTLS: "smtp"}, "connected, but no answer within 1s: " + hanging.Address()},
		{"without TLS", certificate.Check{Address: plain}, "TLS: the server does not speak TLS on this port: " + plain},
		{"an authority that is no file", certificate.Check{Address: plain, CA: cert.KeyFile}, "ca " + cert.KeyFile + ": has no certificate in PEM form (-----BEGIN CERTIFICATE-----)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			timeout := time.Minute
			if strings.Contains(test.want, "within") {
				timeout = time.Second
			}
			if got := checktest.Outcome(t, &test.check, timeout); got != "fail: "+test.want {
				t.Errorf("%s\nwant fail: %s", got, test.want)
			}
		})
	}
}

// wants runs a check. DATE in the text stands for any date.
func wants(t *testing.T, check *certificate.Check, status health.Status, want string) {
	t.Helper()
	if err := check.Validate(); err != nil {
		t.Fatal(err)
	}
	result := health.RunOnce(t.Context(), nil, health.Check{Name: "certificate", Run: check.Run, Timeout: time.Minute})[0]
	got := anyDate.ReplaceAllString(result.Output, "DATE")
	if result.Status != status || got != want {
		t.Errorf("%v %q\nwant %v %q", result.Status, got, status, want)
	}
}

var anyDate = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`)

// speak is a server that says its lines, each after it was sent something, the
// first at once.
func speak(t *testing.T, lines ...string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				for _, line := range lines {
					if _, err := conn.Write([]byte(line)); err != nil {
						return
					}
					if _, err := conn.Read(make([]byte, 4096)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		check certificate.Check
		want  string
	}{
		{certificate.Check{Address: "mysite.com:443", StartTLS: "smtp", WarnLeft: 30 * checks.Day}, ""},
		{certificate.Check{File: "x.pem", Key: "x.key", Names: []string{"mysite.com"}}, ""},
		{certificate.Check{}, "address: is missing: write the host:port of a server, or the path of a PEM file as file"},
		{certificate.Check{Address: "a:1", File: "x"}, "file: and address are two certificates: make two checks of them"},
		{certificate.Check{Address: "mysite.com"}, `address: "mysite.com" is not host:port: write it as mysite.com:443`},
		{certificate.Check{Address: "mysite.com:https"}, `address: "mysite.com:https" has no port from 1 to 65535`},
		{certificate.Check{Address: "a:1", Key: "x"}, "key: goes with file alone: a server does not show its key"},
		{certificate.Check{File: "x", StartTLS: "smtp"}, "starttls: goes with address alone"},
		{certificate.Check{Address: "a:1", StartTLS: "ftp"}, `starttls: "ftp" is not a protocol known here: write smtp, imap, pop3, ldap or postgres`},
		{certificate.Check{File: "x", WarnLeft: checks.Day, MinLeft: 2 * checks.Day}, "warn_left: 1d is less than min_left (2d): the check would fail before it warns"},
		{certificate.Check{File: "x", Names: []string{""}}, "names: holds an empty name"},
	} {
		err := test.check.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("error = %v, want %s", err, test.want)
		}
	}
}

// Who stops waiting is not told that the server was too slow.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	hanging := servers.Proxy(t, servers.FreeAddress(t))
	hanging.Break(servers.BlackHole)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := (&certificate.Check{Address: hanging.Address()}).Run(ctx)
	if want := "interrupted: " + hanging.Address(); err == nil || err.Error() != want {
		t.Errorf("err = %v, want %s", err, want)
	}
}
