package celery

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"hale/checks/internal/redisserver"
	"hale/checks/internal/resp"
	"hale/checks/internal/trust"
)

// kombuSep joins the parts of a binding, and a queue's name with a priority
// (kombu/transport/redis.py).
const kombuSep = "\x06\x16"

// maxReplies bounds what a run reads from Redis, in bytes.
const maxReplies = 16 << 20

// listLife is how long the list of the answers outlives its run, at most.
const listLife = 30 * time.Second

// mailboxMark begins the name of every mailbox of ours.
const mailboxMark = "hale-"

// redisBroker is Redis as a broker: queues are lists, and a message to all is
// one of PUBLISH (kombu/transport/redis.py).
type redisBroker struct {
	address  *redisserver.Address
	trust    trust.Options
	prefix   string // of all keys and channels
	sep      string
	channel  string // of requests
	bindings string // key of the set of the queues on the exchange of answers
	exchange string // of answers

	mailbox string // names our queue on that exchange; one for all runs
	tidied  bool   // what others have left was removed
	dirty   bool   // a run may have left something
	waiting map[string]*markers
}

func newRedisBroker(c *Check, address *redisserver.Address) *redisBroker {
	fanout := cmp.Or(c.FanoutPrefix, DefaultFanoutPrefix)
	if fanout == "off" {
		fanout = ""
	}
	control := cmp.Or(c.ControlExchange, DefaultControlExchange) + ".pidbox"
	return &redisBroker{
		address:  address,
		trust:    c.trust(),
		prefix:   c.GlobalKeyprefix,
		sep:      cmp.Or(c.Sep, kombuSep),
		channel:  c.GlobalKeyprefix + strings.ReplaceAll(fanout, "{db}", strconv.Itoa(address.Database)) + control,
		bindings: c.GlobalKeyprefix + "_kombu.binding.reply." + control,
		exchange: "reply." + control,
		mailbox:  mailboxMark + rand.Text(),
		waiting:  make(map[string]*markers),
	}
}

func (b *redisBroker) connect(ctx context.Context) (line, error) {
	conn, err := b.address.Dial(ctx, b.trust, maxReplies)
	if err != nil {
		return nil, err
	}
	return &redisLine{b, conn}, nil
}

// list is the key of the list that is a mailbox's queue.
func (b *redisBroker) list(mailbox string) string { return b.prefix + b.queueOf(mailbox) }

func (b *redisBroker) queueOf(mailbox string) string { return mailbox + "." + b.exchange }

// binding is the member of the set that binds a mailbox's queue to the exchange:
// routing key, pattern, and queue.
func (b *redisBroker) binding(mailbox string) string {
	return mailbox + b.sep + b.sep + b.queueOf(mailbox)
}

// clean removes the binding and the list of a run that was cut off. A server
// that cannot be reached keeps the list for listLife, and the binding until the
// next of us comes.
func (b *redisBroker) clean(ctx context.Context) error {
	if !b.dirty {
		return nil
	}
	conn, err := b.address.Dial(ctx, b.trust, maxReplies)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	defer conn.Close()
	if _, err := conn.Ask([]string{"SREM", b.bindings, b.binding(b.mailbox)}, []string{"DEL", b.list(b.mailbox)}); err == nil {
		b.dirty = false
	}
	return nil
}

// redisLine is a connection to Redis, for one run.
type redisLine struct {
	*redisBroker
	conn *redisserver.Conn
}

func (l *redisLine) where() string { return l.address.Where }
func (l *redisLine) close()        { _ = l.conn.Close() }

// command publishes a request. Redis tells how many workers it has passed it to,
// which is how many answers can come.
func (l *redisLine) command(ctx context.Context, r *request, patience time.Duration) (*roll, error) {
	if err := l.tidy(); err != nil {
		return nil, err
	}
	list, binding := l.list(l.mailbox), l.binding(l.mailbox)
	life := strconv.FormatInt((patience + listLife).Milliseconds(), 10)
	l.dirty = true
	replies, err := l.transaction(
		// A worker that answers late, or after we have died, must not make a list
		// that stays: so the list is there before, and goes by itself.
		[]string{"DEL", list},
		[]string{"RPUSH", list, ""},
		[]string{"PEXPIRE", list, life},
		[]string{"SADD", l.bindings, binding},
		[]string{"PUBLISH", l.channel, string(envelope(r.body(l.exchange, l.mailbox)))},
	)
	if err != nil {
		return nil, err
	}
	listening, _ := replies[len(replies)-1].(int64)
	called := &roll{listening: int(listening)}
	if err := l.collect(ctx, r, called, list, patience); err != nil {
		return nil, err
	}
	// Without its binding the mailbox gets no more. Who is just on the way to the
	// list still finds it, and it goes by itself.
	after := []string{"DEL", list}
	if called.messages < called.listening {
		after = []string{"PEXPIRE", list, "1000"}
	}
	if _, err := l.transaction([]string{"SREM", l.bindings, binding}, after); err != nil {
		return nil, err
	}
	l.dirty = false
	return called, nil
}

