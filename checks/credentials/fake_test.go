package credentials_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"hale/test/servers"
)

// None of these tests may reach the metadata service of the machine that they
// run on: each has its own environment, in which it is off unless a fake stands
// in for it.

// environ is an environment to look variables up in.
func environ(pairs ...string) func(string) (string, bool) {
	env := map[string]string{"HOME": "/nowhere"}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	if env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] == "" {
		env["AWS_EC2_METADATA_DISABLED"] = "true"
	}
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

// The keys of all fakes. None may be in any message.
const (
	keyID  = "ASIAFAKEFAKEFAKE"
	secret = "s3cr3t-hunter2"
	token  = "s3ss10n-t0k3n"
)

// document is what the metadata service and the agents answer.
func document(left time.Duration, more ...string) string {
	fields := map[string]string{
		"AccessKeyId": keyID, "SecretAccessKey": secret, "Token": token, "Expiration": time.Now().Add(left).UTC().Format(time.RFC3339),
	}
	for i := 0; i < len(more); i += 2 {
		fields[more[i]] = more[i+1]
	}
	text, _ := json.Marshal(fields)
	return string(text)
}

// metadata is the metadata service of an EC2 instance, after the EC2 guide ("How
// IMDSv2 works", "Retrieve security credentials from instance metadata").
type metadata struct {
	role        string // none: ""
	document    string // of the role
	status      int    // of the document; 0 means 200
	v1Only      bool   // knows no tokens
	v2Only      bool   // HttpTokens=required
	tokenLost   bool   // the answer to the token request never arrives (hop limit)
	tokenStatus int    // of the token request; 0 means 200
	off         bool   // HttpEndpoint=disabled

	conns  atomic.Int64
	mu     sync.Mutex // guards tokens
	tokens map[string]bool
}

// start serves it, and returns its address.
func (m *metadata) start(t *testing.T) (address string) {
	t.Helper()
	m.tokens = make(map[string]bool)
	return strings.TrimPrefix(serve(t, m, &m.conns), "http://")
}

func (m *metadata) connections() int { return int(m.conns.Load()) }

func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := strings.TrimPrefix(r.URL.Path, "/latest/"); {
	case m.off || r.Header.Get("X-Forwarded-For") != "":
		w.WriteHeader(http.StatusForbidden)
	case r.Method == http.MethodPut:
		m.token(w, r)
	case !m.allows(r.Header.Get("X-Aws-Ec2-Metadata-Token")):
		w.WriteHeader(http.StatusUnauthorized)
	case path == "meta-data/iam/security-credentials/" && m.role != "":
		_, _ = io.WriteString(w, m.role)
	case path == "meta-data/iam/security-credentials/"+m.role && m.role != "":
		if m.status != 0 {
			w.WriteHeader(m.status)
		}
		_, _ = io.WriteString(w, m.document)
	case path == "meta-data/placement/region":
		_, _ = io.WriteString(w, "eu-central-1")
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (m *metadata) token(w http.ResponseWriter, r *http.Request) {
	ttl, err := strconv.Atoi(r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"))
	switch {
	case m.tokenLost:
		<-r.Context().Done()
	case m.tokenStatus != 0:
		w.WriteHeader(m.tokenStatus)
	case m.v1Only:
		w.WriteHeader(http.StatusNotFound)
	case r.URL.Path != "/latest/api/token":
		w.WriteHeader(http.StatusForbidden)
	case err != nil || ttl < 1 || ttl > 21600:
		w.WriteHeader(http.StatusBadRequest)
	default:
		m.mu.Lock()
		defer m.mu.Unlock()
		given := fmt.Sprintf("token-%d", len(m.tokens))
		m.tokens[given] = true
		_, _ = io.WriteString(w, given)
	}
}

func (m *metadata) allows(token string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return token == "" && !m.v2Only || m.v1Only || m.tokens[token]
}

// agent is the agent of a container: what it answers, and what it wants to see.
type agent struct {
	authorization string
	status        int
	document      string
}

func (a agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != a.authorization {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"code": "AccessDenied", "message": "wrong token"}`)
		return
	}
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = io.WriteString(w, a.document)
}

// sts is AWS STS as far as GetCallerIdentity goes. It checks the signature by
// signing the same with what it knows of the caller.
type sts struct {
	secret string // of keyID
	token  string
	region string
	answer string // instead of an answer; empty: its own
	status int    // of answer

	conns atomic.Int64
}

func (s *sts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.answer != "" {
		w.WriteHeader(s.status)
		_, _ = io.WriteString(w, s.answer)
		return
	}
	body, _ := io.ReadAll(r.Body)
	if r.Method != http.MethodPost || string(body) != "Action=GetCallerIdentity&Version=2011-06-15" {
		s.refuse(w, http.StatusBadRequest, "InvalidAction", "no such action")
		return
	}
	if r.Header.Get("X-Amz-Security-Token") != s.token {
		s.refuse(w, http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
		return
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		s.refuse(w, http.StatusForbidden, "IncompleteSignature", "no date")
		return
	}
	again, _ := http.NewRequest(r.Method, "http://"+r.Host+r.URL.Path, strings.NewReader(string(body)))
	again.Header.Set("Content-Type", r.Header.Get("Content-Type"))
	if agentName := r.Header.Get("User-Agent"); agentName != "" {
		again.Header.Set("User-Agent", agentName)
	}
	keys := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: s.secret, SessionToken: s.token}
	const hash = "ab821ae955788b0e33ebd34c208442ccfc2d406e2edc5e7a39bd6458fbb4f843" // SHA-256 of the body
	if err := v4.NewSigner().SignHTTP(r.Context(), keys, again, hash, "sts", s.region, at); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if again.Header.Get("Authorization") != r.Header.Get("Authorization") {
		s.refuse(w, http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
		return
	}
	_, _ = io.WriteString(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>`+
		`<Arn>arn:aws:sts::123456789012:assumed-role/web/i-0123456789abcdef0</Arn><UserId>AROA:i</UserId><Account>123456789012</Account>`+
		`</GetCallerIdentityResult></GetCallerIdentityResponse>`)
}

func (s *sts) refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`, code, message)
}

// serve serves on loopback, counts the connections, and returns the URL.
func serve(t *testing.T, handler http.Handler, conns *atomic.Int64) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	if conns != nil {
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				conns.Add(-1)
			case http.StateActive, http.StateIdle:
			}
		}
	}
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections() // a lost answer would be waited for
		server.Close()
	})
	return server.URL
}

// serveTLS serves with a certificate, and returns the URL.
func serveTLS(t *testing.T, handler http.Handler, cert servers.Certificate) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert.TLS(t)}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}
