package demo

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"
)

// What a user gets is told by who wrote it.
func TestVisit(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != PublicHost {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("X-Instance", "i-1")
		switch r.URL.Path {
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/nobody":
			w.Header().Del("X-Instance")
			w.Header().Set("Server", "awselb/2.0")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/hangs":
			<-r.Context().Done()
		case "/cut":
			panic(http.ErrAbortHandler)
		}
	}))
	defer site.Close()
	u := newUsers(site.Listener.Addr().String())
	defer u.client.CloseIdleConnections()
	for _, tt := range []struct {
		path, says, instance string
		timeout              time.Duration
		failed               bool
	}{
		{"/", "200 from the site", "i-1", time.Minute, false},
		{"/broken", "500 from the site", "i-1", time.Minute, true},
		{"/nobody", "503 from the load balancer", "", time.Minute, true},
		{"/cut", "connection broken", "", time.Minute, true},
		{"/hangs", "no answer in 5s", "", time.Millisecond, true},
	} {
		u.client.Timeout = tt.timeout
		got, instance := u.visit(t.Context(), tt.path)
		if got.String() != tt.says || instance != tt.instance || got.Failed() != tt.failed {
			t.Errorf("%s: %s from %q, failed: %v; want %s from %q", tt.path, got, instance, got.Failed(), tt.says, tt.instance)
		}
	}
	u.client.Timeout = time.Minute
	site.Close()
	if got, _ := u.visit(t.Context(), "/"); got.String() != "connection refused" {
		t.Errorf("without a listener: %s", got)
	}
}

// Counts are of the last minute by the second, and of all.
func TestCounts(t *testing.T) {
	u := newUsers("127.0.0.1:1")
	ok, broken, nobody := outcome{Status: 200}, outcome{Status: 500}, outcome{Status: 503, ELB: true}
	start := time.Unix(1_000_000, 0)
	u.count(ok, "i-1", start) // forgotten by the second, not in the total
	at := start.Add(5 * time.Minute)
	for range 8 {
		u.count(ok, "i-1", at)
	}
	u.count(broken, "i-2", at.Add(time.Second))
	u.count(nobody, "", at.Add(time.Second))
	u.count(ok, "i-1", at.Add(2*time.Second)) // in a second that is not over
	got := u.seen(at.Add(2 * time.Second))
	if want := []counted{{ok, 10}, {broken, 1}, {nobody, 1}}; !reflect.DeepEqual(got.Total, want) {
		t.Errorf("in total %v, want %v", got.Total, want)
	}
	if want := (tally{All: 10, Failed: 2}); got.Recent != want || want.PerSecond() != 1 || want.Percent() != 20 {
		t.Errorf("recently %+v, want %+v", got.Recent, want)
	}
	if want := map[string]tally{"i-1": {8, 0}, "i-2": {1, 1}}; !reflect.DeepEqual(got.Of, want) {
		t.Errorf("by instance %v, want %v", got.Of, want)
	}
	if n := len(got.Seconds); n != kept-1 || got.Seconds[n-1] != (tally{2, 2}) || got.Seconds[n-2] != (tally{8, 0}) || got.Seconds[0] != (tally{}) {
		t.Errorf("%d seconds: %v", n, got.Seconds)
	}
	if later := u.seen(at.Add(time.Hour)); later.Recent != (tally{}) || later.Recent.Percent() != 0 {
		t.Errorf("an hour later: %+v", later.Recent)
	}
}
