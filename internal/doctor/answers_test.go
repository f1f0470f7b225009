package doctor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"hale/internal/probe"
)

// TestAnswersOfOtherSites holds judgements on answers that are easily taken for
// another fault, or for none.
func TestAnswersOfOtherSites(t *testing.T) {
	const asked = "/status/ping"
	says := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	ok := says(http.StatusOK, "text/plain", "pong")
	onPath := func(here, elsewhere http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == asked {
				here(w, r)
				return
			}
			elsewhere(w, r)
		}
	}
	toLocation := func(location string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Location"] = []string{location}
			w.WriteHeader(http.StatusFound)
		}
	}
	inTurn := func(handlers ...http.HandlerFunc) http.HandlerFunc {
		var n atomic.Int64
		return func(w http.ResponseWriter, r *http.Request) { handlers[int(n.Add(1)-1)%len(handlers)](w, r) }
	}
	const (
		json      = "application/json"
		nginxPage = "<html><head><title>%[1]s</title></head><body><center><h1>%[1]s</h1></center><hr><center>nginx</center></body></html>"
	)
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		domain  string
		healthy bool
		want    []string
	}{
		{"every path echoed", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, `{"path":%q}`, r.URL.Path) }, "", true, []string{"false-positive-200"}},
		{"a health answer before an app of one page", onPath(says(200, json, `{"status":"ok"}`), says(200, "text/html", "<title>shop</title>")), "", true, nil},
		{"errors told with 200", onPath(says(200, json, `{"status":"ok"}`), says(200, json, `{"error":"no such route"}`)), "", true, nil},
		{"passwords for all but the health path", onPath(ok, says(401, "text/plain", "who?")), "", true, nil},
		{"one of two upstreams fails", inTurn(ok, says(500, "text/plain", "no")), "", false, nil},
		{"one of two upstreams is in maintenance", inTurn(ok, says(503, "text/plain", "no")), "", false, nil},
		{"nginx says 503 whatever is asked", says(503, "text/html", fmt.Sprintf(nginxPage, "503 Service Temporarily Unavailable")), "", false, []string{"maintenance-mode"}},
		{"HAProxy has no server, for a Host that nobody named", says(503, "text/html", "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n"), "", false, nil},
		{"a 503 of the app that says when to come again", onPath(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "10")
			says(503, json, `{"status":"fail"}`)(w, r)
		}, says(404, "text/plain", "no")), "", false, nil},
		{"a 503 of the app that names what it lacks", onPath(says(503, json, `{"db":"could not connect to server: refused"}`), says(404, "text/plain", "no")), "", false, []string{"dependency-down-500"}},
		{"a bare 403", says(403, json, `{"error":"forbidden"}`), "", false, nil},
		{"a 403 that wants a key", says(403, json, `{"error":"Invalid API key"}`), "", false, []string{"app-auth-middleware"}},
		{"a sign-in page of Devise", onPath(toLocation("/users/sign_in"), ok), "", false, []string{"login-redirect"}},
		{"a sign-in on another host", toLocation("https://id.example.com/realms/main?rd=" + asked), "", false, []string{"login-redirect"}},
		{"Django refuses, and no name is known", says(400, "text/html", "<h1>Bad Request (400)</h1>"), "", false, []string{"django-allowed-hosts"}},
		{"Django's page for developers", says(400, "text/html", "<html><head><title>DisallowedHost\n          at /status/ping</title></head></html>"), "", false, []string{"django-allowed-hosts"}},
		{"Django refuses, behind nginx that sends all other paths to https", onPath(
			says(400, "text/html", "<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>Bad Request (400)</title>\n</head>\n<body>\n  <h1>Bad Request (400)</h1><p></p>\n</body>\n</html>\n"),
			func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Location"] = []string{"https://127.0.0.1" + r.URL.Path}
				says(301, "text/html", fmt.Sprintf(nginxPage, "301 Moved Permanently"))(w, r)
			}), "", false, nil},
		{"an app refuses, and sends all other paths to https itself", onPath(says(400, json, `{"error":"bad host"}`), func(w http.ResponseWriter, r *http.Request) {
			toLocation("https://127.0.0.1"+r.URL.Path)(w, r)
		}), "", false, nil},
		{"an app wants a parameter, and knows no other path", onPath(says(400, json, `{"error":"missing q"}`), says(404, json, `{"error":"no such route"}`)), "", false, []string{"bad-request-by-app"}},
		{"Flask knows no path, and no name is known", says(404, "text/html", "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n"), "", false, nil},
		{"nginx before two apps", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Server", "nginx")
			if strings.HasPrefix(r.Host, "app.example.com") {
				onPath(ok, says(404, "text/plain", "no"))(w, r)
				return
			}
			says(404, "text/html", "<pre>Cannot GET "+r.URL.Path+"</pre>")(w, r)
		}, "app.example.com", false, []string{"nginx-wrong-vhost"}},
		{"uWSGI without an app, behind nginx", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Server", "nginx/1.22.1")
			says(500, "text/plain", "Internal Server Error")(w, r)
		}, "", false, []string{"uwsgi-no-app"}},
		{"nginx rewrites all to one name", func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Location"] = []string{"https://app.example.com" + r.URL.Path}
			says(301, "text/html", fmt.Sprintf(nginxPage, "301 Moved Permanently"))(w, r)
		}, "", false, []string{"nginx-return-301"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.handler)
			defer server.Close()
			prober, _ := probe.Find("alb")
			p, err := probe.New(t.Context(), prober, server.URL+asked, probe.Options{})
			if err != nil {
				t.Fatal(err)
			}
			r, err := Examine(t.Context(), Options{Probe: p, Target: server.URL, Domain: c.domain, IdleWait: -1})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range r.Findings {
				got = append(got, f.ID)
			}
			if !slices.Equal(got, c.want) || r.Healthy != c.healthy {
				t.Errorf("healthy: %v, findings: %v; want %v, %v\nnot decided: %v", r.Healthy, got, c.healthy, c.want, r.Undecided)
			}
			if len(r.Findings) == 0 && !r.Healthy && len(r.Undecided) == 0 {
				t.Error("it says neither what is wrong nor that it does not know")
			}
		})
	}
}
