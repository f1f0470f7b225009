package health

import (
	"net/http"
	"strconv"
	"strings"
)

// document is a rendered answer without its status. It is never changed.
type document struct {
	header http.Header
	body   []byte
}

const (
	typeText       = "text/plain; charset=utf-8"
	typeHTML       = "text/html; charset=utf-8"
	typeJSON       = "application/json"
	typeHealthJSON = "application/health+json"
	typeMetrics    = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

func newDocument(contentType string, body []byte) *document {
	return &document{
		header: http.Header{
			"Cache-Control":          {"no-store"},
			"Content-Length":         {strconv.Itoa(len(body))},
			"Content-Type":           {contentType},
			"X-Content-Type-Options": {"nosniff"},
		},
		body: body,
	}
}

func textDocument(line string) *document { return newDocument(typeText, []byte(line+"\n")) }

// with returns the document with one more header field.
func (d *document) with(name, value string) *document {
	header := d.header.Clone()
	header.Set(name, value)
	return &document{header: header, body: d.body}
}

// as returns the document under another content type.
func (d *document) as(contentType string) *document { return d.with("Content-Type", contentType) }

// plainBrief is what anybody may know.
func plainBrief(s Status) string {
	if green(s) {
		return "ok"
	}
	return "fail"
}

// plainReady names the checks behind a verdict that fails. One that warns is ok, and
// that alone, for whoever compares; the other formats say of what it warns.
func plainReady(v *Verdict, f *findings) string {
	switch {
	case v.Draining:
		return "fail: draining"
	case len(f.fails) > 0:
		return "fail: " + names(f.fails)
	case v.Status == Fail:
		return plainStartup(f)
	}
	return "ok"
}

// plainStartup names the checks that are yet to pass.
func plainStartup(f *findings) string {
	if len(f.unproven) == 0 {
		return "ok"
	}
	return "fail: starting (" + names(f.unproven) + ")"
}

// plainCheck explains one check.
func plainCheck(r *Result) string {
	output := strings.Join(strings.Fields(r.Output), " ")
	switch r.Status {
	case Pass:
		return "ok"
	case Warn:
		return "ok (" + prefixed("warn", output) + ")"
	case Unknown:
		return "fail: " + notAsked
	case Fail:
	}
	return prefixed("fail", r.withCause(output))
}

const notAsked = "not asked yet"
