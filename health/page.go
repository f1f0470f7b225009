package health

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"sync"
	"time"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
)

// pageParts are made when the first page is asked for, which may be never.
var pageParts = sync.OnceValue(func() (parts struct {
	template *template.Template
	policy   string // Content-Security-Policy: nothing but the page's own style
},
) {
	parts.template = template.Must(template.New("page").Parse(pageHTML))
	digest := sha256.Sum256([]byte(pageCSS))
	parts.policy = "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
		"'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return parts
})

// page is what the template page.html shows.
type page struct {
	Style   template.CSS
	Subject string
	Status  Status
	Reason  string
	Facts   []fact
	Checks  []pageCheck
	Home    string // path of the verdict's page, on the pages of checks
	Now     string
}

type fact struct{ Name, Value string }

type pageCheck struct {
	Name, Type, Href string
	Member           bool // of a group
	Status           Status
	Output           string
	Numbers          string // how long the last run took, and how long ago
	About            string
}

// pageDocument renders the page. Unlike the other formats it is rendered for
// each request: it tells how long ago things were, and only people ask for it.
func pageDocument(a *aspect, path string, details bool) *document {
	parts := pageParts()
	now := time.Now()
	p := page{Style: template.CSS(pageCSS), Status: a.verdict.Status, Now: now.UTC().Format(time.RFC3339)} //nolint:gosec // our own file
	if details {
		p.describe(a, path, now)
	}
	var b bytes.Buffer
	if err := parts.template.Execute(&b, p); err != nil { // our template on our types: cannot happen
		return textDocument(plainBrief(p.Status))
	}
	return newDocument(typeHTML, b.Bytes()).with("Content-Security-Policy", parts.policy)
}

// describe fills in all but the status.
func (p *page) describe(a *aspect, path string, now time.Time) {
	v := &a.verdict
	p.Subject, p.Reason = a.service.Description, v.Reason
	if a.check {
		p.Subject, p.Home = v.Results[0].Name, path+"/"
	}
	for _, f := range []fact{
		{"service", a.service.Description},
		{"id", a.service.ServiceID},
		{"version", a.service.Version},
		{"release", a.service.ReleaseID},
		{"for", elapsed(now, v.Since)},
	} {
		if f.Value != "" {
			p.Facts = append(p.Facts, f)
		}
	}
	for i := range v.Results {
		p.Checks = append(p.Checks, newPageCheck(&v.Results[i], path, now))
	}
}

func newPageCheck(r *Result, path string, now time.Time) pageCheck {
	c := pageCheck{
		Name:   r.Name,
		Type:   r.Type,
		Member: r.Group != "",
		Href:   path + "/checks/" + url.PathEscape(r.Name),
		Status: r.Status,
		Output: r.Output,
	}
	about := []string{r.Impact.String(), r.Scope.String()}
	if r.Group != "" { // which says what a failure means
		about = []string{"member of " + r.Group}
	} else if profiles := ownProfiles(r); profiles != "" {
		about = append(about, "counts for "+profiles)
	}
	if r.CausedBy != "" {
		about = append(about, "caused by "+r.CausedBy)
	}
	if r.Status == Unknown {
		c.Output = notAsked
	} else {
		c.Numbers = fmt.Sprintf("%v, %s ago", round(r.Took), elapsed(now, r.Time))
		about = append(about, fmt.Sprintf("%v for %s", r.Status, elapsed(now, r.Since)))
	}
	if r.Stuck {
		about = append(about, "stuck")
	}
	if r.Last != r.Status {
		about = append(about, prefixed("last answer "+r.Last.String(), r.LastOutput))
	}
	c.About = strings.Join(about, " · ")
	return c
}

// elapsed says how long ago t was, or nothing for the zero time.
func elapsed(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := max(now.Sub(t), 0)
	if d < time.Minute {
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// round leaves three significant digits or so.
func round(d time.Duration) time.Duration {
	unit := time.Microsecond
	for unit < d/1000 {
		unit *= 10
	}
	return d.Round(unit)
}
