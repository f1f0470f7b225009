package probe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"hale/internal/explain"
)

// theStream is the only one that a probe opens, window how much of a body the
// server may send unasked.
const (
	theStream = 1
	window    = 1 << 20
)

// speaksHTTP2 tells whether the connection is one of HTTP/2.
func (c *conversation) speaksHTTP2() bool {
	switch c.Protocol { //nolint:exhaustive // HTTPS may agree to it, the others not
	case H2C, H2, GRPC, GRPCS:
		return true
	case HTTPS:
		return c.a.TLS.NegotiatedProtocol == "h2"
	}
	return false
}

// speakHTTP2 sends the request as the first of a connection, and reads the
// answer to it.
func (c *conversation) speakHTTP2() {
	start := time.Now()
	_, unsent := c.conn.Write(c.opening())
	s := newStream(c)
	if _, err := c.in.Peek(1); err != nil {
		c.nothing(err, unsent)
		return
	}
	c.a.Times.FirstByte = c.conn.first.Sub(start)
	defer func() { c.a.Times.Body = time.Since(c.conn.first) }()
	if !c.readFrames(s) {
		return
	}
	c.a.Outcome = Answered
	if c.Protocol.CallsGRPC() {
		c.a.GRPC = grpcStatus(c.a)
	}
}

func (c *conversation) readFrames(s *stream) bool {
	err := s.greeting()
	if err == nil {
		err = s.head()
	}
	if err != nil {
		_, reset := errors.AsType[*resetError](err)
		switch {
		case explain.IsTimeout(err):
			return c.late(HeadCut, "no end of the answer's head")
		case reset, errors.Is(err, io.ErrUnexpectedEOF), isConnection(err):
			return c.fail(HeadCut, err)
		}
		return c.fail(NotHTTP, err)
	}
	if c.prober().HeadEnough && !c.Protocol.CallsGRPC() {
		c.a.Unread = !s.ended
		return true
	}
	c.wait(c.limits.Body)
	return c.drain(s, c.a.sized())
}

// opening is all that the client says unasked: preface, settings, and the
// request.
func (c *conversation) opening() []byte {
	out := bytes.NewBufferString(http2.ClientPreface)
	framer := http2.NewFramer(out, nil)
	// Writing to a buffer does not fail.
	_ = framer.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: window},
	)
	_ = framer.WriteWindowUpdate(0, window)
	fields := bytes.NewBuffer(nil)
	encoder := hpack.NewEncoder(fields)
	for _, f := range c.http2Header() {
		_ = encoder.WriteField(hpack.HeaderField{Name: f.Name, Value: f.Value})
	}
	calls := c.Protocol.CallsGRPC()
	const most = 16384 // SETTINGS_MAX_FRAME_SIZE before any settings
	block := fields.Bytes()
	begin := block[:min(len(block), most)]
	_ = framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: theStream, BlockFragment: begin, EndStream: !calls, EndHeaders: len(begin) == len(block),
	})
	for rest := block[len(begin):]; len(rest) > 0; {
		part := rest[:min(len(rest), most)]
		rest = rest[len(part):]
		_ = framer.WriteContinuation(theStream, len(rest) == 0, part)
	}
	if calls {
		_ = framer.WriteData(theStream, true, c.grpcRequest())
	}
	return out.Bytes()
}

