package listen

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"
)

// Text tells of visits for people. No byte of a client reaches Out but as a
// printable character of ASCII.
type Text struct {
	Out io.Writer
	// Raw shows all bytes that were kept, and the ends of lines.
	Raw bool
	// Colour tells that Out takes colours; Width is its columns, 0: lines are
	// not wrapped.
	Colour bool
	Width  int

	told map[string]int // what apps may stumble over, and the first visit that had just that
}

// Bounds of what is shown unless Raw.
const (
	maxLines   = 40
	maxColumns = 400
	maxDump    = 128 // bytes, 16 a line
)

// maxTold bounds how many different things are remembered as told.
const maxTold = 256

// Visit tells of a visit.
func (t *Text) Visit(v *Visit) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s  %s  %s%s\n", t.paint(text.Bold, fmt.Sprintf("#%d", v.Number)),
		v.Time.Format("15:04:05.000"), v.Peer, t.paint(text.Faint, place(v)))
	t.wire(&b, v)
	if v.Proxy != nil {
		t.row(&b, text.Reset, "came first", v.Proxy.String())
	}
	if v.TLS != nil {
		t.row(&b, text.Reset, "TLS", printable(v.TLS.String()))
	}
	if what := describe(v); what != "" {
		t.row(&b, text.Reset, "this is", what)
	}
	t.looks(&b, v)
	t.stumbles(&b, v)
	if answer := replied(v.Reply); answer != "" {
		t.row(&b, text.Reset, "answer", answer)
	}
	b.WriteByte('\n')
	_, err := t.Out.Write(b.Bytes())
	return err
}

// Left tells of a connection's end, if that says something.
func (t *Text) Left(l *Left) error {
	var what string
	switch {
	case !l.Answered && l.ByUs:
		return nil
	case !l.Answered:
		how := "hung up"
		if l.Reset {
			how = "cut the connection"
		}
		what = fmt.Sprintf("%s %s after the request, without waiting for the answer", how, shortly(l.After))
	case l.ByUs:
		what = fmt.Sprintf("kept the connection open, idle for %s; closed from here", shortly(l.After))
	case l.After.Seconds() >= 1:
		what = fmt.Sprintf("kept the connection open, idle for %s, then closed it", shortly(l.After))
	default:
		return nil
	}
	_, err := fmt.Fprintf(t.Out, "%s  %s\n\n", t.paint(text.Bold, fmt.Sprintf("#%d", l.Visit)), what)
	return err
}

// place tells what is to be known of the connection.
func place(v *Visit) string {
	switch {
	case v.Nth > 1 && v.Waited < time.Millisecond:
		return fmt.Sprintf("  request %d on this connection, right after the answer before", v.Nth)
	case v.Nth > 1:
		return fmt.Sprintf("  request %d on this connection, %s after the answer before", v.Nth, shortly(v.Waited))
	case v.Waited.Milliseconds() >= 100 && v.Kind != Bare && v.Kind != Silent && v.Kind != Handshake:
		return fmt.Sprintf("  first byte %s after it connected", shortly(v.Waited))
	}
	return ""
}

// wire shows the bytes.
func (t *Text) wire(b *bytes.Buffer, v *Visit) {
	if t.Raw && v.Proxy != nil {
		t.bytes(b, v.Proxy.Raw)
	}
	if t.Raw && v.TLS != nil {
		t.dump(b, v.TLS.Raw)
	}
	switch {
	case v.Request != nil && v.Request.HTTP2():
		for _, f := range v.Request.Fields {
			t.line(b, f.Name+": "+f.Value)
		}
		if v.Request.Body > 0 {
			fmt.Fprintf(b, "    (%s)\n", plural(int(v.Request.Body), "byte")+" of body")
		}
		if t.Raw {
			t.dump(b, v.Raw)
		}
	case v.Request != nil:
		t.lines(b, v.Raw[:v.head])
		if body := v.Raw[v.head:]; len(body) > 0 {
			if !t.Raw {
				b.WriteByte('\n')
			}
			t.bytes(b, body)
		}
	case v.Kind == Foreign && v.TLS != nil: // the hello has been told
	default:
		t.bytes(b, v.Raw)
	}
	if more := v.Size - int64(len(v.Raw)); more > 0 {
		fmt.Fprintf(b, "    (%d bytes more came)\n", more)
	}
}

// bytes shows what is mostly text as lines, and the rest in hexadecimal.
func (t *Text) bytes(b *bytes.Buffer, raw []byte) {
	if bytes.ContainsFunc(raw, func(r rune) bool { return isControl(r) || r == utf8.RuneError }) {
		t.dump(b, raw)
		return
	}
	t.lines(b, raw)
}

// lines shows lines of text.
func (t *Text) lines(b *bytes.Buffer, raw []byte) {
	n := 0
	for line := range bytes.Lines(raw) {
		if n++; n > maxLines && !t.Raw {
			fmt.Fprintf(b, "    (%d lines more: --raw)\n", bytes.Count(raw, []byte("\n"))-maxLines)
			return
		}
		if !t.Raw {
			line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
			if len(line) == 0 {
				continue
			}
		}
		t.line(b, string(line))
	}
}

