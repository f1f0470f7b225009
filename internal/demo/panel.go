package demo

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"sync"
	"time"

	"hale/internal/ownname"
)

//go:embed templates/panel.html
var panelFiles embed.FS

//go:embed static/panel.css static/panel.js
var staticFiles embed.FS

// panel is the page that shows everything and breaks it. It stands beside the load
// balancer, not behind it: it must work while the site does not.
type panel struct {
	places Places
	fleet  *fleet
	watch  *watch
	users  *users
	page   *template.Template
	http.Handler

	mu   sync.Mutex // guards what follows
	last done
	at   time.Time // of last
}

func newPanel(places Places, f *fleet, w *watch, u *users) (*panel, error) {
	page, err := template.ParseFS(panelFiles, "templates/panel.html")
	if err != nil {
		return nil, fmt.Errorf("parse the panel's page: %w", err)
	}
	p := &panel{places: places, fleet: f, watch: w, users: u, page: page}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { p.render(w, http.StatusOK, "") })
	mux.HandleFunc("POST /do", p.do)
	mux.HandleFunc("GET /hale.yaml", file(f.files.haleYAML()))
	mux.HandleFunc("GET /balance.yaml", file(f.files.balanceYAML()))
	mux.HandleFunc("GET /balance.log", file(f.files.log()))
	mux.Handle("GET /static/", http.FileServerFS(staticFiles))

	// The panel breaks things: only pages of its own may ask it to, under a name
	// that cannot be anybody else's.
	p.Handler = ownname.Only(guarded(http.NewCrossOriginProtection().Handler(mux)))
	return p, nil
}

// guarded has browsers keep what they get to this address.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, header := range [...][2]string{
			{"Cache-Control", "no-store"},
			{"X-Content-Type-Options", "nosniff"},
			{"X-Frame-Options", "DENY"},
			{"Referrer-Policy", "no-referrer"},
			{"Cross-Origin-Resource-Policy", "same-origin"},
			{
				"Content-Security-Policy",
				"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			},
		} {
			w.Header().Set(header[0], header[1])
		}
		next.ServeHTTP(w, r)
	})
}

func file(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		http.ServeFile(w, r, path)
	}
}

func (p *panel) render(w http.ResponseWriter, status int, problem string) {
	var page bytes.Buffer
	p.mu.Lock()
	last := p.last
	if time.Since(p.at) > remembered {
		last = done{}
	}
	p.mu.Unlock()
	s := p.watch.seen()
	v := newView(p.places, p.fleet, s, p.users.seen(time.Now()))
	v.Problem, v.Done = problem, last
	if problem == "" && s.unwatched != "" {
		v.Problem = "What is shown is not of now: " + s.unwatched
	}
	if err := p.page.Execute(&page, v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // an error means that the browser has gone
}

// remembered is how long the page says what the last button did.
const remembered = time.Minute

// do does what a form says: do=kill&instance=i-0123, see deeds.
func (p *panel) do(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<10)
	if err := r.ParseForm(); err != nil {
		p.render(w, http.StatusBadRequest, "the form could not be read: "+err.Error())
		return
	}
	done, err := p.fleet.do(r.Context(), p.watch.seen(), r.PostForm)
	if err != nil {
		status := http.StatusConflict
		if _, bad := errors.AsType[unasked](err); bad {
			status = http.StatusBadRequest
		}
		p.render(w, status, err.Error())
		return
	}
	p.mu.Lock()
	p.last, p.at = done, time.Now()
	p.mu.Unlock()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
