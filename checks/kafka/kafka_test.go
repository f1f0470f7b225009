package kafka_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"hale/checks"
	"hale/checks/kafka"
	"hale/test/checktest"
	"hale/test/servers"
)

const secret = "s3cr3t-hunter2"

func TestFaults(t *testing.T) {
	f := start(t)
	f.produce(t, "orders", 3, 2, 1)
	f.commit(t, "mailer", "orders", 1, 1, 1)
	target := checktest.Target{
		Address: f.address(),
		New: func(address string) checks.Check {
			return &warnless{&kafka.Check{Brokers: []string{address}, Topics: []string{"orders"}, Group: "mailer"}}
		},
		Connections: f.connections,
	}
	target.Faults(t)
	checktest.Soak(t, target.New(f.address()), f.connections)
	checktest.Eventually(t, "no connection is left", func() bool { return f.connections() == 0 })
}

// warnless is a check whose group has no members, which is not the question here.
type warnless struct{ *kafka.Check }

func (c *warnless) Run(ctx context.Context) (string, error) {
	output, err := c.Check.Run(ctx)
	if err != nil && checktest.Warns(err) {
		return err.Error(), nil
	}
	return output, err
}

// With a login and TLS, too, nothing stays.
func TestFaultsOfALogin(t *testing.T) {
	cert := servers.NewCertificate(t, "127.0.0.1")
	f := start(t, withTLS(t, cert, tls.NoClientCert), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "app", secret))
	target := checktest.Target{
		Address: f.address(),
		New: func(address string) checks.Check {
			return &kafka.Check{Brokers: []string{address}, TLS: true, CA: cert.CertFile, SASL: kafka.ScramSHA512, User: "app", Password: secret, Reach: true}
		},
		Secrets:     []string{secret},
		Connections: f.connections,
	}
	target.Faults(t)
	checktest.Soak(t, target.New(f.address()), f.connections)
}

