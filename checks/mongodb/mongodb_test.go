package mongodb_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"hale/checks"
	"hale/checks/mongodb"
	"hale/test/checktest"
	"hale/test/servers"
)

const secret = "s3cr3t-hunter2"

func TestFaults(t *testing.T) {
	s := start(t, &server{user: "app", password: secret}, nil)
	target := checktest.Target{
		Address: s.address,
		New: func(address string) checks.Check {
			return &mongodb.Check{URL: "mongodb://app:" + secret + "@" + address + "/app?authSource=admin"}
		},
		Secrets:     []string{secret},
		Connections: s.connections,
	}
	target.Faults(t)
	checktest.Soak(t, target.New(s.address), s.connections)
	checktest.Eventually(t, "no connection is left", func() bool { return s.connections() == 0 })
	if n := s.openSessions(); n != 0 {
		t.Errorf("%d sessions are left on the server", n)
	}
}

func TestFaultsOfASet(t *testing.T) {
	addresses, members := set(t, []string{"primary", "secondary", "secondary", "arbiter"})
	open := func() (n int) {
		for _, m := range members {
			n += m.connections()
		}
		return n
	}
	check := &mongodb.Check{URL: "mongodb://" + strings.Join(addresses, ",") + "/?replicaSet=rs0", MinMembers: 3, MaxLag: 20 * time.Second}
	checktest.Soak(t, check, open)
	checktest.Eventually(t, "no connection is left", func() bool { return open() == 0 })
}

func TestLogin(t *testing.T) {
	t.Parallel()
	s := start(t, &server{user: "app", password: secret}, nil)
	refused := `user, password or their database (authSource) refused: "Authentication failed.": ` + s.address
	for _, test := range []struct{ name, login, want string }{
		{"right", "app:" + secret + "@", ""},
		{"wrong password", "app:no-" + secret + "@", refused},
		{"unknown user", "nobody:" + secret + "@", refused},
		{"none", "", "command ping requires authentication (Unauthorized, code 13): " + s.address},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			checktest.Expect(t, &mongodb.Check{URL: "mongodb://" + test.login + s.address}, 0, "server answers: "+s.address, test.want)
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "127.0.0.1")
	expired := servers.ExpiredCertificate(t, "127.0.0.1")
	elsewhere := servers.NewCertificate(t, "db.example.com")
	serve := func(cert servers.Certificate, auth tls.ClientAuthType) string {
		return start(t, &server{}, &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}, ClientAuth: auth}).address
	}
	good, old, other, asks := serve(cert, 0), serve(expired, 0), serve(elsewhere, 0), serve(cert, tls.RequireAnyClientCert)
	for _, test := range []struct {
		name, at, params string
		check            mongodb.Check
		want             string // the error up to the address; empty: it passes
	}{
		{"ca", good, "?tls=true", mongodb.Check{CA: cert.CertFile}, ""},
		{"ca in the URL", good, "?tls=true&tlsCAFile=" + cert.CertFile, mongodb.Check{}, ""},
		{"insecure", good, "?tls=true", mongodb.Check{Insecure: true}, ""},
		{"the client's certificate", asks, "?tls=true", mongodb.Check{CA: cert.CertFile, Certificate: cert.CertFile, Key: cert.KeyFile}, ""},
		{"no client's certificate", asks, "?tls=true", mongodb.Check{CA: cert.CertFile}, "TLS: certificate required: "},
		{"unknown authority", good, "?tls=true", mongodb.Check{}, "TLS: certificate signed by an unknown authority: "},
		{"expired", old, "?tls=true", mongodb.Check{CA: expired.CertFile}, "TLS: certificate expired on " + expired.TLS(t).Leaf.NotAfter.UTC().Format(time.DateTime) + ": "},
		{"another name", other, "?tls=true", mongodb.Check{CA: elsewhere.CertFile}, "TLS: certificate is not for 127.0.0.1 but for db.example.com: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.check.URL = "mongodb://" + test.at + "/" + test.params
			if test.want != "" {
				test.want += test.at
			}
			checktest.Expect(t, &test.check, 0, "server answers: "+test.at, test.want)
		})
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	s := start(t, &server{}, nil)
	hangs := servers.Proxy(t, s.address)
	hangs.Break(servers.BlackHole)
	slow := start(t, &server{after: time.Minute}, nil)
	for _, test := range []struct {
		name, url    string
		output, want string
	}{
		{"answers", "mongodb://" + s.address, "server answers: " + s.address, ""},
		{"nobody listens", "mongodb://app:" + secret + "@127.0.0.1:1", "", "connection refused: 127.0.0.1:1"},
		{"unknown name", "mongodb://db.invalid", "", "name does not resolve: db.invalid"},
		{"hangs", "mongodb://" + hangs.Address(), "", "connected, but no answer within 1s: " + hangs.Address()},
		{"thinks for long", "mongodb://" + slow.address, "", "connected, but no answer within 1s: " + slow.address},
		{"first of two is down", "mongodb://127.0.0.1:1," + s.address + "/?replicaSet=rs0", "", "connection refused: 127.0.0.1:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			timeout := time.Minute
			if strings.Contains(test.want, "within") {
				timeout = time.Second
			}
			checktest.Expect(t, &mongodb.Check{URL: test.url}, timeout, test.output, test.want)
		})
	}
}

