package probe_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"hale/internal/elb"
	"hale/internal/probe"
	"hale/test/servers"
)

// secureTarget is target over TLS. What the handshake comes to is the test's
// business alone where handle reads.
func secureTarget(t *testing.T, config *tls.Config, handle func(net.Conn)) string {
	t.Helper()
	return target(t, func(conn net.Conn) {
		server := tls.Server(conn, config)
		if server.Handshake() != nil {
			return
		}
		handle(server)
		server.Close()
	})
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "mysite.com", "127.0.0.1")
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert.CertPEM)
	serving := func(change func(*tls.Config)) *tls.Config {
		c := &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}}
		if change != nil {
			change(c)
		}
		return c
	}
	for name, test := range map[string]struct {
		as      string
		server  *tls.Config
		change  func(*probe.Probe)
		outcome probe.Outcome
		because string
		cause   func(error) bool // what Err has to be
	}{
		"a certificate that nobody signed is no matter": {as: "alb", server: serving(nil), outcome: probe.Answered},
		"it is one to a prober that checks": {
			as: "consul", server: serving(nil), outcome: probe.TLSFailed, because: "certificate signed by an unknown authority", cause: is[x509.UnknownAuthorityError],
		},
		"which trusts what it is told to": {
			as: "consul", server: serving(nil), change: func(p *probe.Probe) { p.Roots = pool }, outcome: probe.Answered,
		},
		"but not for another name": {
			as: "consul", server: serving(nil), outcome: probe.TLSFailed, because: "certificate is not for other.example", cause: is[x509.HostnameError],
			change: func(p *probe.Probe) { p.Roots, p.ServerName = pool, "other.example" },
		},
		"unless names are no matter": {
			as: "haproxy", server: serving(nil), outcome: probe.Answered,
			change: func(p *probe.Probe) { p.Roots, p.Name = pool, "other.example" },
		},
		"a target of TLS 1.3 alone": {
			as: "nlb", server: serving(func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }), outcome: probe.TLSFailed, because: "the prober speaks TLS 1.2 at most",
		},
		"which is well with the cap lifted": {
			as: "nlb", server: serving(func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }),
			change: func(p *probe.Probe) { p.MaxTLS = 0 }, outcome: probe.Answered,
		},
		"a target of TLS 1.0 alone": {
			as: "alb", server: serving(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }), outcome: probe.Answered,
		},
		"a client's certificate wanted, TLS 1.2": {
			as: "alb", server: serving(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }), outcome: probe.TLSFailed, because: "TLS: handshake failure",
		},
		"a client's certificate wanted, TLS 1.3: the alert comes after the handshake": {
			as: "alb", server: serving(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }),
			change: func(p *probe.Probe) { p.MaxTLS = 0 }, outcome: probe.TLSFailed, because: "TLS: certificate required",
		},
		"SNI that the server does not know": {
			as: "route53", server: serving(func(c *tls.Config) {
				c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
					if hello.ServerName != "mysite.com" {
						return nil, errors.New("unknown " + hello.ServerName)
					}
					return nil, nil
				}
			}), outcome: probe.TLSFailed,
		},
		"and that it knows": {
			as: "route53", server: serving(func(c *tls.Config) {
				c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
					if hello.ServerName != "mysite.com" {
						return nil, errors.New("unknown " + hello.ServerName)
					}
					return nil, nil
				}
			}), change: func(p *probe.Probe) { p.ServerName = "mysite.com" }, outcome: probe.Answered,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := filled(t, test.as, "https://"+secureTarget(t, test.server, holds(whole)), probe.Options{})
			if test.change != nil {
				test.change(&p)
			}
			a := p.Send(t.Context())
			if a.Outcome != test.outcome || !strings.Contains(a.Because, test.because) || a.Healthy != (test.outcome == probe.Answered) {
				t.Fatalf("%v, %q, %v; want %v, %q", a.Outcome, a.Because, a.Err, test.outcome, test.because)
			}
			if a.Healthy && (a.TLS == nil || len(a.TLS.PeerCertificates) == 0 || a.Times.TLS <= 0) {
				t.Errorf("nothing of the handshake is told: %+v, %v", a.TLS, a.Times.TLS)
			}
			if test.cause != nil && (!test.cause(a.Err) || a.TLS == nil) {
				t.Errorf("the cause is lost: %#v, %v", a.Err, a.TLS)
			}
			if !a.Healthy && a.Reason != elb.FailedHealthChecks {
				t.Error(a.Reason)
			}
		})
	}
}

func TestTLSWhereThereIsNone(t *testing.T) {
	t.Parallel()
	plain := send(t, "alb", "https://"+target(t, func(c net.Conn) {
		c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
	}), probe.Options{})
	if plain.Outcome != probe.TLSFailed || !strings.HasPrefix(plain.Because, "TLS: the server does not speak TLS on this port") {
		t.Errorf("plain HTTP: %v, %s", plain.Outcome, plain.Because)
	}
	silent := send(t, "alb", "https://"+target(t, func(c net.Conn) { io.Copy(io.Discard, c) }), probe.Options{Timeout: 2 * time.Second})
	if silent.Outcome != probe.TLSTimeout || silent.Reason != elb.Timeout || silent.Because != "no end of the TLS handshake within 2s" {
		t.Errorf("silence: %v, %s, %s", silent.Outcome, silent.Reason, silent.Because)
	}
	closed := send(t, "alb", "https://"+target(t, func(net.Conn) {}), probe.Options{})
	if closed.Outcome != probe.TLSFailed || !strings.HasPrefix(closed.Because, "TLS handshake: connection ") {
		t.Errorf("closed: %v, %s", closed.Outcome, closed.Because)
	}
}

// A TLS probe ends with the handshake.
func TestTLSAlone(t *testing.T) {
	t.Parallel()
	cert := servers.NewCertificate(t, "mysite.com")
	got := make(chan string, 1)
	address := secureTarget(t, &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}}, func(c net.Conn) { got <- readRequest(c) })
	a := send(t, "classic", "ssl://"+address, probe.Options{})
	if a.Outcome != probe.Connected || !a.Healthy || a.TLS == nil {
		t.Errorf("%v: %s", a.Outcome, a.Because)
	}
	if sent := <-got; sent != "" {
		t.Errorf("%q was sent", sent)
	}
}
