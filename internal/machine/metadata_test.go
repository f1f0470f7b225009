package machine

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// imds is an EC2 metadata service.
type imds struct {
	required bool          // tokens are
	lost     bool          // the token's answer never arrives
	tokens   int           // the status of its request; 0: a token
	delay    time.Duration // of each answer
	address  string
	page     bool // it is a site that answers all with a page
}

func (f imds) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(f.delay):
	case <-r.Context().Done():
		return
	}
	token := r.Header.Get("X-Aws-Ec2-Metadata-Token")
	switch {
	case r.Header.Get("X-Forwarded-For") != "" || r.Host != "169.254.169.254" && !strings.HasPrefix(r.Host, "127.0.0.1:"):
		w.WriteHeader(http.StatusForbidden)
	case f.page:
		_, _ = w.Write([]byte("<html>\x1b[1mWelcome"))
	case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && f.lost:
		<-r.Context().Done()
	case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && f.tokens != 0:
		w.WriteHeader(f.tokens)
	case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") == "60":
		_, _ = w.Write([]byte("secret-token"))
	case r.Method != http.MethodGet || r.URL.Path != "/latest/meta-data/local-ipv4" || f.address == "":
		w.WriteHeader(http.StatusNotFound)
	case token == "" && f.required || token != "" && token != "secret-token":
		w.WriteHeader(http.StatusUnauthorized)
	default:
		_, _ = w.Write([]byte(f.address))
	}
}

func noEnv(string) string { return "" }

func TestAskMetadata(t *testing.T) {
	t.Parallel()
	private := netip.MustParseAddr("10.0.0.10")
	for _, test := range []struct {
		name string
		fake imds
		want Metadata
		err  string
	}{
		{"tokens are optional", imds{address: "10.0.0.10"}, Metadata{Reachable: true, PlainStatus: 200, TokenStatus: 200, PrivateAddress: private}, ""},
		{"tokens are required", imds{address: "10.0.0.10", required: true}, Metadata{Reachable: true, PlainStatus: 401, TokenStatus: 200, TokenRequired: true, PrivateAddress: private}, ""},
		{"slow", imds{address: "10.0.0.10", required: true, delay: 20 * time.Millisecond}, Metadata{Reachable: true, PlainStatus: 401, TokenStatus: 200, TokenRequired: true, Took: 40 * time.Millisecond, PrivateAddress: private}, ""},
		{"version 1 alone", imds{address: "10.0.0.10", tokens: 404}, Metadata{Reachable: true, PlainStatus: 200, TokenStatus: 404, PrivateAddress: private}, ""},
		{
			"the hop limit is too small",
			imds{address: "10.0.0.10", required: true, lost: true},
			Metadata{Reachable: true, PlainStatus: 401, TokenRequired: true, TokenLost: true},
			"http://169.254.169.254 wants a token, and the request for one is not answered",
		},
		{"the hop limit is too small, and tokens are optional", imds{address: "10.0.0.10", lost: true}, Metadata{Reachable: true, PlainStatus: 200, TokenLost: true, PrivateAddress: private}, ""},
		{
			"silent",
			imds{address: "10.0.0.10", delay: time.Minute},
			Metadata{Reachable: true, TokenLost: true},
			"http://169.254.169.254 does not answer: no answer in time: local-ipv4",
		},
		{
			"off",
			imds{address: "10.0.0.10", page: false, tokens: 403, required: true},
			Metadata{Reachable: true, PlainStatus: 401, TokenStatus: 403, TokenRequired: true},
			"http://169.254.169.254 refuses: it answers 401, and the request for a token 403",
		},
		{
			"an address of IPv6 alone",
			imds{},
			Metadata{Reachable: true, PlainStatus: 404, TokenStatus: 200},
			"http://169.254.169.254 knows no private IPv4 address of this machine",
		},
		{
			"a site",
			imds{page: true},
			Metadata{Reachable: true, PlainStatus: 200, TokenStatus: 200, Other: true},
			`http://169.254.169.254 answers with "<html>[1mWelcome", which is no address: something else than the EC2 metadata service answers there`,
		},
		{
			"another service",
			imds{tokens: 405},
			Metadata{Reachable: true, PlainStatus: 404, TokenStatus: 405, Other: true},
			"http://169.254.169.254 answers 404, and the request for a token 405: something else than the EC2 metadata service answers there",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				network := newNetwork(t, test.fake)
				got := askMetadata(t.Context(), noEnv, network.dial)
				test.want.Endpoint = "http://169.254.169.254"
				text := ""
				if got.Err != nil {
					text = got.Err.Error()
				}
				got.Err = nil
				if got != test.want || text != test.err {
					t.Errorf("%+v, %s\nwant %+v, %s", got, text, test.want, test.err)
				}
			})
		})
	}
}

func TestMetadataThatIsNotThere(t *testing.T) {
	t.Parallel()
	env := func(values map[string]string) func(string) string {
		return func(name string) string { return values[name] }
	}
	synctest.Test(t, func(t *testing.T) {
		asked := ""
		silence := func(ctx context.Context, network, address string) (net.Conn, error) {
			asked = address
			ctx, cancel := context.WithTimeout(ctx, metadataConnect)
			defer cancel()
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
		}
		start := time.Now()
		m := askMetadata(t.Context(), env(map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"}), silence)
		if m.Reachable || m.Err == nil || m.Err.Error() != "no answer in time: http://[fd00:ec2::254]" || asked != "[fd00:ec2::254]:80" || time.Since(start) != metadataConnect {
			t.Errorf("%+v of %s after %v", m, asked, time.Since(start))
		}
	})
	nobody := func(context.Context, string, string) (net.Conn, error) {
		t.Error("it was asked")
		return nil, errors.New("asked")
	}
	if m := askMetadata(t.Context(), env(map[string]string{"AWS_EC2_METADATA_DISABLED": "True"}), nobody); !m.Disabled || m.Err == nil || m.Reachable {
		t.Errorf("%+v", m)
	}
}

// Over a real connection, at the address that the environment names.
func TestMetadataEndpoint(t *testing.T) {
	server := httptest.NewServer(imds{address: "10.0.0.10", required: true})
	t.Cleanup(server.Close)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.URL+"/")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	var m Metadata
	await(t, func() string { // on a busy machine, a second may not be enough
		if m = AskMetadata(t.Context(), os.Getenv); m.Err != nil {
			return m.Err.Error()
		}
		return ""
	})
	if m.Endpoint != server.URL || !m.TokenRequired || m.PrivateAddress.String() != "10.0.0.10" {
		t.Errorf("%+v", m)
	}
}

// network is one within the process, whose time synctest may pass.
type network struct {
	conns chan net.Conn
	done  chan struct{}
}

func (n network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.done:
		return nil, net.ErrClosed
	}
}

func (n network) Close() error   { return nil }
func (n network) Addr() net.Addr { return &net.TCPAddr{} }

func (n network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case n.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// newNetwork serves on a network until the test ends.
func newNetwork(t *testing.T, h http.Handler) network {
	n := network{make(chan net.Conn), make(chan struct{})}
	s := &http.Server{Handler: h}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(n) })
	t.Cleanup(func() {
		close(n.done)
		_ = s.Close()
		wg.Wait()
	})
	return n
}
