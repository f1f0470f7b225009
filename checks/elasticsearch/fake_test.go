package elasticsearch_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hale/test/servers"
)

// fake answers GET /_cluster/health as the documentation of Elasticsearch 8 has
// it, with the error bodies that its REST layer makes.
type fake struct {
	*httptest.Server

	name     string
	nodes    int
	indices  map[string]string // to their status
	noMaster bool
	user     string // empty: no security
	password string
	apiKey   string // encoded

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// start starts a fake, with TLS if there is a certificate.
func (f *fake) start(t *testing.T, cert ...servers.Certificate) *fake {
	t.Helper()
	f.conns = make(map[net.Conn]bool)
	f.Server = httptest.NewUnstartedServer(f)
	f.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that hang up are the point
	f.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if state == http.StateClosed || state == http.StateHijacked {
			delete(f.conns, conn)
		} else {
			f.conns[conn] = true
		}
	}
	if len(cert) > 0 {
		f.TLS = &tls.Config{Certificates: []tls.Certificate{cert[0].TLS(t)}}
		f.StartTLS()
	} else {
		f.Start()
	}
	t.Cleanup(f.Close)
	return f
}

func (f *fake) address() string { return f.Listener.Addr().String() }

func (f *fake) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.user != "" && !f.admits(w, r) {
		return
	}
	pattern, ok := strings.CutPrefix(r.URL.Path, "/_cluster/health")
	if !ok {
		refuse(w, http.StatusNotFound, "index_not_found_exception", "no such index ["+r.URL.Path[1:]+"]")
		return
	}
	for name := range r.URL.Query() {
		if !slices.Contains([]string{"timeout", "level"}, name) {
			refuse(w, http.StatusBadRequest, "illegal_argument_exception", "request [/_cluster/health] contains unrecognized parameter: ["+name+"]")
			return
		}
	}
	patience, err := time.ParseDuration(r.URL.Query().Get("timeout"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "parse_exception", "failed to parse setting [timeout]")
		return
	}
	if f.noMaster {
		time.Sleep(patience)
		refuse(w, http.StatusServiceUnavailable, "master_not_discovered_exception", nil)
		return
	}
	f.health(w, strings.Trim(pattern, "/"), patience, r.URL.Query().Get("level"))
}

// health answers about the indices that a list of patterns matches. A name that
// is not there is waited for, in vain.
func (f *fake) health(w http.ResponseWriter, patterns string, patience time.Duration, level string) {
	matched, missing := map[string]any{}, false
	status, shards := "green", map[string]int{"green": 2, "yellow": 1}
	active, unassigned := 0, 0
	if patterns == "" {
		patterns = "*"
	}
	for pattern := range strings.SplitSeq(patterns, ",") {
		some := false
		for name, of := range f.indices {
			if ok, _ := path.Match(pattern, name); !ok || matched[name] != nil {
				continue
			}
			some = true
			matched[name] = map[string]any{"status": of, "number_of_shards": 1, "number_of_replicas": 1}
			status = max(status, of) // green, red, yellow
			active += shards[of]
			unassigned += 2 - shards[of]
		}
		missing = missing || !some && !strings.Contains(pattern, "*")
	}
	for _, of := range matched {
		if of.(map[string]any)["status"] == "red" {
			status = "red"
		}
	}
	code := http.StatusOK
	if missing {
		time.Sleep(patience)
		status, code = "red", http.StatusRequestTimeout
	}
	answer := map[string]any{
		"cluster_name": f.name, "status": status, "timed_out": missing,
		"number_of_nodes": f.nodes, "number_of_data_nodes": f.nodes,
		"active_primary_shards": active, "active_shards": active, "relocating_shards": 0, "initializing_shards": 0,
		"unassigned_shards": unassigned, "delayed_unassigned_shards": 0, "number_of_pending_tasks": 0,
		"number_of_in_flight_fetch": 0, "task_max_waiting_in_queue_millis": 0, "active_shards_percent_as_number": 100.0,
	}
	if level == "indices" {
		answer["indices"] = matched
	}
	w.Header().Set("X-elastic-product", "Elasticsearch")
	write(w, code, answer)
}

// admits knows one user who may do everything, another who may do nothing, and
// one API key.
func (f *fake) admits(w http.ResponseWriter, r *http.Request) bool {
	user, password, basic := r.BasicAuth()
	switch {
	case basic && user == f.user && password == f.password:
		return true
	case f.apiKey != "" && r.Header.Get("Authorization") == "ApiKey "+f.apiKey:
		return true
	case basic && user == "guest" && password == f.password:
		refuse(w, http.StatusForbidden, "security_exception", "action [cluster:monitor/health] is unauthorized for user [guest] with effective roles [guest], this action is granted by the cluster privileges [monitor,manage,all]")
	case basic:
		w.Header().Set("WWW-Authenticate", `Basic realm="security" charset="UTF-8"`)
		refuse(w, http.StatusUnauthorized, "security_exception", "unable to authenticate user ["+user+"] for REST request [/_cluster/health]")
	default:
		w.Header().Set("WWW-Authenticate", `Basic realm="security" charset="UTF-8"`)
		refuse(w, http.StatusUnauthorized, "security_exception", "missing authentication credentials for REST request [/_cluster/health]")
	}
	return false
}

func refuse(w http.ResponseWriter, status int, kind string, reason any) {
	cause := map[string]any{"type": kind, "reason": reason}
	write(w, status, map[string]any{
		"error":  map[string]any{"root_cause": []any{cause}, "type": kind, "reason": reason},
		"status": status,
	})
}

func write(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}
