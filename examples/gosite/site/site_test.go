package site_test

import (
	"context"
	"database/sql"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hale/examples/gosite/site"
	"hale/health"
)

func open(t *testing.T, dir string) *site.Site {
	t.Helper()
	s, err := site.New(t.Context(), site.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func do(t *testing.T, h http.Handler, r *http.Request) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(t.Context()))
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(b)
}

func get(t *testing.T, h http.Handler, path string) (status int, body string) {
	t.Helper()
	return do(t, h, httptest.NewRequest(http.MethodGet, path, nil))
}

func post(t *testing.T, h http.Handler, form url.Values, header ...string) (status int, body string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return do(t, h, r)
}

func TestPages(t *testing.T) {
	s := open(t, t.TempDir())
	for _, tt := range []struct {
		path   string
		status int
		want   string
	}{
		{"/", 200, "Welcome! Please sign the book."},
		{"/archive", 200, time.Now().UTC().Format("January 2006")},
		{"/static/site.css", 200, "color-scheme"},
		{"/static/", 404, ""},
		{"/nothing", 404, ""},
	} {
		if status, body := get(t, s, tt.path); status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("GET %s: %d, want %d with %q in\n%s", tt.path, status, tt.status, tt.want, body)
		}
	}
}

func TestSigning(t *testing.T) {
	for _, tt := range []struct {
		name         string
		author, text string
		header       []string
		status       int
		shown, saved bool
	}{
		{name: "entry", author: "Ada", text: "A <b>lovely</b> house", status: 303, saved: true},
		{name: "from this site", author: "Ada", text: "Hello", header: []string{"Sec-Fetch-Site", "same-origin"}, status: 303, saved: true},
		{name: "from a foreign site", author: "Eve", text: "Buy this", header: []string{"Sec-Fetch-Site", "cross-site"}, status: 403},
		{name: "no name", author: " ", text: "Hello", status: 422, shown: true},
		{name: "no words", author: "Ada", status: 422},
		{name: "long name", author: strings.Repeat("a", 81), text: "Hello", status: 422},
		{name: "long entry", author: "Ada", text: strings.Repeat("a", 501), status: 422},
		{name: "far too long", author: "Ada", text: strings.Repeat("a", 9000), status: 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			status, answer := post(t, s, url.Values{"author": {tt.author}, "text": {tt.text}}, tt.header...)
			if status != tt.status {
				t.Fatalf("POST: %d, want %d\n%s", status, tt.status, answer)
			}
			if tt.shown && !strings.Contains(answer, tt.text) {
				t.Errorf("the form was emptied:\n%s", answer)
			}
			want := "2 guests have written"
			if !tt.saved {
				want = "1 guest has written"
			}
			_, page := get(t, s, "/")
			if !strings.Contains(page, want) {
				t.Errorf("no %q in\n%s", want, page)
			}
			if strings.Contains(page, "<b>lovely") {
				t.Error("an entry's markup reached the page")
			}
		})
	}
}

// A second start finds what the first left, and applies only what is missing.
func TestOpensAnOldDatabase(t *testing.T) {
	dir := t.TempDir()
	s, err := site.New(t.Context(), site.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	post(t, s, url.Values{"author": {"Ada"}, "text": {"Still here"}})
	if err := s.Break(t.Context(), site.MigrationsBehind); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, dir)
	if _, page := get(t, s, "/"); !strings.Contains(page, "Still here") || strings.Count(page, "Welcome!") != 1 {
		t.Errorf("entries were lost or made twice:\n%s", page)
	}
	if status, _ := get(t, s, "/archive"); status != 200 {
		t.Errorf("GET /archive: %d, want 200: the missing migration was not applied", status)
	}
}

