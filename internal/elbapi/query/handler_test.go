package query_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"hale/internal/elb"
	"hale/internal/elbapi/query"
)

type (
	greetInput  struct{ Name *string }
	greetOutput struct{ Greeting *string }
)

// services are two, told apart by their versions.
func services() []query.Service {
	greet := func(text string) func(context.Context, *greetInput) (*greetOutput, error) {
		return func(_ context.Context, in *greetInput) (*greetOutput, error) {
			switch {
			case in.Name == nil:
				return nil, elb.Errorf("", "Nobody to greet")
			case *in.Name == "trouble":
				return nil, errors.New("open the door: it is locked")
			case *in.Name == "later":
				return nil, elb.Errorf("HealthUnavailable", "Not now")
			}
			return &greetOutput{Greeting: new(text + *in.Name)}, nil
		}
	}
	return []query.Service{
		{Name: "one", Version: "2001-01-01", Namespace: "urn:one", Actions: []query.Action{query.Do("Greet", greet("Hello "))}, LeftOut: []string{"Sing"}},
		{Name: "two", Version: "2002-02-02", Namespace: "urn:two", Actions: []query.Action{query.Do("Greet", greet("Bye ")), query.Do("Nod", greet("")).Silent()}},
	}
}

func TestHandler(t *testing.T) {
	t.Parallel()
	const form = "Content-Type: application/x-www-form-urlencoded\r\n"
	for _, test := range []struct {
		name    string
		request string // as it is on the wire; the body's length is added
		status  string
		want    string // that the answer has
	}{
		{"a form", "POST / HTTP/1.1\r\n" + form + "\r\nAction=Greet&Version=2001-01-01&Name=you", "200", `<GreetResponse xmlns="urn:one"><GreetResult><Greeting>Hello you</Greeting></GreetResult>`},
		{"with a charset", "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\n\r\nAction=Greet&Version=2001-01-01&Name=you", "200", "Hello you"},
		{"without a type", "POST / HTTP/1.1\r\n\r\nAction=Greet&Version=2001-01-01&Name=you", "200", "Hello you"},
		{"a query string", "GET /?Action=Greet&Version=2001-01-01&Name=you HTTP/1.1\r\n\r\n", "200", "Hello you"},
		{"both", "POST /?Action=Greet&Version=2001-01-01 HTTP/1.1\r\n" + form + "\r\nName=you", "200", "Hello you"},
		{"the other service", "POST / HTTP/1.1\r\n" + form + "\r\nAction=Greet&Version=2002-02-02&Name=you", "200", `<GreetResponse xmlns="urn:two"><GreetResult><Greeting>Bye you`},
		{"an action without a result", "POST / HTTP/1.1\r\n" + form + "\r\nAction=Nod&Version=2002-02-02&Name=you", "200", `<NodResponse xmlns="urn:two"><ResponseMetadata>`},
		{"a refusal", "POST / HTTP/1.1\r\n" + form + "\r\nAction=Greet&Version=2002-02-02", "400", `<ErrorResponse xmlns="urn:two"><Error><Type>Sender</Type><Code>ValidationError</Code><Message>Nobody to greet</Message></Error><RequestId>`},
		{"one that is worth another try", "POST / HTTP/1.1\r\n" + form + "\r\nAction=Greet&Version=2001-01-01&Name=later", "500", "<Type>Receiver</Type><Code>HealthUnavailable</Code><Message>Not now</Message>"},
		{"a fault of this side tells nothing of it", "POST / HTTP/1.1\r\n" + form + "\r\nAction=Greet&Version=2001-01-01&Name=trouble", "500", "<Type>Receiver</Type><Code>InternalFailure</Code><Message>This server failed; its log has the cause under request "},
		{"no action", "POST / HTTP/1.1\r\n" + form + "\r\n", "400", "<Code>MissingAction</Code>"},
		{"no such action", "POST / HTTP/1.1\r\n" + form + "\r\nAction=Sing&Version=2002-02-02", "400", "<Code>InvalidAction</Code><Message>Could not find operation Sing for version 2002-02-02</Message>"},
		{"an action that is left out", "POST / HTTP/1.1\r\n" + form + "\r\nAction=Sing&Version=2001-01-01", "400", "<Code>InvalidAction</Code><Message>Sing is an action of AWS&#39;s that this server does not have</Message>"},
		{"no such version", "POST / HTTP/1.1\r\n" + form + "\r\nAction=Greet&Version=2003-03-03%1b", "400", `<Code>InvalidAction</Code><Message>Could not find operation Greet for version 2003-03-03\x1b</Message>`},
		{"no version", "POST / HTTP/1.1\r\n" + form + "\r\nAction=Greet", "400", "<Message>Could not find operation Greet for version NO_VERSION_SPECIFIED</Message>"},
		{"a bad value", "POST / HTTP/1.1\r\n" + form + "\r\nAction=Greet&Version=2001-01-01&Name=%", "400", "<Code>MalformedQueryString</Code>"},
		{"another path", "GET /favicon.ico HTTP/1.1\r\n\r\n", "404", "<Code>UnknownOperationException</Code>"},
		{"another method", "DELETE / HTTP/1.1\r\n\r\n", "405", "<Code>MethodNotAllowed</Code>"},
		{"JSON", "POST / HTTP/1.1\r\nContent-Type: application/x-amz-json-1.0\r\n\r\n{}", "400", "<Code>MalformedHttpRequestException</Code>"},
		{"too long a body", "POST / HTTP/1.1\r\n" + form + "\r\nAction=Greet&Name=" + strings.Repeat("a", 1<<20), "413", "<Code>RequestEntityTooLargeException</Code>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			h := query.NewHandler(query.Options{Services: services(), Log: slog.New(slog.NewTextHandler(&log, nil))})
			head, body, _ := strings.Cut(test.request, "\r\n\r\n")
			lines := strings.Split(head, "\r\n")
			words := strings.Fields(lines[0])
			r := httptest.NewRequestWithContext(t.Context(), words[0], words[1], strings.NewReader(body))
			for _, line := range lines[1:] {
				name, value, _ := strings.Cut(line, ": ")
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			res := w.Result()
			defer res.Body.Close()
			answer, err := io.ReadAll(res.Body)
			if err != nil || !strings.HasPrefix(res.Status, test.status) || !strings.Contains(string(answer), test.want) {
				t.Errorf("%s %s, %v\nwant %s %s", res.Status, answer, err, test.status, test.want)
			}
			id := res.Header.Get("x-amzn-RequestId")
			if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) || !strings.Contains(string(answer), "<RequestId>"+id+"</RequestId>") {
				t.Errorf("request id %q, answer %s", id, answer)
			}
			if failed := strings.Contains(string(answer), "InternalFailure"); failed != strings.Contains(log.String(), "it is locked") || failed != strings.Contains(log.String(), id) {
				t.Errorf("log %q", log.String())
			}
		})
	}
}

// Who may ask is decided before what for, by the service that is asked.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	var asked []string
	h := query.NewHandler(query.Options{Services: services(), Authorize: func(_ *http.Request, body []byte, service string) error {
		asked = append(asked, service+" "+string(body))
		return elb.Errorf("MissingAuthenticationToken", "Who are you?")
	}})
	for _, body := range []string{"Action=Greet&Version=2002-02-02", "Action=Greet&Version=2001-01-01", "Action=None"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body)))
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "<Code>MissingAuthenticationToken</Code><Message>Who are you?</Message>") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	want := "two Action=Greet&Version=2002-02-02,one Action=Greet&Version=2001-01-01,one Action=None"
	if got := strings.Join(asked, ","); got != want {
		t.Errorf("asked %s\nwant  %s", got, want)
	}
}