// connectionFields are those that HTTP/2 has no place for (RFC 9113, 8.2.2).
var connectionFields = []string{"host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}

// http2Header returns the request's fields as HTTP/2 has them.
func (c *conversation) http2Header() []Field {
	scheme, method := "http", c.Method
	if c.Protocol.Secure() {
		scheme = "https"
	}
	if c.Protocol.CallsGRPC() {
		method = "POST"
	}
	fields := []Field{{":method", method}, {":scheme", scheme}}
	if host := c.SentHost(); host != "" {
		fields = append(fields, Field{":authority", host})
	}
	fields = append(fields, Field{":path", c.Path})
	for _, f := range c.Fields {
		if name := strings.ToLower(f.Name); f.Value != HostField && !slices.Contains(connectionFields, name) {
			fields = append(fields, Field{name, f.Value})
		}
	}
	return fields
}

// stream is the probe's one exchange within an HTTP/2 connection. Reading from
// it gives the answer's body.
type stream struct {
	c      *conversation
	framer *http2.Framer
	data   []byte // of the body, read but not asked for yet
	ended  bool
}

func newStream(c *conversation) *stream {
	s := &stream{c: c}
	c.in = newReader(c.conn)
	s.framer = http2.NewFramer(c.conn, c.in)
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	s.framer.MaxHeaderListSize = mostHead
	s.framer.SetReuseFrames()
	return s
}

// resetError is the server's word that it ends the stream or the connection.
type resetError struct {
	what string
	code http2.ErrCode
}

func (e *resetError) Error() string {
	return fmt.Sprintf("the server ended the %s: %v", e.what, e.code)
}

// greeting looks at the first frame, which has to be SETTINGS (RFC 9113, 3.4).
func (s *stream) greeting() error {
	const head = 9
	b, err := s.c.in.Peek(head)
	if strings.HasPrefix(string(b), "HTTP/") {
		return errors.New("the server answers in HTTP/1, not in HTTP/2")
	}
	if err != nil {
		return unexpected(err)
	}
	if http2.FrameType(b[3]) != http2.FrameSettings || b[5]|b[6]|b[7]|b[8] != 0 {
		return fmt.Errorf("the answer is not HTTP/2: it begins with %s", quoted(string(b)))
	}
	return nil
}

// head reads frames up to the head of the answer.
func (s *stream) head() error {
	for range mostInterim {
		fields, err := s.next()
		if err != nil {
			return err
		}
		if fields == nil {
			return errors.New("a body came before the answer's head")
		}
		status := 0
		header := make([]Field, 0, len(fields))
		for _, f := range fields {
			if f.Name == ":status" {
				_, _ = fmt.Sscanf(f.Value, "%d", &status)
			} else {
				header = append(header, f)
			}
		}
		if status < 100 || status > 999 {
			return errors.New("the answer has no status")
		}
		if status/100 == 1 && !s.ended {
			continue
		}
		s.c.a.Proto, s.c.a.Status, s.c.a.Header = "HTTP/2", status, header
		return nil
	}
	return fmt.Errorf("%d interim answers, and none that counts", mostInterim)
}

// Read reads the answer's body, and its trailer into the answer.
func (s *stream) Read(b []byte) (int, error) {
	for len(s.data) == 0 {
		if s.ended {
			return 0, io.EOF
		}
		trailer, err := s.next()
		if err != nil {
			return 0, err
		}
		if trailer != nil && !s.ended { // RFC 9113, 8.1; else they could go on for ever
			return 0, errors.New("fields in the midst of the body")
		}
		s.c.a.Trailer = append(s.c.a.Trailer, trailer...)
	}
	n := copy(b, s.data)
	s.data = s.data[n:]
	return n, nil
}

// next reads frames up to one that brings something of the stream: fields, or
// data, which it puts into s.data.
func (s *stream) next() ([]Field, error) {
	for {
		frame, err := s.framer.ReadFrame()
		if err != nil {
			return nil, unexpected(err)
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = s.framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = s.framer.WritePing(true, f.Data)
			}
		case *http2.GoAwayFrame:
			if f.LastStreamID < theStream || f.ErrCode != http2.ErrCodeNo {
				return nil, &resetError{"connection", f.ErrCode}
			}
		case *http2.RSTStreamFrame:
			return nil, &resetError{"stream", f.ErrCode}
		case *http2.MetaHeadersFrame:
			if f.Truncated {
				return nil, fmt.Errorf("the head has more than %d KiB", mostHead>>10)
			}
			s.ended = f.StreamEnded()
			return fieldsOf(f), nil
		case *http2.DataFrame:
			s.ended = f.StreamEnded()
			s.data = append(s.data[:0], f.Data()...)
			if n := f.Length; n > 0 && !s.ended {
				err = errors.Join(s.framer.WriteWindowUpdate(0, n), s.framer.WriteWindowUpdate(theStream, n))
			}
			if s.ended || len(s.data) > 0 {
				return nil, s.written(err)
			}
		}
		if err := s.written(err); err != nil {
			return nil, err
		}
	}
}

// written passes over that nothing can be written any more: what the server
// has said already is to be read first.
func (s *stream) written(err error) error {
	if err != nil && explain.IsTimeout(err) {
		return err
	}
	return nil
}

func fieldsOf(f *http2.MetaHeadersFrame) []Field {
	fields := make([]Field, len(f.Fields))
	for i, field := range f.Fields {
		fields[i] = Field{field.Name, field.Value}
	}
	return fields
}
