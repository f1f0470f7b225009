// Package desync classifies requests by how likely two servers are to read them
// differently, as Application Load Balancers do, and says what each mode of
// desync mitigation does with a class.
//
// The classes and their reasons are those of the access log (guide of Application
// Load Balancers, "Desync mitigation mode", "Classification reasons"); what falls
// under which is read from the library that load balancers use
// (github.com/aws/http-desync-guardian, request_analyzer.rs).
//
// A request is judged by its head as a parser shows it. What a parser refuses or
// mends before that cannot be seen here: bare line feeds, folded lines, lines
// without a colon, a missing version.
package desync

import "strings"

// Class is how dangerous a request is.
type Class uint8

// Classes, the worst last.
const (
	Compliant  Class = iota
	Acceptable       // not as the RFC has it, of no known danger
	Ambiguous        // some servers may read it otherwise
	Severe           // very likely an attack
)

func (c Class) String() string {
	return [...]string{"Compliant", "Acceptable", "Ambiguous", "Severe"}[min(c, Severe)]
}

// Reason is why a request is in its class, as the access log has it; empty if
// compliant.
type Reason string

// Reasons, by class.
const (
	GetHeadZeroContentLength Reason = "GetHeadZeroContentLength"
	NonCompliantHeader       Reason = "NonCompliantHeader"
	NonCompliantVersion      Reason = "NonCompliantVersion"
	SpaceInURI               Reason = "SpaceInUri"

	AmbiguousURI                       Reason = "AmbiguousUri"
	BothTeClPresent                    Reason = "BothTeClPresent"
	DuplicateContentLength             Reason = "DuplicateContentLength"
	EmptyHeader                        Reason = "EmptyHeader"
	SuspiciousHeader                   Reason = "SuspiciousHeader"
	UndefinedContentLengthSemantics    Reason = "UndefinedContentLengthSemantics"
	UndefinedTransferEncodingSemantics Reason = "UndefinedTransferEncodingSemantics"

	BadContentLength                Reason = "BadContentLength"
	BadHeader                       Reason = "BadHeader"
	BadMethod                       Reason = "BadMethod"
	BadTransferEncoding             Reason = "BadTransferEncoding"
	BadURI                          Reason = "BadUri"
	BadVersion                      Reason = "BadVersion"
	MultipleContentLength           Reason = "MultipleContentLength"
	MultipleTransferEncodingChunked Reason = "MultipleTransferEncodingChunked"
)

var classOf = map[Reason]Class{
	GetHeadZeroContentLength: Acceptable,
	NonCompliantHeader:       Acceptable,
	NonCompliantVersion:      Acceptable,
	SpaceInURI:               Acceptable,

	AmbiguousURI:                       Ambiguous,
	BothTeClPresent:                    Ambiguous,
	DuplicateContentLength:             Ambiguous,
	EmptyHeader:                        Ambiguous,
	SuspiciousHeader:                   Ambiguous,
	UndefinedContentLengthSemantics:    Ambiguous,
	UndefinedTransferEncodingSemantics: Ambiguous,

	BadContentLength:                Severe,
	BadHeader:                       Severe,
	BadMethod:                       Severe,
	BadTransferEncoding:             Severe,
	BadURI:                          Severe,
	BadVersion:                      Severe,
	MultipleContentLength:           Severe,
	MultipleTransferEncodingChunked: Severe,
}

// Class returns the class that the reason puts a request in.
func (r Reason) Class() Class { return classOf[r] }

// Mode is an attribute's value: routing.http.desync_mitigation_mode.
type Mode string

// Modes. An empty one is Defensive, ELB's default.
const (
	Monitor   Mode = "monitor"
	Defensive Mode = "defensive"
	Strictest Mode = "strictest"
)

// Treatment is what becomes of a request.
type Treatment uint8

// Treatments. The last two close the client's connection.
const (
	Pass         Treatment = iota
	PassAndClose           // then close the client's connection and the target's
	Refuse                 // with 400
)

// Treatment returns what the mode does with a class.
func (m Mode) Treatment(c Class) Treatment {
	switch {
	case c == Compliant || m == Monitor:
		return Pass
	case m == Strictest, c == Severe:
		return Refuse
	case c == Ambiguous:
		return PassAndClose
	}
	return Pass
}

