package wire_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"hale/internal/elb"
	"hale/internal/elbapi/wire"
)

func TestRefuse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		want wire.Refusal
		log  string // words of it; empty: nothing is logged
	}{
		{"a code that ELB answers with 400", elb.Errorf("TargetGroupNotFound", "not found"), wire.Refusal{Code: "TargetGroupNotFound", Message: "not found", Status: 400, Fault: "Sender"}, ""},
		{"no code", &elb.Error{Message: "wrong"}, wire.Refusal{Code: elb.CodeValidation, Message: "wrong", Status: 400, Fault: "Sender"}, ""},
		{"a code with a status of its own", elb.Errorf("AccessDenied", "no"), wire.Refusal{Code: "AccessDenied", Message: "no", Status: 403, Fault: "Sender"}, ""},
		{"the server's own", elb.Errorf("ServiceUnavailable", "later"), wire.Refusal{Code: "ServiceUnavailable", Message: "later", Status: 503, Fault: "Receiver"}, ""},
		{"a stranger's bytes", elb.Errorf("X", "a\x1b[2J\xff"), wire.Refusal{Code: "X", Message: "a�[2J�", Status: 400, Fault: "Sender"}, ""},
		{"what is none of the API's", errors.New("disk full at /secret"), wire.Refusal{Code: "InternalFailure", Message: "This server failed; its log has the cause under request id-1", Status: 500, Fault: "Receiver"}, `request=id-1 error="disk full at /secret"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			if got := wire.Refuse(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), tt.err, "id-1"); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
			if got := log.String(); !strings.Contains(got, tt.log) || tt.log == "" && got != "" {
				t.Errorf("logged %q", got)
			}
		})
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		body io.Reader
		code string // empty: it is read
	}{
		{"as long as may be", strings.NewReader(strings.Repeat("x", wire.MostBytes)), ""},
		{"longer", strings.NewReader(strings.Repeat("x", wire.MostBytes+1)), "RequestEntityTooLargeException"},
		{"cut off", iotest.TimeoutReader(strings.NewReader(strings.Repeat("x", 4000))), "RequestAbortedException"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body, err := wire.Body(httptest.NewRecorder(), httptest.NewRequest("POST", "/", tt.body))
			known, _ := errors.AsType[*elb.Error](err)
			if tt.code == "" {
				if err != nil || len(body) != wire.MostBytes {
					t.Errorf("%d bytes, %v", len(body), err)
				}
			} else if known == nil || known.Code != tt.code {
				t.Errorf("got %v, want %s", err, tt.code)
			}
		})
	}
}

func TestQuoted(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                              `""`,
		"a\x1b\"":                       `"a\x1b\""`,
		strings.Repeat("x", 100):        `"` + strings.Repeat("x", 100) + `"`,
		strings.Repeat("x", 99) + "äää": `"` + strings.Repeat("x", 99) + `..."`,
	} {
		if got := wire.Quoted(text); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
