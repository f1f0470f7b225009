// Package rabbit holds the one connection that a run of a check has to RabbitMQ,
// or to another server that speaks AMQP 0-9-1.
package rabbit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"hale/checks/internal/link"
	"hale/checks/internal/trust"
	"hale/internal/explain"
)

// heartbeat is how soon the server may notice that we are gone without a word.
const heartbeat = 10 * time.Second

// farewell is how long the server has to agree to the connection's end.
const farewell = time.Second

// Conn is a connection for one run, logged in to its virtual host.
type Conn struct {
	*amqp.Connection
	address *Address
	link    *link.Conn
	wire    *wire
	blocked chan amqp.Blocking
	start   time.Time
}

// Dial connects and logs in. When ctx is over, whatever waits on the connection
// ends. The error is explained.
func (a *Address) Dial(ctx context.Context, options trust.Options) (*Conn, error) {
	start := time.Now()
	raw, err := link.Dial(ctx, a.Where)
	if err != nil {
		return nil, err
	}
	if a.TLS {
		config, err := options.Config(a.host)
		if err == nil {
			err = raw.Secure(config)
		}
		if err != nil {
			_ = raw.Close() // why it is of no use is the news
			return nil, err
		}
	}
	c := &Conn{address: a, link: raw, wire: &wire{conn: raw}, blocked: make(chan amqp.Blocking, 2), start: start}
	c.Connection, err = amqp.Open(c.wire, amqp.Config{
		SASL:       []amqp.Authentication{&amqp.PlainAuth{Username: a.user, Password: a.password}},
		Vhost:      a.vhost,
		Heartbeat:  heartbeat,
		Locale:     "en_US",
		FrameSize:  128 << 10, // RabbitMQ's own
		Properties: amqp.Table{"product": "Hale", "connection_name": "hale check"},
	})
	if err != nil {
		err = c.Explain("", c.handshake(ctx, err))
		c.drop()
		return nil, err
	}
	c.NotifyBlocked(c.blocked)
	return c, nil
}

// handshake gives an error of logging in a better name where there is one.
func (c *Conn) handshake(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return explain.Network(context.Canceled, c.address.Where)
	// The library takes any end of the connection at this step for a refusal,
	// which is how RabbitMQ refuses: without a word, after 3 s.
	case errors.Is(err, amqp.ErrCredentials) && ctx.Err() != nil:
		budget, _ := explain.Budget(ctx, c.start)
		return &explain.Error{
			Text: fmt.Sprintf("no answer to user and password within %v (RabbitMQ takes 3s to refuse wrong ones): %s", budget, c.address.Where),
			Err:  ctx.Err(),
		}
	case errors.Is(err, amqp.ErrCredentials) && c.wire.cause() != nil:
		return &explain.Error{Text: fmt.Sprintf("wrong password, or user %q does not exist or may not log in: %s", c.address.user, c.address.Where), Err: err}
	case errors.Is(err, amqp.ErrSASL):
		return &explain.Error{Text: "the server does not take a user and password (SASL PLAIN): " + c.address.Where, Err: err}
	default:
		return err
	}
}

// drop ends a connection that is of no use any more, and what the library has
// running for it.
func (c *Conn) drop() {
	_ = c.link.Close()
	if c.Connection != nil {
		_ = c.Connection.Close() // says nothing any more, but ends the library's goroutines
	}
}

// Blocked tells when the server stops taking what is published on this
// connection, because it is low on memory or disk. RabbitMQ says so once
// something was published (https://www.rabbitmq.com/docs/connection-blocked).
func (c *Conn) Blocked() <-chan amqp.Blocking { return c.blocked }

// Queue asks for a queue without making it. A missing one closes the channel
// that asked, so each question has a channel of its own.
func (c *Conn) Queue(name string) (amqp.Queue, error) {
	channel, err := c.Channel()
	if err != nil {
		return amqp.Queue{}, err
	}
	queue, err := channel.QueueDeclarePassive(name, false, false, false, false, nil)
	if err != nil {
		return queue, err
	}
	return queue, channel.Close()
}

// Close takes leave of the server in order, if that is still possible.
func (c *Conn) Close() error {
	c.link.Hurry(farewell)
	err := c.Connection.Close()
	c.drop()
	return err
}

// Abandon closes the connection without a word, since the server reads none.
func (c *Conn) Abandon() { c.drop() }

// Explain says what an error of the connection or of one of its channels means.
// The step is what the server was to answer to; empty for its first word.
func (c *Conn) Explain(step string, err error) error {
	if _, done := errors.AsType[*explain.Error](err); done {
		return err
	}
	said, _ := errors.AsType[*amqp.Error](err)
	switch {
	case said != nil && said.Server:
		return &explain.Error{Text: fmt.Sprintf("%s: %s", complaint(said), c.address.Where), Err: err}
	// The library reports a broken connection without its cause.
	case c.wire.cause() != nil:
		return c.link.Explain(step, c.wire.cause())
	case said != nil && (said.Code == amqp.FrameError || said.Code == amqp.SyntaxError || said.Code == amqp.CommandInvalid || said.Code == amqp.UnexpectedFrame):
		if c.link.Began("AMQP") {
			return &explain.Error{Text: "speaks another version of AMQP than 0-9-1: " + c.address.Where, Err: err}
		}
		return c.link.Stranger("AMQP", err)
	default:
		return c.link.Explain(step, err)
	}
}

// NotFound reports whether an error says that there is no such queue or
// exchange.
func NotFound(err error) bool { return hasCode(err, amqp.NotFound) }

// Forbidden reports whether an error says that the user may not do this.
func Forbidden(err error) bool { return hasCode(err, amqp.AccessRefused) }

func hasCode(err error, code int) bool {
	said, ok := errors.AsType[*amqp.Error](err)
	return ok && said.Server && said.Code == code
}

// complaint is what the server said, without the name of its code in front:
// "NOT_FOUND - no queue 'mail' in vhost '/'".
func complaint(said *amqp.Error) string {
	if name, text, ok := strings.Cut(said.Reason, " - "); ok && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" {
		return explain.Line(text)
	}
	return explain.Line(said.Reason)
}

// wire is what the library reads from and writes to. It keeps the error that
// ended it, which the library turns into words, and hides the deadlines, which
// are the run's and not the library's.
type wire struct {
	conn *link.Conn

	// mu guards what follows: the library reads and writes in goroutines.
	mu    sync.Mutex
	first error
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.conn.Read(b)
	w.remember(err)
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	n, err := w.conn.Write(b)
	w.remember(err)
	return n, err
}

// Close leaves the rest to Conn: the library calls it in a goroutine.
func (w *wire) Close() error { return w.conn.Conn.Close() }

func (w *wire) remember(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == nil {
		w.first = err
	}
}

func (w *wire) cause() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.first
}
