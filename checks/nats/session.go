package nats

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"hale/checks/internal/link"
	"hale/internal/explain"
)

// What is read of a server is bounded, in bytes: a line is the greeting of a
// large cluster at most, a payload an answer of JetStream's API.
const (
	maxLine    = 256 << 10
	maxPayload = 1 << 20
)

// session is a connection that has logged in. It speaks the client protocol
// (https://docs.nats.io/reference/reference-protocols/nats-protocol) by hand:
// what NATS's own client adds, reconnecting and other servers of the cluster,
// would hide what a check is there to see.
type session struct {
	conn    *link.Conn
	address string
	reader  *bufio.Reader
	info    serverInfo
	expiry  time.Time // of the JWT that the check logs in with; zero: none
	inbox   string    // subject below which answers are expected; empty until one is
	asked   int       // requests so far
}

// serverInfo is of INFO, the server's greeting, what matters here.
type serverInfo struct {
	Nonce        string `json:"nonce"`
	TLSRequired  bool   `json:"tls_required"`
	TLSAvailable bool   `json:"tls_available"`
	LameDuck     bool   `json:"ldm"`
	Headers      bool   `json:"headers"`
}

// connectOptions are what CONNECT tells the server.
type connectOptions struct {
	login
	Verbose      bool   `json:"verbose"`
	Pedantic     bool   `json:"pedantic"`
	TLS          bool   `json:"tls_required"`
	Name         string `json:"name"`
	Lang         string `json:"lang"`
	Version      string `json:"version"`
	Protocol     int    `json:"protocol"`
	Headers      bool   `json:"headers"`
	NoResponders bool   `json:"no_responders"`
}

// open connects to a server, logs in, and waits for the answer to a PING. Its
// errors are explained.
func (c *Check) open(ctx context.Context, server server) (*session, error) {
	conn, err := link.Dial(ctx, server.address)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, address: server.address, reader: bufio.NewReader(conn)}
	if err := s.start(c, server); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) close() { _ = s.conn.Close() } // nothing is under way

func (s *session) start(c *Check, server server) error {
	if c.TLSFirst {
		if err := s.startTLS(c, server); err != nil {
			return err
		}
	}
	if err := s.greeting(); err != nil {
		return err
	}
	// As NATS's own clients do: TLS if either side demands it.
	secure := c.TLSFirst || server.secure || c.CA != "" || c.Certificate != "" || s.info.TLSRequired
	if secure && !c.TLSFirst {
		if !s.info.TLSRequired && !s.info.TLSAvailable {
			return fmt.Errorf("the server does not offer TLS, which is demanded here: %s", server.address)
		}
		if err := s.startTLS(c, server); err != nil {
			return err
		}
	}
	login, err := c.login(server, s.info.Nonce)
	if err != nil {
		return err
	}
	s.expiry = expiry(login.JWT)
	options, err := json.Marshal(connectOptions{
		login: login, TLS: secure, Name: "hale", Lang: "go", Version: "hale", Protocol: 1,
		Headers: s.info.Headers, NoResponders: s.info.Headers,
	})
	if err != nil {
		return err
	}
	if err := s.send("CONNECT %s\r\nPING\r\n", options); err != nil {
		return err
	}
	for {
		line, err := s.readLine()
		if err != nil {
			return s.conn.Explain("CONNECT", err)
		}
		switch op, rest := split(line); op {
		case "PONG":
			return nil
		case "+OK", "INFO":
		case "-ERR":
			return s.refused(rest)
		default:
			return s.conn.Stranger("NATS", errGarbled)
		}
	}
}

// startTLS makes a TLS connection of it. What the server has sent in plain text
// after its greeting does not count: whoever is on the way could have sent it.
func (s *session) startTLS(c *Check, server server) error {
	host, _, err := net.SplitHostPort(server.address)
	if err != nil {
		return err
	}
	config, err := c.trust().Config(host)
	if err != nil {
		return err
	}
	if err := s.conn.Secure(config); err != nil {
		return err
	}
	s.reader = bufio.NewReader(s.conn)
	return nil
}

// greeting reads INFO, which the server sends by itself.
func (s *session) greeting() error {
	line, err := s.readLine()
	if err != nil {
		return s.conn.Explain("", err)
	}
	op, rest := split(line)
	switch {
	case op == "-ERR":
		return s.refused(rest)
	case op != "INFO" || json.Unmarshal([]byte(rest), &s.info) != nil:
		return s.conn.Stranger("NATS", errGarbled)
	default:
		return nil
	}
}