func TestLogin(t *testing.T) {
	t.Parallel()
	f := start(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", secret), kfake.Superuser("SCRAM-SHA-256", "app", secret), kfake.Superuser("SCRAM-SHA-512", "app", secret))
	// Kafka says so before it hangs up, unlike the fake (KIP-152).
	says := start(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", secret))
	answer[*kmsg.SASLAuthenticateRequest](says, func(r *kmsg.SASLAuthenticateResponse) {
		text := "Authentication failed: Invalid username or password"
		r.ErrorCode, r.ErrorMessage = 58, &text
	})
	picky := start(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", secret))
	answer[*kmsg.SASLHandshakeRequest](picky, func(r *kmsg.SASLHandshakeResponse) {
		r.ErrorCode, r.SupportedMechanisms = 33, []string{"GSSAPI", "OAUTHBEARER"}
	})
	open := start(t)
	for _, test := range []struct {
		name           string
		at             *fake
		sasl           kafka.Mechanism
		user, password string
		want           string // the error up to the address; empty: it passes
	}{
		{"no login needed", open, "", "", "", ""},
		{"plain", f, kafka.Plain, "app", secret, ""},
		{"SCRAM-SHA-256", f, kafka.ScramSHA256, "app", secret, ""},
		{"SCRAM-SHA-512", f, kafka.ScramSHA512, "app", secret, ""},
		{"wrong password", says, kafka.Plain, "app", "no-" + secret, `user "app" or its password refused: "Authentication failed: Invalid username or password": `},
		{"wrong password, plain", f, kafka.Plain, "app", "no-" + secret, "connection closed in the login; are user and password right? "},
		{"wrong password, SCRAM", f, kafka.ScramSHA256, "app", "no-" + secret, "connection closed in the login; are user and password right? "},
		{"unknown user", f, kafka.ScramSHA512, "nobody", secret, "connection closed in the login; are user and password right? "},
		{"no login", f, "", "", "", "connection closed instead of an answer to Metadata; does the broker expect a login (sasl)? "},
		{"mechanism not offered", picky, kafka.ScramSHA256, "app", secret, "the broker does not offer SCRAM-SHA-256 but GSSAPI, OAUTHBEARER: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			check := &kafka.Check{Brokers: []string{test.at.address()}, SASL: test.sasl, User: test.user, Password: test.password}
			if test.want != "" {
				test.want += test.at.address()
			}
			checktest.Expect(t, check, 0, "answers with 3 brokers: "+test.at.address(), test.want)
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "127.0.0.1")
	expired := servers.ExpiredCertificate(t, "127.0.0.1")
	elsewhere := servers.NewCertificate(t, "kafka.example.com")
	good, old, other := start(t, withTLS(t, cert, tls.NoClientCert)).address(), start(t, withTLS(t, expired, tls.NoClientCert)).address(), start(t, withTLS(t, elsewhere, tls.NoClientCert)).address()
	asks := start(t, withTLS(t, cert, tls.RequireAnyClientCert)).address()
	plain := start(t).address()
	for _, test := range []struct {
		name, at string
		check    kafka.Check
		want     string // the error up to the address; empty: it passes
	}{
		{"good", good, kafka.Check{TLS: true, CA: cert.CertFile}, ""},
		{"insecure", good, kafka.Check{TLS: true, Insecure: true}, ""},
		{"the client's certificate", asks, kafka.Check{TLS: true, CA: cert.CertFile, Certificate: cert.CertFile, Key: cert.KeyFile}, ""},
		{"no client's certificate", asks, kafka.Check{TLS: true, CA: cert.CertFile}, "TLS: certificate required: "},
		{"unknown authority", good, kafka.Check{TLS: true}, "TLS: certificate signed by an unknown authority: "},
		{"expired", old, kafka.Check{TLS: true, CA: expired.CertFile}, "TLS: certificate expired on " + expired.TLS(t).Leaf.NotAfter.UTC().Format(time.DateTime) + ": "},
		{"another name", other, kafka.Check{TLS: true, CA: elsewhere.CertFile}, "TLS: certificate is not for 127.0.0.1 but for kafka.example.com: "},
		{"no TLS where it is expected", good, kafka.Check{}, "connection closed without an answer; does the broker expect TLS on this port? "},
		{"TLS where there is none", plain, kafka.Check{TLS: true, CA: cert.CertFile}, "connected, but no answer to the TLS handshake within 2s: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.Brokers = []string{test.at}
			if test.want != "" {
				test.want += test.at
			}
			timeout := time.Minute
			if strings.Contains(test.want, "within") {
				timeout = 2 * time.Second
			}
			checktest.Expect(t, &test.check, timeout, "answers with 3 brokers: "+test.at, test.want)
		})
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	f := start(t)
	hangs := servers.Proxy(t, f.address())
	hangs.Break(servers.BlackHole)
	stuck := start(t)
	hang[*kmsg.MetadataRequest](stuck)
	ancient := start(t)
	answer[*kmsg.ApiVersionsRequest](ancient, func(r *kmsg.ApiVersionsResponse) {
		r.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: 3, MaxVersion: 0}}
	})
	answers := "answers with 3 brokers: " + f.address()
	for _, test := range []struct {
		name         string
		brokers      []string
		timeout      time.Duration // 0: a minute
		output, want string
	}{
		{"answers", []string{f.address()}, 0, answers, ""},
		{"nobody listens", []string{"127.0.0.1:1"}, 0, "", "connection refused: 127.0.0.1:1"},
		{"unknown name", []string{"kafka.invalid:9092"}, 0, "", "name does not resolve: kafka.invalid"},
		{"hangs", []string{hangs.Address()}, time.Second, "", "connected, but no answer within 1s: " + hangs.Address()},
		{"knows nothing of the cluster", []string{stuck.address()}, 2 * time.Second, "", "no answer to Metadata within 2s: " + stuck.address()},
		{"too old", []string{ancient.address()}, 0, "", "the broker knows no version of Metadata from 1 to 9: " + ancient.address()},
		{"second of two", []string{"127.0.0.1:1", f.address()}, 0, "connection refused: 127.0.0.1:1; " + answers, ""},
		{"first of two hangs", []string{hangs.Address(), f.address()}, 6 * time.Second, "connected, but no answer within 3s: " + hangs.Address() + "; " + answers, ""},
		{"none of two", []string{"127.0.0.1:1", "kafka.invalid:9092"}, 0, "", "connection refused: 127.0.0.1:1; name does not resolve: kafka.invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			checktest.Expect(t, &kafka.Check{Brokers: test.brokers}, test.timeout, test.output, test.want)
		})
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	f := start(t)
	// A cluster that gives out names which lead nowhere: the usual mistake with
	// advertised.listeners.
	misled := start(t)
	answer[*kmsg.MetadataRequest](misled, func(r *kmsg.MetadataResponse) {
		for i, address := range misled.ListenAddrs() {
			host, port, _ := net.SplitHostPort(address)
			n, _ := strconv.Atoi(port)
			r.Brokers = append(r.Brokers, kmsg.MetadataResponseBroker{NodeID: int32(i), Host: host, Port: int32(n)})
		}
		r.Brokers[1].Host = "kafka-1.invalid"
		r.ControllerID = 0
	})
	headless := start(t)
	answer[*kmsg.MetadataRequest](headless, func(r *kmsg.MetadataResponse) { r.ControllerID = -1 })
	answers := "answers with 3 brokers: " + f.address()
	for _, test := range []struct {
		name         string
		at           *fake
		check        kafka.Check
		output, want string
	}{
		{"enough brokers", f, kafka.Check{MinBrokers: 3}, answers, ""},
		{"too few brokers", f, kafka.Check{MinBrokers: 4}, "", "the cluster has 3 brokers, fewer than 4"},
		{"each is reached", f, kafka.Check{Reach: true}, answers, ""},
		{"a name that leads nowhere", misled, kafka.Check{Reach: true}, "", "broker 1, as the cluster gives it out: name does not resolve: kafka-1.invalid"},
		{"no brokers and no controller", headless, kafka.Check{}, "", "the cluster has 0 brokers, fewer than 1; the cluster has no controller"},
		{"topic", f, kafka.Check{Topics: []string{"orders"}}, answers + "; topic orders has 3 partitions", ""},
		{"no such topic", f, kafka.Check{Topics: []string{"orders", "bills"}}, "", "no topic bills"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.Brokers = []string{test.at.address()}
			checktest.Expect(t, &test.check, 0, test.output, test.want)
		})
	}
	t.Run("no topic came into being", func(t *testing.T) {
		checktest.Expect(t, &kafka.Check{Brokers: []string{f.address()}, Topics: []string{"bills"}}, 0, "", "no topic bills")
	})
}

// What a cluster of several brokers can tell of a topic, which the fake has no
// replicas for.
func TestPartitions(t *testing.T) {
	t.Parallel()
	part := func(number, leader int32, isr ...int32) kmsg.MetadataResponseTopicPartition {
		return kmsg.MetadataResponseTopicPartition{Partition: number, Leader: leader, Replicas: []int32{0, 1, 2}, ISR: isr}
	}
	var leaderless []kmsg.MetadataResponseTopicPartition
	for i := range int32(12) {
		leaderless = append(leaderless, part(11-i, -1, 0, 1, 2))
	}
	for _, test := range []struct {
		name       string
		code       int16
		partitions []kmsg.MetadataResponseTopicPartition
		minInSync  int
		want       string // the error; empty: it passes
	}{
		{"all in sync", 0, []kmsg.MetadataResponseTopicPartition{part(0, 0, 0, 1, 2), part(1, 1, 0, 1, 2)}, 0, ""},
		{"replicas missing", 0, []kmsg.MetadataResponseTopicPartition{part(0, 0, 0, 1), part(1, 1, 0, 1, 2), part(2, 2, 2)}, 0, "warn: topic orders: 2 of 3 partitions with replicas that are not in sync (0, 2)"},
		{"too few in sync", 0, []kmsg.MetadataResponseTopicPartition{part(0, 0, 0, 1), part(1, 1, 0, 1, 2), part(2, 2, 2)}, 2, "topic orders: 1 of 3 partitions with fewer than 2 replicas in sync (2); topic orders: 1 of 3 partitions with replicas that are not in sync (0)"},
		{"no leader", 0, []kmsg.MetadataResponseTopicPartition{part(0, 0, 0, 1, 2), part(1, -1)}, 0, "topic orders: 1 of 2 partitions without a leader (1)"},
		{"no leaders", 5, leaderless, 0, "topic orders: 12 of 12 partitions without a leader (0, 1, 2, 3, 4, ...)"},
		{"no partitions", 0, nil, 0, "topic orders has no partitions"},
		{"not allowed", 29, nil, 0, "topic orders: the user may not describe it"},
		{"bad name", 17, nil, 0, "topic orders: The request attempted to perform an operation on an invalid topic (INVALID_TOPIC_EXCEPTION)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			answer[*kmsg.MetadataRequest](f, func(r *kmsg.MetadataResponse) {
				name := "orders"
				r.ControllerID = 0
				r.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 0, Host: "127.0.0.1", Port: 1}}
				r.Topics = []kmsg.MetadataResponseTopic{{Topic: &name, ErrorCode: test.code, Partitions: test.partitions}}
			})
			check := &kafka.Check{Brokers: []string{f.address()}, Topics: []string{"orders"}, MinInSync: test.minInSync}
			checktest.Expect(t, check, 0, "answers with 1 broker: "+f.address()+"; topic orders has 2 partitions", test.want)
		})
	}
}