// line shows a line of what came.
func (t *Text) line(b *bytes.Buffer, line string) {
	more := ""
	if len(line) > maxColumns && !t.Raw {
		more = fmt.Sprintf("... (%d bytes more: --raw)", len(line)-maxColumns)
		line = line[:maxColumns]
	}
	if t.Raw {
		line = strings.ReplaceAll(line, `\`, `\\`)
	}
	b.WriteString("    " + printable(line) + more + "\n")
}

// dump shows bytes in hexadecimal.
func (t *Text) dump(b *bytes.Buffer, raw []byte) {
	more := ""
	if len(raw) > maxDump && !t.Raw {
		more = fmt.Sprintf("    (%d bytes more: --raw)\n", len(raw)-maxDump)
		raw = raw[:maxDump]
	}
	for line := range strings.Lines(hex.Dump(raw)) {
		b.WriteString("    " + line)
	}
	b.WriteString(more)
}

// printable shows a stranger's bytes: what is not a printable character of ASCII
// as Go writes it in a string.
func printable(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// describe tells what came, where it was not simply a request.
func describe(v *Visit) string {
	why := printable(v.Why)
	switch v.Kind {
	case Bare:
		return "a bare TCP connection, " + why
	case Silent:
		return "a connection without a word: " + why
	case Handshake:
		if v.TLS.Version != 0 {
			return "a TLS handshake without a request, " + why
		}
		return "a TLS handshake that failed: " + why
	case Foreign:
		if v.TLS != nil {
			return "a TLS hello, on a port without TLS"
		}
		return why
	case Broken:
		return why
	case Cut:
		return "a beginning without an end: " + why
	case Whole:
		switch {
		case v.Request.GRPC():
			return "a gRPC call"
		case v.Request.HTTP2() && v.TLS == nil:
			return "HTTP/2 with prior knowledge (h2c)"
		}
	}
	return ""
}

// looks tells whose probe it looks like.
func (t *Text) looks(b *bytes.Buffer, v *Visit) {
	const most = 3
	label := "looks like"
	switch {
	case len(v.Looks) > most:
		t.row(b, text.FgGreen, label, "a check that opens a connection and no more: "+names(v.Looks, ", "))
	case len(v.Looks) > 0:
		for _, l := range v.Looks {
			line := l.Prober.Name + ", " + l.Prober.Title
			if len(l.Signs) > 0 {
				line += " (" + printable(strings.Join(l.Signs, "; ")) + ")"
			}
			if len(l.Differs) > 0 {
				line += "; what differs: " + printable(strings.Join(l.Differs, "; "))
			}
			t.row(b, text.FgGreen, label, line)
			label = "or"
		}
		if client := clientOf(v); client != "" {
			t.row(b, text.FgGreen, label, client)
		}
	case v.Kind == Whole:
		t.row(b, text.Reset, label, cmp.Or(clientOf(v), "no prober that hale knows"))
	}
}

// stumbles tells what an app may stumble over, once.
func (t *Text) stumbles(b *bytes.Buffer, v *Visit) {
	if len(v.Stumbles) == 0 {
		return
	}
	label := "may stumble"
	var all bytes.Buffer
	for _, s := range v.Stumbles {
		t.row(&all, text.FgYellow, label, printable(s.Text))
		label = ""
	}
	if first := t.told[all.String()]; first > 0 {
		t.row(b, text.FgYellow, "may stumble", fmt.Sprintf("as #%d", first))
		return
	}
	if t.told == nil {
		t.told = make(map[string]int)
	}
	if len(t.told) < maxTold {
		t.told[all.String()] = v.Number
	}
	b.Write(all.Bytes())
}

// replied tells the answer.
func replied(r Reply) string {
	var s string
	switch {
	case r.Status == 0:
		return ""
	case r.GRPC >= 0:
		s = fmt.Sprintf("%d, grpc-status %d", r.Status, r.GRPC)
	default:
		s = fmt.Sprint(r.Status)
	}
	if r.Delay > 0 {
		s += ", in " + shortly(r.Delay)
	}
	if r.Keep {
		return s + "; the connection stays open"
	}
	return s + "; closes the connection"
}

// row writes a labelled line, wrapped to the width.
func (t *Text) row(b *bytes.Buffer, colour text.Color, label, line string) {
	const column = 15
	if t.Width > 2*column {
		line = text.WrapSoft(line, t.Width-column)
	}
	label = "  " + t.paint(colour, label) + strings.Repeat(" ", column-2-len(label))
	for part := range strings.SplitSeq(line, "\n") {
		b.WriteString(label + strings.TrimRight(part, " ") + "\n")
		label = strings.Repeat(" ", column)
	}
}

func (t *Text) paint(c text.Color, s string) string {
	if !t.Colour || c == text.Reset || s == "" {
		return s
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", int(c), s)
}
