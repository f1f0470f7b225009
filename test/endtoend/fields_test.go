package endtoend

import (
	"fmt"
	"net/http"
	"testing"
)

// TestFieldsThatAClientCannotTakeOut lists in Connection what the app is
// promised to see: it would redirect to https for ever, or take the request for
// another's.
func TestFieldsThatAClientCannotTakeOut(t *testing.T) {
	names := []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-Ip", "X-Request-Id", "X-Hop"}
	h := serve(t, fmt.Sprintf("app: {url: %q}\nhosts: {allow: [mysite.com]}\n", app(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range names {
			_, _ = fmt.Fprintf(w, "%s: %q\n", name, r.Header.Values(name))
		}
	})))
	a := h.ask(append([]string{
		user[0], user[1],
		"Connection: close, X-Forwarded-For,x-forwarded-proto , X-Forwarded-Host, X-Forwarded-Port",
		"Connection: X-Real-Ip, X-Request-Id, X-Hop", "X-Forwarded-Host: mysite.com", "X-Real-Ip: 203.0.113.7", "X-Request-Id: id-1", "X-Hop: 1",
	}, user[2:5]...)...)
	const want = `X-Forwarded-For: ["203.0.113.7, 127.0.0.1"]
X-Forwarded-Proto: ["https"]
X-Forwarded-Host: ["mysite.com"]
X-Forwarded-Port: ["443"]
X-Real-Ip: ["203.0.113.7"]
X-Request-Id: ["id-1"]
X-Hop: []
`
	if a.status != 200 || a.body != want {
		t.Errorf("status %d, the app sees\n%swant\n%s", a.status, a.body, want)
	}
}
