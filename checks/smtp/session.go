package smtp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"hale/checks/internal/link"
)

// session is a conversation with a mail server.
type session struct {
	conn *link.Conn
	in   *bufio.Reader // of conn, whatever that is at the time; empty when TLS begins
	name string        // by which we introduce ourselves

	// secrets are not to be repeated, though a server may do so: the password,
	// and what was sent to log in.
	secrets []string

	// features are what the server offers, by keyword in capitals, with their
	// parameters.
	features map[string][]string
}

func newSession(conn *link.Conn, name, secret string) *session {
	return &session{conn: conn, in: bufio.NewReaderSize(conn, maxLine), name: name, secrets: []string{secret}}
}

// greeting waits for the server's first word.
func (s *session) greeting() error {
	r, err := s.read("")
	if err != nil {
		return err
	}
	if r.code != 220 {
		return s.refused("", r)
	}
	return nil
}

// hello introduces us, and learns what the server offers.
func (s *session) hello() error {
	r, err := s.say("EHLO", s.name)
	if err != nil {
		return err
	}
	if r.code != 250 {
		return s.refused("EHLO "+s.name, r)
	}
	s.features = make(map[string][]string)
	for _, line := range r.lines[1:] { // the first is a greeting
		// "AUTH=PLAIN" is what servers said before RFC 2554.
		words := strings.FieldsFunc(strings.ToUpper(line), func(r rune) bool { return r == ' ' || r == '=' })
		if len(words) > 0 {
			s.features[words[0]] = append(s.features[words[0]], words[1:]...)
		}
	}
	return nil
}

func (s *session) offers(feature string) bool {
	_, ok := s.features[feature]
	return ok
}

// startTLS asks the server to begin with TLS.
func (s *session) startTLS() error {
	if !s.offers("STARTTLS") {
		return &refusal{"the server does not offer STARTTLS: " + s.conn.Address()}
	}
	r, err := s.say("STARTTLS", "")
	switch {
	case err != nil:
		return err
	case r.code != 220:
		return s.refused("STARTTLS", r)
	case s.in.Buffered() > 0:
		// Somebody on the way may have put it there, to be taken for what came
		// over TLS (CVE-2011-0411).
		return errors.New("plain text comes after the answer to STARTTLS: " + s.conn.Address())
	default:
		return nil
	}
}

// quit takes leave. How the server takes that changes nothing.
func (s *session) quit() {
	s.conn.Hurry(500 * time.Millisecond)
	if _, err := io.WriteString(s.conn, "QUIT\r\n"); err != nil {
		return
	}
	// Exim keeps its answer back for 200 ms in case that more is to come.
	_ = s.conn.CloseWrite()
	_, _ = s.read("QUIT")
}

// say sends a command and returns the answer.
func (s *session) say(command, argument string) (reply, error) {
	if argument != "" {
		return s.send(command, command+" "+argument)
	}
	return s.send(command, command)
}

// send sends a line and returns the answer. Messages name the step, never the
// line.
func (s *session) send(step, line string) (reply, error) {
	if _, err := io.WriteString(s.conn, line+"\r\n"); err != nil {
		return reply{}, s.conn.Explain(step, err)
	}
	return s.read(step)
}

func (s *session) read(step string) (reply, error) {
	r, err := readReply(s.in)
	switch {
	case err == nil:
		return r, nil
	case errors.Is(err, errNotSMTP):
		return reply{}, s.conn.Stranger("SMTP", err)
	default:
		return reply{}, s.conn.Explain(step, err)
	}
}

// refusal is a server's answer, complete and understood, that is not the one
// that is wanted. The conversation can go on after it.
type refusal struct{ text string }

func (e *refusal) Error() string { return e.text }

// refused says what an answer means. The step is what it answers to; empty for
// the greeting.
func (s *session) refused(step string, r reply) error {
	said := link.Quote(fmt.Sprintf("%d %s", r.code, strings.Join(r.lines, " ")), s.secrets...)
	if said == "" {
		said = fmt.Sprintf(": %d", r.code)
	}
	return &refusal{fmt.Sprintf("%s%s: %s", meaning(step, r.code), said, s.conn.Address())}
}

// meaning explains the codes of RFC 5321, 3207 and 4954.
func meaning(step string, code int) string {
	command, _, _ := strings.Cut(step, " ")
	switch {
	case code == 421:
		return "the server is not available now"
	case command == "" && code >= 500:
		return "the server does not want to talk to us"
	case command == "":
		return "the greeting is not a welcome"
	case command == "EHLO":
		return fmt.Sprintf("the server does not accept how we introduce ourselves (%s; see hello)", step)
	case command == "STARTTLS":
		return "the server offers STARTTLS, but cannot begin with it"
	case code == 535:
		return "wrong user or password (" + step + ")"
	case code == 530:
		return "the server wants TLS before a login (" + step + ")"
	case code == 534 || code == 538:
		return "the server wants a stronger way to log in (" + step + ")"
	case code >= 400 && code < 500:
		return "the server cannot check logins now (" + step + ")"
	default:
		return "login refused (" + step + ")"
	}
}

// A reply has lines of at most 512 bytes by RFC 5321, 4.5.3.1.5; servers go
// further.
const (
	maxLine  = 4096
	maxLines = 128
)

// reply is an answer of the server: its code, and its lines without it.
type reply struct {
	code  int
	lines []string
}

var errNotSMTP = errors.New("not a reply of SMTP")

// readReply reads lines up to the one that has no hyphen after the code (RFC
// 5321, 4.2).
func readReply(in *bufio.Reader) (reply, error) {
	var r reply
	for len(r.lines) < maxLines {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return reply{}, errNotSMTP
		}
		if err != nil {
			if len(r.lines) > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return reply{}, err
		}
		code, text, last, ok := parseLine(strings.TrimRight(string(line), "\r\n"))
		if !ok || len(r.lines) > 0 && code != r.code {
			return reply{}, errNotSMTP
		}
		r.code, r.lines = code, append(r.lines, text)
		if last {
			return r, nil
		}
	}
	return reply{}, errNotSMTP
}

func parseLine(line string) (code int, text string, last, ok bool) {
	if len(line) < 3 {
		return 0, "", false, false
	}
	for _, digit := range line[:3] {
		if digit < '0' || digit > '9' {
			return 0, "", false, false
		}
		code = 10*code + int(digit-'0')
	}
	if code < 200 || code > 599 {
		return 0, "", false, false
	}
	rest := line[3:]
	if rest == "" {
		return code, "", true, true
	}
	if rest[0] != ' ' && rest[0] != '-' {
		return 0, "", false, false
	}
	return code, rest[1:], rest[0] == ' ', true
}
