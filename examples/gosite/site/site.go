// Package site is a small web app, a guest book that keeps its entries in
// SQLite, with health checks of its own. It serves plain HTTP and knows nothing
// of load balancers: what stands between it and them is the gateway package in
// the same process (see the command above this directory), or hale serve in
// front of it.
package site

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static/site.css
var staticFiles embed.FS

// Options of a Site.
type Options struct {
	Dir string // where the database and the journal are kept; made if absent
	// Database is the file of a database that another Site made, and that this
	// one shares with others; empty: it has one of its own.
	Database string
	Instance string       // whose answers these are, for the header X-Instance; empty: not told
	Logger   *slog.Logger // errors behind a 500; nil discards them
}

// Site is the guest book. It is safe for concurrent use.
type Site struct {
	book     *book
	journal  *journal
	instance string
	pages    *template.Template
	mux      http.Handler
	log      *slog.Logger
	faults   faults
}

// New opens the site in its directory and brings the database's schema up to
// what this code needs. The caller closes the Site.
func New(ctx context.Context, o Options) (*Site, error) {
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("make the site's directory: %w", err)
	}
	pages, err := template.ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse templates: %w", err)
	}
	database, journal := filepath.Join(o.Dir, DatabaseFile), filepath.Join(o.Dir, JournalFile)
	if err := putBack(database, journal); err != nil {
		return nil, err
	}
	b, err := openBook(ctx, database, o.Database)
	if err != nil {
		return nil, err
	}
	j, err := openJournal(journal)
	if err != nil {
		return nil, errors.Join(err, b.close())
	}

	s := &Site{book: b, journal: j, instance: o.Instance, pages: pages, log: o.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("POST /{$}", s.sign)
	mux.HandleFunc("GET /archive", s.archive)
	mux.HandleFunc("GET /static/site.css", style)
	s.mux = http.NewCrossOriginProtection().Handler(mux)
	return s, nil
}

// Files in the site's directory.
const (
	DatabaseFile = "guestbook.db"
	JournalFile  = "visits.log"
)

// Close closes the database and the journal. Requests should have ended.
func (s *Site) Close() error {
	return errors.Join(s.book.close(), s.journal.close())
}

// ServeHTTP implements http.Handler.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.faults.hang(r.Context()) != nil {
		return // the visitor has gone
	}
	if s.instance != "" {
		w.Header().Set("X-Instance", s.instance)
	}
	s.mux.ServeHTTP(w, r)
}

// Limits of an entry, in bytes.
const (
	maxForm   = 8 << 10
	maxAuthor = 80
	maxText   = 500
)

type homePage struct {
	Entries []entry
	Total   int
	Author  string // what was typed, shown again with the Problem
	Text    string
	Problem string
}

func (s *Site) home(w http.ResponseWriter, r *http.Request) {
	if err := s.faults.delay(r.Context()); err != nil {
		return // the visitor has gone
	}
	s.showHome(w, r, http.StatusOK, homePage{})
}

func (s *Site) showHome(w http.ResponseWriter, r *http.Request, status int, page homePage) {
	if err := s.journal.visit(r); err != nil {
		s.fail(w, r, err)
		return
	}
	html, err := s.renderHome(r.Context(), page)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, status, html)
}

// renderHome is the home page's bytes, the form filled in as page says.
func (s *Site) renderHome(ctx context.Context, page homePage) ([]byte, error) {
	var err error
	if page.Entries, page.Total, err = s.book.newest(ctx); err != nil {
		return nil, err
	}
	return s.render(s.faults.homeTemplate(), page)
}

func (s *Site) sign(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "The form could not be read.", http.StatusBadRequest)
		return
	}
	page := homePage{
		Author: strings.TrimSpace(r.PostForm.Get("author")),
		Text:   strings.TrimSpace(r.PostForm.Get("text")),
	}
	if page.Problem = problem(page.Author, page.Text); page.Problem != "" {
		s.showHome(w, r, http.StatusUnprocessableEntity, page)
		return
	}
	if err := s.book.add(r.Context(), page.Author, page.Text, time.Now()); err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// problem says what keeps an entry out of the book, or nothing.
func problem(author, text string) string {
	switch {
	case author == "" || text == "":
		return "Please fill in both fields."
	case len(author) > maxAuthor:
		return "Please write a shorter name."
	case len(text) > maxText:
		return "Please write a shorter entry."
	}
	return ""
}

func (s *Site) archive(w http.ResponseWriter, r *http.Request) {
	months, err := s.book.months(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	html, err := s.render("archive.html", months)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, html)
}

// render makes the whole page before its first byte is sent: a mistake in a
// template is then a 500, not half a page with a 200.
func (s *Site) render(name string, data any) ([]byte, error) {
	var page bytes.Buffer
	if err := s.pages.ExecuteTemplate(&page, name, data); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return page.Bytes(), nil
}

// fail answers 500. The reason is logged, not shown.
func (s *Site) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the visitor has gone, nothing is wrong with the site
	}
	s.log.LogAttrs(r.Context(), slog.LevelError, "request failed",
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err))
	html, err := s.render("error.html", nil)
	if err != nil {
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	answer(w, http.StatusInternalServerError, html)
}

func answer(w http.ResponseWriter, status int, html []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(html) // an error means that the visitor has gone
}

func style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=3600")
	http.ServeFileFS(w, r, staticFiles, "static/site.css")
}
