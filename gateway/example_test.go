package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"hale/gateway"
)

// A Go web app behind a load balancer, with no proxy in front of it.
func Example() {
	g, err := gateway.New(gateway.Settings{
		Hosts:    []string{"mysite.com", ".mysite.com"},
		Redirect: http.StatusMovedPermanently,
		NoSniff:  true,
	})
	if err != nil {
		panic(err)
	}
	health := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _ := gateway.FromContext(r.Context())
		fmt.Fprintf(w, "hello %v over %s\n", from.Client, from.Scheme)
	})
	handler := g.Middleware(health, app) // for http.ListenAndServe

	ask := func(path, host, proto string) {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host, r.RemoteAddr = host, "10.0.1.5:40000" // the load balancer
		if proto != "" {
			r.Header.Set("X-Forwarded-Proto", proto)
			r.Header.Set("X-Forwarded-For", "203.0.113.7")
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Header().Get("Location"), " ", w.Body)
	}
	ask("/health", "10.0.1.23:8080", "") // as the load balancer's probe has it
	ask("/", "www.mysite.com", "https")
	ask("/shop?page=2", "mysite.com", "http")
	ask("/", "evil.example", "https")
	// Output:
	// 200  ok
	// 200  hello 203.0.113.7 over https
	// 301 https://mysite.com/shop?page=2 this site is served over https
	// 400  400: host "evil.example" is not allowed here; to allow it, add it to Settings.Hosts of the gateway
}

// The rules are a function of a request's head, for engines of any kind.
func ExampleGateway_Decide() {
	g, err := gateway.New(gateway.Settings{
		Hosts:        []string{"mysite.com"},
		NewRequestID: func() string { return "1f0c" },
	})
	if err != nil {
		panic(err)
	}
	d := g.Decide(&gateway.Request{
		Method: "GET",
		Host:   "mysite.com",
		Path:   "/",
		Proto:  "HTTP/1.1",
		Header: gateway.Map{"X-Forwarded-Proto": {"https"}, "Connection": {"keep-alive"}},
		Peer:   netip.MustParseAddrPort("198.51.100.9:40000"), // no trusted proxy
	})
	fmt.Println(d.Kind, d.Client, d.Scheme)
	fmt.Println("remove", d.Remove)
	for _, f := range d.Set {
		fmt.Printf("set %s: %s\n", f.Name, f.Value)
	}
	// Output:
	// forward 198.51.100.9 http
	// remove [Connection]
	// set X-Forwarded-For: 198.51.100.9
	// set X-Real-Ip: 198.51.100.9
	// set X-Forwarded-Proto: http
	// set X-Forwarded-Host: mysite.com
	// set X-Forwarded-Port: 80
	// set X-Request-Id: 1f0c
}

// A mistake in the settings is told with the way out.
func ExampleNew_mistake() {
	_, err := gateway.New(gateway.Settings{Hosts: []string{"*.mysite.com"}})
	fmt.Println(err)
	// Output:
	// Hosts[0]: "*.mysite.com" has a wildcard; write .mysite.com, which is the domain and all its subdomains
}
