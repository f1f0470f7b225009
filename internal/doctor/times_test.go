package doctor_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hale/internal/doctor"
	"hale/internal/probe"
)

// examineHandler examines a site of Go's.
func examineHandler(t *testing.T, timeout time.Duration, handler http.HandlerFunc) doctor.Report {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	prober, _ := probe.Find("alb")
	p, err := probe.New(t.Context(), prober, server.URL+"/health", probe.Options{Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	r, err := doctor.Examine(t.Context(), doctor.Options{Probe: p, Domain: "example.com", IdleWait: -1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// One answer that does not come tells nothing of how long answers take.
func TestOneAnswerThatDoesNotCome(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	r := examineHandler(t, 6*time.Second, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			<-r.Context().Done()
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	if r.Healthy || len(r.Findings) > 0 || r.HealthyWhenFixed || len(r.Undecided) == 0 || !strings.HasPrefix(r.Undecided[0].What, "why one probe was not answered within 6s: of 20, the 19 others passed") {
		t.Errorf("healthy %v, findings %v, undecided %v", r.Healthy, r.Findings, r.Undecided)
	}
}

// Of a path that is silent, another path tells whether the server is at fault.
func TestSilentPath(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		everywhere bool
		want       string
	}{
		"alone":      {false, "so it is the handler of this path that waits"},
		"everywhere": {true, "a path that does not exist is not answered, either"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := examineHandler(t, 3*time.Second, func(w http.ResponseWriter, r *http.Request) {
				if test.everywhere || r.URL.Path == "/health" {
					<-r.Context().Done()
					return
				}
				http.NotFound(w, r)
			})
			if len(r.Undecided) == 0 || !strings.Contains(r.Undecided[0].What, test.want) {
				t.Errorf("findings %v, undecided %v", r.Findings, r.Undecided)
			}
		})
	}
}

// What the first request alone meets is not what comes and goes.
func TestFirstProbeAloneFails(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	r := examineHandler(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	if r.Healthy || len(r.Findings) > 0 || len(r.Undecided) == 0 || !strings.HasPrefix(r.Undecided[0].What, "why the first probe was answered 500, and the 19 after it passed") {
		t.Errorf("healthy %v, findings %v, undecided %v", r.Healthy, r.Findings, r.Undecided)
	}
}

// A status of success belies a body that says otherwise.
func TestBodyThatSaysDown(t *testing.T) {
	t.Parallel()
	for body, found := range map[string]bool{
		`{"status":"DOWN","components":{}}`:      true,
		`{ "status" : "fail", "checks": {} }`:    true,
		`{"status":"UP"}`:                        false,
		`{"status":"pass","notes":["failover"]}`: false,
		`{"errors":0,"status":"ok"}`:             false,
		`status: down`:                           false, // of what?
	} {
		r := examineHandler(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/health" {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write([]byte(body))
		})
		if got := len(r.Findings) == 1 && r.Findings[0].ID == "false-positive-200" && strings.Contains(r.Findings[0].Title, "says that it is not well"); !r.Healthy || got != found {
			t.Errorf("%s: healthy %v, findings %v", body, r.Healthy, r.Findings)
		}
	}
}

// Who answers when to come again is not ready, and not broken.
func TestRetryAfterIsTold(t *testing.T) {
	t.Parallel()
	r := examineHandler(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Retry-After", "30")
		http.Error(w, "starting", http.StatusServiceUnavailable)
	})
	if len(r.Findings) > 0 || len(r.Undecided) == 0 || !strings.Contains(r.Undecided[0].What, "it says itself to come again (Retry-After: 30)") {
		t.Errorf("findings %v, undecided %v", r.Findings, r.Undecided)
	}
}
