package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"hale/checks/internal/link"
	"hale/internal/explain"
)

// maxAnswer bounds one answer of a broker, in bytes.
const maxAnswer = 1 << 20

// session is a connection to one broker that has logged in. Requests go one by
// one: each is answered before the next is sent.
type session struct {
	conn     *link.Conn
	cancel   context.CancelFunc // of the context that the connection ends with; nil: not ours
	address  string
	user     string // of SASL; empty: nobody has logged in
	versions map[int16]versions
	sent     int32 // number of the last request
}

// versions are those of a request that a broker knows.
type versions struct{ from, to int16 }

// open connects to a broker and logs in. Its errors are explained.
func (c *Check) open(ctx context.Context, address string) (*session, error) {
	conn, err := link.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, address: address}
	if err := s.start(c); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) close() {
	_ = s.conn.Close() // nothing is under way
	if s.cancel != nil {
		s.cancel()
	}
}

func (s *session) start(c *Check) error {
	if c.TLS {
		config, err := c.trust().Config(link.Host(s.address))
		if err != nil {
			return err
		}
		if err := s.conn.Secure(config); err != nil {
			return err
		}
	}
	// Version 0 is understood by every broker, and comes before the login.
	answer, err := ask[*kmsg.ApiVersionsResponse](s, &kmsg.ApiVersionsRequest{}, 0, 0)
	if err != nil {
		return err
	}
	if answer.ErrorCode != 0 {
		return fmt.Errorf("ApiVersions: %s: %s", text(answer.ErrorCode), s.address)
	}
	s.versions = make(map[int16]versions, len(answer.ApiKeys))
	for _, key := range answer.ApiKeys {
		s.versions[key.ApiKey] = versions{key.MinVersion, key.MaxVersion}
	}
	if c.SASL == "" {
		return nil
	}
	if err := s.login(c); err != nil {
		return err
	}
	s.user = c.User
	return nil
}

// knows reports whether the broker knows a request at all.
func (s *session) knows(req kmsg.Request) bool {
	_, ok := s.versions[req.Key()]
	return ok
}

// ask sends a request in the newest version that both sides know, from least to
// most, and waits for the answer. Its errors are explained.
func ask[R kmsg.Response](s *session, req kmsg.Request, least, most int16) (R, error) {
	var none R
	name := kmsg.NameForKey(req.Key())
	if s.versions != nil {
		known := s.versions[req.Key()]
		version := min(most, known.to)
		if !s.knows(req) || version < max(least, known.from) {
			return none, fmt.Errorf("the broker knows no version of %s from %d to %d: %s", name, least, most, s.address)
		}
		req.SetVersion(version)
	}
	s.sent++
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("hale")).AppendRequest(nil, req, s.sent)
	if _, err := s.conn.Write(frame); err != nil {
		return none, s.failed(name, err)
	}
	payload, err := readFrame(s.conn, s.sent)
	if err != nil {
		return none, s.failed(name, err)
	}
	answer, ok := req.ResponseKind().(R)
	if !ok {
		return none, fmt.Errorf("%s has another answer than %T", name, none)
	}
	if err := decode(answer, payload); err != nil {
		return none, s.failed(name, err)
	}
	return answer, nil
}

// errStranger says that the answer is no Kafka broker's.
var errStranger = errors.New("not an answer of Kafka's protocol")

// readFrame reads one answer: its size, the number of the request that it
// belongs to, and what it says.
func readFrame(r io.Reader, number int32) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:4])
	if size < 4 || size > maxAnswer || binary.BigEndian.Uint32(head[4:]) != uint32(number) { //nolint:gosec // the same bits
		return nil, errStranger
	}
	payload := make([]byte, size-4)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, unexpected(err)
	}
	return payload, nil
}

// unexpected makes of the end of a connection its end in the middle.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// decode reads an answer. From some version on its header ends in a section of
// tags, which is always empty; that of ApiVersions never does
// (https://kafka.apache.org/protocol#protocol_messages).
func decode(answer kmsg.Response, payload []byte) error {
	if answer.IsFlexible() && answer.Key() != (&kmsg.ApiVersionsResponse{}).Key() {
		if len(payload) == 0 || payload[0] != 0 {
			return errStranger
		}
		payload = payload[1:]
	}
	if err := answer.ReadFrom(payload); err != nil {
		return errStranger
	}
	return nil
}

// failed explains an error of the exchange that a request began.
func (s *session) failed(request string, err error) error {
	first := s.versions == nil
	switch {
	case errors.Is(err, errStranger):
		return s.conn.Stranger("Kafka", err)
	case first && errors.Is(err, io.EOF):
		return &explain.Error{Text: "connection closed without an answer; does the broker expect TLS on this port? " + s.address, Err: err}
	case errors.Is(err, io.EOF) && request == "SASLAuthenticate": // before Kafka 1.0; KIP-152
		return &explain.Error{Text: "connection closed in the login; are user and password right? " + s.address, Err: err}
	case errors.Is(err, io.EOF) && s.user == "" && !strings.HasPrefix(request, "SASL"):
		return &explain.Error{Text: fmt.Sprintf("connection closed instead of an answer to %s; does the broker expect a login (sasl)? %s", request, s.address), Err: err}
	case first:
		return s.conn.Explain("", err)
	default:
		return s.conn.Explain(request, err)
	}
}

// text says what an error code means.
func text(code int16) string {
	if known, ok := errors.AsType[*kerr.Error](kerr.ErrorForCode(code)); ok {
		return fmt.Sprintf("%s (%s)", strings.TrimSuffix(explain.Line(known.Description), "."), known.Message)
	}
	return fmt.Sprintf("error %d", code)
}

// hostPort is the address of a broker as the cluster gives it out.
func hostPort(host string, port int32) string { return net.JoinHostPort(host, fmt.Sprint(port)) }