// What is settled is said at once, not when time runs out.
func TestSettlesAtOnce(t *testing.T) {
	t.Parallel()
	addresses, _ := set(t, []string{"", "secondary", "secondary"})
	for name, url := range map[string]string{
		"nobody listens": "mongodb://127.0.0.1:1",
		"no primary":     "mongodb://" + addresses[1] + "/?replicaSet=rs0",
	} {
		for range 20 {
			start := time.Now()
			if err := fails(t, &mongodb.Check{URL: url}); time.Since(start) > 20*time.Second {
				t.Errorf("%s: said after %v: %v", name, time.Since(start), err)
			}
		}
	}
}

func fails(t *testing.T, check checks.Check) error {
	t.Helper()
	_, err := check.Run(t.Context())
	if err == nil {
		t.Error("passes")
	}
	return err
}

func TestReplicaSet(t *testing.T) {
	t.Parallel()
	whole, _ := set(t, []string{"primary", "secondary", "secondary", "arbiter"}, 0, 2*time.Second, 30*time.Second)
	headless, _ := set(t, []string{"secondary", "secondary", ""})
	url := func(addresses []string, more string) string {
		return "mongodb://" + strings.Join(addresses, ",") + "/?replicaSet=rs0" + more
	}
	alone := start(t, &server{}, nil).address
	router := start(t, &server{hello: func() bson.M { return bson.M{"msg": "isdbgrid"} }}, nil).address
	sorted := func(addresses ...string) (a, b string) {
		if addresses[0] > addresses[1] {
			return addresses[1], addresses[0]
		}
		return addresses[0], addresses[1]
	}
	first, second := sorted(headless[0], headless[1])
	down := "connection refused: " + headless[2]
	for _, test := range []struct {
		name         string
		check        mongodb.Check
		output, want string
	}{
		{"primary", mongodb.Check{URL: url(whole, "")}, "primary answers: " + whole[0], ""},
		{"primary, of which only another member is known", mongodb.Check{URL: url(whole[1:2], "")}, "primary answers: " + whole[0], ""},
		{"any", mongodb.Check{URL: url(whole[:1], "&directConnection=true"), Role: mongodb.Any}, "primary answers: " + whole[0], ""},
		{"secondary, directly", mongodb.Check{URL: url(whole[1:2], "&directConnection=true"), Role: mongodb.Secondary}, "secondary answers: " + whole[1], ""},
		{"a secondary, where the primary was meant", mongodb.Check{URL: url(whole[1:2], "&directConnection=true")}, "", "no primary: " + whole[1] + " is a secondary"},
		{"no primary", mongodb.Check{URL: url(headless, "")}, "", "no primary: " + first + " is a secondary; " + second + " is a secondary; " + down},
		{"no secondary", mongodb.Check{URL: "mongodb://" + alone, Role: mongodb.Secondary}, "", "no secondary: " + alone + " is a server"},
		{"router", mongodb.Check{URL: "mongodb://" + router}, "router answers: " + router, ""},
		{"too few members", mongodb.Check{URL: url(headless, ""), Role: mongodb.Secondary, MinMembers: 3}, "", "2 of the members that hold data answer, fewer than 3; " + down},
		{"a member is missing", mongodb.Check{URL: url(headless, ""), Role: mongodb.Secondary, MinMembers: 2}, "", "warn: " + down},
		{"no primary to measure by", mongodb.Check{URL: url(headless[:2], ""), Role: mongodb.Secondary, MaxLag: time.Minute}, "", "there is no primary to measure the lag by; " + down},
		{"lags", mongodb.Check{URL: url(whole, ""), WarnLag: 20 * time.Second, MaxLag: time.Minute}, "", "warn: " + whole[2] + " is 30s behind the primary, more than 20s"},
		{"lags too far", mongodb.Check{URL: url(whole, ""), WarnLag: time.Second, MaxLag: 20 * time.Second}, "", whole[2] + " is 30s behind the primary, more than 20s; " + whole[1] + " is 2s behind the primary, more than 1s"},
		{"another set", mongodb.Check{URL: strings.Replace(url(whole[:1], ""), "rs0", "rs1", 1)}, "", "not of the replica set that the URL names, or not by this address: " + whole[0]},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			checktest.Expect(t, &test.check, 0, test.output, test.want)
		})
	}
}

