package rpc_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"

	"hale/internal/elb"
	"hale/internal/elbapi/rpc"
)

// input and output are as the SDK's are.
type input struct {
	Name    *string
	Count   *int32
	Share   *float64
	Enabled *bool
	At      *time.Time
	Parts   []part
	Numbers []float64
	Labels  map[string]string
}

type part struct {
	Name *string
	Kind kind
}

type kind string

type output struct {
	Echo   *input
	Empty  []part
	Unset  *string
	Nested *struct{ Empty []part }
}

var service = rpc.Service{
	Name: "monitoring", Target: "Granite20100801",
	Actions: []rpc.Action{
		rpc.Do("Echo", func(_ context.Context, in *input) (*output, error) {
			return &output{Echo: in, Nested: &struct{ Empty []part }{}}, nil
		}),
		rpc.Do("Refuse", func(context.Context, *input) (*output, error) {
			return nil, elb.Errorf("InvalidParameterValue", "The name '%s' is taken", "\x1b[31mred")
		}),
		rpc.Do("Fail", func(context.Context, *input) (*output, error) { return nil, errors.New("a secret cause") }),
	},
	LeftOut: []string{"Put"},
	Shapes:  map[string]string{"InvalidParameterValue": "InvalidParameterValueException"},
}

func ask(o rpc.Options, method, path string, header http.Header, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	r.Header = header
	w := httptest.NewRecorder()
	rpc.NewHandler(o).ServeHTTP(w, r)
	return w
}

func inJSON(action, body string) *httptest.ResponseRecorder {
	return ask(rpc.Options{Service: service}, "POST", "/", http.Header{"X-Amz-Target": {"Granite20100801." + action}, "Content-Type": {"application/x-amz-json-1.0"}}, []byte(body))
}

func inCBOR(action string, body []byte) *httptest.ResponseRecorder {
	return ask(rpc.Options{Service: service}, "POST", "/service/Granite20100801/operation/"+action, http.Header{"Smithy-Protocol": {"rpc-v2-cbor"}, "Content-Type": {"application/cbor"}}, body)
}

// What botocore sends and reads.
func TestJSON(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, body, want string }{
		{"nothing", ``, `{"Echo":{},"Empty":[],"Nested":{}}`},
		{"an empty structure", `{}`, `{"Echo":{},"Empty":[],"Nested":{}}`},
		{"a string", `{"Name":"a\u2028<b>"}`, `{"Echo":{"Name":"a\u2028\u003cb\u003e"},"Empty":[],"Nested":{}}`},
		{"numbers", `{"Count":-3,"Share":0.5,"Numbers":[1,2.25,1e3]}`, `{"Echo":{"Count":-3,"Numbers":[1.0,2.25,1000.0],"Share":0.5},"Empty":[],"Nested":{}}`},
		{"a whole number with a fraction of none", `{"Count":60.0}`, `{"Echo":{"Count":60},"Empty":[],"Nested":{}}`},
		{"a boolean", `{"Enabled":false}`, `{"Echo":{"Enabled":false},"Empty":[],"Nested":{}}`},
		{"a time", `{"At":1767355200.5}`, `{"Echo":{"At":1767355200.5},"Empty":[],"Nested":{}}`},
		{"a time as text", `{"At":"2026-01-02T12:00:00Z"}`, `{"Echo":{"At":1767355200},"Empty":[],"Nested":{}}`},
		{"structures in a list", `{"Parts":[{"Name":"x","Kind":"wheel"},{}]}`, `{"Echo":{"Parts":[{"Kind":"wheel","Name":"x"},{}]},"Empty":[],"Nested":{}}`},
		{"a map", `{"Labels":{"a":"b"}}`, `{"Echo":{"Labels":{"a":"b"}},"Empty":[],"Nested":{}}`},
		{"null", `{"Name":null,"Parts":null}`, `{"Echo":{},"Empty":[],"Nested":{}}`},
		{"what a newer client may send", `{"Other":{"a":[1]},"name":"x"}`, `{"Echo":{},"Empty":[],"Nested":{}}`},
	} {
		w := inJSON("Echo", test.body)
		if got := w.Body.String(); w.Code != 200 || got != test.want || w.Header().Get("Content-Type") != "application/x-amz-json-1.0" || w.Header().Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s: %d %s\nwant %s", test.name, w.Code, got, test.want)
		}
	}
}

