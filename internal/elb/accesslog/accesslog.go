// Package accesslog writes access logs as load balancers do: a line of an
// Application Load Balancer, and one of a Classic Load Balancer.
//
// Whatever a request holds, an entry is one line, and its quoted fields end where
// they should. Sources: guide of Application Load Balancers, "Access logs"; guide
// of Classic Load Balancers, "Access logs". What neither says is called
// unconfirmed.
package accesslog

import (
	"net/netip"
	"strconv"
	"time"
)

// Type is the kind of a request or connection.
type Type string

// Types.
const (
	HTTP  Type = "http"
	HTTPS Type = "https"
	H2    Type = "h2"    // HTTP/2 over TLS
	GRPCS Type = "grpcs" // gRPC over TLS
	WS    Type = "ws"
	WSS   Type = "wss"
)

// Unknown is a duration that is written as -1: of a request that was not sent to
// a target.
const Unknown time.Duration = -1

// Entry is a request, in the log's order. Text that is empty, an address that is
// not valid and a status of 0 are written as a hyphen.
type Entry struct {
	Type Type
	Time time.Time // when the answer was made; of a WebSocket, when it was closed
	// LoadBalancer is as in "app/my-loadbalancer/50dc6c495c0c9188"; a Classic
	// Load Balancer's is its name.
	LoadBalancer   string
	Client, Target netip.AddrPort

	// Below zero: Unknown.
	RequestProcessing  time.Duration // until it was sent to the target
	TargetProcessing   time.Duration // until the answer's header began to come
	ResponseProcessing time.Duration // until the answer was begun to be sent

	Status, TargetStatus     int
	ReceivedBytes, SentBytes int64 // with headers
	Request                  Request
	UserAgent                string // what is longer than 8 KB is cut
	TLSCipher, TLSProtocol   string
	TargetGroupARN           string
	TraceID                  string
	DomainName               string // of SNI
	ChosenCertARN            string
	MatchedRulePriority      Priority
	Created                  time.Time // when the request came
	Actions                  Actions
	RedirectURL              string
	ErrorReason              string
	Targets                  []netip.AddrPort // nil: Target alone
	TargetStatuses           []int            // nil: TargetStatus alone
	Classification           string           // "Acceptable", ...; empty if compliant
	ClassificationReason     string
	ConnTraceID              string // "TID_..."
	TransformedHost          string
	TransformedURI           string
	TransformStatus          string // unconfirmed which there are
	Node                     netip.Addr

	// Classic says that the line is a Classic Load Balancer's.
	Classic bool
}

// Request is the request line, with a whole URL in it. Of a malformed request,
// what is not known is left empty, and written as a hyphen.
type Request struct {
	Method string
	TLS    bool
	Host   string // without its port
	Port   int    // the listener's
	URI    string // path and query; with Proto, the request's own bytes
	Proto  string // "HTTP/1.1"
}

// Priority is a rule's, or one of these.
type Priority int

// Priorities of requests that no rule but the default rule matched, for which
// rules could not be evaluated, and that had another error.
const (
	DefaultRule Priority = 0
	RuleError   Priority = -1
	NoRule      Priority = -2 // written as a hyphen
)

// Actions are those that were taken, as bits.
type Actions uint8

// Actions, in the order in which they are written.
const (
	WAF Actions = 1 << iota
	WAFFailed
	Authenticate
	Redirect
	FixedResponse
	Forward
)

var actionNames = [...]string{"waf", "waf-failed", "authenticate", "redirect", "fixed-response", "forward"}

// maxUserAgent is how much of a User-Agent is written: 8 KB.
const maxUserAgent = 8 << 10

