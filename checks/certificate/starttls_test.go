package certificate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/certificate"
	"hale/health"
	"hale/test/checktest"
	"hale/test/servers"
)

func TestPostgres(t *testing.T) {
	db := servers.Postgres(t)
	_, rest, _ := strings.Cut(db.URL(), "@127.0.0.1:")
	port, _, _ := strings.Cut(rest, "/")
	starttls(t, db, "postgres", "127.0.0.1:"+port, db.Certificate().CertFile)
	if output := db.Output(); strings.Contains(output, "SSL error") || strings.Contains(output, "incomplete") {
		t.Errorf("PostgreSQL complains in its log:\n%s", output)
	}
}

// aiosmtpd is the mail server of that name from Debian.
const aiosmtpd = `
import asyncio, ssl, sys
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
tls.load_cert_chain(sys.argv[2], sys.argv[3])
Controller(Sink(), hostname="127.0.0.1", port=int(sys.argv[1]), tls_context=tls).start()
asyncio.new_event_loop().run_forever()
`

func TestSMTP(t *testing.T) {
	cert := servers.NewCertificate(t, "127.0.0.1")
	address := servers.FreeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	server := servers.Run(t, servers.Spec{
		Name: "/usr/bin/python3", Args: []string{"-c", aiosmtpd, port, cert.CertFile, cert.KeyFile}, Listens: []string{address},
	})
	starttls(t, server, "smtp", address, cert.CertFile)
}

func TestLDAP(t *testing.T) {
	cert := servers.NewCertificate(t, "127.0.0.1")
	address := servers.FreeAddress(t)
	dir := t.TempDir()
	server := servers.Run(t, servers.Spec{
		Name: "slapd",
		Args: []string{"-d", "0", "-h", "ldap://" + address, "-f", file(t, "slapd.conf", []byte(
			"pidfile "+filepath.Join(dir, "pid")+"\nTLSCertificateFile "+cert.CertFile+"\nTLSCertificateKeyFile "+cert.KeyFile+"\n"))},
		Listens: []string{address},
	})
	starttls(t, server, "ldap", address, cert.CertFile)

	// Without a certificate it refuses.
	bare := servers.FreeAddress(t)
	servers.Run(t, servers.Spec{
		Name:    "slapd",
		Args:    []string{"-d", "0", "-h", "ldap://" + bare, "-f", file(t, "slapd.conf", []byte("pidfile "+filepath.Join(dir, "pid2")+"\n"))},
		Listens: []string{bare},
	})
	result := run(t, &certificate.Check{Address: bare, StartTLS: "ldap"})
	if want := `the LDAP server refuses StartTLS with result 2: "unsupported extended operation": ` + bare; result.Output != want {
		t.Errorf("%v %q\nwant %q", result.Status, result.Output, want)
	}
}

// starttls holds the check of a real server with a certificate of an hour to
// the table of faults.
func starttls(t *testing.T, server *servers.Process, protocol, address, ca string) {
	t.Helper()
	check := func(address string) checks.Check {
		return &certificate.Check{Address: address, StartTLS: protocol, CA: ca, WarnLeft: checks.Span(time.Minute)}
	}
	wants(t, check(address).(*certificate.Check), health.Pass, "the certificate of 127.0.0.1 ends in 59m, on DATE: "+address)
	connections := func() int { return servers.Connections(t, address) }
	checktest.Target{Address: address, New: check, Connections: connections}.Faults(t)
	checktest.Soak(t, check(address), connections)
	if !server.Running() {
		t.Errorf("the %s server has ended", protocol)
	}
}

// What servers say that do not lead to TLS.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		protocol string
		lines    []string
		want     string
	}{
		{"smtp", []string{"220 mx\r\n", "250-mx\r\n250 SIZE 100\r\n"}, "the mail server does not offer STARTTLS"},
		{"smtp", []string{"554 no\r\n"}, `expected 220 of a mail server, got "554 no"`},
		{"smtp", []string{"220 mx\r\n", "250-mx\r\n250 STARTTLS\r\n", "454 TLS not available\r\n"}, `expected 220 of a mail server, got "454 TLS not available"`},
		{"smtp", []string{"220" + strings.Repeat("x", 5000)}, `a line without an end: "220` + strings.Repeat("x", 197) + `..."`},
		{"smtp", []string{strings.Repeat("220-a\r\n", 200)}, "the mail server's reply does not end"},
		{"imap", []string{"* BYE overloaded\r\n"}, `expected * OK of an IMAP server, got "* BYE overloaded"`},
		{"imap", []string{"* OK ready\r\n", "a NO not now\r\n"}, `the IMAP server refuses STARTTLS with "a NO not now"`},
		{"imap", []string{"* OK ready\r\n", strings.Repeat("* x\r\n", 200)}, "the IMAP server's reply does not end"},
		{"imap", []string{"* OK ready\r\n", "* CAPABILITY\r\na OK begin\r\n", "no TLS"}, "TLS: the server does not speak TLS on this port"},
		{"pop3", []string{"-ERR\r\n"}, `expected +OK of a POP3 server, got "-ERR"`},
		{"pop3", []string{"+OK\r\n", "-ERR no STLS\r\n"}, `the POP3 server refuses STLS with "-ERR no STLS"`},
		{"pop3", []string{"+OK\r\n", "+OK\r\n", "no TLS"}, "TLS: the server does not speak TLS on this port"},
		{"postgres", []string{"", "N"}, "the PostgreSQL server does not speak TLS (ssl = off)"},
		{"postgres", []string{"", "E"}, "expected S or N of a PostgreSQL server, got 'E'"},
		{"ldap", []string{"", "HTTP/1.1 400 Bad Request\r\n"}, "the answer is not that of an LDAP server"},
		{"ldap", []string{"", "\x30\x84\xff\xff\xff\xff"}, "the answer is not that of an LDAP server"},
		{"ldap", []string{"", "\x30\x03\x02\x01\x01"}, "the answer is not that of an LDAP server"},
		{"ldap", []string{"", "\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x34\x04\x00\x04\x00"}, `the LDAP server refuses StartTLS with result 52: ""`},
	} {
		t.Run(test.protocol+" "+test.want, func(t *testing.T) {
			t.Parallel()
			address := speak(t, test.lines...)
			result := run(t, &certificate.Check{Address: address, StartTLS: test.protocol})
			if want := test.want + ": " + address; result.Status != health.Fail || result.Output != want {
				t.Errorf("%v %q\nwant %q", result.Status, result.Output, want)
			}
		})
	}
}

func run(t *testing.T, check *certificate.Check) health.Result {
	t.Helper()
	return health.RunOnce(t.Context(), nil, health.Check{Name: "certificate", Run: check.Run})[0]
}

// The proof that nothing of a key is printed, whatever is wrong with it.
func TestNoKeyInMessages(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "127.0.0.1")
	key, err := os.ReadFile(cert.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Split(string(key), "\n")[1]
	for _, broken := range []string{body, "-----BEGIN " + body + "-----\n" + body, strings.Replace(string(key), "PRIVATE KEY", body, 2)} {
		result := run(t, &certificate.Check{File: cert.CertFile, CA: cert.CertFile, Key: file(t, "key.pem", []byte(broken))})
		if result.Status != health.Fail || strings.Contains(result.Output, body[:8]) {
			t.Errorf("%v %q", result.Status, result.Output)
		}
	}
}
