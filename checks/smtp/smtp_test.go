package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/smtp"
	"hale/test/checktest"
	"hale/test/servers"
)

// The server is Exim, with and without TLS, and a user hale whose password is
// secret.
func TestExim(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "127.0.0.1")
	mail := exim(t, cert)
	plain := exim(t, servers.Certificate{})
	gone := servers.FreeAddress(t)
	user := smtp.Check{CA: cert.CertFile, User: "hale", Password: "secret"}
	for _, test := range []struct {
		name    string
		address string
		check   smtp.Check
		timeout time.Duration
		output  string
		want    string // the error; empty: it passes
	}{
		{name: "STARTTLS as it is offered", address: mail.submission, check: smtp.Check{CA: cert.CertFile}, output: "ready over TLS 1.3: ADDRESS"},
		{name: "STARTTLS", address: mail.submission, check: smtp.Check{TLS: "starttls", CA: cert.CertFile}, output: "ready over TLS 1.3: ADDRESS"},
		{name: "TLS from the start", address: mail.submissions, check: smtp.Check{TLS: "implicit", CA: cert.CertFile}, output: "ready over TLS 1.3: ADDRESS"},
		{name: "without TLS though it is offered", address: mail.submission, check: smtp.Check{TLS: "off"}, output: "ready in plain text: ADDRESS"},
		{name: "no TLS", address: plain.submission, output: "ready in plain text: ADDRESS"},
		{name: "login", address: mail.submission, check: user, output: `accepts the login of "hale" over TLS 1.3: ADDRESS`},
		{name: "login, TLS from the start", address: mail.submissions, check: with(user, func(c *smtp.Check) { c.TLS = "implicit" }), output: `accepts the login of "hale" over TLS 1.3: ADDRESS`},
		{name: "login by LOGIN", address: exim(t, cert, "LOGIN").submission, check: user, output: `accepts the login of "hale" over TLS 1.3: ADDRESS`},
		{name: "login by CRAM-MD5", address: exim(t, cert, "CRAM-MD5").submission, check: user, output: `accepts the login of "hale" over TLS 1.3: ADDRESS`},
		{name: "login without TLS does not show the password", address: plain.submission, check: smtp.Check{User: "hale", Password: "secret"}, output: `accepts the login of "hale" in plain text: ADDRESS`},
		{name: "password in plain text, as told", address: exim(t, servers.Certificate{}, "PLAIN").submission, check: smtp.Check{User: "hale", Password: "secret", TLS: "off"}, output: `accepts the login of "hale" in plain text: ADDRESS`},

		{name: "wrong password", address: mail.submission, check: with(user, func(c *smtp.Check) { c.Password = "hunter2" }), want: `wrong user or password (AUTH PLAIN): "535 Incorrect authentication data": ADDRESS`},
		{name: "wrong password, LOGIN", address: exim(t, cert, "LOGIN").submission, check: with(user, func(c *smtp.Check) { c.Password = "hunter2" }), want: `wrong user or password (AUTH LOGIN): "535 Incorrect authentication data": ADDRESS`},
		{name: "wrong password, CRAM-MD5", address: plain.submission, check: smtp.Check{User: "hale", Password: "hunter2"}, want: `wrong user or password (AUTH CRAM-MD5): "535 Incorrect authentication data": ADDRESS`},
		{name: "no STARTTLS", address: plain.submission, check: smtp.Check{TLS: "starttls"}, want: "the server does not offer STARTTLS: ADDRESS"},
		{name: "no TLS for the password", address: exim(t, servers.Certificate{}, "PLAIN").submission, check: smtp.Check{User: "hale", Password: "secret"}, want: "the server does not offer STARTTLS, and the password is not sent in plain text (tls: off sends it): ADDRESS"},
		{name: "no login", address: exim(t, cert, "none").submission, check: user, want: "the server offers no login: ADDRESS"},
		{name: "no login in plain text", address: exim(t, servers.Certificate{}, "none").submission, check: smtp.Check{User: "hale", Password: "secret", TLS: "off"}, want: "the server offers no login on a connection without TLS: ADDRESS"},
		{name: "name not accepted", address: mail.submission, check: smtp.Check{TLS: "off", Hello: "forbidden.example"}, want: `the server does not accept how we introduce ourselves (EHLO forbidden.example; see hello): "550 not you": ADDRESS`},
		{name: "TLS to a plain server", address: plain.submission, check: smtp.Check{TLS: "implicit"}, want: "TLS: the server does not speak TLS on this port: ADDRESS"},
		{name: "plain to a TLS server", address: mail.submissions, timeout: time.Second, want: "connected, but no answer within 1s: ADDRESS (does it want TLS from the start? tls: implicit)"},
		{name: "nobody listens", address: gone, want: "connection refused: ADDRESS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.Address = test.address
			checktest.Expect(t, &test.check, test.timeout, strings.ReplaceAll(test.output, "ADDRESS", test.address), strings.ReplaceAll(test.want, "ADDRESS", test.address))
		})
	}
}

