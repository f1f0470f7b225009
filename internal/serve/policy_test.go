package serve

import (
	"net/http"
	"net/netip"
	"testing"

	"hale/gateway"
	"hale/internal/proxy"
	"hale/internal/upstream"
)

// header is net/http's as the engine's.
type header struct{ http.Header }

func (h header) Each(f func(name string, values []string)) {
	for name, values := range h.Header {
		f(name, values)
	}
}

func (h header) Len() int { return len(h.Header) }

func (header) At(int) (name, value string) { panic("the gateway asks for each") }

// What the gateway decided reaches the engine: the connection changes to the
// WebSocket protocol and to no other, and trailers bring nothing that the
// gateway owns.
func TestForwardedAction(t *testing.T) {
	g, err := gateway.New(gateway.Settings{Hosts: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	var p policy
	p.site.Store(&site{gateway: g, app: upstream.MustParse("http://127.0.0.1:8000")})
	for _, tt := range []struct{ name, upgrade, want string }{
		{"no upgrade", "", ""},
		{"websocket", "websocket", "websocket"},
		{"another protocol", "lines", ""},
		{"HTTP/2", "h2c", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{"X-Forwarded-Proto": {"https"}}
			if tt.upgrade != "" {
				h.Set("Connection", "Upgrade")
				h.Set("Upgrade", tt.upgrade)
			}
			a := p.Decide(&proxy.Head{
				Method: "GET", Host: "a.example", Path: "/", Proto: "HTTP/1.1", Header: header{h},
				Peer: netip.MustParseAddrPort("127.0.0.1:1234"),
			})
			if a.Kind != proxy.Forward || a.Upgrade != tt.want {
				t.Errorf("%v, upgrade to %q, want %q", a.Kind, a.Upgrade, tt.want)
			}
			if a.Owns == nil || !a.Owns("X-Forwarded-For") || a.Owns("X-Sum") {
				t.Error("the engine is not told which fields the gateway owns")
			}
		})
	}
}