// What aws-sdk-go-v2 sends and reads: RFC 8949, byte by byte.
func TestCBOR(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, body, want string }{
		{"an empty structure", "a0", `{"Echo":{},"Empty":[],"Nested":{}}`},
		{"one of unknown length", "bfff", `{"Echo":{},"Empty":[],"Nested":{}}`},
		{"a string", "a1 644e616d65 6161", `{"Echo":{"Name":"a"},"Empty":[],"Nested":{}}`},
		{"a number", "a1 65436f756e74 183c", `{"Echo":{"Count":60},"Empty":[],"Nested":{}}`},
		{"a negative number", "a1 65436f756e74 22", `{"Echo":{"Count":-3},"Empty":[],"Nested":{}}`},
		{"a fraction", "a1 655368617265 fa3f000000", `{"Echo":{"Share":0.5},"Empty":[],"Nested":{}}`},
		{"a fraction of 64 bits", "a1 655368617265 fb3fe0000000000000", `{"Echo":{"Share":0.5},"Empty":[],"Nested":{}}`},
		{"a boolean", "a1 67456e61626c6564 f5", `{"Echo":{"Enabled":true},"Empty":[],"Nested":{}}`},
		{"a time", "a1 624174 c1 1a6957b340", `{"Echo":{"At":1767355200},"Empty":[],"Nested":{}}`},
		{"a time with a fraction", "a1 624174 c1 fb41da55ecd0200000", `{"Echo":{"At":1767355200.5},"Empty":[],"Nested":{}}`},
		{"a list", "a1 655061727473 81 a1 644b696e64 6177", `{"Echo":{"Parts":[{"Kind":"w"}]},"Empty":[],"Nested":{}}`},
		{"null", "a1 644e616d65 f6", `{"Echo":{},"Empty":[],"Nested":{}}`},
	} {
		body, err := hex.DecodeString(strings.ReplaceAll(test.body, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		w := inCBOR("Echo", body)
		value, err := cbor.Decode(w.Body.Bytes())
		if err != nil || w.Code != 200 || w.Header().Get("Content-Type") != "application/cbor" || w.Header().Get("Smithy-Protocol") != "rpc-v2-cbor" {
			t.Errorf("%s: %d %v %q", test.name, w.Code, err, w.Body)
			continue
		}
		if got := asJSON(t, value); got != test.want {
			t.Errorf("%s: %s\nwant %s", test.name, got, test.want)
		}
	}
}

// asJSON writes CBOR for people.
func asJSON(t *testing.T, v cbor.Value) string {
	t.Helper()
	var plain func(cbor.Value) any
	plain = func(v cbor.Value) any {
		switch v := v.(type) {
		case cbor.Map:
			m := make(map[string]any)
			for name, member := range v {
				m[name] = plain(member)
			}
			return m
		case cbor.List:
			list := []any{}
			for _, item := range v {
				list = append(list, plain(item))
			}
			return list
		case *cbor.Tag:
			if v.ID != 1 {
				t.Errorf("tag %d", v.ID)
			}
			return plain(v.Value)
		case cbor.NegInt:
			return -int64(v)
		default:
			return v
		}
	}
	text, err := json.Marshal(plain(v))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, action, body string
		status             int
		want, query        string
	}{
		{"by the action", "Refuse", `{}`, 400, `{"__type":"InvalidParameterValueException","message":"The name '` + "\ufffd" + `[31mred' is taken"}`, "InvalidParameterValue;Sender"},
		{"left out", "Put", `{}`, 404, `{"__type":"UnknownOperationException","message":"Put is an action of AWS's that this server does not have"}`, "UnknownOperationException;Sender"},
		{"unknown", "No\x00", `{}`, 404, `{"__type":"UnknownOperationException","message":"Could not find operation \"No\\x00\""}`, "UnknownOperationException;Sender"},
		{"no JSON", "Echo", `{"Name":`, 400, `{"__type":"SerializationException","message":"The body cannot be read: unexpected EOF"}`, "SerializationException;Sender"},
		{"no structure", "Echo", `[1]`, 400, "", "SerializationException;Sender"},
		{"two structures", "Echo", `{} {}`, 400, `{"__type":"SerializationException","message":"The body cannot be read: something follows the structure"}`, "SerializationException;Sender"},
		{"a number for a string", "Echo", `{"Name":1}`, 400, `{"__type":"SerializationException","message":"The value at Name is no string"}`, "SerializationException;Sender"},
		{"a string for a number", "Echo", `{"Parts":[{}],"Count":"1"}`, 400, `{"__type":"SerializationException","message":"The value at Count is no whole number that fits"}`, "SerializationException;Sender"},
		{"a number that does not fit", "Echo", `{"Count":2147483648}`, 400, `{"__type":"SerializationException","message":"The value at Count is no whole number that fits"}`, "SerializationException;Sender"},
		{"a number beyond all", "Echo", `{"Share":1e999}`, 400, `{"__type":"SerializationException","message":"The value at Share is no number"}`, "SerializationException;Sender"},
		{"a string in a list of structures", "Echo", `{"Parts":["x"]}`, 400, `{"__type":"SerializationException","message":"The value at Parts.member is no structure"}`, "SerializationException;Sender"},
		{"null in a list", "Echo", `{"Parts":[null]}`, 400, `{"__type":"SerializationException","message":"The value at Parts is no list without nulls"}`, "SerializationException;Sender"},
		{"no time", "Echo", `{"At":"noon"}`, 400, `{"__type":"SerializationException","message":"The value at At is no time in seconds since 1970"}`, "SerializationException;Sender"},
	} {
		w := inJSON(test.action, test.body)
		if got := w.Body.String(); w.Code != test.status || test.want != "" && got != test.want || w.Header().Get("X-Amzn-Query-Error") != test.query {
			t.Errorf("%s: %d %s %s\nwant %d %s %s", test.name, w.Code, w.Header().Get("X-Amzn-Query-Error"), got, test.status, test.query, test.want)
		}
	}
	if w := inCBOR("Refuse", nil); w.Code != 400 || !strings.Contains(w.Body.String(), "InvalidParameterValueException") || w.Header().Get("Smithy-Protocol") != "rpc-v2-cbor" {
		t.Errorf("in CBOR: %d %q", w.Code, w.Body)
	}
	for _, body := range []string{"\x61", "\xff", "\xa1\x00\x00", "a", strings.Repeat("\x81", 1<<16)} {
		if w := inCBOR("Echo", []byte(body)); w.Code != 400 {
			t.Errorf("CBOR %q: %d", body[:1], w.Code)
		}
	}
}

