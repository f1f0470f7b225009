package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"hale/internal/explain"
)

// Metadata is how EC2's metadata service answers on this machine. Settings that
// ask it for the private IP, to allow it as a host, depend on that. Package
// instance knows the facts themselves.
type Metadata struct {
	// Endpoint is where it is: AWS_EC2_METADATA_SERVICE_ENDPOINT of the
	// environment, else 169.254.169.254, or [fd00:ec2::254] where
	// AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is "IPv6".
	Endpoint string
	// Disabled tells that AWS_EC2_METADATA_DISABLED is "true", so that it was not
	// asked.
	Disabled bool
	// Reachable tells that something accepts connections there.
	Reachable bool
	// PlainStatus is the answer to a request without a token (IMDSv1),
	// TokenStatus that to the request for a token (IMDSv2); 0: none came.
	PlainStatus, TokenStatus int
	// TokenRequired tells that a request without a token is refused (401):
	// HttpTokens=required.
	TokenRequired bool
	// TokenLost tells that the request for a token was not answered in time
	// though connections are accepted: the answer's hop limit is 1 by default,
	// which does not reach a container behind a bridge.
	TokenLost bool
	// Took is how long it takes to learn the private IP, with the token's request
	// where that is answered; 0: it was not learnt.
	Took time.Duration
	// PrivateAddress is the private IP, which a load balancer may send as Host.
	PrivateAddress netip.Addr
	// Other tells that what answers there is no EC2 metadata service.
	Other bool
	// Err is why the private IP was not learnt; nil if it was.
	Err error
}

// How long one of three requests may take. Answers come in milliseconds.
const (
	metadataConnect = 600 * time.Millisecond
	metadataAnswer  = time.Second
)

// AskMetadata asks the EC2 metadata service, three times at most, and needs four
// seconds at most (EC2 User Guide, "How Instance Metadata Service Version 2
// works"). Env finds a variable of the environment, of this process or of the
// one that asks for metadata.
func AskMetadata(ctx context.Context, env func(name string) string) Metadata {
	return askMetadata(ctx, env, (&net.Dialer{Timeout: metadataConnect}).DialContext)
}

func askMetadata(ctx context.Context, env func(string) string, dial func(ctx context.Context, network, address string) (net.Conn, error)) Metadata {
	m := Metadata{Endpoint: strings.TrimSuffix(env("AWS_EC2_METADATA_SERVICE_ENDPOINT"), "/")}
	if m.Endpoint == "" {
		m.Endpoint = "http://169.254.169.254"
		if strings.EqualFold(env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), "ipv6") {
			m.Endpoint = "http://[fd00:ec2::254]"
		}
	}
	if strings.EqualFold(env("AWS_EC2_METADATA_DISABLED"), "true") {
		m.Disabled = true
		m.Err = errors.New("not asked: the environment has AWS_EC2_METADATA_DISABLED=true")
		return m
	}
	transport := &http.Transport{
		Proxy:       nil, // it refuses what comes by way of one
		DialContext: dial, DisableKeepAlives: true, DisableCompression: true,
	}
	defer transport.CloseIdleConnections()
	a := metadataClient{endpoint: m.Endpoint, transport: transport}
	m.ask(ctx, a)
	return m
}

// ask makes the requests, and says what they show.
func (m *Metadata) ask(ctx context.Context, a metadataClient) {
	const address = "/latest/meta-data/local-ipv4"
	plain := a.do(ctx, http.MethodGet, address, "", "")
	if m.Reachable = !plain.unreachable; !m.Reachable {
		m.Err = explain.Network(plain.err, m.Endpoint)
		return
	}
	m.PlainStatus = plain.status
	m.TokenRequired = plain.status == http.StatusUnauthorized
	token := a.do(ctx, http.MethodPut, "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
	m.TokenStatus = token.status
	m.TokenLost = token.err != nil && explain.IsTimeout(token.err) && ctx.Err() == nil
	learnt := plain
	if token.status == http.StatusOK && !strings.ContainsFunc(token.body, func(r rune) bool { return r < ' ' || r > '~' }) {
		learnt = a.do(ctx, http.MethodGet, address, "X-aws-ec2-metadata-token", token.body)
		learnt.took += token.took
	}
	var err error
	switch m.PrivateAddress, err = netip.ParseAddr(learnt.body); {
	case learnt.err != nil:
		m.Err = fmt.Errorf("%s does not answer: %w", m.Endpoint, explain.Network(learnt.err, "local-ipv4"))
	case m.TokenRequired && m.TokenLost:
		m.Err = fmt.Errorf("%s wants a token, and the request for one is not answered", m.Endpoint)
	case learnt.status == http.StatusOK && err == nil:
		m.Took = learnt.took
	case learnt.status == http.StatusOK:
		m.Err, m.Other = fmt.Errorf("%s answers with %q, which is no address: something else than the EC2 metadata service answers there", m.Endpoint, explain.Line(learnt.body)), true
	case learnt.status == http.StatusNotFound && token.status == http.StatusOK:
		m.Err = fmt.Errorf("%s knows no private IPv4 address of this machine", m.Endpoint)
	case learnt.status == http.StatusUnauthorized || learnt.status == http.StatusForbidden && token.status == http.StatusForbidden:
		m.Err = fmt.Errorf("%s refuses: it answers %d, and the request for a token %d", m.Endpoint, learnt.status, token.status)
	default:
		m.Err, m.Other = fmt.Errorf("%s answers %d, and the request for a token %d: something else than the EC2 metadata service answers there", m.Endpoint, learnt.status, token.status), true
	}
}

type metadataClient struct {
	endpoint  string
	transport http.RoundTripper
}

// metadataReply is the answer to one request.
type metadataReply struct {
	status      int
	body        string
	took        time.Duration
	unreachable bool
	err         error
}

// do sends one request, with one field more.
func (a metadataClient) do(ctx context.Context, method, path, field, value string) (r metadataReply) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, metadataAnswer)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, a.endpoint+path, nil)
	if err != nil {
		return metadataReply{err: err, unreachable: true}
	}
	if field != "" {
		request.Header.Set(field, value)
	}
	response, err := a.transport.RoundTrip(request)
	if err != nil {
		op, isOp := errors.AsType[*net.OpError](err)
		return metadataReply{err: err, unreachable: isOp && op.Op == "dial"}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<10)) // a token is some 56 bytes
	return metadataReply{
		status: response.StatusCode, body: strings.TrimSpace(string(body)),
		took: time.Since(start), err: err,
	}
}
