package proxy

import (
	"bytes"
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// prober answers probes on one client's connection: requests that a ProbePolicy
// answers itself, that have no body and come one after the other. It does what
// front does, past net/http's server, whose maps, buffers and goroutine for each
// request take more time than the answer. The first request on a connection, and
// whatever is not plain, goes to the server.
type prober struct {
	engine *Engine
	policy ProbePolicy
	peer   *peer
}

// probe is one probe. Probes are used again.
type probe struct {
	head   Head
	action Action
	header fieldList
	sorted []Field // the answer's
	answer []byte
}

var probes = sync.Pool{New: func() any { return new(probe) }}

// Probe implements guard.Prober.
func (p *prober) Probe(raw []byte) (taken bool, err error) {
	if p.peer.over(p.engine) {
		return false, nil // the server closes the connection after its answer
	}
	b := probes.Get().(*probe)
	defer b.release()
	if !b.parse(raw, p.policy) {
		return false, nil
	}
	b.head.of(p.peer, time.Now())
	b.action = p.policy.Decide(&b.head)
	if b.action.Kind != Answer || b.action.Close { // the policy has changed between the two questions
		action := b.action
		p.peer.decided = &action
		return false, nil
	}
	b.answer = b.appendAnswer(b.answer[:0], p.engine.date.at(b.head.Start))
	_, err = p.peer.conn.Write(b.answer)
	out := Outcome{Status: cmp.Or(b.action.Status, http.StatusOK), Total: time.Since(b.head.Start)}
	if b.head.Method != http.MethodHead && hasBody(out.Status) {
		out.BytesOut = int64(len(b.action.Body))
	}
	p.policy.Done(&b.head, &b.action, &out)
	return true, err
}

func (b *probe) release() {
	clear(b.header.names)
	clear(b.header.values)
	clear(b.sorted)
	*b = probe{header: fieldList{b.header.names[:0], b.header.values[:0]}, sorted: b.sorted[:0], answer: b.answer[:0]}
	probes.Put(b)
}

// parse takes a head that the guard has found good, if it is a probe.
func (b *probe) parse(raw []byte, policy ProbePolicy) bool {
	end := bytes.IndexByte(raw, '\r')
	line, rest := string(raw[:end]), raw[end+len("\r\n"):]
	method, line, _ := strings.Cut(line, " ")
	target, proto, _ := strings.Cut(line, " ")
	if method != http.MethodGet && method != http.MethodHead || proto != "HTTP/1.1" {
		return false
	}
	path, query, asked := strings.Cut(target, "?")
	if !policy.IsProbe(path) {
		return false
	}
	h := &b.head
	h.Method, h.Path, h.RawQuery, h.ForceQuery, h.Proto = method, path, query, asked && query == "", proto
	for line := range strings.SplitSeq(strings.TrimSuffix(string(rest), "\r\n\r\n"), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		switch {
		case strings.EqualFold(name, "Host"):
			h.Host = value
			continue
		case strings.EqualFold(name, "Connection"):
			if !strings.EqualFold(value, "keep-alive") {
				return false
			}
		case framesMessage(name):
			return false
		}
		b.header.add(name, value)
	}
	h.Header = &b.header
	return true
}

// appendAnswer appends what goes over the wire: the header's fields in order of
// their names, as net/http writes them.
func (b *probe) appendAnswer(to []byte, date string) []byte {
	a := &b.action
	status := cmp.Or(a.Status, http.StatusOK)
	to = append(to, "HTTP/1.1 "...)
	to = strconv.AppendInt(to, int64(status), 10)
	to = append(to, ' ')
	if text := http.StatusText(status); text != "" {
		to = append(to, text...)
	} else { // as net/http has it
		to = strconv.AppendInt(append(to, "status code "...), int64(status), 10)
	}
	to = append(to, '\r', '\n')
	for name, values := range a.Header {
		for _, value := range values {
			b.insert(Field{name, value})
		}
	}
	for _, field := range a.Response {
		if !hasKey(a.Header, field.Name) {
			b.insert(field)
		}
	}
	for _, field := range b.sorted {
		to = appendField(to, field.Name, field.Value)
	}
	to = appendField(to, "Date", date)
	if hasBody(status) && a.Header["Content-Length"] == nil {
		to = append(to, "Content-Length: "...)
		to = strconv.AppendInt(to, int64(len(a.Body)), 10)
		to = append(to, '\r', '\n')
	}
	to = append(to, '\r', '\n')
	if hasBody(status) && b.head.Method != http.MethodHead {
		to = append(to, a.Body...)
	}
	return to
}

// insert adds a field in its place: there are only a few.
func (b *probe) insert(f Field) {
	b.sorted = append(b.sorted, f)
	for i := len(b.sorted) - 1; i > 0 && b.sorted[i].Name < b.sorted[i-1].Name; i-- {
		b.sorted[i], b.sorted[i-1] = b.sorted[i-1], b.sorted[i]
	}
}

func hasKey(h http.Header, name string) bool {
	for key := range h {
		if strings.EqualFold(key, name) {
			return true
		}
	}
	return false
}

// fieldList is header fields as they came, as a policy's Header.
type fieldList struct{ names, values []string }

func (l *fieldList) add(name, value string) {
	l.names, l.values = append(l.names, name), append(l.values, value)
}

func (l *fieldList) Get(name string) string {
	for i, n := range l.names {
		if len(n) == len(name) && strings.EqualFold(n, name) {
			return l.values[i]
		}
	}
	return ""
}

func (l *fieldList) Values(name string) (values []string) {
	for i, n := range l.names {
		if len(n) == len(name) && strings.EqualFold(n, name) {
			values = append(values, l.values[i])
		}
	}
	return values
}

func (l *fieldList) Each(f func(name string, values []string)) {
	for i, name := range l.names {
		f(name, l.values[i:i+1:i+1])
	}
}

// date is the Date field's value (RFC 9110, 6.6.1), made once a second.
type date struct{ last atomic.Pointer[second] }

type second struct {
	unix int64
	text string
}

func (d *date) at(t time.Time) string {
	s := d.last.Load()
	if unix := t.Unix(); s == nil || s.unix != unix {
		s = &second{unix, t.UTC().Format(http.TimeFormat)}
		d.last.Store(s)
	}
	return s.text
}
