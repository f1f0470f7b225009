// Package redisserver holds the one connection that a run of a check has to
// Redis or Valkey.
package redisserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"syscall"

	"hale/checks/internal/link"
	"hale/checks/internal/resp"
	"hale/checks/internal/trust"
	"hale/internal/explain"
)

// Conn is a connection for one run, logged in to its database.
type Conn struct {
	address *Address
	link    *link.Conn
	reader  *resp.Reader
	first   [][]string // to be sent in front of the first question
	noCert  bool       // no certificate of our own was shown
}

// Dial connects. It logs in, and chooses the database, along with the first
// question. When ctx is over, whatever waits on the connection ends. At most
// limit bytes are read. The error is explained.
func (a *Address) Dial(ctx context.Context, options trust.Options, limit int64) (*Conn, error) {
	conn, err := link.Dial(ctx, a.Where)
	if err != nil {
		return nil, err
	}
	if a.TLS {
		options.Insecure = options.Insecure || a.insecure
		config, err := options.Config(a.host)
		if err == nil {
			err = conn.Secure(config)
		}
		if err != nil {
			_ = conn.Close() // why it is of no use is the news
			return nil, err
		}
	}
	conn.Allow(limit)
	c := &Conn{address: a, link: conn, reader: resp.NewReader(conn, limit), noCert: a.TLS && options.Certificate == ""}
	if login := a.login(); login != nil {
		c.first = append(c.first, login)
	}
	if a.Database != 0 {
		c.first = append(c.first, []string{"SELECT", strconv.Itoa(a.Database)})
	}
	return c, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.link.Close() }

// Ask sends all commands at once and reads their replies in order. The first
// reply that is an error ends it, and is in the error as a resp.Error. The error
// is explained.
func (c *Conn) Ask(commands ...[]string) ([]any, error) {
	replies, err := c.converse(append(c.first, commands...))
	if err != nil {
		return nil, c.Explain(err)
	}
	for _, reply := range replies[:len(c.first)] {
		if reply != "OK" {
			return nil, c.link.Stranger("Redis", nil)
		}
	}
	replies = replies[len(c.first):]
	c.first = nil
	return replies, nil
}

func (c *Conn) converse(commands [][]string) ([]any, error) {
	var question []byte
	for _, command := range commands {
		question = resp.Append(question, command...)
	}
	_, sent := c.link.Write(question)
	// A server that takes no more clients says so before it hangs up, and does
	// not wait for a question.
	var replies []any
	for i := range commands {
		reply, err := c.reader.Reply()
		if err != nil {
			if i == 0 && sent != nil && !isStranger(err) {
				return nil, sent
			}
			return nil, err
		}
		if refusal, ok := reply.(resp.Error); ok {
			return nil, refusal
		}
		replies = append(replies, reply)
	}
	return replies, nil
}

// Explain says what an error of the conversation means: for an error reply within
// a reply, since those of Ask are explained.
func (c *Conn) Explain(err error) error {
	var refusal resp.Error
	switch {
	case errors.As(err, &refusal):
		return &explain.Error{Text: fmt.Sprintf("%s: %s", complaint(refusal, c.address), c.address.Where), Err: err}
	case isStranger(err):
		return c.link.Stranger("Redis", err)
	case c.noCert && hungUp(err):
		// In TLS 1.3 the handshake is over for the client before the server has
		// judged the client's certificate, and the alert may not get through.
		return &explain.Error{Text: "connection closed after the TLS handshake; does the server ask for a client's certificate? " + c.address.Where, Err: err}
	default:
		return c.link.Explain("", err)
	}
}

// isStranger reports whether an answer is not what a Redis server would say.
func isStranger(err error) bool {
	_, ok := errors.AsType[*resp.StrangerError](err)
	return ok || errors.Is(err, resp.ErrTooLong)
}

func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