// What servers answer that Exim cannot be made to.
func TestRefusals(t *testing.T) {
	t.Parallel()
	hello := "250-mx.example.com\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"
	for _, test := range []struct {
		name   string
		says   []string // the greeting, and an answer to each line
		check  smtp.Check
		output string
		want   string
	}{
		{name: "busy", says: []string{"421 4.3.2 too many connections\r\n"}, want: `the server is not available now: "421 4.3.2 too many connections": ADDRESS`},
		{name: "refuses us", says: []string{"554-no SMTP service\r\n554 for 127.0.0.1\r\n"}, want: `the server does not want to talk to us: "554 no SMTP service for 127.0.0.1": ADDRESS`},
		{name: "odd greeting", says: []string{"250 hello\r\n"}, want: `the greeting is not a welcome: "250 hello": ADDRESS`},
		{name: "busy after EHLO", says: []string{"220 mx\r\n", "421 shutting down\r\n"}, want: `the server is not available now: "421 shutting down": ADDRESS`},
		{name: "hangs up after EHLO", says: []string{"220 mx\r\n"}, want: "connection closed without an answer: ADDRESS"},
		{name: "hangs up within an answer", says: []string{"220 mx\r\n", "250-mx\r\n"}, want: "connection closed in the middle of the answer: ADDRESS"},
		{name: "TLS not possible now", says: []string{"220 mx\r\n", hello, "454 TLS not available\r\n"}, want: `the server offers STARTTLS, but cannot begin with it: "454 TLS not available": ADDRESS`},
		{name: "more than was asked for before TLS", says: []string{"220 mx\r\n", hello, "220 go ahead\r\n250 injected\r\n"}, want: "plain text comes after the answer to STARTTLS: ADDRESS"},
		{name: "no TLS after STARTTLS", says: []string{"220 mx\r\n", hello, "220 go ahead\r\n", "220 mx\r\n"}, want: "TLS: the server does not speak TLS on this port: ADDRESS"},
		{name: "wants TLS first", says: []string{"220 mx\r\n", hello, "530 5.7.0 Must issue a STARTTLS command first\r\n"}, check: login(), want: `the server wants TLS before a login (AUTH PLAIN): "530 5.7.0 Must issue a STARTTLS command first": ADDRESS`},
		{name: "wants a stronger way", says: []string{"220 mx\r\n", hello, "534 5.7.9 too weak\r\n"}, check: login(), want: `the server wants a stronger way to log in (AUTH PLAIN): "534 5.7.9 too weak": ADDRESS`},
		{name: "cannot check logins", says: []string{"220 mx\r\n", hello, "454 4.7.0 directory down\r\n"}, check: login(), want: `the server cannot check logins now (AUTH PLAIN): "454 4.7.0 directory down": ADDRESS`},
		{name: "repeats the password", says: []string{"220 mx\r\n", hello, "535 hunter2 is wrong\r\n"}, check: login(), want: "wrong user or password (AUTH PLAIN): 535: ADDRESS"},
		{name: "repeats the command", says: []string{"220 mx\r\n", hello, "500 what is AUTH PLAIN AGhhbGUAaHVudGVyMg== supposed to mean\r\n"}, check: login(), want: "login refused (AUTH PLAIN): 500: ADDRESS"},
		{name: "no question in LOGIN", says: []string{"220 mx\r\n", "250-mx\r\n250 AUTH=LOGIN\r\n", "334 !\r\n"}, check: login(), want: `login refused (AUTH LOGIN): "334 !": ADDRESS`},
		{name: "unknown ways to log in", says: []string{"220 mx\r\n", "250-mx\r\n250 AUTH GSSAPI XOAUTH2\r\n"}, check: login(), want: "the server offers no way to log in that is known here (PLAIN, LOGIN, CRAM-MD5), but GSSAPI, XOAUTH2: ADDRESS"},
		{name: "codes that differ", says: []string{"220-mx\r\n250 mx\r\n"}, want: `answered "220-mx", which is not SMTP: ADDRESS`},
		{name: "a line without end", says: []string{strings.Repeat("2", 5000)}, want: `answered "` + strings.Repeat("2", 200) + `...", which is not SMTP: ADDRESS`},
		{name: "an answer without end", says: []string{strings.Repeat("220-mx\r\n", 200)}, want: `answered "220-mx", which is not SMTP: ADDRESS`},
		{name: "a web server", says: []string{"HTTP/1.1 400 Bad Request\r\n\r\n"}, want: `answered as HTTP ("HTTP/1.1 400 Bad Request"), not SMTP: ADDRESS`},
		{name: "codes alone, lines ended like on Unix", says: []string{"220\n", "250\n", "221\n"}, output: "ready in plain text: ADDRESS"},
		{name: "no answer to QUIT", says: []string{"220 mx\r\n", "250 mx\r\n"}, output: "ready in plain text: ADDRESS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := servers.Speaker(t, test.says...)
			test.check.Address = address
			checktest.Expect(t, &test.check, 0, strings.ReplaceAll(test.output, "ADDRESS", address), strings.ReplaceAll(test.want, "ADDRESS", address))
		})
	}
}

