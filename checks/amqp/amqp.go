// Package amqp checks RabbitMQ, and other brokers that speak AMQP 0-9-1.
package amqp

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"hale/checks"
	"hale/checks/internal/rabbit"
	"hale/checks/internal/report"
	"hale/checks/internal/trust"
	"hale/internal/explain"
)

// Check connects to a broker, and looks at queues.
//
// It proves that the broker can be reached, accepts the user and the password,
// has the virtual host, and opens a channel; that it takes what is published,
// which it stops doing when it is low on memory or disk; and of each queue that
// it is there, how many messages are ready in it, and how many consumers it has.
// It costs one connection and one channel a run, which RabbitMQ logs, one message
// that goes nowhere, and one question a queue.
//
// A run that is cut off leaves nothing behind but the connection, which the
// broker notices at once, or after two missed heartbeats of 10 s if it does not
// read at that time.
//
//	&amqp.Check{URL: "amqp://app:secret@mq.internal/app", Queues: []string{"mail"}, MinConsumers: 1}
type Check struct {
	URL string `yaml:"url" jsonschema:"required" jsonschema_description:"The broker: amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://... for TLS."`

	Queues       []string `yaml:"queues" jsonschema_description:"Queues that must be there."`
	WarnLength   int      `yaml:"warn_length" jsonschema_description:"Warn when more messages than this are ready in one of the queues."`
	MaxLength    int      `yaml:"max_length" jsonschema_description:"Fail when more messages than this are ready in one of the queues."`
	MinConsumers int      `yaml:"min_consumers" jsonschema_description:"Fail when one of the queues has fewer consumers than this."`

	CA          string `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's; relative to the directory of hale.yaml."`
	Certificate string `yaml:"certificate" jsonschema_description:"File of the client's own certificate, PEM, for a server that asks for one."`
	Key         string `yaml:"key" jsonschema_description:"File of the private key of certificate, PEM."`
	Insecure    bool   `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate."`

	// Dir is where relative file names start; empty means the working directory.
	Dir string `yaml:"-"`
}

// Validate refuses a URL that names no broker, and options that contradict one
// another. The error never contains the URL: it holds a password.
func (c *Check) Validate() error {
	var errs []error
	refuse := func(is bool, key, format string, args ...any) {
		if is {
			errs = append(errs, checks.Optionf(key, format, args...))
		}
	}
	address, err := rabbit.ParseAddress(c.URL)
	if err != nil {
		errs = append(errs, &checks.OptionError{Key: "url", Err: err})
	} else if !address.TLS {
		errs = append(errs, c.trust().WithoutTLS("write amqps:// in url"))
	}
	for _, queue := range c.Queues {
		refuse(queue == "", "queues", "one of the names is empty")
		refuse(len(queue) > 255, "queues", "%.20q... is longer than the 255 bytes of a queue's name", queue)
	}
	refuse(c.WarnLength < 0, "warn_length", "%d is negative", c.WarnLength)
	refuse(c.MaxLength < 0, "max_length", "%d is negative", c.MaxLength)
	refuse(c.MinConsumers < 0, "min_consumers", "%d is negative", c.MinConsumers)
	refuse(c.MaxLength > 0 && c.WarnLength > c.MaxLength, "warn_length", "%d is more than max_length (%d): the check would fail before it warns", c.WarnLength, c.MaxLength)
	if len(c.Queues) == 0 {
		const noQueues = "is about queues: name them in queues"
		refuse(c.WarnLength > 0, "warn_length", noQueues)
		refuse(c.MaxLength > 0, "max_length", noQueues)
		refuse(c.MinConsumers > 0, "min_consumers", noQueues)
	}
	return errors.Join(append(errs, c.trust().Validate())...)
}

func (c *Check) trust() trust.Options {
	return trust.Options{CA: c.CA, Certificate: c.Certificate, Key: c.Key, Dir: c.Dir, Insecure: c.Insecure}
}

// Run asks once.
func (c *Check) Run(ctx context.Context) (string, error) {
	address, err := rabbit.ParseAddress(c.URL)
	if err != nil {
		return "", fmt.Errorf("url %w", err)
	}
	conn, err := address.Dial(ctx, c.trust())
	if err != nil {
		return "", err
	}
	defer conn.Close()

	var found report.Report
	if err := c.lookAtQueues(conn, &found); err != nil {
		return "", err
	}
	// Last, since a broker that blocks the connection reads nothing more of it.
	if err := publish(ctx, conn, &found); err != nil {
		return "", err
	}
	output, err := found.Result()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, address.Where)
	}
	return output + ": " + address.Where, nil
}

// lookAtQueues asks for each queue.
func (c *Check) lookAtQueues(conn *rabbit.Conn, found *report.Report) error {
	for _, name := range c.Queues {
		queue, err := conn.Queue(name)
		switch {
		case rabbit.NotFound(err):
			found.Failf("no queue %q", name)
			continue
		case err != nil:
			return conn.Explain("the question for queue "+name, err)
		}
		if queue.Consumers < c.MinConsumers {
			found.Failf("queue %q has %s, expected at least %d", name, report.Count(queue.Consumers, "consumer"), c.MinConsumers)
		}
		found.Limit(int64(queue.Messages), int64(c.WarnLength), int64(c.MaxLength),
			fmt.Sprintf("queue %q has %s and %s", name, report.Count(queue.Messages, "message"), report.Count(queue.Consumers, "consumer")))
	}
	return nil
}

// nowhere is a routing key that no queue goes by.
const nowhere = "hale.check.nowhere"

// publish publishes a message without content to no queue, and waits for it to
// come back: the answer of a broker that takes messages.
func publish(ctx context.Context, conn *rabbit.Conn, found *report.Report) error {
	channel, err := conn.Channel()
	if err != nil {
		return conn.Explain("the opening of a channel", err)
	}
	returned := channel.NotifyReturn(make(chan amqp.Return, 1))
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	if err := channel.PublishWithContext(ctx, amqp.DefaultExchange, nowhere, true, false, amqp.Publishing{}); err != nil {
		return conn.Explain("a message", err)
	}
	blocked, err := await(returned, conn.Blocked(), closed)
	switch {
	case blocked != nil:
		conn.Abandon()
		found.Failf("the broker blocks whoever publishes: %s", explain.Line(blocked.Reason))
	case err == nil:
		found.Passf("takes messages")
	case rabbit.Forbidden(err): // which is none of this check's business
		found.Passf("opens a channel")
	default:
		return conn.Explain("a message", err)
	}
	return nil
}

// await waits for what becomes of a message: it is returned, the broker blocks
// who sent it, or the channel ends, which is an error.
func await(returned <-chan amqp.Return, blocking <-chan amqp.Blocking, closed <-chan *amqp.Error) (blocked *amqp.Blocking, err error) {
	for {
		select {
		case _, ok := <-returned:
			if !ok { // the channel was closed, for a reason that is there by now
				return nil, reason(<-closed)
			}
			return nil, nil
		case b, ok := <-blocking:
			if !ok { // as all of the library's, when the connection ends
				blocking = nil
				continue
			}
			return &b, nil
		case err := <-closed:
			return nil, reason(err)
		}
	}
}

// reason is why a channel was closed. The library has none if we closed it.
func reason(err *amqp.Error) error {
	if err == nil {
		return amqp.ErrClosed
	}
	return err
}
