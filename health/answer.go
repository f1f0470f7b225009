package health

import (
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Query is a health request, as far as its answer depends on it.
type Query struct {
	Method        string
	Path          string // as sent, that is, escaped; without the query
	RawQuery      string
	Accept        string // all the header's lines, joined by commas
	Authorization string
	Client        netip.Addr // who asks; the zero Addr if unknown
}

// Answer is the answer to a Query, for any server to send.
type Answer struct {
	Status int
	Header http.Header // shared with other answers: not to be changed
	Body   []byte      // likewise; nil for HEAD, whose Content-Length is GET's
}

func (a Answer) writeTo(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.Header)
	w.WriteHeader(a.Status)
	if len(a.Body) > 0 {
		_, _ = w.Write(a.Body) // the client has gone: nobody is left to tell
	}
}

// target is what a path asks about.
type target uint8

const (
	targetNone target = iota
	targetReady
	targetLive
	targetStartup
	targetEndpoint
	targetCheck
)

// Owns reports whether path, escaped as sent, is one that the Handler answers:
// the health path and those below it that Handler lists, each of the fixed ones
// with and without a slash at its end.
func (h *Handler) Owns(path string) bool {
	t, _ := h.route(path)
	return t != targetNone
}

// route returns what path asks about, and the check's name, still escaped, or
// the profile.
func (h *Handler) route(path string) (target, string) {
	below, ok := strings.CutPrefix(path, h.path)
	if !ok {
		return targetNone, ""
	}
	switch below {
	case "", "/":
		return targetReady, ""
	case "/ready", "/ready/":
		return targetReady, ""
	case "/live", "/live/":
		return targetLive, ""
	case "/startup", "/startup/":
		return targetStartup, ""
	}
	if name, ok := strings.CutPrefix(below, "/checks/"); ok && name != "" && !strings.Contains(name, "/") {
		return targetCheck, name
	}
	if word := strings.TrimSuffix(below[1:], "/"); below[0] == '/' && slices.Contains(h.monitor.endpoints, word) {
		return targetEndpoint, word
	}
	return targetNone, ""
}

// Answer returns the answer to q, from the current verdict. It does not block,
// and does not allocate for plain text at the fixed paths.
func (h *Handler) Answer(q Query) Answer {
	t, name := h.route(q.Path)
	if t == targetNone {
		return answer(q.Method, http.StatusNotFound, h.notFound)
	}
	if !asks(q.Method) {
		return answer(q.Method, http.StatusMethodNotAllowed, h.notAllowed)
	}
	f, err := chooseFormat(q.RawQuery, q.Accept, t)
	if err != nil {
		return answer(q.Method, http.StatusBadRequest, textDocument(err.Error()))
	}
	s := h.monitor.current()
	if f == formatMetrics { // a scraper drops what does not come with 200
		return answer(q.Method, http.StatusOK, h.pick(&q, s.metrics))
	}
	a, found := h.aspect(&q, s, t, name)
	if !found {
		return answer(q.Method, http.StatusNotFound, h.notFound)
	}
	code := http.StatusOK
	if !green(a.verdict.Status) {
		code = h.failStatus
	}
	switch f {
	case formatHTML:
		return answer(q.Method, code, pageDocument(a, h.path, h.sees(&q)))
	case formatHealthJSON:
		return answer(q.Method, code, h.pick(&q, a.json))
	case formatJSON:
		return answer(q.Method, code, h.pick(&q, a.json).as(typeJSON))
	default:
		if a.text.full != a.text.brief && h.sees(&q) {
			return answer(q.Method, code, a.text.full)
		}
		return answer(q.Method, code, a.text.brief)
	}
}

// asks tells which methods are answered: those that read, and OPTIONS, with which
// HAProxy's check comes unless it is told otherwise.
func asks(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// answer completes a document with its status, and drops its body for HEAD.
func answer(method string, status int, d *document) Answer {
	if method == http.MethodHead {
		return Answer{Status: status, Header: d.header}
	}
	return Answer{Status: status, Header: d.header, Body: d.body}
}

// aspect finds what the path asks about. The names of checks are details: where
// those may not be seen, a check that exists is not told from one that does not.
func (h *Handler) aspect(q *Query, s *state, t target, name string) (*aspect, bool) {
	switch t {
	case targetLive:
		return s.live, true
	case targetStartup:
		return s.startup, true
	case targetEndpoint:
		return s.endpoint(name), true
	case targetCheck:
		name, err := url.PathUnescape(name)
		if err != nil || !h.sees(q) {
			return nil, false
		}
		return s.check(name)
	default:
		return s.ready(), true
	}
}

// pick renders the view that q's client may see.
func (h *Handler) pick(q *Query, v lazyViews) *document {
	if h.sees(q) {
		return v.full()
	}
	return v.brief()
}