// Append appends the line of an Application Load Balancer, with its line feed; of
// a Classic one, AppendClassic's.
//
// The last fields, from the connection's trace identifier on, are not in the
// public guide; their places are known from programs that read logs. Which of the
// last four are quoted is unconfirmed: here all but the node's address.
func (e *Entry) Append(b []byte) []byte {
	if e.Classic {
		return e.AppendClassic(b)
	}
	b = bare(b, string(e.Type))
	b = e.exchange(b, 3)
	b = e.Request.append(b)
	b = quoted(b, cut(e.UserAgent))
	b = bare(b, e.TLSCipher)
	b = bare(b, e.TLSProtocol)
	b = bare(b, e.TargetGroupARN)
	b = quoted(b, e.TraceID)
	b = quoted(b, e.DomainName)
	b = quoted(b, e.ChosenCertARN)
	if e.MatchedRulePriority == NoRule {
		b = bare(b, "")
	} else {
		b = number(b, int64(e.MatchedRulePriority))
	}
	b = stamp(b, e.Created)
	b = e.Actions.append(b)
	b = quoted(b, e.RedirectURL)
	b = quoted(b, e.ErrorReason)
	b = e.targets(b)
	b = e.targetStatuses(b)
	b = quoted(b, e.Classification)
	b = quoted(b, e.ClassificationReason)
	b = bare(b, e.ConnTraceID)
	b = quoted(b, e.TransformedHost)
	b = quoted(b, e.TransformedURI)
	b = quoted(b, e.TransformStatus)
	if e.Node.IsValid() {
		b = append(e.Node.AppendTo(b), ' ')
	} else {
		b = bare(b, "")
	}
	return endLine(b)
}

// AppendClassic appends the line of a Classic Load Balancer, with its line feed.
// Of an entry of a TCP connection, the statuses and the request are left empty.
func (e *Entry) AppendClassic(b []byte) []byte {
	b = e.exchange(b, 6)
	if e.Request == (Request{}) {
		b = append(b, `"- - - " `...) // as seen in allinurl/goaccess#952
	} else {
		b = e.Request.append(b)
	}
	b = quoted(b, cut(e.UserAgent))
	b = bare(b, e.TLSCipher)
	b = bare(b, e.TLSProtocol)
	return endLine(b)
}

// exchange writes the fields that both lines have first, from the time to the bytes
// sent; its seconds with that many decimals.
func (e *Entry) exchange(b []byte, decimals int) []byte {
	b = stamp(b, e.Time)
	b = bare(b, e.LoadBalancer)
	b = addrPort(b, e.Client)
	b = addrPort(b, e.Target)
	b = seconds(b, e.RequestProcessing, decimals)
	b = seconds(b, e.TargetProcessing, decimals)
	b = seconds(b, e.ResponseProcessing, decimals)
	b = status(b, e.Status)
	b = status(b, e.TargetStatus)
	b = number(b, e.ReceivedBytes)
	return number(b, e.SentBytes)
}

// append writes the request in quotes: "GET https://www.example.com:443/?a=b HTTP/1.1".
func (r *Request) append(b []byte) []byte {
	b = append(b, '"')
	b = escaped(b, hyphen(r.Method), true)
	if r.TLS {
		b = append(b, " https://"...)
	} else {
		b = append(b, " http://"...)
	}
	b = escaped(b, r.Host, true)
	b = append(b, ':')
	b = strconv.AppendInt(b, int64(r.Port), 10)
	b = escaped(b, hyphen(r.URI), true)
	b = append(b, ' ')
	b = escaped(b, hyphen(r.Proto), true)
	return append(b, '"', ' ')
}

func (a Actions) append(b []byte) []byte {
	b = append(b, '"')
	if a == 0 {
		b = append(b, '-')
	}
	for i, comma := 0, false; i < len(actionNames); i++ {
		if a&(1<<i) == 0 {
			continue
		}
		if comma {
			b = append(b, ',')
		}
		b, comma = append(b, actionNames[i]...), true
	}
	return append(b, '"', ' ')
}

// targets writes the targets that were tried, with spaces between.
func (e *Entry) targets(b []byte) []byte {
	b = append(b, '"')
	switch {
	case len(e.Targets) > 0:
		for i, t := range e.Targets {
			if i > 0 {
				b = append(b, ' ')
			}
			b = t.AppendTo(b)
		}
	case e.Target.IsValid():
		b = e.Target.AppendTo(b)
	default:
		b = append(b, '-')
	}
	return append(b, '"', ' ')
}

