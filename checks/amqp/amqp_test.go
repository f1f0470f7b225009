package amqp_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	rabbitmq "github.com/rabbitmq/amqp091-go"

	"hale/checks"
	"hale/checks/amqp"
	"hale/test/checktest"
	"hale/test/servers"
)

// One node serves all tests, one after the other where they change it: it takes
// seconds to start.
func TestRabbitMQ(t *testing.T) {
	node := servers.RabbitMQ(t)
	t.Run("queues", func(t *testing.T) { fill(t, node, map[string]int{"mail": 3, "empty": 0}) })
	t.Run("outcomes", func(t *testing.T) { testOutcomes(t, node) })
	t.Run("consumers", func(t *testing.T) { testConsumers(t, node) })
	t.Run("rights", func(t *testing.T) { testRights(t, node) })
	t.Run("faults", func(t *testing.T) {
		checktest.Target{
			Address:     node.Address(),
			New:         func(at string) checks.Check { return &amqp.Check{URL: at2url(node, at), Queues: []string{"mail"}} },
			Secrets:     []string{servers.Password, url.QueryEscape(servers.Password)},
			Connections: node.Connections,
		}.Faults(t)
	})
	t.Run("TLS", func(t *testing.T) { testTLS(t, node) })
	t.Run("soak", func(t *testing.T) {
		checktest.Soak(t, &amqp.Check{URL: node.URL(), Queues: []string{"mail", "empty"}}, node.Connections)
	})
	t.Run("nothing is left", func(t *testing.T) {
		if got := node.Control("list_queues", "--vhost", servers.Database, "--no-table-headers", "name", "messages"); !sameLines(got, "mail\t3\nempty\t0") {
			t.Errorf("queues after all tests:\n%s", got)
		}
	})
	t.Run("alarms", func(t *testing.T) { testAlarms(t, node) })
}

