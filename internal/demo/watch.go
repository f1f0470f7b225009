package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hale/internal/autoscaling"
	"hale/internal/balancer"
	"hale/internal/balancer/admin"
	"hale/internal/elb"
	"hale/internal/proc"
)

// watch asks the load balancer what it believes, and each instance what it says of
// itself, all the time.
type watch struct {
	admin  string // address
	cloud  *cloud
	client *http.Client
	last   atomic.Pointer[sight]
}

// sight is what was seen at one moment. It never changes.
type sight struct {
	status    admin.Status
	routing   routing
	answers   map[string]health // by the instance's id
	frozen    map[string]bool   // likewise
	unwatched string            // why nothing newer was seen; empty: it was
}

// health is an instance's own answer to a health request.
type health struct {
	Status int    // 0: none
	Text   string // the verdict in words, or why there is none
	Checks []checkState
}

// checkState is one check's result, as the health answer tells it.
type checkState struct {
	Name, Status, Output string
	CausedBy             string // the check that its failure follows from
}

const (
	pace    = time.Second
	maxBody = 8 << 20
)

func newWatch(address string, c *cloud) *watch {
	w := &watch{admin: address, cloud: c, client: &http.Client{
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1, MaxIdleConns: 4 * size},
		Timeout:   2 * time.Second,
	}}
	w.last.Store(&sight{})
	return w
}

// seen returns what was seen last.
func (w *watch) seen() *sight { return w.last.Load() }

// run watches until ctx is done.
func (w *watch) run(ctx context.Context) {
	defer w.client.CloseIdleConnections()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		if s := w.look(ctx); ctx.Err() == nil {
			w.last.Store(s)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// waitFor returns when something was seen, or ctx is done.
func (w *watch) waitFor(ctx context.Context, what func(*sight) bool) {
	tick := time.NewTicker(pace / 20)
	defer tick.Stop()
	for !what(w.seen()) && ctx.Err() == nil {
		<-tick.C
	}
}

// there tells whether the load balancer has told of itself.
func (s *sight) there() bool { return s.listener() != "" }

// serves tells whether each target group has a healthy target.
func (s *sight) serves() bool {
	for _, name := range groups {
		if g := s.group(name); g == nil || g.States[elb.Healthy] == 0 {
			return false
		}
	}
	return true
}

// look looks once.
func (w *watch) look(ctx context.Context) *sight {
	s := &sight{answers: make(map[string]health), frozen: make(map[string]bool)}
	_, body, err := w.get(ctx, "http://"+w.admin+"/status.json")
	if err == nil {
		err = json.Unmarshal(body, &s.status)
	}
	if err == nil && s.listener() != "" {
		s.routing, err = w.cloud.ask(ctx, s.listener())
	}
	if err != nil {
		last := *w.seen()
		last.unwatched = err.Error()
		return &last
	}
	var (
		asked sync.WaitGroup
		mu    sync.Mutex
	)
	for _, g := range s.status.AutoScaling {
		for _, i := range g.Instances {
			if p, err := (proc.FS{}).Process(i.PID); err == nil && p.Stopped() {
				s.frozen[i.ID] = true
				continue
			}
			asked.Go(func() {
				h := w.ask(ctx, i.Address)
				mu.Lock()
				defer mu.Unlock()
				s.answers[i.ID] = h
			})
		}
	}
	asked.Wait()
	w.admit(ctx, s)
	return s
}

// admit lets instances into service that wait for that, once they are healthy. At
// AWS, a program on the instance would do that.
func (w *watch) admit(ctx context.Context, s *sight) {
	for _, g := range s.status.AutoScaling {
		for _, i := range g.Instances {
			if i.State == autoscaling.PendingWait && s.answers[i.ID].Status == http.StatusOK {
				if err := w.cloud.ready(ctx, g.Name, i.ID); err != nil {
					s.unwatched = err.Error()
				}
			}
		}
	}
}

// ask asks an instance for its health.
func (w *watch) ask(ctx context.Context, address string) health {
	status, body, err := w.get(ctx, "http://"+address+"/health?format=json")
	if err != nil {
		return health{Text: "does not answer"}
	}
	h := health{Status: status, Text: "ok"}
	verdict := parseHealth(body)
	h.Checks = verdict.checks
	if verdict.status != "pass" {
		h.Text = verdict.status
	}
	var causes []string
	for _, c := range h.Checks {
		if c.Status != "pass" && c.CausedBy == "" {
			causes = append(causes, c.Name)
		}
	}
	if len(causes) > 0 {
		h.Text += ": " + strings.Join(causes, ", ")
	}
	return h
}

func (w *watch) get(ctx context.Context, url string) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := w.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return 0, nil, fmt.Errorf("read %s: %w", url, err)
	}
	return response.StatusCode, body, nil
}

// verdict is what an instance's health answer says.
type verdict struct {
	status string // pass, warn or fail
	checks []checkState
}

// parseHealth reads an answer in the form of draft-inadarei-api-health-check; its
// checks are sorted by name. What is no such answer fails.
func parseHealth(body []byte) verdict {
	var document struct {
		Status string `json:"status"`
		Checks map[string][]struct {
			Status   string `json:"status"`
			Output   string `json:"output"`
			CausedBy string `json:"caused_by"`
		} `json:"checks"`
	}
	if json.Unmarshal(body, &document) != nil || document.Status == "" {
		return verdict{status: "fail"}
	}
	v := verdict{status: document.Status}
	for name, results := range document.Checks {
		for _, r := range results {
			v.checks = append(v.checks, checkState{name, r.Status, r.Output, r.CausedBy})
		}
	}
	slices.SortFunc(v.checks, func(a, b checkState) int { return strings.Compare(a.Name, b.Name) })
	return v
}

// listener returns the ARN of the site's listener; empty if there is none.
func (s *sight) listener() string {
	for _, b := range s.status.LoadBalancers {
		for _, l := range b.Listeners {
			return l.ARN
		}
	}
	return ""
}

// group returns a target group; nil if there is none of that name.
func (s *sight) group(name string) *balancer.GroupStatus {
	for i := range s.status.Groups {
		if s.status.Groups[i].Name == name {
			return &s.status.Groups[i]
		}
	}
	return nil
}

// groupOf returns the name of an instance's Auto Scaling group.
func (s *sight) groupOf(instance string) string {
	for _, g := range s.status.AutoScaling {
		for _, i := range g.Instances {
			if i.ID == instance {
				return g.Name
			}
		}
	}
	return ""
}
