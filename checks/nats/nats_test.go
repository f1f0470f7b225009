package nats_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"hale/checks"
	"hale/checks/nats"
	"hale/test/checktest"
	"hale/test/servers"
)

const secret = "s3cr3t-hunter2"

// run runs a check within a time, a minute if it is 0.
func run(t *testing.T, check *nats.Check, timeout time.Duration) (string, error) {
	t.Helper()
	if err := check.Validate(); err != nil {
		t.Fatal(err)
	}
	if timeout == 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	output, err := check.Run(ctx)
	if strings.Contains(fmt.Sprint(output, err), secret) {
		t.Errorf("%q, %v holds a secret", output, err)
	}
	return output, err
}

func TestFaults(t *testing.T) {
	server := start(t, jetstream(t)+fmt.Sprintf("\nauthorization: {user: app, password: %q}", secret))
	_, js := connect(t, "nats://app:"+secret+"@"+server.address)
	addOrders(t, js, 1, 3)
	target := checktest.Target{
		Address: server.address,
		New: func(address string) checks.Check {
			return &nats.Check{URL: "nats://app:" + secret + "@" + address, Streams: []string{"ORDERS"}, Consumers: []string{"ORDERS/mailer"}}
		},
		Secrets:     []string{secret},
		Connections: func() int { return server.connections(t)() - 1 }, // the test's own
	}
	target.Faults(t)
	subscriptions := server.subscriptions(t)
	checktest.Soak(t, target.New(server.address), target.Connections)
	checktest.Eventually(t, "no subscription is left", func() bool { return server.subscriptions(t) <= subscriptions })
	checktest.Eventually(t, "no client is left", func() bool { return target.Connections() == 0 })
	// The stream and its consumer are as they were.
	info, err := js.StreamInfo("ORDERS")
	if err != nil || info.State.Msgs != 3 || info.State.Consumers != 1 {
		t.Errorf("stream afterwards: %+v, %v", info, err)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	password := start(t, fmt.Sprintf("authorization: {user: app, password: %q}", secret))
	token := start(t, fmt.Sprintf("authorization: {token: %q}", secret))
	open := start(t, "")
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	other, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	nkey := start(t, fmt.Sprintf("authorization: {users: [{nkey: %s}]}", public(t, user)))
	seed := func(pair nkeys.KeyPair) string {
		s, err := pair.Seed()
		if err != nil {
			t.Fatal(err)
		}
		return write(t, "seed", string(s)+"\n")
	}
	op := newOperator(t)
	decentral := start(t, op.config(t))
	full := start(t, "max_connections: 1")
	// The connection that showed that it listens may still be counted.
	checktest.Eventually(t, "the only place is taken", func() bool { _, err := client.Connect("nats://" + full.address); return err == nil })
	noJWT, junk := seed(user), write(t, "junk", secret)

	refused := "user, password, token or key refused (Authorization Violation): "
	for _, test := range []struct {
		name  string
		check nats.Check
		at    *natsServer
		want  string // the error, up to the address; empty: it passes
	}{
		{"user and password", nats.Check{URL: "nats://app:" + secret + "@ADDRESS"}, password, ""},
		{"wrong password", nats.Check{URL: "nats://app:no-" + secret + "@ADDRESS"}, password, refused},
		{"no password", nats.Check{URL: "nats://ADDRESS"}, password, refused},
		{"token", nats.Check{URL: "nats://" + secret + "@ADDRESS"}, token, ""},
		{"wrong token", nats.Check{URL: "nats://no-" + secret + "@ADDRESS"}, token, refused},
		{"nothing needed", nats.Check{URL: "nats://ADDRESS"}, open, ""},
		{"NKey", nats.Check{URL: "nats://ADDRESS", NKey: seed(user)}, nkey, ""},
		{"another NKey", nats.Check{URL: "nats://ADDRESS", NKey: seed(other)}, nkey, refused},
		{"credentials", nats.Check{URL: "nats://ADDRESS", Credentials: op.credentials(t, 0)}, decentral, ""},
		{"expired credentials", nats.Check{URL: "nats://ADDRESS", Credentials: op.credentials(t, 1_600_000_000)}, decentral, "the user's JWT expired on 2020-09-13 12:26:40: "},
		{"credentials of strangers", nats.Check{URL: "nats://ADDRESS", Credentials: newOperator(t).credentials(t, 0)}, decentral, refused},
		{"no file", nats.Check{URL: "nats://ADDRESS", Credentials: "/nowhere.creds"}, decentral, "credentials /nowhere.creds: no such file or directory"},
		{"file without a seed", nats.Check{URL: "nats://ADDRESS", Credentials: junk}, decentral, "credentials " + junk + ": has no seed of a user (SU...)"},
		{"file without a JWT", nats.Check{URL: "nats://ADDRESS", Credentials: noJWT}, decentral, "credentials " + noJWT + ": has no JWT; a seed alone belongs into nkey"},
		{"full", nats.Check{URL: "nats://ADDRESS"}, full, "the server takes no more connections (maximum connections exceeded): "},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.check.URL = strings.Replace(test.check.URL, "ADDRESS", test.at.address, 1)
			if strings.HasSuffix(test.want, ": ") {
				test.want += test.at.address
			}
			checktest.Expect(t, &test.check, 0, "answers: "+test.at.address, test.want)
		})
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	server := start(t, "")
	hangs := servers.Proxy(t, server.address)
	hangs.Break(servers.BlackHole)
	web := says(t, "")
	mail := says(t, "220 mx.example.com ESMTP\r\n")
	ldm := says(t, `INFO {"server_id":"x","ldm":true}`+"\r\nPONG\r\n")
	for _, test := range []struct {
		name, url    string
		timeout      time.Duration // 0: a minute
		output, want string
	}{
		{name: "nobody listens", url: "nats://127.0.0.1:1", want: "connection refused: 127.0.0.1:1"},
		{name: "unknown name", url: "nats://app:" + secret + "@nats.invalid", want: "name does not resolve: nats.invalid"},
		{name: "hangs", url: "nats://" + hangs.Address(), timeout: time.Second, want: "connected, but no answer within 1s: " + hangs.Address()},
		{name: "waits to be spoken to", url: "nats://" + web, timeout: time.Second, want: "connected, but no answer within 1s: " + web},
		{name: "mail server", url: "nats://" + mail, want: `answered "220 mx.example.com ESMTP", which is not NATS: ` + mail},
		{name: "about to stop", url: "nats://" + ldm, want: "warn: the server is about to stop (lame duck mode): " + ldm},
		{name: "TLS demanded of a server without", url: "tls://" + server.address, want: "the server does not offer TLS, which is demanded here: " + server.address},
		{name: "second of two", url: "nats://127.0.0.1:1, nats://" + server.address, output: "answers: " + server.address + "; connection refused: 127.0.0.1:1"},
		{name: "first of two hangs", url: "nats://" + hangs.Address() + ",nats://" + server.address, timeout: 6 * time.Second, output: "answers: " + server.address + "; connected, but no answer within 3s: " + hangs.Address()},
		{name: "none of two", url: "nats://127.0.0.1:1,nats://nats.invalid", want: "connection refused: 127.0.0.1:1; name does not resolve: nats.invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			checktest.Expect(t, &nats.Check{URL: test.url}, test.timeout, test.output, test.want)
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "127.0.0.1")
	expired := servers.ExpiredCertificate(t, "127.0.0.1")
	elsewhere := servers.NewCertificate(t, "nats.example.com")
	serve := func(cert servers.Certificate, more string) string {
		return start(t, fmt.Sprintf("tls: {cert_file: %q, key_file: %q, %s}", cert.CertFile, cert.KeyFile, more)).address
	}
	good, old, other := serve(cert, ""), serve(expired, ""), serve(elsewhere, "")
	asks := serve(cert, fmt.Sprintf("ca_file: %q, verify: true", cert.CertFile))
	first := tlsFirst(t, cert, start(t, "").address)
	missing := "/nowhere.pem"
	for _, test := range []struct {
		name  string
		check nats.Check
		want  string
	}{
		{"tls://", nats.Check{URL: "tls://" + good, CA: cert.CertFile}, ""},
		{"the server demands it", nats.Check{URL: "nats://" + good, CA: cert.CertFile}, ""},
		{"insecure", nats.Check{URL: "nats://" + good, Insecure: true}, ""},
		{"unknown authority", nats.Check{URL: "tls://" + good}, "TLS: certificate signed by an unknown authority: " + good},
		{"expired", nats.Check{URL: "tls://" + old, CA: expired.CertFile}, "TLS: certificate expired on " + end(t, expired) + ": " + old},
		{"another name", nats.Check{URL: "tls://" + other, CA: elsewhere.CertFile}, "TLS: certificate is not for 127.0.0.1 but for nats.example.com: " + other},
		{"no CA file", nats.Check{URL: "tls://" + good, CA: missing}, "ca /nowhere.pem: no such file or directory"},
		{"the client's certificate", nats.Check{URL: "tls://" + asks, CA: cert.CertFile, Certificate: cert.CertFile, Key: cert.KeyFile}, ""},
		{"no client's certificate", nats.Check{URL: "tls://" + asks, CA: cert.CertFile}, "TLS: bad certificate: " + asks},
		{"TLS first", nats.Check{URL: "tls://" + first, CA: cert.CertFile, TLSFirst: true}, ""},
		{"TLS first of a server that greets", nats.Check{URL: "tls://" + good, CA: cert.CertFile, TLSFirst: true}, "TLS: the server does not speak TLS on this port: " + good},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := strings.SplitN(test.check.URL, "//", 2)[1]
			checktest.Expect(t, &test.check, 0, "answers: "+address, test.want)
		})
	}
}

