package certificate_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"hale/internal/balancer/certificate"
)

// authority is an ACME authority (RFC 8555) that proves a domain at one address by
// tls-alpn-01, and believes all signatures of requests.
type authority struct {
	url, address, domain string
	key                  *ecdsa.PrivateKey

	mu     sync.Mutex
	proven bool
	issued []byte // PEM
	orders int
}

func newAuthority(t *testing.T, address, domain string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{address: address, domain: domain, key: key}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Replay-Nonce", "nonce")
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := func(status int, of map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(of)
	}
	status := "pending"
	if a.proven {
		status = "valid"
	}
	challenge := map[string]any{"type": "tls-alpn-01", "url": a.url + "/challenge", "token": "token", "status": status}
	order := map[string]any{
		"status": map[bool]string{false: "pending", true: "ready"}[a.proven], "authorizations": []string{a.url + "/authorization"},
		"finalize": a.url + "/finalize", "identifiers": []any{map[string]any{"type": "dns", "value": a.domain}},
	}
	if a.issued != nil {
		order["status"], order["certificate"] = "valid", a.url+"/certificate"
	}
	switch r.URL.Path {
	case "/directory":
		answer(200, map[string]any{
			"newNonce": a.url + "/nonce", "newAccount": a.url + "/account", "newOrder": a.url + "/orders", "revokeCert": a.url + "/revoke", "keyChange": a.url + "/key",
		})
	case "/nonce":
	case "/account":
		w.Header().Set("Location", a.url+"/account/1")
		answer(201, map[string]any{"status": "valid"})
	case "/orders":
		a.orders++
		w.Header().Set("Location", a.url+"/order")
		answer(201, order)
	case "/order":
		w.Header().Set("Location", a.url+"/order")
		answer(200, order)
	case "/authorization":
		answer(200, map[string]any{"status": status, "identifier": map[string]any{"type": "dns", "value": a.domain}, "challenges": []any{challenge}})
	case "/challenge":
		if err := a.prove(r.Context()); err != nil {
			answer(400, map[string]any{"detail": err.Error()})
			return
		}
		a.proven, challenge["status"] = true, "valid"
		answer(200, challenge)
	case "/finalize":
		var err error
		if a.issued, err = a.issue(r); err != nil {
			answer(400, map[string]any{"detail": err.Error()})
			return
		}
		order["status"], order["certificate"] = "valid", a.url+"/certificate"
		w.Header().Set("Location", a.url+"/order")
		answer(200, order)
	case "/certificate":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(a.issued)
	default:
		http.NotFound(w, r)
	}
}

// prove looks for the proof in a handshake (RFC 8737, 3).
func (a *authority) prove(ctx context.Context) error {
	dialer := tls.Dialer{Config: &tls.Config{ServerName: a.domain, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", a.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	state := conn.(*tls.Conn).ConnectionState()
	if state.NegotiatedProtocol != "acme-tls/1" {
		return errors.New("another protocol")
	}
	acmeIdentifier := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}
	if !slices.ContainsFunc(state.PeerCertificates[0].Extensions, func(e pkix.Extension) bool { return e.Id.Equal(acmeIdentifier) }) {
		return errors.New("no proof in the certificate")
	}
	return nil
}

// issue signs what a request asks for.
func (a *authority) issue(r *http.Request) ([]byte, error) {
	var signed, asked struct{ Payload, CSR string }
	if err := json.NewDecoder(r.Body).Decode(&signed); err != nil {
		return nil, err
	}
	payload, err := base64.RawURLEncoding.DecodeString(signed.Payload)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(payload, &asked); err != nil {
		return nil, err
	}
	der, err := base64.RawURLEncoding.DecodeString(asked.CSR)
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(csr.DNSNames, []string{a.domain}) {
		return nil, fmt.Errorf("asked for %v", csr.DNSNames)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: a.domain}, DNSNames: csr.DNSNames,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
	}
	der, err = x509.CreateCertificate(rand.Reader, template, template, csr.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// serve makes handshakes with the certificates of a store.
func serve(t *testing.T, l net.Listener, s *certificate.Store) {
	t.Helper()
	config := &tls.Config{
		NextProtos:     []string{"h2", "http/1.1", "acme-tls/1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return s.Certificate(arn, hello) },
	}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Go(func() {
				defer conn.Close()
				_ = tls.Server(conn, config).HandshakeContext(t.Context())
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		connections.Wait()
	})
}

func TestACME(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t, l.Addr().String(), "site.example")
	source := certificate.Source{ARN: arn, ACME: certificate.ACME{
		DomainNames: []string{"site.example"}, Email: "hostmaster@site.example", CacheDirectory: t.TempDir(), DirectoryURL: a.url + "/directory",
	}}
	for _, run := range []string{"obtained", "kept"} {
		s := new(certificate.Store)
		if err := s.Use([]certificate.Source{source}); err != nil {
			t.Fatal(err)
		}
		if run == "obtained" {
			serve(t, l, s)
		}
		// As a client that speaks to it would say: the newest of all.
		hello := &tls.ClientHelloInfo{
			ServerName: "site.example", SupportedVersions: []uint16{tls.VersionTLS13},
			CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256}, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
			SupportedCurves: []tls.CurveID{tls.CurveP256},
		}
		for _, name := range []string{"site.example", ""} {
			hello.ServerName = name
			c, err := s.Certificate(arn, hello)
			if err != nil {
				t.Fatalf("%s, for %q: %v", run, name, err)
			}
			if got := c.Leaf.Subject.CommonName; got != "site.example" || c.Leaf.SerialNumber.Int64() != 7 {
				t.Errorf("%s, for %q: got %s, %v", run, name, got, c.Leaf.SerialNumber)
			}
		}
		hello.ServerName = "other.example"
		if _, err := s.Certificate(arn, hello); err == nil {
			t.Errorf("%s: a certificate for a name that nobody configured", run)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.orders != 1 {
		t.Errorf("%d orders, want one", a.orders)
	}
}
