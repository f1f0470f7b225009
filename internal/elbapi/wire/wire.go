// Package wire has what AWS's protocols have in common on the server side, however
// they write it: bodies within bounds, errors as clients are told them, and texts of
// strangers in messages.
package wire

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"hale/internal/elb"
)

// MostBytes is how long a body or a query string may be.
const MostBytes = 1 << 20

// Body reads a request's body. Its errors are for the client: that the body is
// longer than MostBytes, or that it ended early.
func Body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MostBytes))
	switch tooLong := new(http.MaxBytesError); {
	case errors.As(err, &tooLong):
		return nil, elb.Errorf("RequestEntityTooLargeException", "The body is longer than %d bytes", tooLong.Limit)
	case err != nil:
		return nil, elb.Errorf("RequestAbortedException", "The body ended early: %v", err)
	}
	return body, nil
}

// Refusal is an error as a client is told it.
type Refusal struct {
	Code    string
	Message string // fit for a terminal, at most 2,000 bytes long and three dots
	Status  int    // of HTTP
	Fault   string // whose it is: Sender or Receiver
}

const codeInternal = "InternalFailure"

// statuses are those of the codes that are not answered with 400 (AWS General
// Reference, common errors; ELBv2 API, errors of the actions).
var statuses = map[string]int{
	"MissingAuthenticationToken":     http.StatusForbidden,
	"InvalidClientTokenId":           http.StatusForbidden,
	"SignatureDoesNotMatch":          http.StatusForbidden,
	"AccessDenied":                   http.StatusForbidden,
	"UnknownOperationException":      http.StatusNotFound,
	"MethodNotAllowed":               http.StatusMethodNotAllowed,
	"RequestEntityTooLargeException": http.StatusRequestEntityTooLarge,
	"PriorRequestNotComplete":        http.StatusTooManyRequests,
	"ServiceUnavailable":             http.StatusServiceUnavailable,
	"HealthUnavailable":              http.StatusInternalServerError,
	"InsufficientCapacity":           http.StatusInternalServerError,
	codeInternal:                     http.StatusInternalServerError,
}

// Refuse makes the refusal for an error. An *elb.Error goes to the client as it is.
// Any other goes to the log, and the client learns the request's id alone.
func Refuse(ctx context.Context, log *slog.Logger, err error, id string) Refusal {
	r := Refusal{Code: codeInternal, Message: "This server failed; its log has the cause under request " + id, Fault: "Sender"}
	if known, ok := errors.AsType[*elb.Error](err); ok {
		r.Code, r.Message = cmp.Or(known.Code, elb.CodeValidation), printable(known.Message)
	} else {
		log.LogAttrs(ctx, slog.LevelError, "api request failed", slog.String("request", id), slog.Any("error", err))
	}
	r.Status = cmp.Or(statuses[r.Code], http.StatusBadRequest)
	if r.Status >= http.StatusInternalServerError {
		r.Fault = "Receiver"
	}
	return r
}

// printable makes a message fit for a terminal: it may quote a request.
func printable(message string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, cut(message, 2000))
}

// Quoted makes a stranger's text fit for a message: in quotes, at most 100 bytes of it.
func Quoted(text string) string { return strconv.QuoteToGraphic(cut(text, 100)) }

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