// What went wrong on this side is in the log alone.
func TestFailure(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	w := ask(rpc.Options{Service: service, Log: slog.New(slog.NewTextHandler(&log, nil))}, "POST", "/", http.Header{"X-Amz-Target": {"Granite20100801.Fail"}}, nil)
	id := w.Header().Get("X-Amzn-Requestid")
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") || !strings.Contains(w.Body.String(), id) || w.Header().Get("X-Amzn-Query-Error") != "InternalFailure;Receiver" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "a secret cause") {
		t.Errorf("the log has %s", &log)
	}
}

func TestWhoMayAsk(t *testing.T) {
	t.Parallel()
	o := rpc.Options{Service: service, Authorize: func(_ *http.Request, body []byte, service string) error {
		if string(body) != "{}" || service != "monitoring" {
			t.Errorf("asked about %q of %s", body, service)
		}
		return elb.Errorf("SignatureDoesNotMatch", "no")
	}}
	if w := ask(o, "POST", "/", http.Header{"X-Amz-Target": {"Granite20100801.Echo"}}, []byte("{}")); w.Code != 403 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(rpc.Options{Service: service}, "GET", "/", http.Header{"X-Amz-Target": {"Granite20100801.Echo"}}, nil); w.Code != 405 || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d", w.Code)
	}
	if w := inJSON("Echo", strings.Repeat(" ", 2<<20)); w.Code != 413 {
		t.Errorf("a long body: %d", w.Code)
	}
}

func TestTakes(t *testing.T) {
	t.Parallel()
	h := rpc.NewHandler(rpc.Options{Service: service})
	for _, test := range []struct {
		path   string
		header http.Header
		want   bool
	}{
		{"/", http.Header{"X-Amz-Target": {"Granite20100801.Echo"}}, true},
		{"/service/Granite20100801/operation/Echo", http.Header{"Smithy-Protocol": {"rpc-v2-cbor"}}, true},
		{"/service/Other/operation/Echo", http.Header{"Smithy-Protocol": {"rpc-v2-cbor"}}, false},
		{"/service/Granite20100801/operation/Echo", nil, false},
		{"/", http.Header{"X-Amz-Target": {"Other.Echo"}}, false},
		{"/", nil, false},
	} {
		r := httptest.NewRequest(http.MethodPost, test.path, http.NoBody)
		r.Header = test.header
		if got := h.Takes(r); got != test.want {
			t.Errorf("%s %v: %v", test.path, test.header, got)
		}
	}
}

// No body makes it panic, and what it takes in one protocol it takes in the other.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{`{}`, `{"Name":"a","Parts":[{"Kind":"x"}],"At":1.5,"Labels":{"a":"b"}}`, "\xa0", "\xbf\xff", "\xa1\x62At\xc1\xfb\x41\xda\x55\xec\xd0\x20\x00\x00", "\x9f"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if w := inJSON("Echo", string(body)); w.Code == 200 && !json.Valid(w.Body.Bytes()) || w.Code >= 500 {
			t.Errorf("JSON: %d %q", w.Code, w.Body)
		}
		w := inCBOR("Echo", body)
		if w.Code >= 500 {
			t.Errorf("CBOR: %d", w.Code)
		}
		if _, err := cbor.Decode(w.Body.Bytes()); err != nil {
			t.Errorf("CBOR: %v", err)
		}
	})
}
