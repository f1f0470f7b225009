package ssh

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"hale/checks/internal/link"
	"hale/checks/internal/web"
	"hale/internal/explain"
)

// session is a connection to a server that versions were exchanged on.
type session struct {
	conn    *link.Conn
	in      *bufio.Reader // of conn
	ours    string        // our version
	version string        // the server's, as it sent it
}

// maxLine is the longest version, and longer than the 255 bytes that RFC 4253
// allows; maxLines bounds the lines that a server may send before it.
const (
	maxLine  = 1024
	maxLines = 64
)

func newSession(conn *link.Conn) *session {
	return &session{
		conn: conn,
		in:   bufio.NewReaderSize(conn, maxLine),
		// A hyphen would begin another part.
		ours: "SSH-2.0-hale_" + strings.ReplaceAll(web.Version(), "-", "_"),
	}
}

// versions sends our version and reads the server's. Neither side has to wait
// for the other (RFC 4253, 4.2). That the server knows ours makes it note a
// client that left, and not an error.
func (s *session) versions() error {
	if _, err := io.WriteString(s.conn, s.ours+"\r\n"); err != nil {
		return s.conn.Explain("", err)
	}
	line, err := readVersion(s.in)
	switch {
	case errors.Is(err, errNotSSH):
		return s.conn.Stranger("SSH", err)
	case err != nil && line != "":
		return s.hungUp(line, err)
	case err != nil:
		return s.conn.Explain("", err)
	case !strings.HasPrefix(line, "SSH-2.0-") && !strings.HasPrefix(line, "SSH-1.99-"):
		return fmt.Errorf("the server does not speak version 2 of SSH, but says %q: %s", explain.Line(line), s.conn.Address())
	}
	s.version = line
	return nil
}

// hungUp says what a server means that says something else than its version and
// hangs up, as OpenSSH does to clients whom it does not want now.
func (s *session) hungUp(line string, err error) error {
	for known, meaning := range map[string]string{
		"Exceeded MaxStartups":     "too many clients are logging in at this time (MaxStartups)",
		"Not allowed at this time": "the server does not serve this address for a while, since it left without a login too often (PerSourcePenalties)",
	} {
		if strings.HasPrefix(line, known) {
			return fmt.Errorf("%s: %s", meaning, s.conn.Address())
		}
	}
	return s.conn.Stranger("SSH", err)
}

var errNotSSH = errors.New("not a version of SSH")

// readVersion reads up to the line that is a version. With an error, it returns
// the first of the lines before it, if there was one.
func readVersion(in *bufio.Reader) (string, error) {
	first := ""
	for range maxLines {
		read, err := in.ReadSlice('\n')
		line := strings.TrimRight(string(read), "\r\n")
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return first, errNotSSH
		case err != nil:
			return first, err
		case strings.HasPrefix(line, "SSH-"):
			return line, nil
		case first == "":
			first = line
		}
	}
	return first, errNotSSH
}

// drain reads what the server still has to say.
func (s *session) drain() { _, _ = io.Copy(io.Discard, s.in) }

// kinds of host keys, as names of their algorithms, in the order in which they
// are asked for.
var kinds = []string{
	ssh.KeyAlgoED25519,
	ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// without returns the kinds but for those of a key's format.
func without(wanted []string, format string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(kind string) bool {
		return kind == format || format == ssh.KeyAlgoRSA && strings.HasPrefix(kind, "rsa-sha2-")
	})
}

// key is a server's host key.
type key struct{ kind, fingerprint string }

var (
	errNoneLeft = errors.New("the server has no other host key")
	errSeen     = errors.New("enough was seen")
)

// hostKey exchanges keys, and ends the connection once the server has proved
// that it has its own. The error is errNoneLeft if the server has none that is
// wanted.
func (s *session) hostKey(wanted []string) (key, error) {
	if len(wanted) == 0 {
		return key{}, errNoneLeft
	}
	var found key
	config := &ssh.ClientConfig{
		ClientVersion:     s.ours,
		HostKeyAlgorithms: wanted,
		// It is called after the signature was found to be good.
		HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
			found = key{k.Type(), ssh.FingerprintSHA256(k)}
			return errSeen
		},
	}
	conn := &replayed{Conn: s.conn, in: io.MultiReader(strings.NewReader(s.version+"\n"), s.in), written: len(s.ours) + 2}
	_, _, _, err := ssh.NewClientConn(conn, s.conn.Address(), config)
	negotiation, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err)
	switch {
	case ok && negotiation.What == "host key":
		return key{}, errNoneLeft
	case ok:
		offered := explain.Line(strings.Join(negotiation.RequestedAlgorithms, ", "))
		return key{}, fmt.Errorf("no common algorithm for %s, the server offers %s: %s", negotiation.What, offered, s.conn.Address())
	case found.fingerprint == "":
		return key{}, s.conn.Explain("the key exchange", err)
	default:
		return found, nil
	}
}

// replayed is a connection on which versions were exchanged already, for a
// library that wants to do so itself.
type replayed struct {
	net.Conn
	in      io.Reader // the server's version once more, and what came after it
	written int       // how much of what is written was sent already
}

func (r *replayed) Read(b []byte) (int, error) { return r.in.Read(b) }

func (r *replayed) Write(b []byte) (int, error) {
	sent := min(r.written, len(b))
	r.written -= sent
	if sent == len(b) {
		return sent, nil
	}
	n, err := r.Conn.Write(b[sent:])
	return sent + n, err
}

// isFingerprint reports whether s has the form that OpenSSH gives a SHA-256.
func isFingerprint(s string) bool {
	digest, ok := strings.CutPrefix(s, "SHA256:")
	if !ok {
		return false
	}
	sum, err := base64.RawStdEncoding.DecodeString(digest)
	return err == nil && len(sum) == 32
}
