package ldap

import (
	"bufio"
	"errors"
	"fmt"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"hale/checks/internal/link"
)

// session is a conversation with a directory server: one question at a time.
// The client of go-ldap would answer several at once, in goroutines that do not
// know when the run is over.
type session struct {
	conn   *link.Conn
	in     *bufio.Reader // of conn, whatever that is at the time
	id     int64         // of the last message sent
	secret string        // never to be repeated
}

func newSession(conn *link.Conn, secret string) *session {
	return &session{conn: conn, in: bufio.NewReader(conn), secret: secret}
}

// Object identifiers of RFC 4511, 4.14 and 4.4.1.
const (
	oidStartTLS = "1.3.6.1.4.1.1466.20037"
	oidNotice   = "1.3.6.1.4.1.1466.20036"
)

// startTLS asks the server to begin with TLS (RFC 4511, 4.14).
func (s *session) startTLS() error {
	request := operation(ldap.ApplicationExtendedRequest)
	request.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, oidStartTLS, ""))
	r, err := s.ask("STARTTLS", request, ldap.ApplicationExtendedResponse)
	switch {
	case err != nil:
		return err
	case r.code != ldap.LDAPResultSuccess:
		return s.refused("STARTTLS", r)
	case s.in.Buffered() > 0:
		return errors.New("plain text comes after the answer to STARTTLS: " + s.conn.Address())
	default:
		return nil
	}
}

// bind logs in; with neither user nor password, as nobody (RFC 4513, 5.1).
func (s *session) bind(user, password string) error {
	request := operation(ldap.ApplicationBindRequest)
	request.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 3, ""))
	request.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, user, ""))
	request.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, password, ""))
	r, err := s.ask("the bind", request, ldap.ApplicationBindResponse)
	if err != nil {
		return err
	}
	if r.code != ldap.LDAPResultSuccess {
		return s.refused("the bind", r)
	}
	return nil
}

// find looks for an entry at base, or also below it. One is enough.
func (s *session) find(base string, below bool, filter string) error {
	request, err := search(base, below, filter)
	if err != nil {
		return err
	}
	found := false
	for {
		r, err := s.ask("the search", request, ldap.ApplicationSearchResultEntry, ldap.ApplicationSearchResultReference, ldap.ApplicationSearchResultDone)
		request = nil // there may be several answers
		switch {
		case err != nil:
			return err
		case r.operation == ldap.ApplicationSearchResultEntry:
			found = true
		case r.operation == ldap.ApplicationSearchResultReference:
			// What another server has is for that to tell.
		case found && (r.code == ldap.LDAPResultSuccess || r.code == ldap.LDAPResultSizeLimitExceeded):
			return nil
		case r.code != ldap.LDAPResultSuccess:
			return s.refused(fmt.Sprintf("the search in %q", base), r)
		case below:
			return fmt.Errorf("no entry %s at or below %q that we may see: %s", filter, base, s.conn.Address())
		default:
			return fmt.Errorf("no entry %q that we may see: %s", base, s.conn.Address())
		}
	}
}

// search is a SearchRequest (RFC 4511, 4.5.1) for one entry without attributes.
func search(base string, below bool, filter string) (*ber.Packet, error) {
	compiled, err := ldap.CompileFilter(filter)
	if err != nil {
		return nil, err
	}
	scope := ldap.ScopeBaseObject
	if below {
		scope = ldap.ScopeWholeSubtree
	}
	attributes := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	attributes.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "1.1", "")) // none
	request := operation(ldap.ApplicationSearchRequest)
	for _, field := range []*ber.Packet{
		ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, base, ""),
		ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, scope, ""),
		ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, ldap.NeverDerefAliases, ""),
		ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 1, ""), // size limit
		ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 0, ""), // time limit: none but ours
		ber.NewBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, true, ""),
		compiled,
		attributes,
	} {
		request.AppendChild(field)
	}
	return request, nil
}

// unbind takes leave; there is no answer to that (RFC 4511, 4.3).
func (s *session) unbind() {
	_ = s.send(ber.Encode(ber.ClassApplication, ber.TypePrimitive, ldap.ApplicationUnbindRequest, nil, ""))
}

// result is what a server answers: LDAPResult of RFC 4511, 4.1.9, but for a
// search's entries and references, which have none.
type result struct {
	operation ber.Tag
	code      uint16
	message   string
}

// ask sends a request, unless it is nil, and reads an answer of one of the kinds.
func (s *session) ask(step string, request *ber.Packet, kinds ...ber.Tag) (result, error) {
	if request != nil {
		if err := s.send(request); err != nil {
			return result{}, s.conn.Explain(step, err)
		}
	}
	r, err := s.read(kinds)
	if err == nil {
		return r, nil
	}
	if notice, ok := errors.AsType[*noticeError](err); ok {
		return result{}, s.refused("the conversation", notice.result)
	}
	_, secured := s.conn.TLS()
	foreign := !secured && s.conn.Began("") && !s.conn.Began("\x30") // all messages are sequences
	if foreign || errors.Is(err, errNotLDAP) {
		return result{}, s.conn.Stranger("LDAP", err)
	}
	return result{}, s.conn.Explain(step, err)
}

func (s *session) read(kinds []ber.Tag) (result, error) {
	message, err := ber.ReadPacket(s.in)
	if err != nil {
		return result{}, err
	}
	return decode(message, s.id, kinds)
}

func (s *session) send(request *ber.Packet) error {
	s.id++
	message := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	message.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, s.id, ""))
	message.AppendChild(request)
	_, err := s.conn.Write(message.Bytes())
	return err
}

func operation(tag ber.Tag) *ber.Packet {
	return ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
}

var errNotLDAP = errors.New("not an answer of LDAP")

// noticeError is a server's last word, which answers to nothing (RFC 4511,
// 4.4.1).
type noticeError struct{ result result }

func (e *noticeError) Error() string { return e.result.message }

// decode takes an answer to message id out of what came.
func decode(message *ber.Packet, id int64, kinds []ber.Tag) (result, error) {
	if !is(message, ber.ClassUniversal, ber.TagSequence) || len(message.Children) < 2 {
		return result{}, errNotLDAP
	}
	body := message.Children[1]
	if body.ClassType != ber.ClassApplication {
		return result{}, errNotLDAP
	}
	r := result{operation: body.Tag}
	if body.Tag != ldap.ApplicationSearchResultEntry && body.Tag != ldap.ApplicationSearchResultReference {
		if err := r.fill(body); err != nil {
			return result{}, err
		}
	}
	answered, ok := message.Children[0].Value.(int64)
	if ok && answered == 0 && body.Tag == ldap.ApplicationExtendedResponse {
		return result{}, &noticeError{r}
	}
	for _, kind := range kinds {
		if ok && answered == id && kind == body.Tag {
			return r, nil
		}
	}
	return result{}, errNotLDAP
}

// fill reads the fields of an LDAPResult: code, matched name, message.
func (r *result) fill(body *ber.Packet) error {
	if len(body.Children) < 3 || !is(body.Children[0], ber.ClassUniversal, ber.TagEnumerated) {
		return errNotLDAP
	}
	code, ok := body.Children[0].Value.(int64)
	if !ok || code < 0 || code > 0xffff {
		return errNotLDAP
	}
	r.code = uint16(code)
	r.message, _ = body.Children[2].Value.(string)
	return nil
}

func is(p *ber.Packet, class ber.Class, tag ber.Tag) bool {
	return p.ClassType == class && p.Tag == tag
}