// Request is a request's head.
type Request struct {
	Method string
	URI    string // path and query, as sent
	Proto  string // "HTTP/1.1"; of HTTP/2, every request is compliant
	Header Header

	// Chunked stands for a Transfer-Encoding of chunked that was taken out of the
	// Header.
	Chunked bool
}

// Header gives access to header fields, one by one.
type Header interface {
	Len() int
	At(i int) (name, value string)
}

// Classify returns a request's class, and the first reason for it.
func Classify(r *Request) (Class, Reason) {
	if strings.HasPrefix(r.Proto, "HTTP/2") || strings.HasPrefix(r.Proto, "HTTP/3") {
		return Compliant, ""
	}
	var j judgement
	j.header(r.Header)
	if r.Chunked {
		j.encodings.add("chunked")
	}
	j.framing(r)
	if kindsOf(r.Method)&^isToken != 0 {
		j.say(BadMethod)
	}
	j.version(r.Proto)
	j.uri(r.URI)
	return j.class, j.reason
}

// judgement is what has been found so far.
type judgement struct {
	class  Class
	reason Reason

	lengths   values // of Content-Length
	encodings values // of Transfer-Encoding
}

// values are those of a field that frames the message. More than a few need not
// be known.
type values struct {
	of [4]string
	n  int
}

func (v *values) add(s string) {
	if v.n < len(v.of) {
		v.of[v.n] = s
		v.n++
	}
}

func (v *values) all() []string { return v.of[:v.n] }

// say notes a reason if it is worse than what is known.
func (j *judgement) say(r Reason) {
	if c := classOf[r]; c > j.class {
		j.class, j.reason = c, r
	}
}

func (j *judgement) header(h Header) {
	if h == nil {
		return
	}
	for i := range h.Len() {
		name, line := h.At(i)
		length, encoding := similar(name, "content-length"), similar(name, "transfer-encoding")
		bad := false
		if r := headerReason(name, line); r != "" {
			j.say(r)
			bad = r == BadHeader
		}
		if length != distant && !bad {
			j.lengths.add(line)
		}
		if encoding != distant && !bad {
			j.encodings.add(line)
		}
		switch trimmed := strings.Trim(name, " \t"); {
		case trimmed == "" || trimmed[0] == ':':
			j.say(EmptyHeader)
		case !bad && (length == sameLetters || encoding == sameLetters):
			j.say(SuspiciousHeader)
		}
	}
}

// headerReason judges the characters of a field.
func headerReason(name, value string) Reason {
	inName, inValue := kindsOf(name), kindsOf(value)
	switch {
	case (inName|inValue)&isBreak != 0:
		return BadHeader
	case inName&^isToken != 0, inValue&isControl != 0:
		return NonCompliantHeader
	}
	return ""
}

// Kinds of characters, as bits. Each character is of one kind.
const (
	isToken = 1 << iota // in names and methods (RFC 9110, 5.6.2)
	isSpace
	isTab
	isBreak   // CR, LF, NUL: no part of a request may hold them
	isControl // all others
	isOther
)

var kinds = makeKinds()

