package guard

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// A message is what a request is to whoever reads it.
type message struct {
	method, target, host, body string
}

// reference reads a stream the slow and plain way: with strings, one whole
// request after the other, each rule where RFC 9112 has it. It returns the
// requests that are good, the stream without the empty lines that are to be
// ignored, and whether all of it is good.
func reference(stream string) (good []message, kept string, clean bool) {
	for {
		start := strings.TrimPrefix(stream, "\r\n") // RFC 9112, 2.2
		if start == "" {
			return good, kept, true
		}
		stream = start
		i := strings.Index(stream, "\r\n\r\n")
		if i < 0 {
			return good, kept + start, false
		}
		m, length, chunked, ok := referenceHead(stream[:i])
		if !ok {
			return good, kept + start, false
		}
		stream = stream[i+4:]
		switch {
		case chunked:
			if m.body, stream, ok = referenceChunks(stream); !ok {
				return good, kept + start, false
			}
		case length > len(stream):
			return good, kept + start, false
		default:
			m.body, stream = stream[:length], stream[length:]
		}
		good = append(good, m)
		kept += start[:len(start)-len(stream)]
	}
}

func referenceHead(text string) (m message, length int, chunked, ok bool) {
	lines := strings.Split(text, "\r\n")
	for _, line := range lines {
		for _, c := range []byte(line) {
			if c < ' ' && c != '\t' || c == 0x7f {
				return m, 0, false, false
			}
		}
	}
	words := strings.Split(lines[0], " ")
	if len(words) != 3 || !referenceToken(words[0]) || words[0] == "CONNECT" ||
		words[2] != "HTTP/1.1" && words[2] != "HTTP/1.0" {
		return m, 0, false, false
	}
	m.method, m.target = words[0], words[1]
	if m.target == "" || strings.ContainsAny(m.target, "#\t") || len(lines[0]) > testLimits.LineSize-2 {
		return m, 0, false, false
	}
	values := map[string][]string{}
	for _, line := range lines[1:] {
		name, value, found := strings.Cut(line, ":")
		if !found || !referenceToken(name) {
			return m, 0, false, false
		}
		name = strings.ToLower(name)
		values[name] = append(values[name], strings.Trim(value, " \t"))
	}
	lengths, codings, hosts := values["content-length"], values["transfer-encoding"], values["host"]
	old := words[2] == "HTTP/1.0"
	switch {
	case len(lines)-1 > MaxFields, len(text)+4 > testLimits.HeadSize:
		return m, 0, false, false
	case len(hosts) > 1, len(hosts) == 0 && !old:
		return m, 0, false, false
	case len(codings) > 1, len(lengths) > 1, len(codings)+len(lengths) > 1, len(codings) > 0 && old:
		return m, 0, false, false
	}
	if len(hosts) == 1 {
		m.host = hosts[0]
	}
	if m.host != "" && !referenceHost(m.host) || !referenceTarget(m, len(hosts) == 1) {
		return m, 0, false, false
	}
	for _, announced := range values["trailer"] {
		for name := range strings.SplitSeq(announced, ",") {
			if referenceFrames(strings.Trim(name, " \t")) {
				return m, 0, false, false
			}
		}
	}
	if len(codings) == 1 {
		return m, 0, true, strings.EqualFold(codings[0], "chunked")
	}
	if len(lengths) == 1 {
		n, err := strconv.ParseUint(lengths[0], 10, 62)
		if err != nil || len(lengths[0]) > 18 || lengths[0][0] == '+' {
			return m, 0, false, false
		}
		length = int(n)
	}
	return m, length, false, true
}

func referenceTarget(m message, hasHost bool) bool {
	path := m.target
	switch {
	case m.target == "*":
		return m.method == "OPTIONS"
	case m.target[0] == '/':
	default:
		scheme, rest, found := strings.Cut(m.target, "://")
		if !found || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return false
		}
		i := strings.IndexAny(rest, "/?")
		if i < 0 {
			i = len(rest)
		}
		host := rest[:i]
		if host == "" || !referenceHost(host) || hasHost && !strings.EqualFold(host, m.host) {
			return false
		}
		path = rest[i:]
	}
	path, _, _ = strings.Cut(path, "?")
	for i := 0; i < len(path); i++ {
		if path[i] == '%' {
			if i+2 >= len(path) || !strings.Contains(hexDigits, path[i+1:i+2]) || !strings.Contains(hexDigits, path[i+2:i+3]) {
				return false
			}
		}
	}
	return true
}

