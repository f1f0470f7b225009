// Package acmetest is an ACME authority for tests.
package acmetest

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
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Authority is an ACME authority (RFC 8555) that proves a domain at one address by
// tls-alpn-01, and believes all signatures of requests.
type Authority struct {
	url, address, domain string
	key                  *ecdsa.PrivateKey

	mu     sync.Mutex
	proven bool
	issued []byte // PEM
	orders int
}

// New returns an authority on loopback, until the test's end.
func New(t testing.TB, address, domain string) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &Authority{address: address, domain: domain, key: key}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

// DirectoryURL is where a client begins.
func (a *Authority) DirectoryURL() string { return a.url + "/directory" }

// Orders returns how many certificates were asked for.
func (a *Authority) Orders() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.orders
}

// ServeHTTP implements http.Handler.
func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
func (a *Authority) prove(ctx context.Context) error {
	dialer := tls.Dialer{Config: &tls.Config{
		ServerName: a.domain, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true, //nolint:gosec // the proof signed itself
	}}
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
func (a *Authority) issue(r *http.Request) ([]byte, error) {
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