// Whatever becomes of a run, the server does not note that we hung up on it.
func TestTakesLeave(t *testing.T) {
	t.Parallel()
	mail := exim(t, servers.NewCertificate(t, "127.0.0.1"))
	for _, check := range []smtp.Check{
		{Address: mail.submission, Insecure: true},
		{Address: mail.submission, Insecure: true, User: "hale", Password: "secret"},
		{Address: mail.submission, Insecure: true, User: "hale", Password: "wrong"},
		{Address: mail.submissions, Insecure: true, TLS: "implicit"},
	} {
		_, _ = check.Run(t.Context())
	}
	var log string
	checktest.Eventually(t, "four connections are over", func() bool {
		content, err := os.ReadFile(mail.log)
		if err != nil {
			t.Fatal(err)
		}
		log = string(content)
		return strings.Count(log, "closed by QUIT") == 4
	})
	for _, bad := range []string{"lost", "unexpected", "TLS error", "synchronization"} {
		if strings.Contains(log, bad) {
			t.Errorf("%q in the server's log:\n%s", bad, log)
		}
	}
}

func TestTLS(t *testing.T) {
	for name, mode := range map[string]string{"after STARTTLS": "starttls", "from the start": "implicit"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checktest.TLS{
				Serve: func(t *testing.T, cert servers.Certificate) string {
					if mode == "implicit" {
						return exim(t, cert).submissions
					}
					return exim(t, cert).submission
				},
				New: func(address, ca string, insecure bool) checks.Check {
					return &smtp.Check{Address: address, TLS: mode, CA: ca, Insecure: insecure}
				},
			}.Faults(t)
		})
	}
}

func TestFaults(t *testing.T) {
	mail := exim(t, servers.Certificate{})
	checktest.Target{
		Address:     mail.submission,
		New:         func(address string) checks.Check { return &smtp.Check{Address: address} },
		Connections: func() int { return servers.Connections(t, mail.submission) },
	}.Faults(t)
}

func TestFaultsOfALogin(t *testing.T) {
	cert := servers.NewCertificate(t, "127.0.0.1")
	mail := exim(t, cert)
	checktest.Target{
		Address: mail.submission,
		New: func(address string) checks.Check {
			return &smtp.Check{Address: address, TLS: "starttls", CA: cert.CertFile, User: "hale", Password: "secret"}
		},
		Secrets:     []string{"secret"},
		Connections: func() int { return servers.Connections(t, mail.submission) },
	}.Faults(t)
}

