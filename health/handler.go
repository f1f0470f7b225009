package health

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// Defaults of the zero fields of HandlerOptions.
const (
	DefaultPath       = "/health"
	DefaultFailStatus = http.StatusServiceUnavailable
)

// HandlerOptions are the settings of a Handler. The zero value is ready to use.
type HandlerOptions struct {
	// Path is the path of the answer, "" meaning DefaultPath; the others lie
	// below it (/health/live ...). A path is absolute, clean and needs no
	// escaping.
	Path string

	// FailStatus is the status code of a failure, 400 to 599; 0 means
	// DefaultFailStatus. An Application Load Balancer can be told to take a 4xx
	// for healthy, never a 5xx.
	FailStatus int

	// Details says which clients see the names and outputs of checks. The zero
	// value is DetailsNever.
	Details Details

	// Token, if not empty, lets a client see details that sends it as a bearer
	// token (RFC 6750), whatever its address and Details. Those who can read the
	// traffic can read it.
	Token string
}

// Handler answers health requests from the current verdict of a Monitor.
//
//	/health, /health/     the verdict
//	/health/ready         the same
//	/health/live          always ok: the process answers
//	/health/startup       whether each critical check has passed once
//	/health/PROFILE       the verdict of that profile of your checks (Check.Profiles)
//	/health/checks/NAME   one check; 404 where details may not be seen
//
// It answers GET and HEAD, and OPTIONS as GET, since HAProxy's check asks with that.
// The answer is `ok` or `fail` in plain text, the latter with the names of the
// checks behind it where details may be seen, and its status 200 or FailStatus. Other
// formats are chosen by the Accept header or by ?format=plain, json, html or
// openmetrics: draft-inadarei-api-health-check-06 (application/health+json,
// application/json), a page for people (text/html), and OpenMetrics 1.0, whose
// status is always 200, since a scraper drops anything else. OpenMetrics is
// chosen by ?format=openmetrics alone, and answered at the verdict's paths.
//
// Without details, every format tells the status and nothing else, and no
// answer depends on the name of a check. Answers are never to be cached.
type Handler struct {
	monitor    *Monitor
	path       string // without the slash at its end: "" for "/"
	failStatus int
	details    Details
	token      *[sha256.Size]byte // digest; nil without a token

	notFound, notAllowed *document
}

// NewHandler makes a Handler for the verdicts of m. It refuses options that
// cannot work; the error names all the faults, joined as by errors.Join.
func NewHandler(m *Monitor, options HandlerOptions) (*Handler, error) {
	if options.Path == "" {
		options.Path = DefaultPath
	}
	if options.FailStatus == 0 {
		options.FailStatus = DefaultFailStatus
	}
	if err := options.validate(); err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errors.New("health: new handler: no Monitor to answer from")
	}
	h := &Handler{
		monitor:    m,
		path:       strings.TrimSuffix(options.Path, "/"),
		failStatus: options.FailStatus,
		details:    options.Details,
		notFound:   textDocument("not found"),
		notAllowed: textDocument("method not allowed: use GET or HEAD").with("Allow", "GET, HEAD, OPTIONS"),
	}
	if options.Token != "" {
		digest := sha256.Sum256([]byte(options.Token))
		h.token = &digest
	}
	return h, nil
}

func (o *HandlerOptions) validate() error {
	var faults []error
	if !isCleanPath(o.Path) {
		faults = append(faults, fmt.Errorf("path %q: must be a clean absolute path that needs no escaping, like %s", o.Path, DefaultPath))
	}
	if o.FailStatus < 400 || o.FailStatus > 599 {
		faults = append(faults, fmt.Errorf("fail status %d: must be 400 to 599, or 0 for %d", o.FailStatus, DefaultFailStatus))
	}
	if int(o.Details) >= len(detailsNames) {
		faults = append(faults, fmt.Errorf("details %v: use DetailsNever, DetailsLoopback, DetailsPrivate or DetailsAlways", o.Details))
	}
	if o.Token != "" && !isBearerToken(o.Token) {
		faults = append(faults, errors.New("token: has a character that cannot be sent in an Authorization header; use letters, digits and -._~+/, with = at its end only"))
	}
	return errors.Join(faults...)
}

// isCleanPath reports whether p is an absolute path that is the same escaped,
// unescaped and cleaned, but for a slash at its end.
func isCleanPath(p string) bool {
	u, err := url.Parse(p)
	return err == nil && u.Path == p && u.EscapedPath() == p &&
		strings.HasPrefix(p, "/") && (p == "/" || path.Clean(p) == strings.TrimSuffix(p, "/"))
}

// ServeHTTP implements http.Handler. The client's address is that of the peer;
// but a request that came through a proxy, as its headers tell, has an unknown
// client, who sees details only by token or under DetailsAlways. A program
// behind a proxy that it trusts uses Answer instead.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := Query{
		Method:        r.Method,
		Path:          r.URL.EscapedPath(),
		RawQuery:      r.URL.RawQuery,
		Accept:        joined(r.Header["Accept"]),
		Authorization: r.Header.Get("Authorization"),
	}
	if h.details.needsAddress() && !proxied(r.Header) {
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			q.Client = peer.Addr()
		}
	}
	h.Answer(q).writeTo(w)
}

// ServeMetrics answers with all metrics in OpenMetrics 1.0, whoever asks and at
// whatever path: for an address that only operators reach.
func (h *Handler) ServeMetrics(w http.ResponseWriter, r *http.Request) {
	if !asks(r.Method) {
		answer(r.Method, http.StatusMethodNotAllowed, h.notAllowed).writeTo(w)
		return
	}
	answer(r.Method, http.StatusOK, h.monitor.current().metrics.full()).writeTo(w)
}

// Metrics returns what ServeMetrics answers with.
func (h *Handler) Metrics() []byte { return h.monitor.current().metrics.full().body }

// joined makes one value of a header's lines (RFC 9110, section 5.3).
func joined(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values, ",")
}
