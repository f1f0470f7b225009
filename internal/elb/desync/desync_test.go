package desync_test

import (
	"strings"
	"testing"

	"hale/internal/elb/desync"
)

// header is fields in their order, as a parser has them.
type header [][2]string

func (h header) Len() int { return len(h) }

func (h header) At(i int) (name, value string) { return h[i][0], h[i][1] }

func of(fields ...string) header {
	var h header
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		h = append(h, [2]string{name, value})
	}
	return h
}

func TestClassify(t *testing.T) {
	t.Parallel()
	get := func(fields ...string) desync.Request {
		return desync.Request{Method: "GET", URI: "/", Proto: "HTTP/1.1", Header: of(fields...)}
	}
	post := func(fields ...string) desync.Request {
		return desync.Request{Method: "POST", URI: "/", Proto: "HTTP/1.1", Header: of(fields...)}
	}
	line := func(method, uri, proto string) desync.Request {
		return desync.Request{Method: method, URI: uri, Proto: proto}
	}
	old := post("Transfer-Encoding: chunked")
	old.Proto = "HTTP/1.0"
	ancient := post("Content-Length: 1")
	ancient.Proto = ""
	modern := get("Content-Length: 1", "Transfer-Encoding: chunked")
	modern.Proto = "HTTP/2.0"
	for name, test := range map[string]struct {
		request desync.Request
		want    desync.Reason
	}{
		"a page":                  {get("Host: example.com", "User-Agent: a", "Content-Type: text/plain"), ""},
		"no header":               {line("GET", "/", "HTTP/1.1"), ""},
		"a body":                  {post("Content-Length: 10"), ""},
		"chunks":                  {post("Transfer-Encoding: chunked"), ""},
		"compressed chunks":       {post("Transfer-Encoding: gzip, chunked"), ""},
		"encoding with parameter": {post("Transfer-Encoding: gzip;q=1, CHUNKED"), ""},
		"identity":                {post("Transfer-Encoding: identity"), ""},
		"text beyond ASCII":       {get("X: \x85\xa0"), ""},
		"HTTP/1.0":                {line("GET", "/", "HTTP/1.0"), ""},
		"of HTTP/2 all":           {modern, ""},
		"a method of its own":     {line("MY-METHOD!", "/", "HTTP/1.1"), ""},
		"names alike, not alike":  {post("Content-Lengths: 1", "X-Content-Length: 1", "Content-Length2: 1", "Content: 1", "ContentLength: 1", "Content-Len: 1"), ""},
		"bytes beyond ASCII":      {line("GET", "/\xc3\xa4", "HTTP/1.1"), ""},

		"GET, length 0":       {get("Content-Length: 0"), desync.GetHeadZeroContentLength},
		"GET, empty length":   {get("Content-Length: "), desync.GetHeadZeroContentLength},
		"a control in a name": {get("a\x01b: c"), desync.NonCompliantHeader},
		"a control":           {get("a: b\x01"), desync.NonCompliantHeader},
		"a space in a name":   {get("a b: c"), desync.NonCompliantHeader},
		"HTTP/1.2":            {line("GET", "/", "HTTP/1.2"), desync.NonCompliantVersion},
		"HTTP/0.9":            {line("GET", "/", "HTTP/0.9"), desync.NonCompliantVersion},
		"no version":          {line("GET", "/", ""), desync.NonCompliantVersion},
		"a space behind":      {line("GET", "/", "HTTP/1.1 "), desync.NonCompliantVersion},
		"a space in the URI":  {line("GET", "/a b", "HTTP/1.1"), desync.SpaceInURI},

		"a tab in the URI":      {line("GET", "/a\tb", "HTTP/1.1"), desync.AmbiguousURI},
		"a control in the URI":  {line("GET", "/a \x01", "HTTP/1.1"), desync.AmbiguousURI},
		"both":                  {post("Content-Length: 10", "Transfer-Encoding: chunked"), desync.BothTeClPresent},
		"the length twice":      {post("Content-Length: 10", "Content-Length: 10"), desync.DuplicateContentLength},
		"no name":               {get(": a"), desync.EmptyHeader},
		"white space as name":   {get("\t : a"), desync.EmptyHeader},
		"an underscore":         {post("Content_Length: 10"), desync.SuspiciousHeader},
		"a space in the name":   {post("Transfer Encoding: chunked"), desync.SuspiciousHeader},
		"a space before":        {post(" Transfer-Encoding: chunked"), desync.SuspiciousHeader},
		"a tab behind":          {post("Content-Length\t: 1"), desync.SuspiciousHeader},
		"the long s":            {post("Tran\u017ffer-Encoding: chunked"), desync.SuspiciousHeader},
		"the dotless i":         {post("Transfer-Encod\u0131ng: chunked"), desync.SuspiciousHeader},
		"GET with a body":       {get("Content-Length: 10"), desync.UndefinedContentLengthSemantics},
		"HEAD with a body":      {desync.Request{Method: "HEAD", URI: "/", Proto: "HTTP/1.1", Header: of("content-length: 1")}, desync.UndefinedContentLengthSemantics},
		"HTTP/0.9 with a body":  {ancient, desync.UndefinedContentLengthSemantics},
		"GET with chunks":       {get("Transfer-Encoding: chunked"), desync.UndefinedTransferEncodingSemantics},
		"HTTP/1.0 with chunks":  {old, desync.UndefinedTransferEncodingSemantics},
		"the first of a class":  {get("Content-Length: 10", "Transfer-Encoding: chunked"), desync.UndefinedTransferEncodingSemantics},
		"the worst of several":  {get("Content-Length: 0", "Content_Length: 0"), desync.SuspiciousHeader},
		"two dashes in between": {post("Content--Length: 10"), desync.SuspiciousHeader},

		"a length of letters":    {post("Content-Length: ten"), desync.BadContentLength},
		"a signed length":        {post("Content-Length: +10"), desync.BadContentLength},
		"a length too large":     {post("Content-Length: 18446744073709551616"), desync.BadContentLength},
		"a list of lengths":      {post("Content-Length: 10, 10"), desync.BadContentLength},
		"a line break in a name": {get("a\nb: c"), desync.BadHeader},
		"a line break":           {get("a: b\r\nc: d"), desync.BadHeader},
		"NUL":                    {get("a: \x00"), desync.BadHeader},
		"a space in the method":  {line("GET /", "/", "HTTP/1.1"), desync.BadMethod},
		"an unknown encoding":    {post("Transfer-Encoding: xchunked"), desync.BadTransferEncoding},
		"an empty encoding":      {post("Transfer-Encoding: "), desync.BadTransferEncoding},
		"a line break in it":     {line("GET", "/a\r\nb", "HTTP/1.1"), desync.BadURI},
		"a version that is none": {line("GET", "/", "HTTP/11"), desync.BadVersion},
		"HTTP/3 by its line":     {line("GET", "/", "HTTP/1.x"), desync.BadVersion},
		"two lengths":            {post("Content-Length: 10", "Content-Length: 11"), desync.MultipleContentLength},
		"chunked twice":          {post("Transfer-Encoding: chunked, chunked"), desync.MultipleTransferEncodingChunked},
		"chunked on two lines":   {post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), desync.MultipleTransferEncodingChunked},
	} {
		class, reason := desync.Classify(&test.request)
		if reason != test.want || class != test.want.Class() {
			t.Errorf("%s: %s %s, want %s %s", name, class, reason, test.want.Class(), test.want)
		}
	}
}

