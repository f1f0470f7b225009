package query

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"slices"

	"hale/internal/elb"
	"hale/internal/elbapi/wire"
)

// Options is what a Handler does beside the actions themselves.
type Options struct {
	// Services are told apart by their versions. The first one answers for
	// requests that name none of them.
	Services []Service
	// Authorize says who may ask; nil: everyone. An *elb.Error goes to the client
	// as it is. The service is the name that the request must be signed for.
	Authorize func(r *http.Request, body []byte, service string) error
	// Log takes what went wrong on this side; nil: nobody does.
	Log *slog.Logger
}

// Handler answers requests for its services' actions, as POST or GET of /.
type Handler struct {
	services  []Service
	authorize func(*http.Request, []byte, string) error
	log       *slog.Logger
}

// NewHandler returns a Handler.
func NewHandler(o Options) *Handler {
	h := &Handler{services: o.Services, authorize: o.Authorize, log: o.Log}
	if h.authorize == nil {
		h.authorize = func(*http.Request, []byte, string) error { return nil }
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	return h
}

// ServeHTTP answers a request. Each answer has an id of its own, in the header
// and in the XML, as SDKs show it to people.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	w.Header().Set("X-Amzn-Requestid", id)
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("Cache-Control", "no-store")
	service, text, err := h.answer(w, r, id)
	if err != nil {
		h.refuse(w, r, service, err, id)
		return
	}
	_, _ = w.Write(text) //nolint:gosec // XML, in which each text is escaped
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request, id string) (Service, []byte, error) {
	service := h.services[0]
	if r.URL.Path != "/" && r.URL.Path != "" {
		return service, nil, elb.Errorf("UnknownOperationException", "There is nothing at %s: the API is at /", wire.Quoted(r.URL.Path))
	}
	body, f, err := read(w, r)
	if err != nil {
		return service, nil, err
	}
	version, _ := f.get("Version")
	known := slices.IndexFunc(h.services, func(s Service) bool { return s.Version == version })
	if known >= 0 {
		service = h.services[known]
	}
	if err := h.authorize(r, body, service.Name); err != nil {
		return service, nil, err
	}
	action, err := service.action(f)
	if err != nil {
		return service, nil, err
	}
	output, err := action.run(r.Context(), f)
	if err != nil {
		return service, nil, err
	}
	return service, answer(service, action, output, id), nil
}

// read takes the parameters from the query string and, of a POST, the body.
func read(w http.ResponseWriter, r *http.Request) ([]byte, form, error) {
	if len(r.URL.RawQuery) > wire.MostBytes {
		return nil, nil, elb.Errorf("RequestEntityTooLargeException", "The query string is longer than %d bytes", wire.MostBytes)
	}
	switch r.Method {
	case http.MethodGet:
		f, err := parseForm(r.URL.RawQuery)
		return nil, f, err
	case http.MethodPost:
	default:
		w.Header().Set("Allow", "GET, POST")
		return nil, nil, elb.Errorf("MethodNotAllowed", "The API answers GET and POST, not %s", wire.Quoted(r.Method))
	}
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/x-www-form-urlencoded" {
			return nil, nil, elb.Errorf("MalformedHttpRequestException", "The API takes forms, application/x-www-form-urlencoded, not %s", wire.Quoted(kind))
		}
	}
	body, err := wire.Body(w, r)
	if err != nil {
		return nil, nil, err
	}
	f, err := parseForm(r.URL.RawQuery, string(body))
	return body, f, err
}

// action finds what a request asks for.
func (s Service) action(f form) (Action, error) {
	name, _ := f.get("Action")
	version, given := f.get("Version")
	if name == "" {
		return Action{}, elb.Errorf("MissingAction", "The request has no parameter Action")
	}
	at := slices.IndexFunc(s.Actions, func(a Action) bool { return a.Name == name })
	switch {
	case version == s.Version && at >= 0:
		return s.Actions[at], nil
	case version == s.Version && slices.Contains(s.LeftOut, name):
		return Action{}, elb.Errorf("InvalidAction", "%s is an action of AWS's that this server does not have", name)
	case !given:
		version = "NO_VERSION_SPECIFIED"
	}
	return Action{}, elb.Errorf("InvalidAction", "Could not find operation %s for version %s", graphic(name), graphic(version))
}

// graphic is quoted without the quotes, for texts that clients show as they are.
func graphic(text string) string {
	q := wire.Quoted(text)
	return q[1 : len(q)-1]
}

// refuse answers with an error.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, service Service, err error, id string) {
	no := wire.Refuse(r.Context(), h.log, err, id)
	w.WriteHeader(no.Status)
	_, _ = w.Write(refusal(service.Namespace, no, id))
}

// requestID returns a random UUID (RFC 9562, version 4).
func requestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
