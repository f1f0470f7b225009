package ldap_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"

	"hale/checks"
	"hale/checks/ldap"
	"hale/test/checktest"
	"hale/test/servers"
)

const app = "uid=app,ou=people,dc=example,dc=com"

// The server is OpenLDAP's slapd, with a user app whose password is secret.
func TestSlapd(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "127.0.0.1")
	public := slapd(t, cert)
	plain := slapd(t, servers.Certificate{})
	closed := slapd(t, servers.Certificate{}, "disallow bind_anon")
	wantsTLS := slapd(t, cert, "security tls=1")
	strong := slapd(t, servers.Certificate{}, "require SASL")
	noSearch := slapd(t, servers.Certificate{}, "restrict search")
	hidden := slapd(t, servers.Certificate{}, "access to * by anonymous auth by * none")
	mutual := slapd(t, cert, "TLSCACertificateFile "+cert.CertFile, "TLSVerifyClient demand")
	user := ldap.Check{User: app, Password: "secret"}
	for _, test := range []struct {
		name   string
		url    string
		check  ldap.Check
		output string // after "ldap://127.0.0.1:389: "
		want   string // the error; empty: it passes
	}{
		{name: "nobody", url: public.ldap, output: "accepts anonymous clients: ADDRESS"},
		{name: "user", url: public.ldap, check: user, output: `accepts the login of "` + app + `": ADDRESS`},
		{name: "socket", url: public.ldapi, check: user, output: `accepts the login of "` + app + `": ADDRESS`},
		{name: "TLS", url: public.ldaps, check: with(user, func(c *ldap.Check) { c.CA = cert.CertFile }), output: `accepts the login of "` + app + `" over TLS 1.3: ADDRESS`},
		{name: "STARTTLS", url: public.ldap, check: with(user, func(c *ldap.Check) { c.StartTLS, c.CA = true, cert.CertFile }), output: `accepts the login of "` + app + `" over TLS 1.3: ADDRESS`},
		{name: "TLS where it is wanted", url: wantsTLS.ldap, check: with(user, func(c *ldap.Check) { c.StartTLS, c.CA = true, cert.CertFile }), output: `accepts the login of "` + app + `" over TLS 1.3: ADDRESS`},
		{name: "a client's certificate", url: mutual.ldaps, check: ldap.Check{CA: cert.CertFile, Certificate: cert.CertFile, Key: cert.KeyFile}, output: "accepts anonymous clients over TLS 1.3: ADDRESS"},
		{name: "entry", url: public.ldap, check: ldap.Check{Base: "ou=people,dc=example,dc=com"}, output: `accepts anonymous clients, has "ou=people,dc=example,dc=com": ADDRESS`},
		{name: "entry like that", url: public.ldap, check: ldap.Check{Base: "dc=example,dc=com", Filter: "(&(objectClass=account)(uid=app))"}, output: `accepts anonymous clients, has an entry (&(objectClass=account)(uid=app)) below "dc=example,dc=com": ADDRESS`},
		{name: "more entries than one", url: public.ldap, check: ldap.Check{Base: "dc=example,dc=com", Filter: "(objectClass=*)"}, output: `accepts anonymous clients, has an entry (objectClass=*) below "dc=example,dc=com": ADDRESS`},

		{name: "wrong password", url: public.ldap, check: with(user, func(c *ldap.Check) { c.Password = "hunter2" }), want: "wrong user or password (49 Invalid Credentials): ADDRESS"},
		{name: "no such user", url: public.ldap, check: with(user, func(c *ldap.Check) { c.User = "uid=none,dc=example,dc=com" }), want: "wrong user or password (49 Invalid Credentials): ADDRESS"},
		{name: "user is no name", url: public.ldap, check: with(user, func(c *ldap.Check) { c.User = "app" }), want: `the bind has a name that is no distinguished name (34 Invalid DN Syntax): "invalid DN": ADDRESS`},
		{name: "nobody may bind", url: closed.ldap, want: `the server does not let anonymous clients in (48 Inappropriate Authentication): "anonymous bind disallowed": ADDRESS`},
		{name: "TLS wanted", url: wantsTLS.ldap, check: user, want: `the server wants TLS first (13 Confidentiality Required): "TLS confidentiality required": ADDRESS`},
		{name: "stronger login wanted", url: strong.ldap, check: with(user, func(c *ldap.Check) { c.Base = "dc=example,dc=com" }), want: `the server wants TLS, or a stronger login, first (8 Strong Auth Required): "SASL authentication required": ADDRESS`},
		{name: "unwilling", url: noSearch.ldap, check: ldap.Check{Base: "dc=example,dc=com"}, want: `the server is unwilling: the search in "dc=example,dc=com" (53 Unwilling To Perform): "operation restricted": ADDRESS`},
		{name: "no such entry", url: public.ldap, check: ldap.Check{Base: "ou=none,dc=example,dc=com"}, want: `the search in "ou=none,dc=example,dc=com" leads nowhere that we may see (32 No Such Object): ADDRESS`},
		{name: "entry not for our eyes", url: hidden.ldap, check: with(user, func(c *ldap.Check) { c.Base = "dc=example,dc=com" }), want: `the search in "dc=example,dc=com" leads nowhere that we may see (32 No Such Object): ADDRESS`},
		{name: "no entry like that", url: public.ldap, check: ldap.Check{Base: "dc=example,dc=com", Filter: "(uid=none)"}, want: `no entry (uid=none) at or below "dc=example,dc=com" that we may see: ADDRESS`},
		{name: "no STARTTLS", url: plain.ldap, check: ldap.Check{StartTLS: true}, want: `the server does not do STARTTLS (2 Protocol Error): "unsupported extended operation": ADDRESS`},
		{name: "TLS to a plain server", url: strings.Replace(plain.ldap, "ldap:", "ldaps:", 1), want: "connection closed in the TLS handshake (does the server speak TLS on this port?): ADDRESS"},
		{name: "plain to a TLS server", url: strings.Replace(public.ldaps, "ldaps:", "ldap:", 1), want: "connection closed without an answer (does it want TLS? ldaps://): ADDRESS"},
		{name: "nobody listens", url: "ldap://" + servers.FreeAddress(t), want: "connection refused: ADDRESS"},
		{name: "no socket", url: "ldapi:///nowhere/ldapi", want: "no such socket: ADDRESS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.URL = test.url
			address := strings.SplitN(test.url, "://", 2)[1]
			checktest.Expect(t, &test.check, 0, strings.ReplaceAll(test.output, "ADDRESS", address), strings.ReplaceAll(test.want, "ADDRESS", address))
		})
	}
}

