package rpc

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"hale/internal/elb"
)

// mostBytes is how long a body may be.
const mostBytes = 1 << 20

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
		return nil, elb.Errorf("MethodNotAllowed", "This protocol of the API answers POST, not %s", quoted(r.Method))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBytes))
	switch tooLong := new(http.MaxBytesError); {
	case errors.As(err, &tooLong):
		return nil, elb.Errorf("RequestEntityTooLargeException", "The body is longer than %d bytes", tooLong.Limit)
	case err != nil:
		return nil, elb.Errorf("RequestAbortedException", "The body ended early: %v", err)
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
		return nil, elb.Errorf("UnknownOperationException", "Could not find operation %s", quoted(name))
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

// statuses are those of the codes that are not answered with 400 (AWS General
// Reference, common errors).
var statuses = map[string]int{
	"MissingAuthenticationToken":     http.StatusForbidden,
	"InvalidClientTokenId":           http.StatusForbidden,
	"SignatureDoesNotMatch":          http.StatusForbidden,
	"AccessDenied":                   http.StatusForbidden,
	"UnknownOperationException":      http.StatusNotFound,
	"MethodNotAllowed":               http.StatusMethodNotAllowed,
	"RequestEntityTooLargeException": http.StatusRequestEntityTooLarge,
	codeInternal:                     http.StatusInternalServerError,
}

const codeInternal = "InternalFailure"

// refuse answers with an error. What is none of the API's own goes to the log,
// and the client learns the request's id alone.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, c codec, err error, id string) {
	code, message := codeInternal, "This server failed; its log has the cause under request "+id
	if known, ok := errors.AsType[*elb.Error](err); ok {
		code, message = cmp.Or(known.Code, elb.CodeValidation), known.Message
	} else {
		h.log.LogAttrs(r.Context(), slog.LevelError, "api request failed", slog.String("request", id), slog.Any("error", err))
	}
	status := cmp.Or(statuses[code], http.StatusBadRequest)
	fault := "Sender"
	if status >= http.StatusInternalServerError {
		fault = "Receiver"
	}
	// Clients of the services that once spoke Query go by the code that they had
	// there (Smithy, awsQueryCompatible).
	w.Header().Set("X-Amzn-Query-Error", fmt.Sprintf("%s;%s", code, fault))
	w.WriteHeader(status)
	_, _ = w.Write(c.encode(h.service.refusal(code, printable(message))))
}

// printable makes a message fit for a terminal: it may quote a request.
func printable(message string) string {
	const most = 2000
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, message)
}

// quoted makes a stranger's text fit for a message.
func quoted(text string) string {
	const most = 100
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return strconv.QuoteToGraphic(text)
}
