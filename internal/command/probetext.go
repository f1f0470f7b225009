package command

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"

	"hale/health"
	"hale/internal/probe"
)

// Bounds of an answer that is shown to people.
const (
	mostShown        = 4 << 10 // bytes
	mostShownLines   = 40
	mostShownColumns = 400 // bytes of a line
)

// probeText tells people of probes.
type probeText struct {
	w     io.Writer
	look  tableLook
	probe probe.Probe
	quiet bool // a line for each probe, no more
	many  bool // there are several
	sent  int
}

func (t *probeText) answer(a *probe.Answer) error {
	t.sent++
	var b strings.Builder
	switch {
	case t.quiet, t.many:
		if t.many {
			fmt.Fprintf(&b, "%3d  ", t.sent)
		}
		fmt.Fprintf(&b, "%s  %s\n", t.verdict(a), phaseTime(a.Times.Total))
	default:
		t.whole(&b, a)
	}
	_, err := io.WriteString(t.w, b.String())
	return err
}

// whole tells everything of one probe.
func (t *probeText) whole(b *strings.Builder, a *probe.Answer) {
	p := t.probe
	fmt.Fprintf(b, "%s probes %s over %s\n\n", p.Prober.Title, dialled(p), p.Protocol)
	for i := range a.Followed {
		hop := &a.Followed[i]
		exchange(b, hop)
		fmt.Fprintf(b, "\nThe redirect is followed.\n\n")
	}
	if len(a.Sent)+len(a.Received) > 0 || a.TLS != nil {
		exchange(b, a)
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "%s\n", t.wrapped(phases(a)))
	fmt.Fprintf(b, "%s\n", t.wrapped(t.verdict(a)))
	if a.Reason != "" {
		term := "reason"
		if !p.Prober.Reasons {
			term = "reason, in ELB's terms"
		}
		fmt.Fprintln(b, t.wrapped(fmt.Sprintf("%s: %s (%s)", term, a.Reason, a.Description)))
	}
	if unconfirmed := p.Unconfirmed(); len(unconfirmed) > 0 {
		fmt.Fprintf(b, "\nNot confirmed by a document or a capture:\n")
		for _, sentence := range unconfirmed {
			fmt.Fprintln(b, t.wrapped("- "+sentence))
		}
	}
}