// A demonstration may be ended while everything is broken.
func TestStartsWellAfterFaults(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	dir := t.TempDir()
	s, err := site.New(t.Context(), site.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	post(t, s, url.Values{"author": {"Ada"}, "text": {"Still here"}})
	for _, f := range []site.Fault{site.MigrationsBehind, site.DatabaseGone, site.PageBroken, site.DiskFull} {
		if err := s.Break(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, dir)
	if status, page := get(t, s, "/"); status != 200 || !strings.Contains(page, "Still here") {
		t.Errorf("GET /: %d\n%s", status, page)
	}
	for _, c := range s.Checks() {
		if _, err := c.Run(t.Context()); err != nil {
			t.Errorf("check %s: %v", c.Name, err)
		}
	}
}

func TestRefusesWhatIsNoDatabase(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, site.DatabaseFile)
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := site.New(t.Context(), site.Options{Dir: dir})
	if err == nil {
		_ = s.Close()
		t.Fatal("New succeeded")
	}
	if !strings.Contains(err.Error(), path) {
		t.Errorf("the message does not name the file: %v", err)
	}
}

func TestFaults(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	type fault struct {
		home, archive int    // status while it is there
		check         string // the one that must fail
		output        string // in its message
	}
	want := map[site.Fault]fault{
		site.DatabaseGone:     {500, 500, "database", "unable to open database file"},
		site.MigrationsBehind: {200, 500, "migrations", "version 2, this code needs 3"},
		site.PageBroken:       {500, 200, "home page", "Greeting"},
		site.DiskFull:         {500, 200, "journal", "no space left on device"},
		site.PageSlow:         {200, 200, "home page", "too long"},
		site.AppHangs:         {0, 0, "home page", "too long"}, // see TestAppHangs
	}
	for _, f := range site.Faults() {
		t.Run(string(f), func(t *testing.T) {
			s := open(t, t.TempDir())
			for range 2 { // what was mended can be broken again
				if err := s.Break(t.Context(), f); err != nil {
					t.Fatal(err)
				}
				if err := s.Break(t.Context(), f); err != nil {
					t.Fatalf("the second Break: %v", err)
				}
				if !s.Broken(f) {
					t.Error("Broken is false")
				}
				if f != site.PageSlow && f != site.AppHangs { // see TestSlowPage
					if status, _ := get(t, s, "/"); status != want[f].home {
						t.Errorf("GET /: %d, want %d", status, want[f].home)
					}
				}
				if f != site.AppHangs {
					if status, _ := get(t, s, "/archive"); status != want[f].archive {
						t.Errorf("GET /archive: %d, want %d", status, want[f].archive)
					}
				}
				if output, err := check(t, s, want[f].check); err == nil || !strings.Contains(err.Error(), want[f].output) {
					t.Errorf("check %s: %q, %v; want a failure with %q", want[f].check, output, err, want[f].output)
				}
				for range 2 {
					if err := s.Mend(t.Context(), f); err != nil {
						t.Fatal(err)
					}
				}
				if s.Broken(f) {
					t.Error("Broken is true after Mend")
				}
				for _, path := range []string{"/", "/archive"} {
					if status, _ := get(t, s, path); status != 200 {
						t.Errorf("after Mend, GET %s: %d, want 200", path, status)
					}
				}
				for _, c := range s.Checks() {
					if _, err := c.Run(t.Context()); err != nil {
						t.Errorf("after Mend, check %s: %v", c.Name, err)
					}
				}
			}
		})
	}
}

func check(t *testing.T, s *site.Site, name string) (string, error) {
	t.Helper()
	for _, c := range s.Checks() {
		if c.Name != name {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if name != "home page" { // only that one is meant to run out of time
			ctx = t.Context()
		}
		return c.Run(ctx)
	}
	t.Fatalf("there is no check %q", name)
	return "", nil
}

func TestSlowPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		if err := s.Break(t.Context(), site.PageSlow); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		status, _ := get(t, s, "/")
		if took := time.Since(start); status != 200 || took < site.SlowPage {
			t.Errorf("GET /: %d after %v, want 200 after %v", status, took, site.SlowPage)
		}
	})
}

