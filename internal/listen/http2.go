package listen

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"hale/internal/probe"
)

// http2Preface is what a client of HTTP/2 says first.
const http2Preface = http2.ClientPreface

const (
	// maxFrame is the largest frame that a client may send, the least that
	// HTTP/2 allows to say.
	maxFrame = 16 << 10
	// maxStreams is how many requests may wait for their answers at once.
	maxStreams = 32
	// maxWindow is the largest window of flow control (RFC 9113, 6.9.1).
	maxWindow = 1<<31 - 1
)

// http2Conn is a connection on which HTTP/2 is spoken.
type http2Conn struct {
	*connection
	framer *http2.Framer
	out    *bufio.Writer // what framer writes
	// first is the visit that began with the preface, until its request is here.
	first *Visit
	// room is how much may be sent on the connection, initial what a new stream
	// may send.
	room, initial int64
	// streams are the requests that are not done with, due those whose answer is
	// waited for, the first to be answered first.
	streams map[uint32]*stream
	due     []*stream
	newest  uint32
}

// stream is a request and its answer.
type stream struct {
	id    uint32
	visit *Visit
	at    time.Time // when the answer is due
	room  int64
	// body and trailers are what is left of the answer.
	body     []byte
	trailers []probe.Field
	begun    bool
}

// http2 speaks HTTP/2, after TLS or with prior knowledge.
func (c *connection) http2() {
	const room = 65535 // until the client says otherwise (RFC 9113, 6.9.2)
	h := &http2Conn{connection: c, first: c.begin(), room: room, initial: room, streams: make(map[uint32]*stream)}
	c.wire.take(len(http2Preface))
	h.out = bufio.NewWriter(timedWriter{c})
	h.framer = http2.NewFramer(h.out, c.wire)
	h.framer.SetMaxReadFrameSize(maxFrame)
	h.framer.MaxHeaderListSize = bufferSize
	h.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	err := h.framer.WriteSettings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: maxStreams},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: bufferSize},
	)
	if err == nil {
		err = h.converse()
	}
	h.end(err)
	_ = h.out.Flush()
	if errors.Is(err, errEnding) {
		h.wire.farewell()
	}
}