// wrapped fits a sentence to a terminal, with what follows indented. Where
// there is none it stays a line, for those that search in it.
func (t *probeText) wrapped(sentence string) string {
	const indent, least = 2, 20
	if t.look.width < least {
		return sentence
	}
	var lines []string
	for line := range strings.SplitSeq(text.WrapSoft(sentence, t.look.width-indent), "\n") {
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return strings.Join(lines, "\n"+strings.Repeat(" ", indent))
}

// dialled names what is connected to: address, and the name that it is of.
func dialled(p probe.Probe) string {
	switch {
	case !p.Address.IsValid():
		return p.Name
	case p.Name != p.Address.Addr().String():
		return fmt.Sprintf("%s (%s)", p.Address, p.Name)
	}
	return p.Address.String()
}

// verdict is a line with what the prober makes of an answer.
func (t *probeText) verdict(a *probe.Answer) string {
	status, word := health.Pass, "healthy"
	switch {
	case a.Warned():
		status, word = health.Warn, "healthy, with a warning"
	case !a.Healthy:
		status, word = health.Fail, "unhealthy"
	}
	word = t.look.paint(status, word)
	switch {
	case a.Because != "":
		return word + ": " + escaped([]byte(a.Because))
	case a.GRPC >= 0:
		return fmt.Sprintf("%s: gRPC status %d", word, a.GRPC)
	case a.Status != 0:
		return fmt.Sprintf("%s: status %d", word, a.Status)
	}
	return word + ": " + a.Outcome.String()
}

func (t *probeText) end(tally *probe.Tally) error {
	if !t.many {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d of %d passed", tally.Passed, tally.Passed+tally.Failed)
	for i, reason := range tally.Reasons {
		separator := ", "
		if i == 0 {
			separator = "; "
		}
		fmt.Fprintf(&b, "%s%d × %s", separator, reason.Times, reason.Reason)
	}
	shortest, middle, longest := tally.Span()
	fmt.Fprintf(&b, "; they took %s, %s, %s (shortest, middle, longest)\n", phaseTime(shortest), phaseTime(middle), phaseTime(longest))
	fmt.Fprintf(&b, "a new target would now be %s\n", tally.State())
	_, err := io.WriteString(t.w, b.String())
	return err
}

// phases is a line with how long each phase took that was reached.
func phases(a *probe.Answer) string {
	var parts []string
	for _, phase := range []struct {
		name string
		took time.Duration
	}{
		{"resolve", a.Times.Resolve},
		{"connect", a.Times.Connect},
		{"TLS", a.Times.TLS},
		{"first byte", a.Times.FirstByte},
		{"body", a.Times.Body},
		{"total", a.Times.Total},
	} {
		if phase.took > 0 {
			parts = append(parts, phase.name+" "+phaseTime(phase.took))
		}
	}
	return strings.Join(parts, ", ")
}

// phaseTime is shortTime for what takes microseconds on the same machine.
func phaseTime(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return shortTime(d)
}

// exchange shows what went over the connection, the other side's bytes made
// printable.
func exchange(b *strings.Builder, a *probe.Answer) {
	if tls := a.TLS; tls != nil {
		fmt.Fprintf(b, "  * %s\n", tlsLine(tls))
	}
	proxy, sent := a.Sent[:a.ProxyHeader], a.Sent[a.ProxyHeader:]
	proxyHeader(b, proxy)
	for _, side := range []struct {
		mark string
		wire []byte
	}{{"> ", sent}, {"< ", a.Received}} {
		wire, more := side.wire, 0
		if a.Proto == "HTTP/2" || bytes.HasPrefix(sent, []byte("PRI * HTTP/2")) && side.mark == "> " {
			if frames := probe.Frames(wire); len(frames) > 0 {
				wire = []byte(strings.Join(frames, "\n"))
			}
		}
		if len(wire) > mostShown {
			more = len(wire) - mostShown
			wire = wire[:mostShown]
		}
		if len(wire) == 0 {
			continue
		}
		lines := bytes.Split(bytes.TrimSuffix(wire, []byte("\n")), []byte("\n"))
		for i, line := range lines {
			if i == mostShownLines {
				more += len(bytes.Join(lines[i:], []byte("\n")))
				break
			}
			fmt.Fprintf(b, "  %s\n", strings.TrimRight(side.mark+shownLine(bytes.TrimSuffix(line, []byte("\r"))), " "))
		}
		if more += int(hidden(a, side.mark)); more > 0 {
			fmt.Fprintf(b, "  %s... and %d bytes more\n", side.mark, more)
		}
	}
}

// shownLine makes a line printable, and cuts what is no line for people.
func shownLine(line []byte) string {
	if len(line) <= mostShownColumns {
		return escaped(line)
	}
	return fmt.Sprintf("%s... (%d bytes more: --raw)", escaped(line[:mostShownColumns]), len(line)-mostShownColumns)
}

// proxyHeader shows a PROXY protocol header: version 1 is a line, version 2 no
// text at all.
func proxyHeader(b *strings.Builder, header []byte) {
	const row = 16
	switch {
	case len(header) == 0:
	case bytes.HasPrefix(header, []byte("PROXY ")):
		fmt.Fprintf(b, "  > %s\n", bytes.TrimSuffix(header, []byte("\r\n")))
	default:
		fmt.Fprintf(b, "  > PROXY header of version 2, %d bytes:\n", len(header))
		for part := range slices.Chunk(header, row) {
			fmt.Fprintf(b, "  >   % x\n", part)
		}
	}
}

// hidden is how many bytes came that not even the answer keeps.
func hidden(a *probe.Answer, mark string) int64 {
	if mark == "< " && a.BodySize > int64(len(a.Received)) {
		return a.BodySize - int64(len(a.Received))
	}
	return 0
}

// escaped makes a stranger's bytes fit for a terminal: what cannot be printed
// is written as Go writes it, \x1b.
func escaped(line []byte) string {
	var b strings.Builder
	for len(line) > 0 {
		r, n := utf8.DecodeRune(line)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, line[0])
		case r == '\t' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		line = line[n:]
	}
	return b.String()
}

// escapedLines is escaped for many lines, whose ends it shows and keeps.
func escapedLines(wire []byte) string {
	var b strings.Builder
	for line := range bytes.Lines(wire) {
		content, ended := bytes.CutSuffix(line, []byte("\n"))
		content, returned := bytes.CutSuffix(content, []byte("\r"))
		b.WriteString(escaped(content))
		if returned {
			b.WriteString(`\r`)
		}
		if ended {
			b.WriteString(`\n`)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