// An app that hangs answers nobody, until it does not any more.
func TestAppHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		if err := s.Break(t.Context(), site.AppHangs); err != nil {
			t.Fatal(err)
		}
		const hung = time.Hour
		time.AfterFunc(hung, func() {
			if err := s.Mend(t.Context(), site.AppHangs); err != nil {
				t.Error(err)
			}
		})
		start := time.Now()
		if status, _ := get(t, s, "/archive"); status != 200 || time.Since(start) != hung {
			t.Errorf("GET /archive: %d after %v, want 200 after %v", status, time.Since(start), hung)
		}
	})
}

// What happens to one instance's way to a shared database is nothing to the others;
// what happens to the database is.
func TestSharedDatabase(t *testing.T) {
	primary := open(t, t.TempDir())
	dir := t.TempDir()
	shared := filepath.Join(dir, site.DatabaseFile)
	own, err := site.New(t.Context(), site.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Close() })
	instance := func(name string) *site.Site {
		s, err := site.New(t.Context(), site.Options{Dir: t.TempDir(), Database: shared, Instance: name})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	one, other := instance("one"), instance("other")
	post(t, one, url.Values{"author": {"Ada"}, "text": {"For all"}})
	if _, page := get(t, other, "/"); !strings.Contains(page, "For all") {
		t.Errorf("an entry is not there for the others:\n%s", page)
	}
	if _, page := get(t, primary, "/"); strings.Contains(page, "For all") {
		t.Error("an entry is there for a site that shares nothing")
	}
	for _, tt := range []struct {
		name       string
		broken     *site.Site
		fault      site.Fault
		one, other int // status of the archive
	}{
		{"the way is gone", one, site.DatabaseGone, 500, 200},
		{"the replica is behind", one, site.MigrationsBehind, 500, 200},
		{"the database is gone", own, site.DatabaseGone, 500, 500},
		{"the database is behind", own, site.MigrationsBehind, 500, 500},
	} {
		for _, step := range []struct {
			do         func(context.Context, site.Fault) error
			one, other int
		}{{tt.broken.Break, tt.one, tt.other}, {tt.broken.Mend, 200, 200}} {
			if err := step.do(t.Context(), tt.fault); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			for s, want := range map[*site.Site]int{one: step.one, other: step.other} {
				if status, _ := get(t, s, "/archive"); status != want {
					t.Errorf("%s: %d, want %d", tt.name, status, want)
				}
			}
		}
	}
	if _, page := get(t, one, "/"); !strings.Contains(page, "For all") {
		t.Errorf("an entry was lost:\n%s", page)
	}
}

func TestMigrationsCannotFallBehindInADatabaseThatIsGone(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Break(t.Context(), site.DatabaseGone); err != nil {
		t.Fatal(err)
	}
	if err := s.Break(t.Context(), site.MigrationsBehind); err == nil || !strings.Contains(err.Error(), "bring it back first") {
		t.Errorf("Break: %v", err)
	}
	if s.Broken(site.MigrationsBehind) {
		t.Error("Broken is true")
	}
}

func TestUnknownFault(t *testing.T) {
	if err := open(t, t.TempDir()).Break(t.Context(), "flood"); err == nil {
		t.Error("Break made a fault that does not exist")
	}
}

// A schema that is ahead of the code is what the old version sees during a
// deployment: it should look, not stop.
func TestSchemaAheadOfTheCodeWarns(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	db, err := sql.Open("sqlite", filepath.Join(dir, site.DatabaseFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "insert into migrations values (4, 'of tomorrow')"); err != nil {
		t.Fatal(err)
	}
	results := health.RunOnce(t.Context(), nil, s.Checks()...)
	for _, r := range results {
		want := health.Pass
		if r.Name == "migrations" {
			want = health.Warn
		}
		if r.Status != want {
			t.Errorf("check %s: %v (%s), want %v", r.Name, r.Status, r.Output, want)
		}
	}
}

func TestJournalKeepsTheVisitsAndItsSize(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, site.JournalFile)
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	get(t, s, "/")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), `"path":"/"`) || len(b) > 1000 {
		t.Errorf("the journal has %d bytes, beginning %.100q", len(b), b)
	}
	if _, err := os.Stat(path + ".1"); err != nil {
		t.Errorf("the old journal: %v", err)
	}
}
