package demo

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path/filepath"
	"time"

	"hale/examples/gosite/site"
	"hale/gateway"
)

//go:embed templates/panel.html
var panelFiles embed.FS

//go:embed static/panel.css static/panel.js
var staticFiles embed.FS

// panel is the page that shows the answers and breaks the site. It stands beside
// the gateway, not behind it: it must work while the site does not.
type panel struct {
	places Places
	app    *site.Site
	watch  *watch
	page   *template.Template
	http.Handler
}

func newPanel(places Places, app *site.Site, w *watch) (*panel, error) {
	page, err := template.ParseFS(panelFiles, "templates/panel.html")
	if err != nil {
		return nil, fmt.Errorf("parse the panel's page: %w", err)
	}
	p := &panel{places: places, app: app, watch: w, page: page}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.show)
	mux.HandleFunc("POST /fault", p.fault)
	mux.HandleFunc("GET /hale.yaml", p.config)
	mux.Handle("GET /static/", http.FileServerFS(staticFiles))

	// The panel breaks things: only pages of its own may ask it to, under a
	// name that cannot be anybody else's.
	gate, err := gateway.New(gateway.Settings{
		Hosts:        []string{"127.0.0.1", "localhost", "[::1]"},
		NoSniff:      true,
		FrameOptions: "DENY",
	})
	if err != nil {
		return nil, fmt.Errorf("the panel's gateway: %w", err)
	}
	p.Handler = gate.Middleware(nil, http.NewCrossOriginProtection().Handler(mux))
	return p, nil
}

// view is everything on the page.
type view struct {
	Places
	Problem  string // what went wrong with the last button
	Balancer side
	User     side
	Checks   []checkState
	Faults   []faultView
	Lines    []line
}

// side is what one of the two who ask got, last and before.
type side struct {
	Title, Request string
	Last           answer
	State          string // pass, warn, fail or unknown
	Strip          []mark
}

// mark is one past answer.
type mark struct{ State, Text string }

type faultView struct {
	Fault       site.Fault
	Title, What string
	Broken      bool
}

// slow is the time from which an answer is shown as slow.
const slow = time.Second

func newSide(title, request string, answers []answer) side {
	s := side{Title: title, Request: request, State: "unknown"}
	for range remembered - len(answers) {
		s.Strip = append(s.Strip, mark{"unknown", "not asked yet"})
	}
	for _, a := range answers {
		s.Strip = append(s.Strip, mark{a.state(), a.Text + " in " + a.Duration()})
	}
	if n := len(answers); n > 0 {
		s.Last, s.State = answers[n-1], answers[n-1].state()
	}
	return s
}

func (a answer) state() string {
	switch {
	case a.Status != http.StatusOK:
		return "fail"
	case a.Took >= slow:
		return "warn"
	}
	return "pass"
}

// Duration is how long the answer took, for people.
func (a answer) Duration() string {
	if a.Took >= slow {
		return fmt.Sprintf("%.1f s", a.Took.Seconds())
	}
	return fmt.Sprintf("%.1f ms", a.Took.Seconds()*1e3)
}

func (p *panel) view(problem string) view {
	balancer, user, checks := p.watch.seen()
	return view{
		Places:  p.places,
		Problem: problem,
		Balancer: newSide("The load balancer gets", "GET /health\nHost: "+probeHost+
			"\nUser-Agent: ELB-HealthChecker/2.0", balancer),
		User: newSide("A user gets", "GET /\nHost: "+PublicHost+"\nX-Forwarded-Proto: https", user),

		Checks: checks,
		Faults: p.faults(),
		Lines:  lines(p.places),
	}
}

func (p *panel) faults() []faultView {
	words := map[site.Fault][2]string{
		site.DatabaseGone:     {"Database gone", "The database's file is moved away."},
		site.MigrationsBehind: {"Migration missing", "The last migration is taken back: the home page works, the archive does not."},
		site.PageBroken:       {"Home page broken", "Its template asks for something that the code does not have: 500."},
		site.PageSlow:         {"Home page slow", fmt.Sprintf("It takes %v; the check waits for 2s.", site.SlowPage)},
		site.DiskFull:         {"Disk full", "The journal of visits is on a full device: each write fails with ENOSPC."},
	}
	var all []faultView
	for _, f := range site.Faults() {
		all = append(all, faultView{f, words[f][0], words[f][1], p.app.Broken(f)})
	}
	return all
}

func (p *panel) show(w http.ResponseWriter, _ *http.Request) {
	p.render(w, http.StatusOK, "")
}

func (p *panel) render(w http.ResponseWriter, status int, problem string) {
	var page bytes.Buffer
	if err := p.page.Execute(&page, p.view(problem)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // an error means that the browser has gone
}

// fault breaks or mends: fault=NAME&do=break|mend.
func (p *panel) fault(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<10)
	var turn func(context.Context, site.Fault) error
	switch r.PostFormValue("do") {
	case "break":
		turn = p.app.Break
	case "mend":
		turn = p.app.Mend
	default:
		p.render(w, http.StatusBadRequest, "do must be break or mend")
		return
	}
	if err := turn(r.Context(), site.Fault(r.PostFormValue("fault"))); err != nil {
		p.render(w, http.StatusConflict, err.Error())
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *panel) config(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	http.ServeFile(w, r, filepath.Join(p.places.Dir, configFile))
}