func TestJetStream(t *testing.T) {
	t.Parallel()
	server := start(t, jetstream(t)+fmt.Sprintf(`
accounts: {
  APP: {jetstream: enabled, users: [
    {user: app, password: %[1]q},
    {user: monitor, password: %[1]q, permissions: {publish: ["$JS.API.STREAM.INFO.*", "$JS.API.CONSUMER.INFO.*.*"], subscribe: "_INBOX.>"}},
    {user: nobody, password: %[1]q, permissions: {publish: "app.>", subscribe: "_INBOX.>"}},
    {user: deaf, password: %[1]q, permissions: {subscribe: "app.>"}},
  ]}
  OTHER: {users: [{user: other, password: %[1]q}]}
}`, secret))
	at := func(user string) string { return "nats://" + user + ":" + secret + "@" + server.address }
	_, js := connect(t, at("app"))
	addOrders(t, js, 1, 5)
	sub, err := js.PullSubscribe("orders.>", "mailer", client.BindStream("ORDERS"))
	if err != nil {
		t.Fatal(err)
	}
	if fetched, err := sub.Fetch(2); err != nil || len(fetched) != 2 {
		t.Fatal(fetched, err)
	}
	plain := start(t, "").address
	stream, consumer := []string{"ORDERS"}, []string{"ORDERS/mailer"}
	lags := "consumer ORDERS/mailer lags 3 messages (and 2 not acknowledged yet)"
	answers := "answers: " + server.address
	for _, test := range []struct {
		name         string
		check        nats.Check
		output, want string
	}{
		{"JetStream", nats.Check{URL: at("app"), JetStream: true}, answers + "; JetStream answers", ""},
		{"stream", nats.Check{URL: at("app"), Streams: stream}, answers + "; stream ORDERS has 5 messages", ""},
		{"consumer", nats.Check{URL: at("app"), Consumers: consumer}, answers + "; " + lags, ""},
		{"both, with no more rights than needed", nats.Check{URL: at("monitor"), Streams: stream, Consumers: consumer, MaxLag: 3}, answers + "; stream ORDERS has 5 messages; " + lags, ""},
		{"lags", nats.Check{URL: at("app"), Consumers: consumer, WarnLag: 2, MaxLag: 10}, "", "warn: " + lags + ", more than 2"},
		{"lags too far", nats.Check{URL: at("app"), Consumers: consumer, WarnLag: 1, MaxLag: 2}, "", lags + ", more than 2"},
		{"no such stream", nats.Check{URL: at("app"), Streams: []string{"ORDERS", "MAILS"}, Consumers: []string{"BILLS/payer"}}, "", "no stream MAILS; no stream BILLS"},
		{"no such consumer", nats.Check{URL: at("app"), Consumers: []string{"ORDERS/payer"}}, "", "no consumer ORDERS/payer"},
		{"no JetStream on the server", nats.Check{URL: "nats://" + plain, JetStream: true}, "", "nobody answers for JetStream: it is not enabled on the server, or not for this user's account: " + plain},
		{"no JetStream for the account", nats.Check{URL: at("other"), JetStream: true}, "", "JetStream not enabled for account (JetStream error 10039): " + server.address},
		{"no such domain", nats.Check{URL: at("app"), Domain: "hub", Streams: stream}, "", "nobody answers for JetStream: it is not enabled on the server, or not for this user's account: " + server.address},
		{"may not ask", nats.Check{URL: at("nobody"), Streams: stream}, "", `Permissions Violation for Publish to "$JS.API.STREAM.INFO.ORDERS": ` + server.address},
	} {
		t.Run(test.name, func(t *testing.T) { checktest.Expect(t, &test.check, 0, test.output, test.want) })
	}
	t.Run("may not listen", func(t *testing.T) {
		_, err := run(t, &nats.Check{URL: at("deaf"), Streams: stream}, 0)
		if err == nil || !strings.HasPrefix(err.Error(), `Permissions Violation for Subscription to "_INBOX.`) {
			t.Errorf("error = %v", err)
		}
	})
}

