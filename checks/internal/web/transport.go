package web

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"

	"hale/internal/inturn"
)

// maxHeader bounds the header of an answer, in bytes.
const maxHeader = 64 << 10

// Transport makes the connections of a check that speaks HTTP/1.1: directly,
// never through a proxy of the environment, and nothing is unpacked that was not
// asked for. Whoever lets it keep connections calls CloseIdleConnections at the
// end of the run.
func Transport(secure *tls.Config) *http.Transport {
	return TransportVia(new(net.Dialer).DialContext, secure)
}

// TransportVia is Transport with connections of dial's making, which are to be
// secured if the URL says so.
func TransportVia(dial inturn.DialFunc, secure *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext: inturn.Dial(dial),
		DialTLSContext: inturn.Dial(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return handshake(ctx, conn, address, secure)
		}),
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// handshake begins with TLS. The certificate has to be for the name in settings,
// or else for the host that is connected to.
func handshake(ctx context.Context, conn net.Conn, address string, settings *tls.Config) (net.Conn, error) {
	if settings == nil {
		settings = new(tls.Config)
	}
	if settings.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		settings = settings.Clone()
		settings.ServerName = host
	}
	secured := tls.Client(conn, settings)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // why it is of no use is the news
		return nil, err
	}
	return secured, nil
}

// Address returns where an http or https URL leads, host:port.
func Address(u *url.URL) string {
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))
}
