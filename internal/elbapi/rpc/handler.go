package rpc

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"hale/internal/elb"
	"hale/internal/elbapi/wire"
)

// Options is what a Handler does beside the actions themselves.
type Options struct {
	Service Service
	// Authorize says who may ask; nil: everyone. An *elb.Error goes to the client
	// as it is. The service is the name that the request must be signed for.
	Authorize func(r *http.Request, body []byte, service string) error
	// Log takes what went wrong on this side; nil: nobody does.
	Log *slog.Logger
}

// Handler answers a service's actions.
type Handler struct {
	service   Service
	authorize func(*http.Request, []byte, string) error
	log       *slog.Logger
}

// NewHandler returns a Handler.
func NewHandler(o Options) *Handler {
	h := &Handler{service: o.Service, authorize: o.Authorize, log: o.Log}
	if h.authorize == nil {
		h.authorize = func(*http.Request, []byte, string) error { return nil }
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	return h
}

// Takes tells whether a request is for the Handler: it names the service, in the
// path or in a header.
func (h *Handler) Takes(r *http.Request) bool {
	_, _, ok := h.asked(r)
	return ok
}

// asked returns which action a request asks for, and how it is written.
func (h *Handler) asked(r *http.Request) (action string, c codec, ok bool) {
	if r.Header.Get("Smithy-Protocol") == cborCodec.protocol {
		action, ok = strings.CutPrefix(r.URL.Path, "/service/"+h.service.Target+"/operation/")
		return action, cborCodec, ok
	}
	action, ok = strings.CutPrefix(r.Header.Get("X-Amz-Target"), h.service.Target+".")
	return action, jsonCodec, ok
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := rand.Text()
	name, c, _ := h.asked(r)
	header := w.Header()
	header.Set("X-Amzn-Requestid", id)
	header.Set("Content-Type", cmp.Or(c.contentType, jsonCodec.contentType))
	header.Set("Cache-Control", "no-store")
	if c.protocol != "" {
		header.Set("Smithy-Protocol", c.protocol)
	}
	output, err := h.answer(w, r, name, c)
	if err != nil {
		h.refuse(w, r, c, err, id)
		return
	}
	_, _ = w.Write(c.encode(output))
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request, name string, c codec) (map[string]any, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, elb.Errorf("MethodNotAllowed", "This protocol of the API answers POST, not %s", wire.Quoted(r.Method))
	}
	body, err := wire.Body(w, r)
	if err != nil {
		return nil, err
	}
	if err := h.authorize(r, body, h.service.Name); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(h.service.Actions, func(a Action) bool { return a.Name == name })
	switch {
	case at >= 0:
	case slices.Contains(h.service.LeftOut, name):
		return nil, elb.Errorf("UnknownOperationException", "%s is an action of AWS's that this server does not have", name)
	default:
		return nil, elb.Errorf("UnknownOperationException", "Could not find operation %s", wire.Quoted(name))
	}
	members, err := c.decode(body)
	if err != nil {
		return nil, elb.Errorf("SerializationException", "The body cannot be read: %v", err)
	}
	output, err := h.service.Actions[at].run(r.Context(), members)
	if err != nil {
		return nil, err
	}
	return treeOf(reflect.ValueOf(output), true).(map[string]any), nil
}

// refuse answers with an error.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, c codec, err error, id string) {
	no := wire.Refuse(r.Context(), h.log, err, id)
	// Clients of the services that once spoke Query go by the code that they had
	// there (Smithy, awsQueryCompatible).
	w.Header().Set("X-Amzn-Query-Error", fmt.Sprintf("%s;%s", no.Code, no.Fault))
	w.WriteHeader(no.Status)
	_, _ = w.Write(c.encode(h.service.refusal(no.Code, no.Message)))
}
