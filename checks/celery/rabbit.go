package celery

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"hale/checks/internal/rabbit"
	"hale/checks/internal/trust"
	"hale/internal/explain"
)

// replyLife is how long the queue of answers lives without a consumer, in
// milliseconds, as Celery's own (kombu.pidbox.Mailbox). It goes with the
// connection in any case.
const replyLife = int32(10_000)

// rabbitBroker is RabbitMQ as a broker.
type rabbitBroker struct {
	address  *rabbit.Address
	trust    trust.Options
	exchange string // control_exchange

	last   int // how many workers answered last time
	stills map[string]still
}

func (b *rabbitBroker) connect(ctx context.Context) (line, error) {
	conn, err := b.address.Dial(ctx, b.trust)
	if err != nil {
		return nil, err
	}
	return &rabbitLine{rabbitBroker: b, conn: conn}, nil
}

// clean has nothing to do: what a run makes is exclusive to its connection.
func (b *rabbitBroker) clean(context.Context) error { return nil }

// rabbitLine is a connection to RabbitMQ, for one run.
type rabbitLine struct {
	*rabbitBroker
	conn    *rabbit.Conn
	blocked bool
}

func (l *rabbitLine) where() string { return l.address.Where }

func (l *rabbitLine) close() {
	if l.blocked {
		l.conn.Abandon()
		return
	}
	_ = l.conn.Close()
}

// command publishes a request to the workers' exchange. RabbitMQ tells if there
// is no worker's queue on it, but not how many there are.
func (l *rabbitLine) command(ctx context.Context, r *request, patience time.Duration) (*roll, error) {
	workers, answers := l.exchange+".pidbox", "reply."+l.exchange+".pidbox"
	channel, err := l.conn.Channel()
	if err != nil {
		return nil, l.conn.Explain("the opening of a channel", err)
	}
	err = channel.ExchangeDeclarePassive(workers, amqp.ExchangeFanout, false, false, false, false, nil)
	if rabbit.NotFound(err) {
		return &roll{}, nil // no worker has ever been here
	}
	if err != nil {
		return nil, l.conn.Explain("the question for exchange "+workers, err)
	}
	mailbox := mailboxMark + rand.Text()
	deliveries, err := l.openMailbox(channel, answers, mailbox)
	if err != nil {
		return nil, l.conn.Explain("the making of a queue for answers", err)
	}
	returned := channel.NotifyReturn(make(chan amqp.Return, 1))
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	err = channel.PublishWithContext(ctx, workers, "", true, false, amqp.Publishing{
		ContentType:     jsonType,
		ContentEncoding: "utf-8",
		DeliveryMode:    amqp.Transient,
		Headers:         amqp.Table{"clock": int32(0), "expires": float64(0)},
		Body:            r.body(answers, mailbox),
	})
	if err != nil {
		return nil, l.conn.Explain("a message to the workers", err)
	}
	called, blocked := &roll{listening: unknown}, l.conn.Blocked()
	over := time.NewTimer(patience)
	defer over.Stop()
	// Who answered last time is expected to answer again.
	for !r.complete(called) || called.listening == unknown && len(r.nodes) == 0 && called.messages < l.last {
		select {
		case answer, ok := <-deliveries:
			if !ok {
				return nil, l.ended(closed)
			}
			called.add(r, answer.Headers["ticket"], answer.ContentType, answer.Body)
		case _, ok := <-returned:
			if !ok { // as all of the library's, when the channel ends
				return nil, l.ended(closed)
			}
			called.listening = 0
		case blocking, ok := <-blocked:
			if !ok { // as all of the library's, when the connection ends
				blocked = nil
				continue
			}
			l.blocked = true
			return nil, fmt.Errorf("the broker blocks whoever publishes: %s: %s", explain.Line(blocking.Reason), l.address.Where)
		case <-over.C:
			l.last = called.messages
			return called, nil
		}
	}
	l.last = called.messages
	return called, nil
}

// ended says why no more answers can come: the channel was closed, or somebody
// has deleted the queue.
func (l *rabbitLine) ended(closed <-chan *amqp.Error) error {
	select {
	case err := <-closed:
		if err == nil {
			err = amqp.ErrClosed
		}
		return l.conn.Explain("a message to the workers", err)
	case <-time.After(time.Second):
		return fmt.Errorf("the queue for answers was deleted: %s", l.address.Where)
	}
}

// openMailbox makes a queue that goes with the connection, and binds it to the
// exchange of answers.
func (l *rabbitLine) openMailbox(channel *amqp.Channel, exchange, mailbox string) (<-chan amqp.Delivery, error) {
	queue := mailbox + "." + exchange
	if err := l.ensureExchange(exchange); err != nil {
		return nil, err
	}
	if _, err := channel.QueueDeclare(queue, false, true, true, false, amqp.Table{"x-expires": replyLife}); err != nil {
		return nil, err
	}
	if err := channel.QueueBind(queue, mailbox, exchange, false, nil); err != nil {
		return nil, err
	}
	return channel.Consume(queue, "", true, true, false, false, nil)
}

// ensureExchange makes the exchange of answers unless it is there, which it is
// since a worker has first answered anybody.
func (l *rabbitLine) ensureExchange(exchange string) error {
	channel, err := l.conn.Channel()
	if err != nil {
		return err
	}
	err = channel.ExchangeDeclarePassive(exchange, amqp.ExchangeDirect, false, false, false, false, nil)
	if rabbit.NotFound(err) {
		if channel, err = l.conn.Channel(); err != nil {
			return err
		}
		err = channel.ExchangeDeclare(exchange, amqp.ExchangeDirect, false, false, false, false, nil)
	}
	if err != nil {
		return err
	}
	return channel.Close()
}

// queue asks for a queue's length.
func (l *rabbitLine) queue(name string, age time.Duration) (state, error) {
	queue, err := l.conn.Queue(name)
	if rabbit.NotFound(err) {
		delete(l.stills, name)
		return state{missing: true}, nil
	}
	if err != nil {
		return state{}, l.conn.Explain("the question for queue "+name, err)
	}
	now := state{length: int64(queue.Messages)}
	if age > 0 {
		if l.stills == nil {
			l.stills = make(map[string]still)
		}
		known := l.stills[name].look(now.length, time.Now())
		l.stills[name] = known
		now.age = time.Since(known.since)
		now.aged = "has not become shorter for " + rounded(now.age).String()
	}
	return now, nil
}

// still is since when a queue has been seen neither empty nor shorter than the
// time before. AMQP tells no more of a queue without taking a message from it,
// which marks the message as redelivered, or counts against it.
type still struct {
	length int64
	since  time.Time
}

// look takes notice of a queue's length.
func (s still) look(length int64, now time.Time) still {
	if s.since.IsZero() || length == 0 || length < s.length {
		s.since = now
	}
	s.length = length
	return s
}
