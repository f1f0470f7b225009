package redis_test

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hale/checks"
	"hale/checks/redis"
	"hale/test/checktest"
	"hale/test/servers"
)

// expect runs a check once and compares the end of it, to the letter. A star in
// want stands for anything.
func expect(t *testing.T, c *redis.Check, want string) {
	t.Helper()
	got := checktest.Outcome(t, c, 0)
	if !like(got, want) {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
	if strings.Contains(got, password) || strings.Contains(got, "hunter2") {
		t.Errorf("the password is in %q", got)
	}
}

func like(got, want string) bool {
	before, after, star := strings.Cut(want, "*")
	if !star {
		return got == want
	}
	rest, ok := strings.CutPrefix(got, before)
	return ok && strings.HasSuffix(rest, after)
}

func TestFaults(t *testing.T) {
	for _, row := range []struct {
		name  string
		check redis.Check
	}{
		{"ping", redis.Check{}},
		{"write", redis.Check{Mode: "write"}},
		{"everything", redis.Check{Mode: "write", Role: "master", MaxMemory: 90}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := start(t, password, "--maxmemory", "100mb")
			checktest.Target{
				Address: s.address,
				New: func(address string) checks.Check {
					check := row.check
					check.URL = (&url.URL{Scheme: "redis", User: url.UserPassword("", password), Host: address, Path: "/1"}).String()
					return &check
				},
				Secrets:     []string{password, url.QueryEscape(password)},
				Connections: func() int { return s.clients(t) },
			}.Faults(t)
			// No run, of those that were cut off neither, has left its key.
			if keys := s.ask(t, "INFO", "keyspace").(string); strings.Contains(keys, "db") {
				t.Errorf("keys are left: %s", keys)
			}
		})
	}
}

func TestFaultsOfTLS(t *testing.T) {
	cert := servers.NewCertificate(t, "127.0.0.1")
	s := secured(t, cert)
	checktest.Target{
		Address: s.address,
		New: func(address string) checks.Check {
			return &redis.Check{URL: "rediss://" + address, Mode: "write", CA: cert.CertFile}
		},
	}.Faults(t)
}

