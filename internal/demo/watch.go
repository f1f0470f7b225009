package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// watch asks the gateway once a second, as a load balancer does and as a user
// behind it does, and remembers the answers.
type watch struct {
	gateway string // address
	client  *http.Client

	mu       sync.Mutex // guards what follows
	balancer []answer   // oldest first
	user     []answer
	checks   []checkState
}

const (
	pace       = time.Second
	remembered = 60 // answers
	maxBody    = 64 << 10
	patience   = 8 * time.Second // more than the slow page takes
)

// answer is what was got for one request.
type answer struct {
	Status int    // 0: none
	Text   string // the status line, or why there is no answer
	Body   string // the health answer's first line, or the page's title
	Took   time.Duration
}

// checkState is one check's result, as the health answer tells it.
type checkState struct {
	Name, Type, Status, Impact, Output string
	Milliseconds                       float64
}

func newWatch(gateway string) *watch {
	return &watch{
		gateway: gateway,
		client: &http.Client{
			Transport:     &http.Transport{DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// run watches until ctx is done.
func (w *watch) run(ctx context.Context) {
	defer w.client.CloseIdleConnections()
	var both sync.WaitGroup
	both.Go(func() { every(ctx, w.asBalancer) })
	both.Go(func() { every(ctx, w.asUser) })
	both.Wait()
}

// every calls f at the watch's pace; a call that takes longer delays the next.
func every(ctx context.Context, f func(context.Context)) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		f(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w *watch) asBalancer(ctx context.Context) {
	probe, body := w.ask(ctx, "/health", func(r *http.Request) {
		r.Host = probeHost
		r.Header.Set("User-Agent", "ELB-HealthChecker/2.0")
	})
	probe.Body, _, _ = strings.Cut(string(body), "\n")
	var checks []checkState
	if details, body := w.ask(ctx, "/health?format=json", func(*http.Request) {}); details.Status != 0 {
		checks = parseChecks(body)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.balancer = remember(w.balancer, probe)
	w.checks = checks
}

func (w *watch) asUser(ctx context.Context) {
	page, body := w.ask(ctx, "/", func(r *http.Request) {
		r.Host = PublicHost
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Forwarded-For", "198.51.100.7")
		r.Header.Set("User-Agent", "hale-demo")
	})
	page.Body = title(body)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.user = remember(w.user, page)
}

// title is the title of a page of HTML; empty if it has none.
func title(page []byte) string {
	_, rest, _ := strings.Cut(string(page), "<title>")
	text, _, found := strings.Cut(rest, "</title>")
	if !found {
		return ""
	}
	return html.UnescapeString(text)
}

func remember(answers []answer, a answer) []answer {
	answers = append(answers, a)
	return slices.Clone(answers[max(0, len(answers)-remembered):])
}

// ask sends one request to the gateway.
func (w *watch) ask(ctx context.Context, target string, edit func(*http.Request)) (answer, []byte) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	none := func(err error) (answer, []byte) {
		return answer{Text: fmt.Sprintf("no answer: %v", err), Took: time.Since(start)}, nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.gateway+target, nil)
	if err != nil {
		return none(err)
	}
	edit(r)
	response, err := w.client.Do(r)
	if err != nil {
		return none(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return none(err)
	}
	return answer{Status: response.StatusCode, Text: response.Status, Took: time.Since(start)}, body
}

// parseChecks reads the checks of an answer in the form of
// draft-inadarei-api-health-check, sorted by name.
func parseChecks(body []byte) []checkState {
	var document struct {
		Checks map[string][]struct {
			Type          string  `json:"type"`
			Status        string  `json:"status"`
			Impact        string  `json:"impact"`
			Output        string  `json:"output"`
			ObservedValue float64 `json:"observedValue"`
		} `json:"checks"`
	}
	if json.Unmarshal(body, &document) != nil {
		return nil // the panel shows no checks then
	}
	var all []checkState
	for name, results := range document.Checks {
		for _, r := range results {
			all = append(all, checkState{name, r.Type, r.Status, r.Impact, r.Output, r.ObservedValue})
		}
	}
	slices.SortFunc(all, func(a, b checkState) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// seen is what the watch remembers; its slices are never changed.
func (w *watch) seen() (balancer, user []answer, checks []checkState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.balancer, w.user, w.checks
}
