package health

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestNegotiate(t *testing.T) {
	for _, tt := range []struct {
		name, accept string
		want         format
	}{
		{"none", "", formatPlain},
		{"load balancers", "*/*", formatPlain},
		{"Consul", "text/plain, text/*, */*", formatPlain},
		{"a browser", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", formatHTML},
		{"axios", "application/json, text/plain, */*", formatJSON},
		{"jQuery", "application/json, text/javascript, */*; q=0.01", formatJSON},
		{"the draft's own type", "application/health+json", formatHealthJSON},
		{"both of JSON's names", "application/json, application/health+json", formatJSON},
		{"both, the draft's preferred", "application/json;q=0.5, application/health+json", formatHealthJSON},
		{"any application", "application/*", formatHealthJSON},
		{"any text", "text/*", formatPlain},
		{"any text, pages preferred", "text/*;q=0.5, text/html", formatHTML},
		{"any text but plain", "text/*, text/plain;q=0", formatHTML},
		{"anything but plain", "*/*, text/plain;q=0", formatHealthJSON},
		{"the closer range decides", "text/html;q=0.1, text/*;q=0.9, */*;q=0.5", formatPlain},
		{"case does not matter", "TEXT/Html; Q=1", formatHTML},
		{"weights of three digits", "text/html;q=0.333, application/json;q=0.334", formatJSON},
		{"a weight without digits", "text/html;q=0., application/json;q=0.001", formatJSON},
		{"other parameters", "text/html;level=1;q=0.4, application/json;charset=utf-8;q=0.5", formatJSON},
		{"quoted commas and semicolons", `text/html;a="x, y;q=0\"";q=0.9, application/json;q=0.8`, formatHTML},
		{"spaces and tabs", " text/html\t; q=0.9 ,\tapplication/json ;q=0.95", formatJSON},
		{"empty elements", ",, text/html,,", formatHTML},
		{"nothing that we have", "image/png, audio/*", formatPlain},
		{"nothing at all", "*/*;q=0", formatPlain},
		{"weights that are none", "text/html;q=2, application/json;q=0.1234, text/html;q=a, application/json;q=1.5, text/html;q=", formatPlain},
		{"half a range", "text/html, */json", formatHTML},
		{"no range", "html", formatPlain},
		{"Prometheus", "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.2", formatPlain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := negotiate(tt.accept); got != tt.want {
				t.Errorf("Accept: %s: format %d, want %d", tt.accept, got, tt.want)
			}
		})
	}
}

func TestChooseFormat(t *testing.T) {
	for _, tt := range []struct {
		query  string
		target target
		want   format
		err    string
	}{
		{"format=plain", targetReady, formatPlain, ""},
		{"format=json", targetReady, formatHealthJSON, ""},
		{"format=html", targetReady, formatHTML, ""},
		{"format=openmetrics", targetReady, formatMetrics, ""},
		{"format=openmetrics", targetLive, 0, "format openmetrics is answered at the health path alone; known here: plain, json, html"},
		{"x=1&format=json&format=html", targetReady, formatHealthJSON, ""},
		{"%66ormat=%6Ason", targetReady, formatHealthJSON, ""},
		{"%zz=1&format=%zz&format=json", targetReady, formatHealthJSON, ""},
		{"formats=json", targetReady, formatHTML, ""}, // as accepted
		{"format", targetReady, 0, `unknown format ""; known: plain, json, html, openmetrics`},
		{"format=JSON", targetReady, 0, `unknown format "JSON"; known: plain, json, html, openmetrics`},
		{"format=a%0Ab", targetReady, 0, `unknown format "a\nb"; known: plain, json, html, openmetrics`},
	} {
		t.Run(tt.query, func(t *testing.T) {
			got, err := chooseFormat(tt.query, "text/html", tt.target)
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Errorf("format %d, error %v; want %d, %s", got, err, tt.want, tt.err)
			}
		})
	}
}

func FuzzNegotiate(f *testing.F) {
	for _, seed := range []string{
		"", "*/*", "text/html,*/*;q=0.8", `text/html;a="x,y\"";q=0.5`, "application/json;q=0.1234", `"`, `\`, ";q=1", "text/*;q=0,/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		got := negotiate(accept)
		if got == formatMetrics {
			t.Fatalf("%q: chose what is never offered", accept)
		}
		if got != formatPlain && !strings.Contains(accept, "/") {
			t.Fatalf("%q: chose %d without a media range", accept, got)
		}
		// What comes behind, less welcome than anything, changes nothing but a
		// choice that was made for want of another.
		if !strings.ContainsAny(accept, `"\`) && negotiate(accept+",text/plain;q=0") != got && got != formatPlain {
			t.Fatalf("%q: a refusal of plain text turns %d away", accept, got)
		}
		if again := negotiate(strings.ToUpper(accept)); isASCII(accept) && again != got {
			t.Fatalf("%q: %d, but %d in capitals", accept, got, again)
		}
	})
}

func FuzzParseQuality(f *testing.F) {
	for _, seed := range []string{"1", "0", "0.5", "1.000", "0.123", "1.001", "0.1234", ".5", "-0", "1."} {
		f.Add(seed)
	}
	grammar := regexp.MustCompile(`^(0(\.[0-9]{0,3})?|1(\.0{0,3})?)$`) // RFC 9110, section 12.4.2
	f.Fuzz(func(t *testing.T, s string) {
		q, ok := parseQuality(s)
		if ok != grammar.MatchString(s) {
			t.Fatalf("%q: read as a weight: %v", s, ok)
		}
		if want, _ := strconv.ParseFloat(s, 64); ok && math.Abs(float64(q)/1000-want) > 1e-9 {
			t.Fatalf("%q: %d thousandths", s, q)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	m, err := NewMonitor(Options{}, Check{Name: "home page", Run: Func(nil)}, Check{Name: "a%b?", Run: Func(nil)})
	if err != nil {
		f.Fatal(err)
	}
	h, err := NewHandler(m, HandlerOptions{Details: DetailsAlways})
	if err != nil {
		f.Fatal(err)
	}
	known := map[string]bool{"/health/checks/home%20page": true, "/health/checks/a%25b%3F": true}
	for path := range known {
		f.Add("GET", path, "", "")
	}
	f.Add("GET", "/health", "format=json", "")
	f.Add("HEAD", "/health/", "a=b&format=%68tml", "*/*")
	f.Add("POST", "/health/live", "&&=&", "text/html")
	f.Add("GET", "/health/checks/%zz", "format", "")
	f.Add("GET", "/health/checks/../live", ";", "")
	f.Fuzz(func(t *testing.T, method, path, query, accept string) {
		a := h.Answer(Query{Method: method, Path: path, RawQuery: query, Accept: accept})
		switch a.Status {
		case 200, 400, 503:
			if method != "GET" && method != "HEAD" || !h.Owns(path) {
				t.Errorf("%s %q: status %d", method, path, a.Status)
			}
		case 405:
			if method == "GET" || method == "HEAD" || a.Header.Get("Allow") == "" {
				t.Errorf("%s %q: 405, Allow %q", method, path, a.Header.Get("Allow"))
			}
		case 404:
			if known[path] && method == "GET" {
				t.Errorf("%q: not found", path)
			}
		default:
			t.Errorf("%s %q ?%q: status %d", method, path, query, a.Status)
		}
		if (len(a.Body) == 0) != (method == "HEAD") {
			t.Errorf("%s %q: body of %d bytes", method, path, len(a.Body))
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Length") == "" {
			t.Errorf("%s %q: header %v", method, path, a.Header)
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