// refused says what the server complains of, which it does in few set phrases.
func (s *session) refused(phrase string) error {
	phrase = strings.Trim(strings.TrimSpace(phrase), "'")
	text := explain.Line(phrase)
	switch strings.ToLower(phrase) {
	case "authorization violation":
		text = "user, password, token or key refused (" + text + ")"
		if !s.expiry.IsZero() && time.Now().After(s.expiry) {
			text = fmt.Sprintf("the user's JWT expired on %s", s.expiry.UTC().Format(time.DateTime))
		}
	case "maximum connections exceeded", "maximum account active connections exceeded":
		text = "the server takes no more connections (" + text + ")"
	}
	return fmt.Errorf("%s: %s", text, s.address)
}

func (s *session) send(format string, args ...any) error {
	if _, err := fmt.Fprintf(s.conn, format, args...); err != nil {
		return s.conn.Explain("what was sent", err)
	}
	return nil
}

// errNoResponders says that nobody is subscribed to what was asked.
var errNoResponders = errors.New("no responders")

// request sends a request and returns the answer's payload. Its errors are
// explained, save errNoResponders.
func (s *session) request(subject string) ([]byte, error) {
	if s.inbox == "" {
		s.inbox = "_INBOX." + rand.Text()
		if err := s.send("SUB %s.* 1\r\n", s.inbox); err != nil {
			return nil, err
		}
	}
	s.asked++
	reply := s.inbox + "." + strconv.Itoa(s.asked)
	if err := s.send("PUB %s %s 0\r\n\r\n", subject, reply); err != nil {
		return nil, err
	}
	for {
		m, err := s.next()
		if refusal, ok := errors.AsType[*refusal](err); ok {
			return nil, s.refused(refusal.phrase)
		}
		if err != nil {
			return nil, s.conn.Explain(subject, err)
		}
		if m.subject != reply {
			continue
		}
		if m.noResponders() {
			return nil, errNoResponders
		}
		return m.payload, nil
	}
}

// message is what the server delivers.
type message struct {
	subject         string
	header, payload []byte
}

// noResponders recognises the answer that the server itself gives when nobody is
// subscribed: a header with the status 503 and no payload.
func (m message) noResponders() bool {
	line, _, _ := bytes.Cut(m.header, []byte("\r\n"))
	return len(m.payload) == 0 && bytes.HasPrefix(line, []byte("NATS/1.0 503"))
}

// refusal is -ERR, with what the server says.
type refusal struct{ phrase string }

func (r *refusal) Error() string { return r.phrase }

// next reads up to and with the next message, and answers the PINGs before it.
func (s *session) next() (message, error) {
	for {
		line, err := s.readLine()
		if err != nil {
			return message{}, err
		}
		switch op, rest := split(line); op {
		case "PING":
			if _, err := io.WriteString(s.conn, "PONG\r\n"); err != nil {
				return message{}, err
			}
		case "PONG", "+OK", "INFO":
		case "-ERR":
			return message{}, &refusal{rest}
		case "MSG", "HMSG":
			return s.readMessage(op == "HMSG", strings.Fields(rest))
		default:
			return message{}, errGarbled
		}
	}
}

// readMessage reads what follows the line
//
//	MSG SUBJECT SID [REPLY] BYTES
//	HMSG SUBJECT SID [REPLY] HEADER-BYTES BYTES
func (s *session) readMessage(hasHeader bool, fields []string) (message, error) {
	sizes := 1
	if hasHeader {
		sizes = 2
	}
	if len(fields) < 2+sizes {
		return message{}, errGarbled
	}
	total, err := strconv.ParseUint(fields[len(fields)-1], 10, 31)
	if err != nil || total > maxPayload {
		return message{}, errGarbled
	}
	var header uint64
	if hasHeader {
		if header, err = strconv.ParseUint(fields[len(fields)-2], 10, 31); err != nil || header > total {
			return message{}, errGarbled
		}
	}
	content := make([]byte, total+2)
	if _, err := io.ReadFull(s.reader, content); err != nil {
		return message{}, err
	}
	if !bytes.HasSuffix(content, []byte("\r\n")) {
		return message{}, errGarbled
	}
	return message{fields[0], content[:header], content[header:total]}, nil
}

var errGarbled = errors.New("answers with a message that cannot be understood")

// readLine reads a line, without its end.
func (s *session) readLine() (string, error) {
	var line []byte
	for {
		part, err := s.reader.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return "", errGarbled
		case err == nil:
			return strings.TrimRight(string(line), "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			if errors.Is(err, io.EOF) && len(line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
	}
}

// split cuts a line into its operation, which may come in any case, and the rest.
func split(line string) (op, rest string) {
	op, rest, _ = strings.Cut(strings.TrimLeft(line, " \t"), " ")
	return strings.ToUpper(op), strings.TrimSpace(rest)
}
