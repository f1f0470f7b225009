package dns_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/dns"
	"hale/test/checktest"
	"hale/test/servers"
)

// dnsmasq is a name server for the names below .test.
func dnsmasq(t *testing.T) (address string) {
	t.Helper()
	address = servers.FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	args := []string{
		"--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--port=" + port, "--listen-address=127.0.0.1", "--bind-interfaces",
		"--no-resolv", "--no-hosts", "--local-ttl=300", "--log-facility=-", "--user=root", "--local=/test/", "--local=/arpa/",
		"--host-record=app.test,10.0.0.1,fd00::1", "--host-record=one.test,10.0.0.7", "--host-record=two.test,10.0.0.1", "--host-record=two.test,10.0.0.2",
		"--cname=www.test,app.test", "--mx-host=test,mail.test,10", "--srv-host=_db._tcp.test,db1.test,5432,5,10",
		"--txt-record=test,v=spf1 -all", "--txt-record=test,token=abc", "--ptr-record=9.0.0.10.in-addr.arpa,nine.test",
		"--dns-rr=ns.test,2,026e73047465737400", // NS ns.test
	}
	for i := range 120 {
		args = append(args, fmt.Sprintf("--host-record=many.test,10.1.0.%d", i))
	}
	servers.Run(t, servers.Spec{Name: "dnsmasq", Args: args, Listens: []string{address}})
	return address
}

func TestDnsmasq(t *testing.T) {
	t.Parallel()
	server := dnsmasq(t)
	for _, test := range []struct {
		name  string
		check dns.Check
		want  string // what is said; after "!", the error
	}{
		{"both kinds of addresses", dns.Check{Domain: "app.test"}, "app.test: 10.0.0.1, fd00::1 (for 5m0s)"},
		{"one kind is enough", dns.Check{Domain: "one.test"}, "one.test: 10.0.0.7 (for 5m0s)"},
		{"A", dns.Check{Domain: "app.test", Record: "A"}, "app.test: 10.0.0.1 (for 5m0s)"},
		{"AAAA", dns.Check{Domain: "app.test", Record: "AAAA"}, "app.test: fd00::1 (for 5m0s)"},
		{"A of an alias", dns.Check{Domain: "www.test", Record: "A"}, "www.test: 10.0.0.1 (for 5m0s)"},
		{"CNAME", dns.Check{Domain: "www.test", Record: "CNAME", Expect: []string{"app.test."}, Only: true}, "www.test: app.test (for 5m0s)"},
		{"MX", dns.Check{Domain: "test", Record: "MX", Expect: []string{"mail.test"}}, "test: 10 mail.test (for 5m0s)"},
		{"MX with its preference", dns.Check{Domain: "test", Record: "MX", Expect: []string{"10 Mail.Test"}}, "test: 10 mail.test (for 5m0s)"},
		{"SRV", dns.Check{Domain: "_db._tcp.test", Record: "SRV", Expect: []string{"db1.test:5432"}}, "_db._tcp.test: 5 10 5432 db1.test (for 5m0s)"},
		{"NS", dns.Check{Domain: "ns.test", Record: "NS", Expect: []string{"ns.test"}}, "ns.test: ns.test (for 5m0s)"},
		{"PTR of an address", dns.Check{Domain: "10.0.0.9", Record: "PTR", Expect: []string{"nine.test"}}, "10.0.0.9: nine.test (for 5m0s)"},
		{"TXT", dns.Check{Domain: "test", Record: "TXT", Expect: []string{"v=spf1 -all"}, MinAnswers: 2}, "test: token=abc, v=spf1 -all (for 5m0s)"},
		{"in a network", dns.Check{Domain: "two.test", Record: "A", Expect: []string{"10.0.0.0/24"}, Only: true}, "two.test: 10.0.0.1, 10.0.0.2 (for 5m0s)"},
		{"over TCP", dns.Check{Domain: "one.test", TCP: true}, "one.test: 10.0.0.7 (for 5m0s)"},
		{"too many for UDP", dns.Check{Domain: "many.test", Record: "A", MinAnswers: 120, Expect: []string{"10.1.0.119"}}, "many.test: 10.1.0.0, 10.1.0.1, 10.1.0.2, 10.1.0.3, 10.1.0.4, and 115 more (for 5m0s)"},

		{"no such name", dns.Check{Domain: "absent.test"}, "!name does not resolve: absent.test (NXDOMAIN: SERVER)"},
		{"no such record", dns.Check{Domain: "one.test", Record: "AAAA"}, "!one.test has no AAAA record: SERVER"},
		{"no address", dns.Check{Domain: "_db._tcp.test"}, "!_db._tcp.test has no address: SERVER"},
		{"alias without the record", dns.Check{Domain: "www.test", Record: "TXT"}, "!www.test is an alias of app.test, which has no TXT record: SERVER"},
		{"not in charge", dns.Check{Domain: "example.com"}, "!the name server refuses to answer for example.com (REFUSED: it does not serve this client, or not this name): SERVER"},
		{"another address", dns.Check{Domain: "one.test", Expect: []string{"10.0.0.8"}}, "!one.test: expected 10.0.0.8 among the answers, got 10.0.0.7: SERVER"},
		{"another network", dns.Check{Domain: "one.test", Expect: []string{"192.168.0.0/16"}}, "!one.test: expected 192.168.0.0/16 among the answers, got 10.0.0.7: SERVER"},
		{"one too many", dns.Check{Domain: "two.test", Expect: []string{"10.0.0.1"}, Only: true}, "!two.test: 10.0.0.2 is not expected among the answers 10.0.0.1, 10.0.0.2: SERVER"},
		{"too few", dns.Check{Domain: "two.test", MinAnswers: 3}, "!two.test has 2 answers, expected at least 3: SERVER"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.Server = server
			says(t, test.check, time.Minute, strings.ReplaceAll(test.want, "SERVER", server), ": "+server)
		})
	}
}