func TestGroup(t *testing.T) {
	t.Parallel()
	f := start(t, kfake.SeedTopics(1, "bills"))
	f.produce(t, "orders", 5, 3, 1)
	f.produce(t, "bills", 7)
	f.commit(t, "mailer", "orders", 2, 3, 0)
	f.commit(t, "both", "orders", 5, 3, 1)
	f.commit(t, "both", "bills", 0)
	f.commit(t, "one", "bills", 6)
	answers := "answers with 3 brokers: " + f.address() + "; "
	idle := "warn: group mailer has no members: nobody consumes"
	for _, test := range []struct {
		name         string
		check        kafka.Check
		output, want string
	}{
		{"nobody consumes", kafka.Check{Group: "mailer"}, "", idle},
		{"too few members", kafka.Check{Group: "mailer", MinMembers: 2}, "", "group mailer has 0 members, fewer than 2"},
		{"lags little", kafka.Check{Group: "mailer", WarnLag: 4, MaxLag: 10}, "", idle},
		{"lags", kafka.Check{Group: "mailer", WarnLag: 3, MaxLag: 10}, "", idle + "; group mailer lags 4 messages (3 of them in orders/0), more than 3"},
		{"lags too far", kafka.Check{Group: "mailer", WarnLag: 1, MaxLag: 3}, "", "group mailer lags 4 messages (3 of them in orders/0), more than 3; " + strings.TrimPrefix(idle, "warn: ")},
		{"one message", kafka.Check{Group: "one", MinMembers: 1}, "", "group one has 0 members, fewer than 1"},
		{"all its topics", kafka.Check{Group: "both", MaxLag: 6}, "", "group both lags 7 messages (7 of them in bills/0), more than 6; group both has no members: nobody consumes"},
		{"one of its topics", kafka.Check{Group: "both", Topics: []string{"orders"}, MaxLag: 6}, "", "warn: group both has no members: nobody consumes"},
		{"another topic", kafka.Check{Group: "mailer", Topics: []string{"bills"}}, "", idle + "; group mailer has committed nothing of topic bills"},
		{"no such group", kafka.Check{Group: "nobody"}, "", "no group nobody"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.Brokers = []string{f.address()}
			checktest.Expect(t, &test.check, 0, test.output, test.want)
		})
	}

	for _, protocol := range []struct {
		name    string
		options []kgo.Opt
	}{
		{"classic", nil},
		{"KIP-848", []kgo.Opt{kgo.ServerSideBalancer()}},
	} {
		t.Run("with a member, "+protocol.name, func(t *testing.T) {
			group := "consumer-" + protocol.name
			options := append(protocol.options, kgo.ConsumerGroup(group), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			f.client(t, func(ctx context.Context, client *kgo.Client) {
				for got := 0; got < 9; {
					fetches := client.PollFetches(ctx)
					if err := fetches.Err(); err != nil {
						t.Fatal(err)
					}
					got += fetches.NumRecords()
				}
				if err := client.CommitUncommittedOffsets(ctx); err != nil {
					t.Fatal(err)
				}
				checktest.Expect(t, &kafka.Check{Brokers: []string{f.address()}, Group: group, MinMembers: 1, WarnLag: 1, MaxLag: 1}, 0,
					answers+"group "+group+" has 1 member; group "+group+" lags 0 messages", "")
			}, options...)
		})
	}
}