func testOutcomes(t *testing.T, node *servers.Rabbit) {
	at := ": " + node.Address()
	for _, test := range []struct {
		name    string
		check   amqp.Check
		timeout time.Duration
		want    string
	}{
		{name: "nothing but the URL", want: "pass: takes messages" + at},
		{
			name: "queues", check: amqp.Check{Queues: []string{"mail", "empty"}},
			want: `pass: queue "mail" has 3 messages and 0 consumers; queue "empty" has 0 messages and 0 consumers; takes messages` + at,
		},
		{
			name: "not too long", check: amqp.Check{Queues: []string{"mail"}, WarnLength: 3, MaxLength: 3},
			want: `pass: queue "mail" has 3 messages and 0 consumers; takes messages` + at,
		},
		{
			name: "long", check: amqp.Check{Queues: []string{"empty", "mail"}, WarnLength: 2, MaxLength: 3},
			want: `warn: queue "mail" has 3 messages and 0 consumers, more than 2` + at,
		},
		{
			name: "too long", check: amqp.Check{Queues: []string{"mail"}, MaxLength: 2},
			want: `fail: queue "mail" has 3 messages and 0 consumers, more than 2` + at,
		},
		{
			name: "nobody consumes", check: amqp.Check{Queues: []string{"mail"}, MinConsumers: 1},
			want: `fail: queue "mail" has 0 consumers, expected at least 1` + at,
		},
		{
			name: "a missing queue hides no other", check: amqp.Check{Queues: []string{"nope", "mail", "gone"}, MaxLength: 1},
			want: `fail: no queue "nope"; queue "mail" has 3 messages and 0 consumers, more than 1; no queue "gone"` + at,
		},
		{
			name: "no such virtual host", check: amqp.Check{URL: with(node, func(u *url.URL) { u.Path = "/nope" })},
			want: "fail: vhost nope not found" + at,
		},
		{
			name: "a virtual host for others", check: amqp.Check{URL: with(node, func(u *url.URL) { u.Path = "" })},
			want: "fail: vhost / not found" + at,
		},
		{
			name: "wrong password", check: amqp.Check{URL: with(node, func(u *url.URL) { u.User = url.UserPassword("hale", "wr0ng") })},
			want: `fail: wrong password, or user "hale" does not exist or may not log in` + at,
		},
		{
			name: "no user", check: amqp.Check{URL: with(node, func(u *url.URL) { u.User = nil })},
			want: `fail: wrong password, or user "guest" does not exist or may not log in` + at,
		},
		{
			name: "wrong password, and little time", timeout: 2500 * time.Millisecond, check: amqp.Check{URL: with(node, func(u *url.URL) { u.User = url.UserPassword("hale", "wr0ng") })},
			want: "fail: no answer to user and password within 2.5s (RabbitMQ takes 3s to refuse wrong ones)" + at,
		},
		{
			name: "TLS is expected", check: amqp.Check{URL: with(node, func(u *url.URL) { u.Scheme = "amqps" })},
			want: "fail: TLS: the server does not speak TLS on this port" + at,
		},
		{
			name: "TLS is not expected", check: amqp.Check{URL: with(node, func(u *url.URL) { u.Host = node.TLSAddress() })},
			want: "fail: the server speaks TLS on this port, and was asked without: " + node.TLSAddress(),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.check.URL == "" {
				test.check.URL = node.URL()
			}
			if got := checktest.Outcome(t, &test.check, test.timeout); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func testConsumers(t *testing.T, node *servers.Rabbit) {
	channel := connect(t, node)
	if _, err := channel.Consume("empty", "", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	check := &amqp.Check{URL: node.URL(), Queues: []string{"empty"}, MinConsumers: 1}
	want := `pass: queue "empty" has 0 messages and 1 consumer; takes messages: ` + node.Address()
	if got := checktest.Outcome(t, check, 0); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	check.MinConsumers = 2
	want = `fail: queue "empty" has 1 consumer, expected at least 2: ` + node.Address()
	if got := checktest.Outcome(t, check, 0); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A user who may do nothing in the virtual host is enough for all but the
// message, and that is not held against the broker.
func testRights(t *testing.T, node *servers.Rabbit) {
	node.Control("add_user", "watcher", "s3cret")
	watcher := with(node, func(u *url.URL) { u.User = url.UserPassword("watcher", "s3cret") })
	want := "fail: access to vhost 'app' refused for user 'watcher': " + node.Address()
	if got := checktest.Outcome(t, &amqp.Check{URL: watcher}, 0); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	node.Control("set_permissions", "--vhost", servers.Database, "watcher", "^$", "^$", "^$")
	want = `pass: queue "mail" has 3 messages and 0 consumers; opens a channel: ` + node.Address()
	if got := checktest.Outcome(t, &amqp.Check{URL: watcher, Queues: []string{"mail"}}, 0); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func testTLS(t *testing.T, node *servers.Rabbit) {
	secure := with(node, func(u *url.URL) { u.Scheme, u.Host = "amqps", node.TLSAddress() })
	check := &amqp.Check{URL: secure, CA: node.Certificate().CertFile, Queues: []string{"mail"}}
	want := `pass: queue "mail" has 3 messages and 0 consumers; takes messages: ` + node.TLSAddress()
	if got := checktest.Outcome(t, check, 0); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	checktest.TLS{
		Serve: func(t *testing.T, cert servers.Certificate) string { return servers.TLSProxy(t, node.Address(), cert) },
		New: func(at, ca string, insecure bool) checks.Check {
			return &amqp.Check{URL: with(node, func(u *url.URL) { u.Scheme, u.Host = "amqps", at }), CA: ca, Insecure: insecure}
		},
	}.Faults(t)
}

// While the broker is short of something it stops reading from whoever
// publishes. Consumers, and so their checks, go on.
func testAlarms(t *testing.T, node *servers.Rabbit) {
	check := &amqp.Check{URL: node.URL(), Queues: []string{"mail"}}
	for _, resource := range []string{"memory", "disk"} {
		node.Alarm(resource)
		want := "fail: the broker blocks whoever publishes: low on " + resource + ": " + node.Address()
		// It is found at once, not when time runs out.
		start := time.Now()
		if got := checktest.Outcome(t, check, 0); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("took %v to find a blocked connection", took)
		}
		node.Relief(resource)
		want = `pass: queue "mail" has 3 messages and 0 consumers; takes messages: ` + node.Address()
		if got := checktest.Outcome(t, check, 0); got != want {
			t.Errorf("after the alarm: got  %s\nwant %s", got, want)
		}
	}
	node.Alarm("memory")
	for range 5 {
		checktest.Outcome(t, check, 0)
	}
	// The broker reads nothing of these, not even that they ended.
	checktest.Eventually(t, "no connection is left behind during an alarm", func() bool { return node.Connections() == 0 })
}

// Somebody else answers.
func TestStrangers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, says, want string }{
		{"AMQP 1.0", "AMQP\x00\x01\x00\x00", "fail: speaks another version of AMQP than 0-9-1: ADDRESS"},
		{"a web server", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", `fail: answered as HTTP ("HTTP/1.1 400 Bad Request"), not AMQP: ADDRESS`},
		{"a mail server", "220 mx.example.com ESMTP\r\n", `fail: answered "220 mx.example.com ESMTP", which is not AMQP: ADDRESS`},
		{"a frame without end", "\x01\x00\x00\x7f\xff\xff\xff", "fail: answered something that is not AMQP: ADDRESS"},
		{"nothing", "", "fail: connection closed without an answer: ADDRESS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { listener.Close() })
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				_, _ = io.ReadFull(conn, make([]byte, 8)) // the protocol's name and version
				_, _ = io.WriteString(conn, test.says)
			}()
			want := strings.ReplaceAll(test.want, "ADDRESS", listener.Addr().String())
			if got := checktest.Outcome(t, &amqp.Check{URL: "amqp://" + listener.Addr().String()}, 0); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const good = "amqp://app:s3cret@mq.internal/app"
	for _, test := range []struct {
		name  string
		check amqp.Check
		want  string // empty: it is good
	}{
		{"least", amqp.Check{URL: good}, ""},
		{"all", amqp.Check{URL: "amqps://app:s3cret@[::1]:5671/%2Fapp?heartbeat=30", Queues: []string{"a"}, WarnLength: 1, MaxLength: 1, MinConsumers: 1, CA: "ca.pem"}, ""},
		{"no URL", amqp.Check{}, "url: is missing: write amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://... for TLS"},
		{"no scheme", amqp.Check{URL: "//mq"}, "url: has no scheme: write amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://... for TLS"},
		{"another scheme", amqp.Check{URL: "http://mq"}, `url: has the scheme "http", which is none of AMQP: write amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://... for TLS`},
		{"unescaped", amqp.Check{URL: "amqp://app:s3/cret@mq/app"}, "url: cannot be read: "},
		{"question mark in the password", amqp.Check{URL: "amqp://app:5?s3cret=1@mq/app"}, "url: cannot be read: "},
		{"several hosts", amqp.Check{URL: "amqp://app:s3cret@mq1:1,mq2:2/app"}, "url: cannot be read: "},
		{"bad port", amqp.Check{URL: "amqp://app:s3cret@mq:0/app"}, "url: cannot be read: "},
		{"unknown parameter", amqp.Check{URL: good + "?heartbaet=3"}, "url: has a parameter that is not known here: heartbaet; "},
		{"TLS by parameter", amqp.Check{URL: good + "?cacertfile=/ca.pem"}, "url: has the parameter cacertfile: write amqps:// and the options ca, certificate, key and insecure instead"},
		{"TLS options without TLS", amqp.Check{URL: good, CA: "ca.pem"}, "ca: has no effect without TLS: write amqps:// in url"},
		{"half a certificate", amqp.Check{URL: "amqps://mq", Certificate: "c.pem"}, "key: is missing: the file of the private key that belongs to certificate"},
		{"thresholds without queues", amqp.Check{URL: good, MaxLength: 1}, "max_length: is about queues: name them in queues"},
		{"consumers without queues", amqp.Check{URL: good, MinConsumers: 1}, "min_consumers: is about queues: name them in queues"},
		{"an empty name", amqp.Check{URL: good, Queues: []string{""}}, "queues: one of the names is empty"},
		{"a long name", amqp.Check{URL: good, Queues: []string{strings.Repeat("q", 256)}}, `queues: "qqqqqqqqqqqqqqqqqqqq"... is longer than the 255 bytes of a queue's name`},
		{"never warns", amqp.Check{URL: good, Queues: []string{"a"}, WarnLength: 2, MaxLength: 1}, "warn_length: 2 is more than max_length (1): the check would fail before it warns"},
		{"negative", amqp.Check{URL: good, Queues: []string{"a"}, MinConsumers: -1}, "min_consumers: -1 is negative"},
	} {
		err := test.check.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
			t.Errorf("%s: error = %v, want %s", test.name, err, test.want)
		}
		if option, ok := errors.AsType[*checks.OptionError](err); err != nil && (!ok || !strings.HasPrefix(test.want, option.Key+":")) {
			t.Errorf("%s: not an OptionError: %#v", test.name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "s3") || strings.Contains(err.Error(), "cret@")) {
			t.Errorf("%s: %v holds a part of the password", test.name, err)
		}
	}
}

// fill declares queues with so many messages.
func fill(t *testing.T, node *servers.Rabbit, queues map[string]int) {
	t.Helper()
	channel := connect(t, node)
	if err := channel.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for name, messages := range queues {
		if _, err := channel.QueueDeclare(name, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		for range messages {
			confirmation, err := channel.PublishWithDeferredConfirm("", name, false, false, rabbitmq.Publishing{Body: []byte("x")})
			if err != nil {
				t.Fatal(err)
			}
			if ok, err := confirmation.WaitContext(t.Context()); !ok || err != nil {
				t.Fatalf("message not confirmed: %v", err)
			}
		}
	}
}

func connect(t *testing.T, node *servers.Rabbit) *rabbitmq.Channel {
	t.Helper()
	conn, err := rabbitmq.Dial(node.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

// with returns the node's URL with something changed.
func with(node *servers.Rabbit, change func(*url.URL)) string {
	u, err := url.Parse(node.URL())
	if err != nil {
		panic(err) // made by servers
	}
	change(u)
	return u.String()
}

func at2url(node *servers.Rabbit, address string) string {
	return with(node, func(u *url.URL) { u.Host = address })
}

func sameLines(got, want string) bool {
	lines := func(s string) map[string]bool {
		set := make(map[string]bool)
		for line := range strings.Lines(s) {
			set[strings.TrimSpace(line)] = true
		}
		return set
	}
	return fmt.Sprint(lines(got)) == fmt.Sprint(lines(want))
}