func makeKinds() (t [256]uint8) {
	for c := range t {
		switch {
		case c == 0, c == '\r', c == '\n':
			t[c] = isBreak
		case c == ' ':
			t[c] = isSpace
		case c == '\t':
			t[c] = isTab
		case c < ' ', c == 0x7f:
			t[c] = isControl
		default:
			t[c] = isOther
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		t[c] = isToken
	}
	return t
}

// kindsOf returns the kinds of all characters of s together.
func kindsOf(s string) (all uint8) {
	for i := range len(s) {
		all |= kinds[s[i]]
	}
	return all
}

// framing judges what says where the body ends.
func (j *judgement) framing(r *Request) {
	encoded := j.encodings.n > 0
	switch old := r.Proto == "HTTP/1.0"; {
	case j.lengths.n == 0 && !encoded:
		return
	case (old || r.Proto < "HTTP/1.0") && encoded:
		j.say(UndefinedTransferEncodingSemantics)
		return
	case r.Proto < "HTTP/1.0":
		j.say(UndefinedContentLengthSemantics)
		return
	}
	j.transferEncoding()
	length, known := j.contentLength()
	if r.Method == "GET" || r.Method == "HEAD" {
		switch {
		case encoded:
			j.say(UndefinedTransferEncodingSemantics)
		case known && length == 0:
			j.say(GetHeadZeroContentLength)
		case known:
			j.say(UndefinedContentLengthSemantics)
		}
	}
	if known && encoded {
		j.say(BothTeClPresent)
	}
}

// transferEncoding: chunked twice in a row is what confuses.
func (j *judgement) transferEncoding() {
	wasChunked := false
	for _, line := range j.encodings.all() {
		for item := range strings.SplitSeq(line, ",") {
			item, _, _ = strings.Cut(item, ";")
			switch coding := strings.ToLower(strings.Trim(item, " \t")); coding {
			case "chunked":
				if wasChunked {
					j.say(MultipleTransferEncodingChunked)
				}
				wasChunked = true
			case "compress", "deflate", "gzip", "identity":
				wasChunked = false
			default:
				j.say(BadTransferEncoding)
			}
		}
	}
}

func (j *judgement) contentLength() (length uint64, known bool) {
	for _, line := range j.lengths.all() {
		n, ok := parseLength(strings.Trim(line, " \t"))
		switch {
		case !ok:
			j.say(BadContentLength)
		case !known:
			length, known = n, true
		case n == length:
			j.say(DuplicateContentLength)
		default:
			j.say(MultipleContentLength)
		}
	}
	return length, known
}

// parseLength reads digits alone. No digits at all are 0, as in the library.
func parseLength(s string) (n uint64, ok bool) {
	const most = ^uint64(0)
	for _, c := range []byte(s) {
		digit := uint64(c - '0')
		if c < '0' || c > '9' || n > most/10 || n*10 > most-digit {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, true
}

func (j *judgement) version(proto string) {
	trimmed := strings.Trim(proto, " \t")
	switch {
	case trimmed == "" || trimmed == "HTTP/0.9":
		j.say(NonCompliantVersion)
	case len(trimmed) != len("HTTP/1.1") || !strings.HasPrefix(trimmed, "HTTP/1.") || trimmed[7] < '0' || trimmed[7] > '9':
		j.say(BadVersion)
	case len(trimmed) != len(proto) || trimmed[7] > '1':
		j.say(NonCompliantVersion)
	}
}

func (j *judgement) uri(uri string) {
	switch all := kindsOf(uri); {
	case all&isBreak != 0:
		j.say(BadURI)
	case all&(isControl|isTab) != 0:
		j.say(AmbiguousURI)
	case all&isSpace != 0:
		j.say(SpaceInURI)
	}
}

// likeness is how much a name looks like another.
type likeness uint8

const (
	distant     likeness = iota
	sameLetters          // apart from what is no letter or digit: Content_Length
	identical            // apart from case
)

// similar compares a field's name with an important one, in lower case.
func similar(name, important string) likeness {
	switch {
	case len(name) < len(important):
		return distant
	case len(name) == len(important) && strings.EqualFold(name, important):
		return identical
	}
	i := 0
	for k := 0; k < len(name); {
		c, width := foldedLetter(name[k:])
		k += width
		if c == 0 {
			continue
		}
		for i < len(important) && important[i] == '-' {
			i++
		}
		if i == len(important) || important[i] != c {
			return distant
		}
		i++
	}
	if i < len(important) {
		return distant
	}
	return sameLetters
}

// foldedLetter returns the letter or digit at the start of s in lower case, or 0
// for what is none, and how long it is. Two letters beyond ASCII count, since
// programs that fold case by Unicode make ASCII of them: the long s and the
// dotless i.
func foldedLetter(s string) (c byte, width int) {
	switch {
	case strings.HasPrefix(s, "\u017f"):
		return 's', len("\u017f")
	case strings.HasPrefix(s, "\u0131"):
		return 'i', len("\u0131")
	}
	c = s[0]
	switch {
	case 'A' <= c && c <= 'Z':
		return c | 0x20, 1
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c, 1
	}
	return 0, 1
}