// says runs a check. A text that begins with "!" is an error. dnsmasq turns the
// order of addresses, so that of the answers does not count.
func says(t *testing.T, check dns.Check, timeout time.Duration, want, where string) {
	t.Helper()
	want = "pass: " + want + where
	if text, ok := strings.CutPrefix(want, "pass: !"); ok {
		want = "fail: " + strings.TrimSuffix(text, where)
	}
	if got := checktest.Outcome(t, &check, timeout); inOrder(got) != inOrder(want) {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// inOrder sorts the characters of a list's items out of the way.
func inOrder(text string) string {
	for _, pair := range [][2]string{
		{"10.0.0.2, 10.0.0.1", "10.0.0.1, 10.0.0.2"},
		{"v=spf1 -all, token=abc", "token=abc, v=spf1 -all"},
	} {
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	if strings.HasPrefix(text, "pass: many.test") {
		_, text, _ = strings.Cut(text, "and ")
	}
	return text
}

func TestFaults(t *testing.T) {
	server := dnsmasq(t)
	check := func(server string) checks.Check { return &dns.Check{Domain: "app.test", Server: server, TCP: true} }
	connections := func() int { return servers.Connections(t, server) }
	checktest.Target{Address: server, New: check, Connections: connections}.Faults(t)
	checktest.Soak(t, &dns.Check{Domain: "app.test", Server: server}, connections)
	checktest.Soak(t, check(server), connections)
}

// The same over UDP, where a server that is down may just be silent.
func TestFaultsUDP(t *testing.T) {
	t.Parallel()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed := servers.FreeAddress(t)
	for _, test := range []struct {
		name, server string
		timeout      time.Duration
		want         string
	}{
		{"silent", silent.LocalAddr().String(), 300 * time.Millisecond, "!no answer within 300ms: " + silent.LocalAddr().String()},
		{"nobody listens", closed, time.Minute, "!connection refused: " + closed},
		{"unknown name", "ns.invalid", time.Minute, "!name does not resolve: ns.invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			says(t, dns.Check{Domain: "app.test", Record: "A", Server: test.server}, test.timeout, test.want, "")
		})
	}
}

// The system's resolver reads /etc/hosts, and asks the name servers of
// /etc/resolv.conf.
func TestSystem(t *testing.T) {
	t.Parallel()
	says(t, dns.Check{Domain: "localhost", Record: "A", Expect: []string{"127.0.0.0/8"}, Only: true}, time.Minute, "localhost: 127.0.0.1", "")
	says(t, dns.Check{Domain: "nowhere.invalid"}, time.Minute, "!name does not resolve: nowhere.invalid", "")
	host, err := os.Hostname()
	if hosts, _ := os.ReadFile("/etc/hosts"); err == nil && strings.Contains(string(hosts), host) {
		if output, err := (&dns.Check{Domain: host}).Run(t.Context()); err != nil {
			t.Errorf("this machine's own name: %q, %v", output, err)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		check dns.Check
		want  string
	}{
		{dns.Check{Domain: "db.internal"}, ""},
		{dns.Check{Domain: "_db._tcp.internal.", Record: "SRV", Server: "::1"}, ""},
		{dns.Check{Domain: "fd00::1", Record: "PTR", Server: "[::1]:5353"}, ""},
		{dns.Check{Domain: "1.0.0.10.in-addr.arpa", Record: "PTR", Server: "ns.internal"}, ""},
		{dns.Check{Domain: "db", Expect: []string{"10.0.0.1", "fd00::/8"}, Only: true}, ""},
		{dns.Check{}, "domain: is missing: write the name to look up"},
		{dns.Check{Domain: "10.0.0.1"}, `domain: "10.0.0.1" is an address, not a name; with record PTR its name is asked for`},
		{dns.Check{Domain: "db", Record: "PTR"}, `domain: "db" is not an address, for which PTR asks`},
		{dns.Check{Domain: "https://db/"}, `domain: "https://db/" is not a name of DNS`},
		{dns.Check{Domain: strings.Repeat("x", 64)}, `domain: "` + strings.Repeat("x", 64) + `" is not a name of DNS`},
		{dns.Check{Domain: "db", Record: "ANY"}, `record: "ANY" is not a kind of record known here: write A, AAAA, CNAME, MX, NS, PTR, SRV or TXT`},
		{dns.Check{Domain: "db", Server: "http://ns/"}, `server: "http://ns/" is neither host nor host:port`},
		{dns.Check{Domain: "db", Expect: []string{"db1"}}, `expect: "db1" is neither an address nor a network such as 10.0.0.0/8`},
		{dns.Check{Domain: "db", Only: true}, "only: goes with expect, which is missing"},
		{dns.Check{Domain: "db", MinAnswers: -1}, "min_answers: -1 is negative"},
	} {
		err := test.check.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("error = %v, want %s", err, test.want)
		}
	}
}