// converse takes frames and answers, until an error ends it.
func (h *http2Conn) converse() error {
	for {
		if err := h.out.Flush(); err != nil {
			return err
		}
		idle := time.Now().Add(h.run.Patience)
		until := idle
		if len(h.due) > 0 {
			until = h.due[0].at
		}
		err := h.wire.peekFrame(until)
		if isTimeout(err) && len(h.due) > 0 {
			if err := h.answerDue(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		_ = h.wire.conn.SetReadDeadline(idle) // for what continues a header
		if err := h.take(); err != nil {
			return err
		}
	}
}

// end tells how the conversation ended.
func (h *http2Conn) end(err error) {
	broken, isBroken := errors.AsType[http2.ConnectionError](err)
	if isBroken {
		_ = h.framer.WriteGoAway(h.newest, http2.ErrCode(broken), nil)
	}
	if first := h.first; first != nil {
		first.Kind, first.Why = Cut, "HTTP/2 without a request, "+ended(err, time.Since(first.Time))
		if isBroken {
			first.Kind, first.Why = Broken, "HTTP/2 with broken frames: "+h.reason(broken)
		}
		h.tell(first)
		return
	}
	if isTimeout(err) {
		_ = h.framer.WriteGoAway(h.newest, http2.ErrCodeNo, nil)
	}
	if errors.Is(err, errEnding) {
		_ = h.framer.WriteGoAway(h.newest, http2.ErrCodeNo, nil)
		err = nil
	}
	h.done(err)
}

func (h *http2Conn) reason(code http2.ConnectionError) string {
	if detail := h.framer.ErrorDetail(); detail != nil {
		return detail.Error()
	}
	return http2.ErrCode(code).String()
}

// errEnding ends a conversation that the server does not go on with.
var errEnding = errors.New("the server ends")

// peekFrame waits until a whole frame is here.
func (w *wire) peekFrame(until time.Time) error {
	const head = 9
	b, err := w.peek(head, until)
	if err != nil {
		return err
	}
	size := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	if size > maxFrame {
		return nil // the framer refuses it by its head
	}
	_, err = w.peek(head+size, until)
	return err
}

// take takes a frame that is here.
func (h *http2Conn) take() error {
	frame, err := h.framer.ReadFrame()
	if broken, ok := errors.AsType[http2.StreamError](err); ok {
		h.forget(broken.StreamID)
		return h.framer.WriteRSTStream(broken.StreamID, broken.Code)
	}
	if errors.Is(err, http2.ErrFrameTooLarge) {
		return http2.ConnectionError(http2.ErrCodeFrameSize)
	}
	if err != nil {
		return err
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		return h.settings(f)
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		return h.framer.WritePing(true, f.Data)
	case *http2.WindowUpdateFrame:
		return h.widen(f)
	case *http2.MetaHeadersFrame:
		return h.headers(f)
	case *http2.DataFrame:
		return h.data(f)
	case *http2.RSTStreamFrame:
		if s := h.streams[f.StreamID]; s != nil && s.visit.Number > 0 {
			h.cancelled(s)
		}
		h.forget(f.StreamID)
		return h.flush() // it may have been the last that was owed
	}
	return nil // PRIORITY, GOAWAY, and what is not known: nothing to do
}

func (h *http2Conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
		for _, s := range h.streams {
			s.room += int64(v) - h.initial
		}
		h.initial = int64(v)
	}
	if err := h.framer.WriteSettingsAck(); err != nil {
		return err
	}
	return h.flush()
}

func (h *http2Conn) widen(f *http2.WindowUpdateFrame) error {
	room := &h.room
	if f.StreamID != 0 {
		s := h.streams[f.StreamID]
		if s == nil {
			return nil
		}
		room = &s.room
	}
	*room += int64(f.Increment)
	if *room > maxWindow {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	return h.flush()
}

// headers begins a request, or ends one with trailers.
func (h *http2Conn) headers(f *http2.MetaHeadersFrame) error {
	id := f.StreamID
	if s := h.streams[id]; s != nil {
		if !f.StreamEnded() || s.visit.Number > 0 {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		return h.whole(s)
	}
	if id%2 == 0 || id <= h.newest {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	h.newest = id
	if len(h.streams) == maxStreams {
		return h.framer.WriteRSTStream(id, http2.ErrCodeRefusedStream)
	}
	s := &stream{id: id, room: h.initial, visit: h.first}
	if h.first = nil; s.visit == nil {
		s.visit = h.begin()
	}
	s.visit.Kind, s.visit.Request = Whole, requestOf(f)
	h.streams[id] = s
	if f.StreamEnded() {
		return h.whole(s)
	}
	return nil
}

// data takes a part of a request's body.
func (h *http2Conn) data(f *http2.DataFrame) error {
	size := f.Length
	s := h.streams[f.StreamID]
	switch {
	case s == nil || s.visit.Number > 0:
		if f.StreamID > h.newest {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
	default:
		s.visit.Request.Body += int64(len(f.Data()))
		if s.visit.Request.Body > maxBody {
			h.forget(s.id)
			return h.framer.WriteRSTStream(s.id, http2.ErrCodeEnhanceYourCalm)
		}
		if f.StreamEnded() {
			return h.whole(s)
		}
		if size > 0 {
			if err := h.framer.WriteWindowUpdate(s.id, size); err != nil {
				return err
			}
		}
	}
	if size == 0 {
		return nil
	}
	return h.framer.WriteWindowUpdate(0, size)
}

// whole tells a request that has come to its end, and answers it in its time.
func (h *http2Conn) whole(s *stream) error {
	v := s.visit
	a := h.run.Answer
	v.Reply = Reply{Status: a.Status, GRPC: -1, Delay: a.Delay, Keep: true}
	if v.Request.GRPC() {
		v.Reply.Status, v.Reply.GRPC = http.StatusOK, a.grpcStatus(v.Request.Target)
	}
	if !h.tell(v) {
		return errEnding
	}
	s.at = time.Now().Add(v.Reply.Delay)
	h.due = append(h.due, s)
	return h.answerDue()
}

// answerDue answers what is due.
func (h *http2Conn) answerDue() error {
	for len(h.due) > 0 && !time.Now().Before(h.due[0].at) {
		s := h.due[0]
		h.due = h.due[1:]
		h.prepare(s)
	}
	return h.flush()
}

// prepare makes the answer.
func (h *http2Conn) prepare(s *stream) {
	s.begun = true
	if h.last == s.visit {
		h.answered = true
	}
	v, a := s.visit, h.run.Answer
	switch {
	case v.Reply.GRPC >= 0:
		s.body = a.grpcMessage(v.Request.Target, v.Reply.GRPC)
		s.trailers = []probe.Field{{Name: "grpc-status", Value: strconv.Itoa(v.Reply.GRPC)}}
	case v.Request.Method != http.MethodHead && hasBody(v.Reply.Status):
		s.body = []byte(a.Body)
	}
	fields := []probe.Field{{Name: ":status", Value: strconv.Itoa(v.Reply.Status)}}
	own := map[string]bool{"connection": true}
	for _, f := range a.Header {
		if name := strings.ToLower(f.Name); name != "connection" {
			own[name] = true
		}
	}
	field := func(name, value string) {
		if !own[name] {
			fields = append(fields, probe.Field{Name: name, Value: value})
		}
	}
	if v.Reply.GRPC >= 0 {
		own["content-type"] = false
		field("content-type", "application/grpc")
	} else if hasBody(v.Reply.Status) {
		field("content-type", "text/plain; charset=utf-8")
		field("content-length", strconv.Itoa(len(a.Body)))
	}
	for _, f := range a.Header {
		name := strings.ToLower(f.Name)
		if name == "connection" || v.Reply.GRPC >= 0 && (name == "content-type" || name == "content-length") {
			continue
		}
		fields = append(fields, probe.Field{Name: name, Value: f.Value})
	}
	_ = h.writeHeaders(s.id, fields, len(s.body)+len(s.trailers) == 0) // flush meets the same error
	if len(s.body)+len(s.trailers) == 0 {
		h.finished(s)
	}
}

// flush sends what the client has room for.
func (h *http2Conn) flush() error {
	for _, s := range h.ready() {
		for len(s.body) > 0 && s.room > 0 && h.room > 0 {
			n := int(min(int64(len(s.body)), s.room, h.room, maxFrame))
			part := s.body[:n]
			s.body = s.body[n:]
			s.room -= int64(n)
			h.room -= int64(n)
			if err := h.framer.WriteData(s.id, len(s.body)+len(s.trailers) == 0, part); err != nil {
				return err
			}
		}
		if len(s.body) > 0 {
			continue
		}
		if len(s.trailers) > 0 {
			if err := h.writeHeaders(s.id, s.trailers, true); err != nil {
				return err
			}
		}
		h.finished(s)
	}
	if len(h.streams) == 0 && h.visits > 0 && h.first == nil && !h.run.answered(h.connection) {
		return errEnding
	}
	return nil
}

// ready returns the streams whose answer has begun and has not ended, the oldest
// first.
func (h *http2Conn) ready() []*stream {
	var ready []*stream
	for _, id := range slices.Sorted(maps.Keys(h.streams)) {
		if s := h.streams[id]; s.begun {
			ready = append(ready, s)
		}
	}
	return ready
}

func (h *http2Conn) finished(s *stream) {
	delete(h.streams, s.id)
	if h.last == s.visit {
		h.answered, h.since = true, time.Now()
	}
}

// cancelled tells of a client that did not wait for its answer.
func (h *http2Conn) cancelled(s *stream) {
	if s.begun {
		return
	}
	h.run.left(&Left{
		Connection: h.number, Visit: s.visit.Number, Visits: h.visits,
		After: time.Since(s.at.Add(-s.visit.Reply.Delay)), Reset: true,
	})
	if h.last == s.visit {
		h.last = nil // has been told
	}
}

// forget drops a stream, and with it the answer that is due: else who begins
// and cancels without end would fill the memory.
func (h *http2Conn) forget(id uint32) {
	if s := h.streams[id]; s != nil {
		h.due = slices.DeleteFunc(h.due, func(d *stream) bool { return d == s })
		h.finished(s)
	}
}

func (h *http2Conn) writeHeaders(id uint32, fields []probe.Field, last bool) error {
	var block bytes.Buffer
	// A new encoder each time puts nothing into the client's table, whose size
	// is thus no matter.
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		if err := encoder.WriteField(hpack.HeaderField{Name: f.Name, Value: f.Value, Sensitive: true}); err != nil {
			return err
		}
	}
	first, rest := block.Bytes(), []byte(nil)
	if len(first) > maxFrame {
		first, rest = first[:maxFrame], first[maxFrame:]
	}
	err := h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: last, EndHeaders: len(rest) == 0})
	for err == nil && len(rest) > 0 {
		n := min(len(rest), maxFrame)
		err = h.framer.WriteContinuation(id, n == len(rest), rest[:n])
		rest = rest[n:]
	}
	return err
}

// requestOf reads a request's header.
func requestOf(f *http2.MetaHeadersFrame) *Request {
	r := &Request{Version: http2Version, Method: f.PseudoValue("method"), Target: f.PseudoValue("path")}
	for _, field := range f.Fields {
		r.Fields = append(r.Fields, probe.Field{Name: field.Name, Value: field.Value})
	}
	if f.Truncated {
		r.flaw("a header larger than 32 KiB, which is shown in part")
	}
	return r
}

// The health service of gRPC
// (https://github.com/grpc/grpc/blob/master/doc/health-checking.md).
const grpcHealth = "/grpc.health.v1.Health/"

// Statuses of gRPC, and of its health service.
const (
	grpcOK            = 0
	grpcUnimplemented = 12
	grpcUnavailable   = 14
	grpcServing       = 1
	grpcNotServing    = 2
)

// grpcStatus is what a call is answered.
func (a Answer) grpcStatus(method string) int {
	switch {
	case a.GRPC != nil:
		return *a.GRPC
	case strings.HasPrefix(method, grpcHealth):
		return grpcOK
	case a.Status >= http.StatusInternalServerError:
		return grpcUnavailable
	}
	return grpcUnimplemented
}

// grpcMessage is the message of an answer, if it has one: a HealthCheckResponse.
func (a Answer) grpcMessage(method string, status int) []byte {
	if status != grpcOK || !strings.HasPrefix(method, grpcHealth) {
		return nil
	}
	health := byte(grpcServing)
	if a.Status >= http.StatusBadRequest {
		health = grpcNotServing
	}
	return []byte{0, 0, 0, 0, 2, 1 << 3, health} // no compression, length 2; field 1, a varint
}

// timedWriter writes with a deadline.
type timedWriter struct{ c *connection }

func (w timedWriter) Write(p []byte) (int, error) {
	if err := w.c.wire.conn.SetWriteDeadline(w.c.patience()); err != nil {
		return 0, err
	}
	n, err := w.c.wire.conn.Write(p)
	if err != nil && !errors.Is(err, io.ErrShortWrite) {
		err = fmt.Errorf("answer: %w", err)
	}
	return n, err
}