func TestSoak(t *testing.T) {
	s := start(t, password)
	checktest.Soak(t, &redis.Check{URL: s.url("/0"), Mode: "write", Role: "master"}, func() int { return s.clients(t) })
	if keys := s.ask(t, "DBSIZE"); keys != int64(0) {
		t.Errorf("%d keys are left", keys)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	socket, closed := filepath.Join(t.TempDir(), "redis.sock"), servers.FreeAddress(t)
	open, locked := start(t, ""), start(t, password, "--unixsocket", socket)
	a := open.address
	for _, test := range []struct {
		name  string
		check redis.Check
		want  string
	}{
		{"ping", redis.Check{URL: open.url("")}, "pass: answers PING: " + a},
		{"ping in another database", redis.Check{URL: open.url("/3")}, "pass: answers PING: " + a},
		{"write", redis.Check{URL: open.url("/3?socket_timeout=5"), Mode: "write"}, "pass: wrote, read and deleted a key: " + a},
		{"Valkey's scheme", redis.Check{URL: "valkey://" + a}, "pass: answers PING: " + a},
		{"password", redis.Check{URL: locked.url("")}, "pass: answers PING: " + locked.address},
		{"socket", redis.Check{URL: "unix://" + socket + "?db=1&password=" + url.QueryEscape(password)}, "pass: answers PING: " + socket},
		{"socket in Celery's way", redis.Check{URL: (&url.URL{Scheme: "redis+socket", User: url.UserPassword("default", password), Path: socket, RawQuery: "virtual_host=1"}).String()}, "pass: answers PING: " + socket},
		{"master", redis.Check{URL: open.url(""), Role: "master"}, "pass: answers PING; master, replicas: 0: " + a},

		{"no such database", redis.Check{URL: open.url("/99")}, "fail: the server has no database 99: " + a},
		{"password for a server without one", redis.Check{URL: "redis://:hunter2@" + a}, "fail: the server has no password, but the URL does: " + a},
		{"password missing", redis.Check{URL: "unix://" + socket}, "fail: the server wants a password, and the URL has none: " + socket},
		{"wrong password", redis.Check{URL: "unix://" + socket + "?password=hunter2"}, "fail: wrong password, or user disabled: the default user: " + socket},
		{"unknown user", redis.Check{URL: "redis://nobody:hunter2@" + a}, `fail: wrong password, or user disabled: user "nobody": ` + a},
		{"not a replica", redis.Check{URL: open.url(""), Role: "replica"}, "fail: is a master, expected a replica: " + a},
		{"not a cluster", redis.Check{URL: open.url(""), Cluster: true}, "fail: not a node of a cluster: " + a},
		{"not a Sentinel", redis.Check{URL: open.url(""), Sentinel: "main"}, "fail: not a Sentinel: " + a},
		{"nobody listens", redis.Check{URL: "redis://" + closed}, "fail: connection refused: " + closed},
		{"no socket", redis.Check{URL: "unix:///nowhere.sock"}, "fail: no such socket: /nowhere.sock"},
		{"unknown name", redis.Check{URL: "redis://cache.invalid"}, "fail: name does not resolve: cache.invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			expect(t, &test.check, test.want)
		})
	}
	// A server that repeats the words that it does not know.
	mute := start(t, "", "--rename-command", "AUTH", "")
	expect(t, &redis.Check{URL: "redis://:hunter2@" + mute.address}, "fail: unknown command 'AUTH': "+mute.address)
	// Redis waits for the end of what it takes for a command.
	got := checktest.Outcome(t, &redis.Check{URL: "rediss://" + a}, time.Second)
	if want := "fail: connected, but no answer to the TLS handshake within 1s: " + a; got != want {
		t.Errorf("TLS to a plain port: got %s, want %s", got, want)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	checktest.TLS{
		Serve: func(t *testing.T, cert servers.Certificate) string { return secured(t, cert).address },
		New: func(address, ca string, insecure bool) checks.Check {
			return &redis.Check{URL: "rediss://" + address, CA: ca, Insecure: insecure}
		},
	}.Faults(t)

	cert := servers.NewCertificate(t, "127.0.0.1")
	open, strict := secured(t, cert), secured(t, cert, "--tls-auth-clients", "yes")
	expect(t, &redis.Check{URL: "rediss://" + open.address + "?ssl_cert_reqs=CERT_NONE"}, "pass: answers PING: "+open.address)
	expect(t, &redis.Check{URL: "rediss://" + strict.address, CA: cert.CertFile, Certificate: cert.CertFile, Key: cert.KeyFile}, "pass: answers PING: "+strict.address)
	// The server's alert may be overtaken by its reset.
	switch got := checktest.Outcome(t, &redis.Check{URL: "rediss://" + strict.address, CA: cert.CertFile}, 0); got {
	case "fail: TLS: certificate required: " + strict.address:
	case "fail: connection closed after the TLS handshake; does the server ask for a client's certificate? " + strict.address:
	default:
		t.Errorf("without the client's certificate: %s", got)
	}
	expect(t, &redis.Check{URL: "redis://" + open.address}, "fail: *: "+open.address)
}

// The rights that docs/checks.md names are enough, and no fewer are.
func TestRights(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	a := s.address
	grant := func(rules ...string) { t.Helper(); s.ask(t, append([]string{"ACL", "SETUSER", "app"}, rules...)...) }

	grant("on", ">"+password, "+ping")
	expect(t, &redis.Check{URL: s.urlAs("app")}, "pass: answers PING: "+a)
	expect(t, &redis.Check{URL: s.urlAs("app"), Role: "master"},
		`fail: user "app" may not do this: this user has no permissions to run the 'info' command: `+a)
	grant("+info")
	expect(t, &redis.Check{URL: s.urlAs("app"), Role: "master"}, "pass: answers PING; master, replicas: 0: "+a)
	expect(t, &redis.Check{URL: s.urlAs("app"), Mode: "write"},
		`fail: user "app" may not do this: this user has no permissions to run the 'set' command: `+a)
	grant("-@all", "+set", "+get", "+del")
	expect(t, &redis.Check{URL: s.urlAs("app"), Mode: "write"},
		`fail: user "app" may not do this: this user has no permissions to access one of the keys used as arguments: `+a)
	grant("~hale:check:*")
	expect(t, &redis.Check{URL: s.urlAs("app"), Mode: "write"}, "pass: wrote, read and deleted a key: "+a)
	expect(t, &redis.Check{URL: s.urlAs("app"), Mode: "write", KeyPrefix: "app:"},
		`fail: user "app" may not do this: this user has no permissions to access one of the keys used as arguments: `+a)
	expect(t, &redis.Check{URL: s.urlAs("app") + "/2", Mode: "write"},
		`fail: user "app" may not do this: this user has no permissions to run the 'select' command: `+a)
	grant("+select")
	expect(t, &redis.Check{URL: s.urlAs("app") + "/2", Mode: "write"}, "pass: wrote, read and deleted a key: "+a)
	grant("off")
	expect(t, &redis.Check{URL: s.urlAs("app")}, `fail: wrong password, or user disabled: user "app": `+a)

	s.ask(t, "ACL", "SETUSER", "open", "on", "nopass", "+ping")
	expect(t, &redis.Check{URL: "redis://open@" + a}, "pass: answers PING: "+a)
	s.ask(t, "ACL", "SETUSER", "default", "off")
	expect(t, &redis.Check{URL: "redis://" + a}, "fail: the server wants a password, and the URL has none: "+a)
}

func TestRightsOnACluster(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(servers.FreePort(t)))
	s.ask(t, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	s.ask(t, "ACL", "SETUSER", "app", "on", ">"+password, "+ping")
	check := redis.Check{URL: s.urlAs("app"), Cluster: true}
	expect(t, &check, `fail: user "app" may not do this: this user has no permissions to run the 'cluster|info' command: `+s.address)
	s.ask(t, "ACL", "SETUSER", "app", "+cluster|info")
	checktest.Eventually(t, "the cluster is up", func() bool {
		return checktest.Outcome(t, &check, 0) == "pass: answers PING; the cluster is well, masters: 1: "+s.address
	})
}

func TestReplica(t *testing.T) {
	t.Parallel()
	master := start(t, "")
	_, port, _ := net.SplitHostPort(master.address)
	replica := start(t, "", "--replicaof", "127.0.0.1 "+port)
	a, m := replica.address, master.address
	checktest.Eventually(t, "the replica is in step", func() bool {
		return strings.Contains(replica.ask(t, "INFO", "replication").(string), "master_link_status:up")
	})
	expect(t, &redis.Check{URL: replica.url(""), Role: "replica"}, "pass: answers PING; replica of "+m+": "+a)
	expect(t, &redis.Check{URL: replica.url(""), Role: "replica", MaxLag: time.Minute}, "pass: answers PING; replica of "+m+", last heard of it *s ago: "+a)
	expect(t, &redis.Check{URL: replica.url(""), Role: "master"}, "fail: is a replica, expected a master: "+a)
	expect(t, &redis.Check{URL: replica.url(""), Mode: "write"}, "fail: a read-only replica, which takes no writes: "+a)
	expect(t, &redis.Check{URL: master.url(""), Role: "master"}, "pass: answers PING; master, replicas: 1: "+m)

	master.Stop()
	checktest.Eventually(t, "the link has been down for two seconds", func() bool {
		_, since, _ := strings.Cut(replica.ask(t, "INFO", "replication").(string), "master_link_down_since_seconds:")
		seconds, _, _ := strings.Cut(since, "\r\n")
		n, err := strconv.Atoi(seconds)
		return err == nil && n >= 2
	})
	expect(t, &redis.Check{URL: replica.url("")}, "pass: answers PING: "+a)
	lost := "replica of " + m + ", has lost it, last heard of it *s ago"
	expect(t, &redis.Check{URL: replica.url(""), Role: "replica"}, "fail: "+lost+": "+a)
	expect(t, &redis.Check{URL: replica.url(""), Role: "replica", MaxLag: time.Minute}, "warn: "+lost+": "+a)
	expect(t, &redis.Check{URL: replica.url(""), Role: "replica", MaxLag: time.Minute, WarnLag: 30 * time.Second}, "pass: answers PING; "+lost+": "+a)
	expect(t, &redis.Check{URL: replica.url(""), Role: "replica", MaxLag: time.Minute, WarnLag: time.Second}, "warn: "+lost+", more than 1s: "+a)
	expect(t, &redis.Check{URL: replica.url(""), Role: "replica", MaxLag: time.Second}, "fail: "+lost+", more than 1s: "+a)
	replica.ask(t, "CONFIG", "SET", "replica-serve-stale-data", "no")
	expect(t, &redis.Check{URL: replica.url("")}, "fail: a replica that has lost its master, and does not serve stale data: "+a)
}

func TestMemory(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	a := s.address
	expect(t, &redis.Check{URL: s.url(""), MaxMemory: 90}, "warn: uses *iB of memory, and has no maxmemory to compare it with: "+a)
	s.ask(t, "CONFIG", "SET", "maxmemory", "1gb")
	expect(t, &redis.Check{URL: s.url(""), WarnMemory: 80, MaxMemory: 90}, "pass: answers PING; uses 0.*% of maxmemory 1GiB (noeviction): "+a)
	s.ask(t, "CONFIG", "SET", "maxmemory", "100kb") // less than an empty server uses
	expect(t, &redis.Check{URL: s.url(""), WarnMemory: 80}, "warn: uses *% of maxmemory 100KiB (noeviction), more than 80%: "+a)
	expect(t, &redis.Check{URL: s.url(""), WarnMemory: 80, MaxMemory: 90}, "fail: uses *% of maxmemory 100KiB (noeviction), more than 90%: "+a)
	expect(t, &redis.Check{URL: s.url(""), Mode: "write"}, "fail: the server is full: it uses all of maxmemory, and takes no writes: "+a)
	expect(t, &redis.Check{URL: s.url("")}, "pass: answers PING: "+a)
	s.ask(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	expect(t, &redis.Check{URL: s.url(""), Mode: "write"}, "fail: the server is full: it uses all of maxmemory, and takes no writes: "+a)
}

// What a server answers that is there and cannot serve.
func TestTroubles(t *testing.T) {
	t.Parallel()
	t.Run("loading", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s := start(t, "", "--dir", dir)
		for i := range 1000 {
			s.ask(t, "SET", "key"+strconv.Itoa(i), strings.Repeat("x", 100))
		}
		s.ask(t, "SAVE")
		s.Stop()
		slow := start(t, "", "--dir", dir, "--key-load-delay", "50000", "--loading-process-events-interval-bytes", "1024")
		expect(t, &redis.Check{URL: slow.url("")}, "fail: the server is still loading its data: "+slow.address)
		expect(t, &redis.Check{URL: slow.url(""), Mode: "write"}, "fail: the server is still loading its data: "+slow.address)
	})
	t.Run("cannot save", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "gone")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		s := start(t, "", "--dir", dir, "--save", "3600 1")
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		s.ask(t, "BGSAVE")
		checktest.Eventually(t, "the save has failed", func() bool {
			return strings.Contains(s.ask(t, "INFO", "persistence").(string), "rdb_last_bgsave_status:err")
		})
		expect(t, &redis.Check{URL: s.url("")}, "fail: the server takes no writes, because it could not save its data to disk: "+s.address)
		s.Kill() // it would not end without having saved
	})
	t.Run("too few replicas", func(t *testing.T) {
		t.Parallel()
		s := start(t, "", "--min-replicas-to-write", "1")
		expect(t, &redis.Check{URL: s.url(""), Mode: "write"},
			"fail: the server takes no writes, because too few replicas are connected (min-replicas-to-write): "+s.address)
	})
	t.Run("too many clients", func(t *testing.T) {
		t.Parallel()
		s := start(t, "", "--maxclients", "1")
		checktest.Eventually(t, "the test's own connection is gone", func() bool { _, err := s.try("PING"); return err == nil })
		checktest.Eventually(t, "there is room for one", func() bool {
			conn, err := net.Dial("tcp", s.address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			return like(checktest.Outcome(t, &redis.Check{URL: s.url(""), Mode: "write"}, 0), "fail: max number of clients reached: "+s.address)
		})
	})
	t.Run("a script runs on", func(t *testing.T) {
		t.Parallel()
		s := start(t, "", "--busy-reply-threshold", "10")
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = s.try("EVAL", "while true do end", "0")
		}()
		checktest.Eventually(t, "the server is busy", func() bool {
			return checktest.Outcome(t, &redis.Check{URL: s.url("")}, 5*time.Second) == "fail: a script keeps the server busy: "+s.address
		})
		_, _ = s.try("SCRIPT", "KILL")
		<-ended
	})
}

