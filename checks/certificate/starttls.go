package certificate

import (
	"fmt"
	"io"
	"net"
	"strings"

	"hale/internal/explain"
)

// upgrades ask for TLS in the protocols that begin without it. Each leaves the
// connection where the handshake begins.
var upgrades = map[string]func(net.Conn) error{
	"smtp":     upgradeSMTP,
	"imap":     upgradeIMAP,
	"pop3":     upgradePOP3,
	"ldap":     upgradeLDAP,
	"postgres": upgradePostgres,
}

// refusal is an answer that is not the one that leads to TLS.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func refused(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// upgradeSMTP is RFC 3207.
func upgradeSMTP(conn net.Conn) error {
	if _, err := replySMTP(conn, "220"); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "EHLO localhost\r\n"); err != nil {
		return err
	}
	offers, err := replySMTP(conn, "250")
	if err != nil {
		return err
	}
	if !strings.Contains(strings.ToUpper(offers), "STARTTLS\n") {
		return refused("the mail server does not offer STARTTLS")
	}
	if _, err := io.WriteString(conn, "STARTTLS\r\n"); err != nil {
		return err
	}
	_, err = replySMTP(conn, "220")
	return err
}

// replySMTP reads a reply of one or more lines, and returns their texts. A
// reply ends with the first line whose code is not followed by a dash.
func replySMTP(conn net.Conn, code string) (string, error) {
	var text strings.Builder
	for range maxLines {
		line, err := readLine(conn)
		if err != nil {
			return "", err
		}
		after, ok := strings.CutPrefix(line, code)
		if !ok {
			return "", refused("expected %s of a mail server, got %q", code, explain.Line(line))
		}
		text.WriteString(strings.TrimLeft(after, "- ") + "\n")
		if !strings.HasPrefix(after, "-") {
			return text.String(), nil
		}
	}
	return "", refused("the mail server's reply does not end")
}

// upgradeIMAP is RFC 9051, 6.2.1.
func upgradeIMAP(conn net.Conn) error {
	if line, err := readLine(conn); err != nil {
		return err
	} else if !strings.HasPrefix(line, "* OK") {
		return refused("expected * OK of an IMAP server, got %q", explain.Line(line))
	}
	if _, err := io.WriteString(conn, "a STARTTLS\r\n"); err != nil {
		return err
	}
	for range maxLines {
		line, err := readLine(conn)
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(line, "* "): // news that nobody asked for
		case strings.HasPrefix(line, "a OK"):
			return nil
		default:
			return refused("the IMAP server refuses STARTTLS with %q", explain.Line(line))
		}
	}
	return refused("the IMAP server's reply does not end")
}

// upgradePOP3 is RFC 2595, 4.
func upgradePOP3(conn net.Conn) error {
	if line, err := readLine(conn); err != nil {
		return err
	} else if !strings.HasPrefix(line, "+OK") {
		return refused("expected +OK of a POP3 server, got %q", explain.Line(line))
	}
	if _, err := io.WriteString(conn, "STLS\r\n"); err != nil {
		return err
	}
	if line, err := readLine(conn); err != nil {
		return err
	} else if !strings.HasPrefix(line, "+OK") {
		return refused("the POP3 server refuses STLS with %q", explain.Line(line))
	}
	return nil
}

// upgradePostgres sends an SSLRequest, which is answered by one byte: S for
// yes, N for no (PostgreSQL's manual, "Message Flow", "SSL Session Encryption").
func upgradePostgres(conn net.Conn) error {
	if _, err := conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return err
	}
	switch answer[0] {
	case 'S':
		return nil
	case 'N':
		return refused("the PostgreSQL server does not speak TLS (ssl = off)")
	default:
		return refused("expected S or N of a PostgreSQL server, got %q", answer[0])
	}
}

// startTLS is LDAP's extended request of that name, as message 1 (RFC 4511,
// 4.14.1).
const startTLS = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"

func upgradeLDAP(conn net.Conn) error {
	if _, err := io.WriteString(conn, startTLS); err != nil {
		return err
	}
	answer, err := readBER(conn)
	if err != nil {
		return err
	}
	code, message, ok := resultLDAP(answer)
	switch {
	case !ok:
		return refused("the answer is not that of an LDAP server")
	case code != 0:
		return refused("the LDAP server refuses StartTLS with result %d: %q", code, explain.Line(message))
	default:
		return nil
	}
}

// resultLDAP reads the result of an extended response: LDAPMessage ::= SEQUENCE
// { messageID INTEGER, [APPLICATION 24] { resultCode ENUMERATED, matchedDN OCTET
// STRING, diagnosticMessage OCTET STRING, ... } } (RFC 4511).
func resultLDAP(answer []byte) (code int, message string, ok bool) {
	tag, envelope, _ := element(answer)
	idTag, _, response := element(envelope)
	responseTag, result, _ := element(response)
	codeTag, number, rest := element(result)
	if tag != 0x30 || idTag != 0x02 || responseTag != 0x78 || codeTag != 0x0a || len(number) != 1 {
		return 0, "", false
	}
	_, _, rest = element(rest) // matchedDN
	_, diagnostic, _ := element(rest)
	return int(number[0]), string(diagnostic), true
}

// element takes the first element of BER off a text; its tag is 0 if there is
// none. The standard library's reader wants DER, in which a length has but one
// form, and Active Directory writes another.
func element(b []byte) (tag byte, content, rest []byte) {
	if len(b) < 2 {
		return 0, nil, nil
	}
	header, length := lengthBER(b)
	if length < 0 || length > int64(len(b)-header) {
		return 0, nil, nil
	}
	return b[0], b[header : header+int(length)], b[header+int(length):]
}

// lengthBER reads the header of an element, of at least two bytes: how long it
// is, and its content. If it has to be read first, the length is negative.
func lengthBER(b []byte) (header int, length int64) {
	if b[1] < 0x80 {
		return 2, int64(b[1])
	}
	header = 2 + int(b[1]&0x7f)
	if header == 2 || header > 6 || header > len(b) {
		return header, -1
	}
	for _, part := range b[2:header] {
		length = length<<8 | int64(part)
	}
	return header, length
}

// What a server may say before TLS begins.
const (
	maxLine  = 4096
	maxLines = 100
)

// readLine reads up to a line feed, byte by byte: what comes after it belongs
// to TLS.
func readLine(r io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for len(line) < maxLine {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		line = append(line, b[0])
	}
	return "", refused("a line without an end: %q", explain.Line(string(line)))
}

// readBER reads one short element of BER that is a sequence, with its header.
func readBER(r io.Reader) ([]byte, error) {
	answer := make([]byte, 2, 64)
	if _, err := io.ReadFull(r, answer); err != nil {
		return nil, err
	}
	header, length := lengthBER(answer)
	if answer[0] != 0x30 || header > 6 {
		return nil, refused("the answer is not that of an LDAP server")
	}
	if header > 2 {
		answer = answer[:header]
		if _, err := io.ReadFull(r, answer[2:]); err != nil {
			return nil, err
		}
		_, length = lengthBER(answer)
	}
	if length < 0 || length > maxLine {
		return nil, refused("the answer is not that of an LDAP server")
	}
	answer = append(answer, make([]byte, length)...)
	_, err := io.ReadFull(r, answer[header:])
	return answer, err
}