// What Active Directory says, and a server that goes away.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, answer, want string }{
		{"locked out", bindResponse(49, "80090308: LdapErr: DSID-0C090400, comment: AcceptSecurityContext error, data 775, v1db1"), `the user is locked out (49 Invalid Credentials): "80090308: LdapErr: DSID-0C090400, comment: AcceptSecurityContext error, data 775, v1db1": ADDRESS`},
		{"unknown reason", bindResponse(49, "AcceptSecurityContext error, data fff"), `wrong user or password (49 Invalid Credentials): "AcceptSecurityContext error, data fff": ADDRESS`},
		{"repeats the password", bindResponse(49, "hunter2 is not it"), "wrong user or password (49 Invalid Credentials): ADDRESS"},
		{"busy", bindResponse(51, ""), "the server is not available now (51 Busy): ADDRESS"},
		{"unknown code", bindResponse(4321, ""), "the bind failed (4321 a code of its own): ADDRESS"},
		{"goes away", message(0, "\x78\x24\x0a\x01\x34\x04\x00\x04\x05going\x8a\x161.3.6.1.4.1.1466.20036"), `the server is not available now (52 Unavailable): "going": ADDRESS`},
		{"answer to something else", message(7, "\x61\x07\x0a\x01\x00\x04\x00\x04\x00"), "answered something that is not LDAP: ADDRESS"},
		{"another kind of answer", message(1, "\x65\x07\x0a\x01\x00\x04\x00\x04\x00"), "answered something that is not LDAP: ADDRESS"},
		{"answer cut short", "\x30\x0c\x02\x01\x01\x61", "connection closed in the middle of the answer: ADDRESS"},
		{"a mail server", "220 mx.example.com\r\n", `answered "220 mx.example.com", which is not LDAP: ADDRESS`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := servers.Speaker(t, "", test.answer)
			checktest.Expect(t, &ldap.Check{URL: "ldap://" + address, User: "app", Password: "hunter2"}, 0, "", strings.ReplaceAll(test.want, "ADDRESS", address))
		})
	}
}