const hexDigits = "0123456789abcdefABCDEF"

func referenceToken(s string) bool {
	return s != "" && strings.Trim(s, "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == ""
}

func referenceHost(s string) bool {
	if strings.HasPrefix(s, "[") {
		return validHost([]byte(s)) // the address is for netip to judge
	}
	name, port, found := strings.Cut(s, ":")
	if found && (len(port) > 5 || strings.Trim(port, "0123456789") != "") {
		return false
	}
	return name != "" && strings.Trim(name, "-._~!$&'()*+;=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == ""
}

func referenceFrames(name string) bool {
	switch strings.ToLower(name) {
	case "content-length", "transfer-encoding", "trailer", "host":
		return true
	}
	return false
}

func referenceChunks(s string) (body, rest string, ok bool) {
	extensions := 0
	for {
		line, after, found := strings.Cut(s, "\r\n")
		if !found || len(line) > maxChunkLine-2 || strings.ContainsAny(line, "\n\r") {
			return "", "", false
		}
		size, extension, extended := strings.Cut(line, ";")
		if extended {
			extensions += 1 + len(extension)
		}
		for _, c := range []byte(extension) {
			if c < ' ' && c != '\t' || c >= 0x7f {
				return "", "", false
			}
		}
		n, err := strconv.ParseUint(size, 16, 62)
		if err != nil || len(size) > 16 || strings.ContainsAny(size, "+_") || extensions > maxExtensions {
			return "", "", false
		}
		s = after
		if n == 0 {
			break
		}
		if uint64(len(s)) < n+2 || s[n:n+2] != "\r\n" {
			return "", "", false
		}
		body += s[:n]
		s = s[n+2:]
	}
	size, fields := 0, 0
	for {
		line, after, found := strings.Cut(s, "\r\n")
		if size += len(line) + 2; !found || size > maxTrailer {
			return "", "", false
		}
		s = after
		if line == "" {
			return body, s, true
		}
		name, value, found := strings.Cut(line, ":")
		if fields++; !found || !referenceToken(name) || referenceFrames(name) || fields > MaxFields {
			return "", "", false
		}
		for _, c := range []byte(value) {
			if c < ' ' && c != '\t' || c == 0x7f {
				return "", "", false
			}
		}
	}
}

// FuzzGuard holds the guard against the reference, and net/http against both:
// what is taken is read by http.ReadRequest as the same requests with the same
// bodies, however it arrives.
func FuzzGuard(f *testing.F) {
	for _, s := range []string{
		get(), get() + post("Content-Length: 3") + "abc", chunks("3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n") + get(),
		lines("GET http://a:80/b?c HTTP/1.0", "Host: a:80"), post("Content-Length: 3", "Transfer-Encoding: chunked"),
		post("Content-Length: +3") + "abc", get("X: a", " b"), "GET / HTTP/1.1\nHost: a\n\n", lines("OPTIONS * HTTP/1.1", "Host: [::1]"),
		post("Transfer-Encoding: chunked", "Trailer: a, host") + "0\r\n\r\n", "\r\n" + get(), "\r\n" + get() + "\r\n" + get() + "\r\n\r\n",
	} {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(compare)
}

// FuzzFragments does the same with streams made of the pieces that smuggling
// is made of, which single bytes are slow to come upon.
func FuzzFragments(f *testing.F) {
	fragments := []string{
		"GET", "POST", "OPTIONS", " ", "/", "*", "http://a", "?", "%", "%41", "#", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2",
		"\r\n", "\n", "\r", "\t", "\x00", "\x7f", "\xc3", ":", ",", ";", "+", "Host", "host: a\r\n", "Host: b\r\n",
		"Content-Length", "Content-Length: 3\r\n", "Content-Length: 0\r\n", "Transfer-Encoding", "transfer-encoding: chunked\r\n",
		"Trailer: X\r\n", "Trailer", "X: y\r\n", "X", "\r\n\r\n", "chunked", "3", "abc", "3\r\nabc\r\n", "0\r\n", "0\r\n\r\n", "a", "f", ";x=y\r\n",
		"GET / HTTP/1.1\r\n", "POST /x HTTP/1.1\r\nHost: a\r\n", "GET http://a/ HTTP/1.1\r\n", "GET / HTTP/1.0\r\n", "Expect: 100-continue\r\n", "Connection: close\r\n",
	}
	index := map[string]byte{}
	for i, s := range fragments {
		index[s] = byte(i)
	}
	for _, s := range [][]string{
		{"GET / HTTP/1.1\r\n", "host: a\r\n", "\r\n", "GET / HTTP/1.0\r\n", "\r\n"},
		{"POST /x HTTP/1.1\r\nHost: a\r\n", "transfer-encoding: chunked\r\n", "\r\n", "3\r\nabc\r\n", "3", ";x=y\r\n", "abc", "\r\n", "0\r\n", "X: y\r\n", "\r\n"},
		{"POST /x HTTP/1.1\r\nHost: a\r\n", "Content-Length: 3\r\n", "\r\n", "abc", "GET http://a/ HTTP/1.1\r\n", "host: a\r\n", "\r\n"},
	} {
		var recipe []byte
		for _, fragment := range s {
			recipe = append(recipe, index[fragment])
		}
		f.Add(recipe, uint8(0))
		f.Add(recipe, uint8(2))
	}
	f.Fuzz(func(t *testing.T, recipe []byte, piece uint8) {
		var stream []byte
		for _, i := range recipe {
			stream = append(stream, fragments[int(i)%len(fragments)]...)
		}
		compare(t, stream, piece)
	})
}

// compare holds the guard's reading of a stream, piece bytes at a time, against
// the others'.
func compare(t *testing.T, stream []byte, piece uint8) {
	got, err := readAll(newStream(&pieces{stream, int(piece)}))
	refusal, refused := errors.AsType[*Refusal](err)
	if !refused && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	want, kept, clean := reference(string(stream))
	// What is not clean need not be refused: the rest may not have come yet.
	if clean && !errors.Is(err, io.EOF) {
		t.Fatalf("clean by the reference, but %v", refusal)
	}
	byHTTP := readByHTTP(t, []byte(kept), clean)
	if len(got) != len(want) || len(byHTTP) < len(want) {
		t.Fatalf("%d requests, net/http reads %d, the reference %d", len(got), len(byHTTP), len(want))
	}
	for i, w := range want {
		if got[i] != w {
			t.Fatalf("request %d: %+v, the reference %+v", i, got[i], w)
		}
		if strings.Contains(w.target, "://") && w.host == "" {
			w.host = byHTTP[i].host // HTTP/1.0 and an absolute target need no Host
		}
		if g := byHTTP[i]; g.method != w.method || g.target != w.target || g.body != w.body || !strings.EqualFold(g.host, w.host) {
			t.Fatalf("request %d: net/http reads %+v, the reference %+v", i, g, w)
		}
	}
}

// readByHTTP reads the requests that net/http finds whole in a stream. All of
// a clean stream has to be whole.
func readByHTTP(t *testing.T, stream []byte, clean bool) (all []message) {
	br := bufio.NewReader(bytes.NewReader(stream))
	for {
		r, err := http.ReadRequest(br)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			if clean {
				t.Fatalf("net/http does not read what was taken: %v", err)
			}
			return all
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			if clean {
				t.Fatalf("net/http does not read a body that was taken: %v", err)
			}
			return all
		}
		all = append(all, message{r.Method, r.RequestURI, r.Host, string(body)})
	}
}

// pieces is read n bytes at a time, or all at once if n is 0.
type pieces struct {
	left []byte
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	if p.n > 0 {
		b = b[:min(len(b), p.n)]
	}
	n := copy(b, p.left)
	p.left = p.left[n:]
	return n, nil
}