// A member that hangs is not waited for where one that has the role answers.
func TestHangingMember(t *testing.T) {
	t.Parallel()
	addresses, members := set(t, []string{"primary", "secondary"})
	members[1].after = time.Minute
	url := "mongodb://" + strings.Join(addresses, ",") + "/?replicaSet=rs0"
	checktest.Expect(t, &mongodb.Check{URL: url}, 20*time.Second, "primary answers: "+addresses[0], "")
	checktest.Expect(t, &mongodb.Check{URL: url, MinMembers: 1}, 6*time.Second, "", "warn: no answer in time: "+addresses[1])
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const (
		forms      = "write mongodb://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?replicaSet=NAME or mongodb+srv://USER:PASSWORD@HOST/DATABASE"
		unreadable = "url: cannot be read: " + forms + ", with special characters in user and password percent-encoded (@ as %40, / as %2F, # as %23, ? as %3F, : as %3A)"
	)
	for _, test := range []struct {
		name  string
		check mongodb.Check
		want  string
	}{
		{"host", mongodb.Check{URL: "mongodb://db.internal"}, ""},
		{"several", mongodb.Check{URL: "mongodb://app:p%40ss@a:1,b:2,[::1]:3/app?replicaSet=rs0&authSource=admin&w=majority", Role: "any", MinMembers: 2, WarnLag: 1, MaxLag: 1}, ""},
		{"SRV", mongodb.Check{URL: "mongodb+srv://app:" + secret + "@cluster0.example.mongodb.net/app?retryWrites=true", Insecure: true}, ""},
		{"nothing", mongodb.Check{}, "url: is missing: " + forms},
		{"another scheme", mongodb.Check{URL: "postgres://app:" + secret + "@h"}, "url: has another scheme: " + forms},
		{"at sign in the password", mongodb.Check{URL: "mongodb://app:@" + secret + "@h"}, unreadable},
		{"slash in the password", mongodb.Check{URL: "mongodb://app:/" + secret + "@h"}, unreadable},
		{"SRV with a port", mongodb.Check{URL: "mongodb+srv://app:" + secret + "@h:27017"}, "url: has to name one host without a port after mongodb+srv://: " + forms},
		{"contradiction", mongodb.Check{URL: "mongodb://app:" + secret + "@a,b/?directConnection=true"}, "url: cannot be used: a direct connection cannot be made if multiple hosts are specified"},
		{"TLS's options without TLS", mongodb.Check{URL: "mongodb://h", CA: "ca.pem"}, "url: has no tls=true, so that ca, certificate and insecure mean nothing: add it, or remove them"},
		{"half a certificate", mongodb.Check{URL: "mongodb://h/?tls=true", Key: "k"}, "certificate: is missing: the file of the certificate that belongs to key"},
		{"role", mongodb.Check{URL: "mongodb://h", Role: "master"}, `role: "master" is not primary, secondary or any`},
		{"negative", mongodb.Check{URL: "mongodb://h", MinMembers: -1}, "min_members: -1 is negative"},
		{"thresholds", mongodb.Check{URL: "mongodb://h", WarnLag: 2 * time.Second, MaxLag: time.Second}, "warn_lag: 2s is more than max_lag (1s): the check would fail before it warns"},
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