func TestSoak(t *testing.T) {
	mail := exim(t, servers.NewCertificate(t, "127.0.0.1"))
	check := &smtp.Check{Address: mail.submission, Insecure: true, User: "hale", Password: "secret"}
	checktest.Soak(t, check, func() int { return servers.Connections(t, mail.submission) })
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		check smtp.Check
		want  string
	}{
		{"least", smtp.Check{Address: "mx:25"}, ""},
		{"most", smtp.Check{Address: "[::1]:587", TLS: "starttls", User: "u", Password: "p", Hello: "[IPv6:::1]", CA: "ca.pem"}, ""},
		{"no address", smtp.Check{}, "address: is missing: write host:port, such as smtp.example.com:587"},
		{"no port", smtp.Check{Address: "mx"}, `address: "mx" is not host:port: write it as smtp.example.com:587`},
		{"socket", smtp.Check{Address: "/run/mx.sock"}, `address: "/run/mx.sock" is not host:port: write it as smtp.example.com:587`},
		{"mode", smtp.Check{Address: "mx:25", TLS: "on"}, `tls: "on" is none of auto, starttls, implicit and off`},
		{"trust without TLS", smtp.Check{Address: "mx:25", TLS: "off", Insecure: true}, "insecure: has no effect without TLS: remove tls: off"},
		{"no password", smtp.Check{Address: "mx:25", User: "u"}, "password: is missing: user has one"},
		{"no user", smtp.Check{Address: "mx:25", Password: "hunter2"}, "user: is missing: whose password is it?"},
		{"NUL", smtp.Check{Address: "mx:25", User: "u", Password: "hunter2\x00"}, "password: user or password holds a NUL, which cannot be sent"},
		{"hello", smtp.Check{Address: "mx:25", Hello: "a b"}, `hello: "a b" is not the name of a host: write app1.example.com`},
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

func login() smtp.Check { return smtp.Check{TLS: "off", User: "hale", Password: "hunter2"} }

func with(c smtp.Check, change func(*smtp.Check)) smtp.Check {
	change(&c)
	return c
}

// mailServer is where an Exim listens, and its log.
type mailServer struct{ submission, submissions, log string }

// exim starts Exim; without a certificate it knows no TLS. Of the ways to log
// in it offers those that are named, if any are: PLAIN, LOGIN, CRAM-MD5, none.
// By default PLAIN and LOGIN are for TLS alone.
func exim(t *testing.T, cert servers.Certificate, ways ...string) mailServer {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("Exim's daemon only starts as root")
	}
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} { // Exim becomes a user of its own
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	m := mailServer{submission: servers.FreeAddress(t), submissions: servers.FreeAddress(t), log: filepath.Join(dir, "mainlog")}
	file := filepath.Join(dir, "exim.conf")
	if err := os.WriteFile(file, []byte(eximConfig(t, m, dir, cert, ways)), 0o644); err != nil {
		t.Fatal(err)
	}
	servers.Run(t, servers.Spec{
		Name: "exim4", Args: []string{"-C", file, "-bdf"},
		// A connection that says nothing would be in the log.
		Ready: func(context.Context) error {
			content, err := os.ReadFile(m.log)
			if err == nil && !strings.Contains(string(content), "daemon started") {
				return errors.New("not started")
			}
			return err
		},
	})
	return m
}

func eximConfig(t *testing.T, m mailServer, dir string, cert servers.Certificate, ways []string) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(m.submission)
	_, tlsPort, _ := net.SplitHostPort(m.submissions)
	var b strings.Builder
	fmt.Fprintf(&b, `keep_environment =
primary_hostname = mx.example.com
spool_directory = %[1]s
log_file_path = %[1]s/%%slog
pid_file_path = %[1]s/pid
log_selector = +smtp_connection +smtp_protocol_error
local_interfaces = 127.0.0.1
daemon_smtp_ports = %[2]s : %[3]s
smtp_accept_max = 0
host_lookup =
helo_lookup_domains =
rfc1413_query_timeout = 0s
acl_smtp_helo = helo
`, dir, port, tlsPort)
	if cert.CertFile != "" {
		for name, content := range map[string][]byte{"cert.pem": cert.CertPEM, "key.pem": cert.KeyPEM} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintf(&b, "tls_advertise_hosts = *\ntls_certificate = %[1]s/cert.pem\ntls_privatekey = %[1]s/key.pem\ntls_on_connect_ports = %[2]s\n", dir, tlsPort)
	} else {
		b.WriteString("tls_advertise_hosts =\n")
	}
	b.WriteString("begin acl\nhelo:\n  deny condition = ${if eq{$sender_helo_name}{forbidden.example}}\n    message = not you\n  accept\nbegin authenticators\n")
	offers := func(way string) string {
		switch {
		case len(ways) > 0:
			return fmt.Sprint(way == ways[0])
		case way == "CRAM-MD5":
			return "true"
		default:
			return "${if def:tls_in_cipher}"
		}
	}
	fmt.Fprintf(&b, "plain:\n  driver = plaintext\n  public_name = PLAIN\n  server_prompts = :\n  server_condition = ${if and{{eq{$auth2}{hale}}{eq{$auth3}{secret}}}}\n  server_advertise_condition = %s\n", offers("PLAIN"))
	fmt.Fprintf(&b, "login:\n  driver = plaintext\n  public_name = LOGIN\n  server_prompts = Username:: : Password::\n  server_condition = ${if and{{eq{$auth1}{hale}}{eq{$auth2}{secret}}}}\n  server_advertise_condition = %s\n", offers("LOGIN"))
	fmt.Fprintf(&b, "cram:\n  driver = cram_md5\n  public_name = CRAM-MD5\n  server_secret = ${if eq{$auth1}{hale}{secret}fail}\n  server_advertise_condition = %s\n", offers("CRAM-MD5"))
	return b.String()
}