func (e *Entry) targetStatuses(b []byte) []byte {
	b = append(b, '"')
	switch {
	case len(e.TargetStatuses) > 0:
		for i, s := range e.TargetStatuses {
			if i > 0 {
				b = append(b, ' ')
			}
			if s == 0 {
				b = append(b, '-')
				continue
			}
			b = strconv.AppendInt(b, int64(s), 10)
		}
	case e.TargetStatus != 0:
		b = strconv.AppendInt(b, int64(e.TargetStatus), 10)
	default:
		b = append(b, '-')
	}
	return append(b, '"', ' ')
}

// The functions below append a field and the space behind it.

// bare writes text without quotes, so without spaces.
func bare(b []byte, s string) []byte {
	return append(escaped(b, hyphen(s), false), ' ')
}

func quoted(b []byte, s string) []byte {
	b = append(b, '"')
	b = escaped(b, hyphen(s), true)
	return append(b, '"', ' ')
}

// escaped writes what is not visible ASCII, quotes and backslashes as \x22 and the
// like. So a quote was seen in a log of 2023 (DataBiosphere/azul#4920), and so
// nginx does; for the rest it is unconfirmed. Classic Load Balancers have been
// seen to write \" (awslabs/athena-glue-service-logs#3); here both write the same.
func escaped(b []byte, s string, spaces bool) []byte {
	const hex = "0123456789ABCDEF"
	most := plain
	if spaces {
		most = plainOrSpace
	}
	for {
		n := 0
		for n < len(s) && class[s[n]] <= most {
			n++
		}
		b = append(b, s[:n]...)
		if n == len(s) {
			return b
		}
		b = append(b, '\\', 'x', hex[s[n]>>4], hex[s[n]&15])
		s = s[n+1:]
	}
}

// Classes of bytes: those below are written as they are.
const (
	plain uint8 = iota
	plainOrSpace
	special
)

var class = func() (of [256]uint8) {
	for c := range of {
		switch {
		case c == ' ':
			of[c] = plainOrSpace
		case c < ' ', c > '~', c == '"', c == '\\':
			of[c] = special
		}
	}
	return of
}()

func addrPort(b []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return append(b, '-', ' ')
	}
	// A zone may hold any byte; no address of a log has one.
	return append(netip.AddrPortFrom(a.Addr().WithZone(""), a.Port()).AppendTo(b), ' ')
}

func status(b []byte, s int) []byte {
	if s == 0 {
		return append(b, '-', ' ')
	}
	return number(b, int64(s))
}

func number(b []byte, n int64) []byte { return append(strconv.AppendInt(b, n, 10), ' ') }

// seconds writes a duration with so many digits, the last one rounded.
func seconds(b []byte, d time.Duration, digits int) []byte {
	if d < 0 {
		return append(b, '-', '1', ' ')
	}
	unit := time.Second
	for range digits {
		unit /= 10
	}
	d = d.Round(unit)
	b = strconv.AppendInt(b, int64(d/time.Second), 10)
	b = append(b, '.')
	for rest := d % time.Second; unit < time.Second; {
		rest *= 10
		b = append(b, '0'+byte(rest/time.Second)) //nolint:gosec // a digit
		rest %= time.Second
		unit *= 10
	}
	return append(b, ' ')
}

// stamp writes a time as 2018-07-02T22:23:00.186641Z. AppendFormat, which reads its
// layout each time, would be a fifth of what a line costs.
func stamp(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = append(digits(b, year, 4), '-')
	b = append(digits(b, int(month), 2), '-')
	b = append(digits(b, day, 2), 'T')
	b = append(digits(b, hour, 2), ':')
	b = append(digits(b, minute, 2), ':')
	b = append(digits(b, second, 2), '.')
	return append(digits(b, t.Nanosecond()/1000, 6), 'Z', ' ')
}

// digits writes that many of a number's last digits.
func digits(b []byte, n, count int) []byte {
	end := len(b) + count
	b = append(b, "000000"[:count]...)
	for i := end - 1; n > 0 && i >= end-count; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return b
}

// endLine puts a line feed in place of the last space.
func endLine(b []byte) []byte {
	b[len(b)-1] = '\n'
	return b
}

func cut(s string) string { return s[:min(len(s), maxUserAgent)] }

// hyphen stands for what is not there.
func hyphen(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