// collect reads the answers. It asks again and again, since a command that waits
// for the list to fill would have to empty it, and so end its life.
func (l *redisLine) collect(ctx context.Context, r *request, called *roll, list string, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	pause, taken := time.Millisecond, 0
	for !r.complete(called) {
		left := time.Until(deadline)
		if left <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(pause, left)):
		}
		pause = min(2*pause, 50*time.Millisecond)
		// New ones come in front; the last element is ours.
		replies, err := l.conn.Ask([]string{"LRANGE", list, "0", strconv.Itoa(-2 - taken)})
		if err != nil {
			return err
		}
		answers, _ := replies[0].([]any)
		for _, answer := range answers {
			text, _ := answer.(string)
			called.take(r, text)
			taken++
		}
	}
	return nil
}

// take takes an answer out of its envelope.
func (l *roll) take(r *request, text string) {
	var in struct {
		Body        string `json:"body"`
		ContentType string `json:"content-type"`
		Headers     struct {
			Ticket string `json:"ticket"`
		} `json:"headers"`
	}
	_ = json.Unmarshal([]byte(text), &in) // an unreadable one has no ticket
	body, err := base64.StdEncoding.DecodeString(in.Body)
	if err != nil {
		body = []byte(in.Body) // body_encoding may be none
	}
	l.add(r, in.Headers.Ticket, in.ContentType, body)
}

// envelope puts a message into what kombu puts around it in Redis.
func envelope(body []byte) []byte {
	content, err := json.Marshal(map[string]any{
		"body":             base64.StdEncoding.EncodeToString(body),
		"content-type":     jsonType,
		"content-encoding": "utf-8",
		"headers":          map[string]any{"clock": 0, "expires": 0},
		"properties": map[string]any{
			"delivery_tag":  rand.Text(),
			"body_encoding": "base64",
			"delivery_mode": 1,
			"priority":      0,
			"delivery_info": map[string]string{"exchange": "", "routing_key": ""},
		},
	})
	if err != nil {
		panic(err) // there is nothing in it that cannot be marshalled
	}
	return content
}

// tidy removes the bindings of mailboxes of ours whose process was killed: those
// without a list, which every run has from its beginning to its end.
func (l *redisLine) tidy() error {
	if l.tidied {
		return nil
	}
	cursor := "0"
	for range 100 { // a set of 100,000
		replies, err := l.conn.Ask([]string{"SSCAN", l.bindings, cursor, "MATCH", mailboxMark + "*", "COUNT", "1000"})
		if err != nil {
			return err
		}
		page, _ := replies[0].([]any)
		if len(page) != 2 {
			return nil
		}
		members, _ := page[1].([]any)
		for _, member := range members {
			binding, _ := member.(string)
			if err := l.removeStale(binding); err != nil {
				return err
			}
		}
		if cursor, _ = page[0].(string); cursor == "0" || cursor == "" {
			break
		}
	}
	l.tidied = true
	return nil
}

func (l *redisLine) removeStale(binding string) error {
	mailbox, _, _ := strings.Cut(binding, l.sep)
	if mailbox == l.mailbox || binding != l.binding(mailbox) {
		return nil
	}
	// WATCH, in case its owner begins a run just now.
	replies, err := l.conn.Ask([]string{"WATCH", l.list(mailbox)}, []string{"EXISTS", l.list(mailbox)})
	if err != nil {
		return err
	}
	if replies[1] != int64(0) {
		_, err = l.conn.Ask([]string{"UNWATCH"})
		return err
	}
	_, err = l.transaction([]string{"SREM", l.bindings, binding})
	return err
}

// transaction runs commands all or none, whatever happens to the connection.
func (l *redisLine) transaction(commands ...[]string) ([]any, error) {
	question := append([][]string{{"MULTI"}}, commands...)
	replies, err := l.conn.Ask(append(question, []string{"EXEC"})...)
	if err != nil {
		return nil, err
	}
	results, _ := replies[len(replies)-1].([]any)
	for _, result := range results {
		if refusal, ok := result.(resp.Error); ok {
			return nil, l.conn.Explain(refusal)
		}
	}
	return results, nil
}

// priorities are the numbers that a queue's lists may have in their names. Which
// there are is up to priority_steps; without, 3, 6 and 9.
const priorities = 9

// queue counts what waits in a queue's lists: one for each priority.
func (l *redisLine) queue(name string, age time.Duration) (state, error) {
	lists := []string{l.prefix + name}
	for i := range priorities {
		lists = append(lists, l.prefix+name+l.sep+strconv.Itoa(i+1))
	}
	question := make([][]string, len(lists))
	for i, list := range lists {
		question[i] = []string{"LLEN", list}
	}
	lengths, err := l.conn.Ask(question...)
	if err != nil {
		return state{}, err
	}
	var now state
	for i, list := range lists {
		length, _ := lengths[i].(int64)
		now.length += length
		switch {
		case age == 0:
		case length == 0:
			delete(l.waiting, list)
		default:
			if l.waiting[list] == nil {
				l.waiting[list] = new(markers)
			}
			waited, err := l.waiting[list].waited(l.conn, list, age)
			if err != nil {
				return state{}, err
			}
			now.age = max(now.age, waited)
		}
	}
	now.aged = "has a message that waits for at least " + rounded(now.age).String()
	return now, nil
}