// Three servers hold a stream together; one after the other dies.
func TestCluster(t *testing.T) {
	t.Parallel()
	var routes, urls []string
	for range 3 {
		routes = append(routes, servers.FreeAddress(t))
	}
	var cluster []*natsServer
	for i := range 3 {
		cluster = append(cluster, start(t, fmt.Sprintf("server_name: n%d\n%s\ncluster: {name: c, listen: %q, routes: [\"nats://%s\"]}",
			i, jetstream(t), routes[i], strings.Join(routes, `", "nats://`))))
		urls = append(urls, "nats://"+cluster[i].address)
	}
	_, js := connect(t, strings.Join(urls, ","))
	addOrders(t, js, 3, 1)
	check := &nats.Check{URL: urls[0], Streams: []string{"ORDERS"}, Consumers: []string{"ORDERS/mailer"}}
	retry(t, func() error {
		output, err := run(t, check, 10*time.Second)
		if want := "answers: " + cluster[0].address + "; stream ORDERS has 1 messages; consumer ORDERS/mailer lags 1 messages"; err == nil && output != want {
			t.Fatalf("got %s, want %s", output, want)
		}
		return err
	})

	cluster[2].Kill()
	retry(t, func() error {
		_, err := run(t, check, 10*time.Second)
		if err == nil || !checktest.Warns(err) || !strings.HasPrefix(err.Error(), "stream ORDERS: replica n2 is ") {
			return fmt.Errorf("the missing replica is no warning: %w", err)
		}
		return nil
	})
	cluster[2].Start()
	retry(t, func() error {
		// A replica of a consumer that nothing happens to says nothing of itself.
		if _, err := js.Publish("orders.new", nil); err != nil {
			return err
		}
		_, err := run(t, check, 10*time.Second)
		return err
	})
}