// A user with no more rights than docs/checks.md asks for, and one with less.
func TestRights(t *testing.T) {
	t.Parallel()
	allow := func(resource kmsg.ACLResourceType, name string) kfake.ACL {
		return kfake.ACL{Resource: resource, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationDescribe, Allow: true}
	}
	f := start(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", secret),
		kfake.User("PLAIN", "monitor", secret, allow(kmsg.ACLResourceTypeTopic, "orders"), allow(kmsg.ACLResourceTypeGroup, "mailer")),
		kfake.User("PLAIN", "nobody", secret))
	check := func(user, topic, group string) *kafka.Check {
		return &kafka.Check{Brokers: []string{f.address()}, SASL: kafka.Plain, User: user, Password: secret, Topics: []string{topic}, Group: group, Reach: true}
	}
	checktest.Expect(t, check("monitor", "orders", "mailer"), 0, "", "no group mailer")
	checktest.Expect(t, check("nobody", "orders", "mailer"), 0, "", "topic orders: the user may not describe it; group mailer: the user may not describe it")
}

func TestValidate(t *testing.T) {
	t.Parallel()
	one := []string{"kafka-1.internal:9092"}
	for _, test := range []struct {
		name  string
		check kafka.Check
		want  string
	}{
		{"one broker", kafka.Check{Brokers: one}, ""},
		{"all of it", kafka.Check{Brokers: append(one, "[::1]:9093"), TLS: true, Certificate: "c", Key: "k", SASL: kafka.ScramSHA512, User: "u", Password: "p", MinBrokers: 1, Topics: one, MinInSync: 2, Group: "g", MinMembers: 1, WarnLag: 1, MaxLag: 1}, ""},
		{"none", kafka.Check{}, "brokers: is missing: write host:port of one broker or several, such as [kafka-1.internal:9092]"},
		{"no port", kafka.Check{Brokers: []string{"kafka"}}, `brokers: "kafka" is not host:port: write it as kafka-1.internal:9092`},
		{"TLS's options without TLS", kafka.Check{Brokers: one, CA: "ca.pem"}, "tls: is false, so that ca, certificate and insecure mean nothing: set tls: true, or remove them"},
		{"half a certificate", kafka.Check{Brokers: one, TLS: true, Key: "k"}, "certificate: is missing: the file of the certificate that belongs to key"},
		{"a user, but no way to log in", kafka.Check{Brokers: one, User: "app", Password: secret}, "sasl: is missing: write plain, scram-sha-256 or scram-sha-512, as the brokers want user and password"},
		{"unknown mechanism", kafka.Check{Brokers: one, SASL: "oauthbearer", User: "app", Password: secret}, `sasl: "oauthbearer" is not known here: write plain, scram-sha-256 or scram-sha-512`},
		{"no user", kafka.Check{Brokers: one, SASL: kafka.Plain, Password: secret}, "user: is missing: who logs in"},
		{"no password", kafka.Check{Brokers: one, SASL: kafka.Plain, User: "app"}, "password: is missing"},
		{"negative", kafka.Check{Brokers: one, MinBrokers: -1}, "min_brokers: -1 is negative"},
		{"whose partitions", kafka.Check{Brokers: one, MinInSync: 2}, "topics: is missing: whose partitions min_insync is about"},
		{"whose lag", kafka.Check{Brokers: one, MaxLag: 2}, "group: is missing: whose members and lag to look at"},
		{"thresholds", kafka.Check{Brokers: one, Group: "g", WarnLag: 3, MaxLag: 2}, "warn_lag: 3 is more than max_lag (2): the check would fail before it warns"},
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