func TestTLS(t *testing.T) {
	for name, starttls := range map[string]bool{"from the start": false, "after STARTTLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checktest.TLS{
				Serve: func(t *testing.T, cert servers.Certificate) string {
					d := slapd(t, cert)
					if starttls {
						return strings.TrimPrefix(d.ldap, "ldap://")
					}
					return strings.TrimPrefix(d.ldaps, "ldaps://")
				},
				New: func(address, ca string, insecure bool) checks.Check {
					scheme := "ldaps://"
					if starttls {
						scheme = "ldap://"
					}
					return &ldap.Check{URL: scheme + address, StartTLS: starttls, CA: ca, Insecure: insecure}
				},
			}.Faults(t)
		})
	}
}

func TestFaults(t *testing.T) {
	d := slapd(t, servers.Certificate{})
	checktest.Target{
		Address: strings.TrimPrefix(d.ldap, "ldap://"),
		New: func(address string) checks.Check {
			return &ldap.Check{URL: "ldap://" + address, User: app, Password: "secret", Base: "dc=example,dc=com", Filter: "(uid=app)"}
		},
		Secrets:     []string{"secret"},
		Connections: func() int { return d.connections(t) },
	}.Faults(t)
}

func TestFaultsWithTLS(t *testing.T) {
	cert := servers.NewCertificate(t, "127.0.0.1")
	d := slapd(t, cert)
	checktest.Target{
		Address: strings.TrimPrefix(d.ldap, "ldap://"),
		New: func(address string) checks.Check {
			return &ldap.Check{URL: "ldap://" + address, StartTLS: true, CA: cert.CertFile}
		},
		Connections: func() int { return d.connections(t) },
	}.Faults(t)
}