// What JetStream's API can answer besides, as a server that lost its majority
// does after a while.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const noStream = `{"error": {"code": 404, "err_code": 10059, "description": "stream not found"}}`
	for _, test := range []struct {
		name, answer string
		want         string // the error; ADDRESS is where the server is
	}{
		{"stream without a leader", `{"state": {"messages": 1}, "cluster": {"replicas": [{"name": "n0", "current": true}]}}`, "stream S has no leader"},
		{"replica offline", `{"state": {"messages": 1}, "cluster": {"leader": "n0", "replicas": [{"name": "n1", "current": false, "offline": true}]}}`, "warn: stream S: replica n1 is offline"},
		{"replica behind", `{"state": {"messages": 1}, "cluster": {"leader": "n0", "replicas": [{"name": "n1", "current": false}, {"name": "n2", "current": true}]}}`, "warn: stream S: replica n1 is not up to date"},
		{"another error", `{"error": {"code": 503, "err_code": 10008, "description": "JetStream system temporarily unavailable"}}`, "stream S: JetStream system temporarily unavailable (JetStream error 10008)"},
		{"no such stream", noStream, "no stream S"},
		{"nothing in it", `{}`, "stream S: the answer has no state"},
		{"no JSON", `<html>`, "JetStream's answer to $JS.API.STREAM.INFO.S is not JSON: ADDRESS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := answers(t, test.answer)
			checktest.Expect(t, &nats.Check{URL: "nats://" + address, Streams: []string{"S"}}, 0, "", strings.Replace(test.want, "ADDRESS", address, 1))
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const (
		forms      = "write nats://USER:PASSWORD@HOST:PORT, nats://TOKEN@HOST:PORT or tls://HOST:PORT, several separated by commas"
		unreadable = "url: cannot be read: " + forms + ", with special characters in user and password percent-encoded (@ as %40, / as %2F, # as %23, ? as %3F, : as %3A, the comma as %2C)"
	)
	for _, test := range []struct {
		name  string
		check nats.Check
		want  string
	}{
		{"host", nats.Check{URL: "nats://nats.internal"}, ""},
		{"all of it", nats.Check{URL: "tls://app:p%40ss@[::1]:4222/", Domain: "hub", Streams: []string{"A-b_1"}, Consumers: []string{"A/b"}, WarnLag: 1, MaxLag: 1}, ""},
		{"nothing", nats.Check{}, "url: is missing: " + forms},
		{"no scheme", nats.Check{URL: secret + "@nats.internal:4222"}, "url: has no scheme: " + forms},
		{"WebSocket", nats.Check{URL: "wss://nats.internal"}, "url: is a WebSocket's: the server's own port is needed here; " + forms},
		{"another scheme", nats.Check{URL: "redis://:" + secret + "@h"}, "url: has an unknown scheme: " + forms},
		{"slash in the password", nats.Check{URL: "nats://app:" + secret + "/x@h"}, unreadable},
		{"comma in the password", nats.Check{URL: "nats://app:" + secret + ",x@h"}, unreadable},
		{"port 0", nats.Check{URL: "nats://h:0"}, unreadable},
		{"no host", nats.Check{URL: "nats://"}, unreadable},
		{"second of two", nats.Check{URL: "nats://h,h2"}, "url: has no scheme: " + forms},
		{"stream", nats.Check{URL: "nats://h", Streams: []string{"orders.new"}}, `streams: "orders.new" is not the name of a stream: it has no spaces, dots, slashes, * and >`},
		{"consumer", nats.Check{URL: "nats://h", Consumers: []string{"mailer"}}, `consumers: "mailer" is not STREAM/CONSUMER`},
		{"domain", nats.Check{URL: "nats://h", Domain: "a.b"}, `domain: "a.b" is not the name of a JetStream domain`},
		{"two logins", nats.Check{URL: "nats://h", Credentials: "a", NKey: "b"}, "nkey: is one way to log in, credentials another: write one of them"},
		{"half a certificate", nats.Check{URL: "nats://h", Certificate: "a"}, "key: is missing: the file of the private key that belongs to certificate"},
		{"thresholds", nats.Check{URL: "nats://h", Consumers: []string{"a/b"}, WarnLag: 5, MaxLag: 4}, "warn_lag: 5 is more than max_lag (4): the check would fail before it warns"},
		{"negative", nats.Check{URL: "nats://h", Consumers: []string{"a/b"}, MaxLag: -1}, "max_lag: -1 is negative"},
		{"whose lag", nats.Check{URL: "nats://h", MaxLag: 4}, "consumers: is missing: whose lag to look at, as STREAM/CONSUMER"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := test.check.Validate()
			if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
				t.Fatalf("error = %v\nwant    %s", err, test.want)
			}
			if _, ok := errors.AsType[*checks.OptionError](err); err != nil && !ok {
				t.Errorf("%T is no OptionError", err)
			}
		})
	}
}

// tlsFirst starts a server that speaks TLS before it passes everything on.
func tlsFirst(t *testing.T, cert servers.Certificate, upstream string) (address string) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}})
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
				up, err := net.Dial("tcp", upstream)
				if err != nil {
					return
				}
				defer up.Close()
				go func() { _, _ = io.Copy(up, conn); up.Close() }()
				_, _ = io.Copy(conn, up)
			}()
		}
	}()
	return listener.Addr().String()
}

// end is when a certificate ends, as messages tell it.
func end(t *testing.T, cert servers.Certificate) string {
	t.Helper()
	return cert.TLS(t).Leaf.NotAfter.UTC().Format(time.DateTime)
}