func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := func() server {
		return start(t, "", "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(servers.FreePort(t)), "--cluster-node-timeout", "2000")
	}
	one, two := cluster(), cluster()
	a := one.address
	expect(t, &redis.Check{URL: one.url(""), Cluster: true}, `fail: the cluster's state is "fail": 0 of 16384 slots assigned, 0 failed: `+a)
	expect(t, &redis.Check{URL: one.url(""), Mode: "write"}, "fail: the cluster is down: Hash slot not served: "+a)

	one.ask(t, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	checktest.Eventually(t, "the cluster is up", func() bool {
		return checktest.Outcome(t, &redis.Check{URL: one.url(""), Cluster: true}, 0) == "pass: answers PING; the cluster is well, masters: 1: "+a
	})
	expect(t, &redis.Check{URL: one.url(""), Mode: "write"}, "pass: wrote, read and deleted a key: "+a)

	// The other node knows of the slots, and has none.
	_, port, _ := net.SplitHostPort(a)
	bus := one.ask(t, "CONFIG", "GET", "cluster-port").([]any)[1].(string)
	two.ask(t, "CLUSTER", "MEET", "127.0.0.1", port, bus)
	checktest.Eventually(t, "the nodes have met", func() bool {
		return checktest.Outcome(t, &redis.Check{URL: two.url(""), Cluster: true}, 0) == "pass: answers PING; the cluster is well, masters: 1: "+two.address
	})
	expect(t, &redis.Check{URL: two.url(""), Mode: "write"},
		"fail: a node of a cluster, which takes only the keys of its own slots: write mode: ping and cluster: true: "+two.address)

	one.Stop()
	checktest.Eventually(t, "the loss has been noticed", func() bool {
		return like(checktest.Outcome(t, &redis.Check{URL: two.url(""), Cluster: true}, 0), "*: "+two.address) &&
			!strings.HasPrefix(checktest.Outcome(t, &redis.Check{URL: two.url(""), Cluster: true}, 0), "pass")
	})
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	master := start(t, "")
	_, port, _ := net.SplitHostPort(master.address)
	config := filepath.Join(t.TempDir(), "sentinel.conf") // a Sentinel rewrites it
	sentinelPort := strconv.Itoa(servers.FreePort(t))
	if err := os.WriteFile(config, []byte("port "+sentinelPort+"\nbind 127.0.0.1\n"+
		"sentinel monitor main 127.0.0.1 "+port+" 1\nsentinel down-after-milliseconds main 2000\n"+
		"sentinel monitor lonely 127.0.0.1 "+port+" 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := "127.0.0.1:" + sentinelPort
	servers.Run(t, servers.Spec{Name: "redis-server", Args: []string{config, "--sentinel"}, Dir: t.TempDir(), Listens: []string{a}})
	check := redis.Check{URL: "redis://" + a, Sentinel: "main"}
	expect(t, &check, `pass: answers PING; the master "main" is `+master.address+`, Sentinels: 1: `+a)
	expect(t, &redis.Check{URL: "redis://" + a, Sentinel: "other"}, "fail: No such master with that name: "+a)
	expect(t, &redis.Check{URL: "redis://" + a, Sentinel: "lonely"}, "fail: the Sentinels could not do a failover: *: "+a)

	// The rights that docs/checks.md names.
	sentinel := server{address: a}
	sentinel.ask(t, "ACL", "SETUSER", "app", "on", ">"+password, "+ping", "+sentinel|master")
	expect(t, &redis.Check{URL: sentinel.urlAs("app"), Sentinel: "main"},
		`fail: user "app" may not do this: this user has no permissions to run the 'sentinel|ckquorum' command: `+a)
	sentinel.ask(t, "ACL", "SETUSER", "app", "+sentinel|ckquorum")
	expect(t, &redis.Check{URL: sentinel.urlAs("app"), Sentinel: "main"},
		`pass: answers PING; the master "main" is `+master.address+`, Sentinels: 1: `+a)

	master.Stop()
	checktest.Eventually(t, "the Sentinel has noticed", func() bool {
		return like(checktest.Outcome(t, &check, 0), `fail: the master "main", `+master.address+`, is down (*): `+a)
	})
}