func TestSoak(t *testing.T) {
	d := slapd(t, servers.NewCertificate(t, "127.0.0.1"))
	check := &ldap.Check{URL: d.ldaps, Insecure: true, User: app, Password: "secret", Base: app}
	checktest.Soak(t, check, func() int { return d.connections(t) })
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const forms = "write ldap://HOST:389, ldaps://HOST:636 or ldapi:///PATH"
	for _, test := range []struct {
		name  string
		check ldap.Check
		want  string
	}{
		{"ldap", ldap.Check{URL: "ldap://h"}, ""},
		{"ldaps", ldap.Check{URL: "ldaps://[::1]:1636/"}, ""},
		{"ldapi", ldap.Check{URL: "ldapi:///run/slapd/ldapi"}, ""},
		{"ldapi as OpenLDAP has it", ldap.Check{URL: "ldapi://%2Frun%2Fslapd%2Fldapi/"}, ""},
		{"everything", ldap.Check{URL: "ldap://h", StartTLS: true, User: `EXAMPLE\app`, Password: "p", Base: "ou=people, dc=example", Filter: "(uid=a*)", CA: "ca.pem", Certificate: "c.pem", Key: "k.pem"}, ""},

		{"nothing", ldap.Check{}, "url: is missing: " + forms},
		{"no scheme", ldap.Check{URL: "hunter2@h"}, "url: has no scheme that is known here: " + forms},
		{"not a URL", ldap.Check{URL: "ldap://h:hunter2"}, "url: cannot be read: " + forms},
		{"no host", ldap.Check{URL: "ldap://"}, "url: has no host: " + forms},
		{"no socket", ldap.Check{URL: "ldapi://"}, "url: has no path of a socket: write ldapi:///run/slapd/ldapi"},
		{"user in it", ldap.Check{URL: "ldap://app:hunter2@h"}, "url: holds a user or password: write them as user and password"},
		{"base in it", ldap.Check{URL: "ldap://h/dc=example,dc=com"}, "url: holds more than a server: write what to look for as base and filter"},
		{"port", ldap.Check{URL: "ldap://h:70000"}, "url: has no port from 1 to 65535"},
		{"STARTTLS over TLS", ldap.Check{URL: "ldaps://h", StartTLS: true}, "starttls: is for ldap:// alone: ldaps:// needs none"},
		{"trust without TLS", ldap.Check{URL: "ldap://h", Insecure: true}, "insecure: has no effect without TLS: write ldaps:// in url, or starttls: true"},
		{"no password", ldap.Check{URL: "ldap://h", User: "u"}, "password: is missing: user has one"},
		{"no user", ldap.Check{URL: "ldap://h", Password: "hunter2"}, "user: is missing: whose password is it?"},
		{"base", ldap.Check{URL: "ldap://h", Base: "people"}, `base: "people" is not a distinguished name: write it as ou=people,dc=example,dc=com`},
		{"filter", ldap.Check{URL: "ldap://h", Base: "dc=com", Filter: "uid=app)"}, `filter: "uid=app)" is not a filter: write it as (uid=app) or (&(objectClass=person)(uid=app))`},
		{"filter without base", ldap.Check{URL: "ldap://h", Filter: "(uid=app)"}, "base: is missing: the entry below which filter is to look"},
		{"half a certificate", ldap.Check{URL: "ldaps://h", Certificate: "c.pem"}, "key: is missing: the file of the private key that belongs to certificate"},
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

func with(c ldap.Check, change func(*ldap.Check)) ldap.Check {
	change(&c)
	return c
}

// directory is where a slapd listens.
type directory struct{ ldap, ldaps, ldapi string }

// slapd starts OpenLDAP's server; without a certificate it knows no TLS. More
// are lines of its configuration.
func slapd(t *testing.T, cert servers.Certificate, more ...string) directory {
	t.Helper()
	server := servers.Need(t, "slapd")
	dir := t.TempDir()
	tls := ""
	if cert.CertFile != "" {
		tls = fmt.Sprintf("TLSCertificateFile %s\nTLSCertificateKeyFile %s\n", cert.CertFile, cert.KeyFile)
	}
	global, access := "", "access to attrs=userPassword by anonymous auth by * none\naccess to * by * read\n"
	for _, line := range more {
		if strings.HasPrefix(line, "access ") {
			access = line + "\n"
		} else {
			global += line + "\n"
		}
	}
	config := filepath.Join(dir, "slapd.conf")
	write(t, config, fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload back_monitor
pidfile %[1]s/pid
argsfile %[1]s/args
%[2]s%[3]s
database monitor
rootdn cn=watch,cn=Monitor
rootpw watching
database mdb
suffix dc=example,dc=com
rootdn cn=admin,dc=example,dc=com
directory %[1]s
%[4]s`, dir, tls, global, access))
	entries := filepath.Join(dir, "entries.ldif")
	write(t, entries, `dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: `+app+`
objectClass: account
objectClass: simpleSecurityObject
uid: app
userPassword: secret
`)
	if out, err := exec.Command(servers.Need(t, "slapadd"), "-f", config, "-l", entries).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	plain, secure, socket := servers.FreeAddress(t), servers.FreeAddress(t), filepath.Join(dir, "ldapi")
	d := directory{"ldap://" + plain, "ldaps://" + secure, "ldapi://" + socket}
	listens := []string{plain, socket}
	urls := d.ldap + " ldapi://" + url.PathEscape(socket)
	if tls != "" {
		listens, urls = append(listens, secure), urls+" "+d.ldaps
	}
	servers.Run(t, servers.Spec{Name: server, Args: []string{"-f", config, "-h", urls, "-d", "0"}, Listens: listens})
	return d
}

// connections asks the server how many clients it has, but for the one that
// asks.
func (d directory) connections(t *testing.T) int {
	t.Helper()
	conn, err := goldap.DialURL(d.ldap)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Bind("cn=watch,cn=Monitor", "watching"); err != nil {
		t.Fatal(err)
	}
	found, err := conn.Search(goldap.NewSearchRequest("cn=Current,cn=Connections,cn=Monitor", goldap.ScopeBaseObject,
		goldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"monitorCounter"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(found.Entries[0].GetAttributeValue("monitorCounter"))
	if err != nil {
		t.Fatal(err)
	}
	return n - 1
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// bindResponse is a server's answer to the first message (RFC 4511, 4.2.2).
func bindResponse(code int, said string) string {
	result := "\x0a\x02" + string([]byte{byte(code >> 8), byte(code)}) + "\x04\x00\x04" + length(said) + said
	return message(1, "\x61"+length(result)+result)
}

func message(id byte, body string) string {
	content := "\x02\x01" + string([]byte{id}) + body
	return "\x30" + length(content) + content
}

// length is that of a value in BER, in the form that takes a byte of its own.
func length(s string) string { return string([]byte{0x81, byte(len(s))}) }