func TestTreatment(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		class                         desync.Class
		monitor, defensive, strictest desync.Treatment
	}{
		{desync.Compliant, desync.Pass, desync.Pass, desync.Pass},
		{desync.Acceptable, desync.Pass, desync.Pass, desync.Refuse},
		{desync.Ambiguous, desync.Pass, desync.PassAndClose, desync.Refuse},
		{desync.Severe, desync.Pass, desync.Refuse, desync.Refuse},
	} {
		for mode, want := range map[desync.Mode]desync.Treatment{
			desync.Monitor: test.monitor, desync.Defensive: test.defensive, desync.Strictest: test.strictest, "": test.defensive,
		} {
			if got := mode.Treatment(test.class); got != want {
				t.Errorf("%s, %q: %d, want %d", test.class, mode, got, want)
			}
		}
	}
}

// What passes as compliant has one meaning: no breaks, and at most one way to tell
// the body's end.
func FuzzClassify(f *testing.F) {
	f.Add("GET", "/", "HTTP/1.1", "Content-Length", "10", "Transfer-Encoding", "chunked")
	f.Add("POST", "/ ", "HTTP/1.1", "content_length", "0", "\u0131", "")
	f.Add("", "\x00", "HTTP/1.", "", ":", "a", "\n")
	f.Fuzz(func(t *testing.T, method, uri, proto, name1, value1, name2, value2 string) {
		r := desync.Request{Method: method, URI: uri, Proto: proto, Header: header{{name1, value1}, {name2, value2}}}
		class, reason := desync.Classify(&r)
		if class != reason.Class() {
			t.Fatalf("%s is not the class of %s", class, reason)
		}
		if class != desync.Compliant || strings.HasPrefix(proto, "HTTP/2") || strings.HasPrefix(proto, "HTTP/3") {
			return
		}
		if strings.ContainsAny(method+uri+proto+name1+value1+name2+value2, "\r\n\x00") {
			t.Errorf("%+v is compliant", r)
		}
		framed := 0
		for _, name := range []string{name1, name2} {
			if strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding") {
				framed++
			}
		}
		both := !strings.EqualFold(name1, name2) && framed == 2
		if both || framed > 0 && (method == "GET" || method == "HEAD") {
			t.Errorf("%+v is compliant", r)
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	const agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
	r := desync.Request{Method: "POST", URI: "/products/12345?page=2", Proto: "HTTP/1.1", Header: of("Content-Length", "10", "User-Agent", agent, "Accept-Language", agent, "Cookie", agent)}
	b.ReportAllocs()
	for b.Loop() {
		desync.Classify(&r)
	}
}
