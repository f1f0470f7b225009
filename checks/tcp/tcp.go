// Package tcp checks that a TCP port or a unix socket accepts connections, and
// that whoever listens there answers as expected.
package tcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"

	"hale/checks"
	"hale/internal/explain"
)

// maxAnswer bounds what is read while looking for Expect, in bytes.
const maxAnswer = 64 << 10

// Check connects to an address. With Send and Expect it also talks.
//
// It proves that the kernel of the other side accepts connections on the port:
// no more than that without Expect, since a program that hangs still has its
// connections accepted. It costs one connection a run, and needs no rights.
//
//	&tcp.Check{Address: "127.0.0.1:6379", Send: "PING\r\n", Expect: "+PONG"}
type Check struct {
	Address string `yaml:"address" jsonschema:"required" jsonschema_description:"Where to connect: host:port, or the path of a unix socket."`
	Send    string `yaml:"send" jsonschema_description:"Text to send once connected; write line ends as \\r\\n in double quotes."`
	Expect  string `yaml:"expect" jsonschema_description:"Text that the answer must contain; without it, being able to connect is enough."`
}

// Validate refuses an address that is neither host:port nor an absolute path.
func (c *Check) Validate() error {
	if c.Address == "" {
		return checks.Optionf("address", "is missing: write host:port or the path of a unix socket")
	}
	if c.network() == "unix" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil || host == "" || port == "" {
		return checks.Optionf("address", "%q is not host:port, such as 127.0.0.1:6379 or [::1]:6379", c.Address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return checks.Optionf("address", "%q has no port from 1 to 65535", c.Address)
	}
	return nil
}

func (c *Check) network() string {
	if strings.HasPrefix(c.Address, "/") {
		return "unix"
	}
	return "tcp"
}

// Run connects, sends Send, and reads until Expect has come.
func (c *Check) Run(ctx context.Context) (string, error) {
	start := time.Now()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, c.network(), c.Address)
	if err != nil {
		return "", c.explain(ctx, start, "no connection", err)
	}
	defer conn.Close()
	// The context ends waiting, whether by its deadline or by being cancelled.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if c.Send != "" {
		if _, err := io.WriteString(conn, c.Send); err != nil {
			return "", c.explain(ctx, start, "nobody takes what is sent", err)
		}
	}
	if c.Expect == "" {
		return "accepts connections: " + c.Address, nil
	}
	answer, err := readUntil(conn, []byte(c.Expect))
	if err == nil {
		return fmt.Sprintf("answers %q: %s", explain.Line(c.Expect), c.Address), nil
	}
	if len(answer) > 0 {
		return "", &explain.Error{
			Text: fmt.Sprintf("expected %q, got %q: %s", c.Expect, explain.Line(c.withoutSecrets(string(answer))), c.Address),
			Err:  err,
		}
	}
	return "", c.explain(ctx, start, "connected, but no answer", err)
}

// withoutSecrets returns an answer without what it repeats of Send, which may
// hold a password: all but the first word of each line, the command.
func (c *Check) withoutSecrets(answer string) string {
	const least = 4 // bytes of a word that could be one
	for line := range strings.Lines(c.Send) {
		words := strings.FieldsFunc(line, func(r rune) bool { return unicode.IsSpace(r) || r == '"' || r == '\'' })
		for _, word := range words[min(1, len(words)):] {
			if len(word) >= least {
				answer = strings.ReplaceAll(answer, word, "...")
			}
		}
	}
	return answer
}

// readUntil reads until want has come. It returns what it read.
func readUntil(r io.Reader, want []byte) ([]byte, error) {
	var answer []byte
	buf := make([]byte, 4096)
	for len(answer) < maxAnswer {
		n, err := r.Read(buf)
		// What came before can hold all of want but its last byte.
		from := max(0, len(answer)-len(want)+1)
		answer = append(answer, buf[:n]...)
		if bytes.Contains(answer[from:], want) {
			return answer, nil
		}
		if err != nil {
			return answer, err
		}
	}
	return answer, errTooLong
}

var errTooLong = errors.New("not within the first 64KiB")

func (c *Check) explain(ctx context.Context, start time.Time, waiting string, err error) error {
	return explain.Waiting(ctx, start, waiting, c.Address, err)
}
