// Package celery checks the workers, the queues and the periodic tasks of a
// Celery application, without Python: over its broker, Redis or RabbitMQ, and
// its result backend.
package celery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"hale/checks"
	"hale/checks/internal/rabbit"
	"hale/checks/internal/redisserver"
	"hale/checks/internal/report"
	"hale/checks/internal/trust"
)

// Defaults of a Check's empty fields; the last two are kombu's own.
const (
	DefaultWait            = time.Second
	DefaultControlExchange = "celery"
	DefaultFanoutPrefix    = "/{db}."
)

// Check asks the workers of a Celery application the way "celery inspect ping"
// does, looks at their queues, and finds out when a task has last finished.
//
// It proves that enough workers, or those that are named, take and answer
// messages of the broker; that every queue is consumed by one of them, is not
// too long and moves on; and that a task of a certain name has succeeded lately.
// The answer comes from a worker's main process, which still answers while all
// of its pool is busy, but for the pool "solo", which answers between tasks.
//
// It costs one connection a run, one message to each worker and one from each,
// and a few questions a queue. Close removes what a run may have left on the
// broker that was cut off half-way.
//
//	c := &celery.Check{Broker: "redis://broker.internal/0", Workers: 2, Queues: []string{"mail"}}
//	defer c.Close()
type Check struct {
	Broker string `yaml:"broker" jsonschema_description:"The broker, as broker_url: redis://..., rediss://..., unix:///PATH, amqp://... or amqps://...; without it, only task is looked at."`

	Workers    int           `yaml:"workers" jsonschema_description:"How many workers must answer at least; 1 unless nodes are named."`
	Nodes      []string      `yaml:"nodes" jsonschema_description:"Names of the workers that must answer, as in celery@web-1; %h is this machine's host name, %n its first part and %d the rest, as in Celery's own."`
	Wait       time.Duration `yaml:"wait" jsonschema:"default=1s" jsonschema_description:"How long the workers have to answer; a run goes on as soon as enough have."`
	Queues     []string      `yaml:"queues" jsonschema_description:"Queues that must each be consumed by one of the workers that answer."`
	WarnLength int           `yaml:"warn_length" jsonschema_description:"Warn when more messages than this wait in one of the queues."`
	MaxLength  int           `yaml:"max_length" jsonschema_description:"Fail when more messages than this wait in one of the queues."`
	WarnAge    time.Duration `yaml:"warn_age" jsonschema_description:"Warn when the oldest message of one of the queues waits for longer than this, as far as earlier runs have seen it."`
	MaxAge     time.Duration `yaml:"max_age" jsonschema_description:"Fail when the oldest message of one of the queues waits for longer than this, as far as earlier runs have seen it."`

	Results       string        `yaml:"results" jsonschema_description:"The result backend, as result_backend: redis://..., or a database as in the type sql, with or without db+ in front."`
	Task          string        `yaml:"task" jsonschema_description:"Name of a task that must have succeeded within the time of within."`
	Within        time.Duration `yaml:"within" jsonschema_description:"How long ago the task may have succeeded."`
	ResultsPrefix string        `yaml:"results_prefix" jsonschema_description:"The global_keyprefix of result_backend_transport_options."`

	ControlExchange string `yaml:"control_exchange" jsonschema:"default=celery" jsonschema_description:"The application's control_exchange."`
	GlobalKeyprefix string `yaml:"global_keyprefix" jsonschema_description:"The global_keyprefix of broker_transport_options (Redis)."`
	FanoutPrefix    string `yaml:"fanout_prefix" jsonschema:"default=/{db}." jsonschema_description:"The fanout_prefix of broker_transport_options (Redis); off for none."`
	Sep             string `yaml:"sep" jsonschema_description:"The sep of broker_transport_options (Redis); without it the bytes 6 and 22, as in kombu."`

	CA          string `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's; relative to the directory of hale.yaml."`
	Certificate string `yaml:"certificate" jsonschema_description:"File of the client's own certificate, PEM, for a server that asks for one."`
	Key         string `yaml:"key" jsonschema_description:"File of the private key of certificate, PEM."`
	Insecure    bool   `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate."`

	// Dir is where relative file names start; empty means the working directory.
	Dir string `yaml:"-"`

	// mu guards everything that follows, and is held for a whole run.
	mu      sync.Mutex
	broker  broker  // made by the first run
	results results // made by the first run that looks at Task
}

// Validate refuses URLs that name no server, and options that contradict one
// another. The error never contains a URL: it holds a password.
func (c *Check) Validate() error {
	var errs []error
	refuse := func(is bool, key, format string, args ...any) {
		if is {
			errs = append(errs, checks.Optionf(key, format, args...))
		}
	}
	refuse(c.Broker == "" && c.Task == "", "broker", "is missing: write redis://HOST/DATABASE or amqp://USER:PASSWORD@HOST/VHOST, as broker_url of the app; only a check of task needs none")
	if c.Broker != "" {
		if _, err := c.openBroker(); err != nil {
			errs = append(errs, &checks.OptionError{Key: "broker", Err: err})
		}
	} else {
		const noBroker = "is about the workers: write where they are, in broker"
		refuse(c.Workers > 0, "workers", noBroker)
		refuse(len(c.Nodes) > 0, "nodes", noBroker)
		refuse(len(c.Queues) > 0, "queues", noBroker)
	}
	errs = append(errs, c.validateQueues(), c.validateTask())
	refuse(c.Workers < 0, "workers", "%d is negative", c.Workers)
	refuse(c.Workers > 0 && len(c.Nodes) > 0, "workers", "nodes says already which workers must answer: remove one of the two")
	refuse(slices.Contains(c.Nodes, ""), "nodes", "one of the names is empty")
	if !secured(c.Broker) && !secured(c.Results) {
		errs = append(errs, c.trust().WithoutTLS("write rediss:// or amqps:// in broker or results"))
	}
	refuse(c.Wait < 0, "wait", "%v is negative: write a duration such as 1s", c.Wait)
	return errors.Join(append(errs, c.trust().Validate())...)
}

func (c *Check) validateQueues() error {
	var errs []error
	refuse := func(is bool, key, format string, args ...any) {
		if is {
			errs = append(errs, checks.Optionf(key, format, args...))
		}
	}
	refuse(slices.Contains(c.Queues, ""), "queues", "one of the names is empty")
	refuse(c.WarnLength < 0, "warn_length", "%d is negative", c.WarnLength)
	refuse(c.MaxLength < 0, "max_length", "%d is negative", c.MaxLength)
	refuse(c.WarnAge < 0, "warn_age", "%v is negative: write a duration such as 5m", c.WarnAge)
	refuse(c.MaxAge < 0, "max_age", "%v is negative: write a duration such as 15m", c.MaxAge)
	refuse(c.MaxLength > 0 && c.WarnLength > c.MaxLength, "warn_length", "%d is more than max_length (%d): the check would fail before it warns", c.WarnLength, c.MaxLength)
	refuse(c.MaxAge > 0 && c.WarnAge > c.MaxAge, "warn_age", "%v is more than max_age (%v): the check would fail before it warns", c.WarnAge, c.MaxAge)
	if len(c.Queues) == 0 {
		const noQueues = "is about queues: name them in queues"
		refuse(c.WarnLength > 0, "warn_length", noQueues)
		refuse(c.MaxLength > 0, "max_length", noQueues)
		refuse(c.WarnAge > 0, "warn_age", noQueues)
		refuse(c.MaxAge > 0, "max_age", noQueues)
	}
	return errors.Join(errs...)
}

func (c *Check) validateTask() error {
	if c.Task == "" && c.Results == "" && c.Within == 0 && c.ResultsPrefix == "" {
		return nil
	}
	var errs []error
	refuse := func(is bool, key, format string, args ...any) {
		if is {
			errs = append(errs, checks.Optionf(key, format, args...))
		}
	}
	refuse(c.Task == "", "task", "is missing: the name of the task whose results are looked for")
	refuse(strings.ContainsFunc(c.Task, func(r rune) bool { return r < ' ' || strings.ContainsRune(`'"\`, r) }), "task", "%q holds a quote, a backslash or a control character", c.Task)
	refuse(c.Within <= 0, "within", "is missing: how long ago the task may have succeeded, such as 10m")
	if c.Results == "" {
		refuse(true, "results", "is missing: the app's result_backend, redis://HOST/DATABASE or db+postgresql://USER:PASSWORD@HOST/DATABASE")
	} else if _, err := c.openResults(); err != nil {
		errs = append(errs, &checks.OptionError{Key: "results", Err: err})
	}
	return errors.Join(errs...)
}

// secured reports whether a URL is of a server whose TLS is set up by this
// check's options. A database's URL has parameters of its own for that.
func secured(url string) bool {
	scheme, _, _ := strings.Cut(url, ":")
	return slices.Contains([]string{"rediss", "valkeys", "amqps"}, scheme)
}

func (c *Check) trust() trust.Options {
	return trust.Options{CA: c.CA, Certificate: c.Certificate, Key: c.Key, Dir: c.Dir, Insecure: c.Insecure}
}

// broker is where Celery's messages go through.
type broker interface {
	// connect opens the connection of one run.
	connect(context.Context) (line, error)
	// clean removes what runs have left that were cut off.
	clean(context.Context) error
}

// line is a connection to a broker, for one run.
type line interface {
	// command sends a command to the workers, and calls their roll until enough
	// have answered, or the time for it is over.
	command(ctx context.Context, request *request, patience time.Duration) (*roll, error)
	// queue looks at a queue; where age is above 0, also at how long its oldest
	// message has been waiting, precisely enough to compare it with that.
	queue(name string, age time.Duration) (state, error)
	where() string
	close()
}

// state is what a broker tells of a queue.
type state struct {
	missing bool
	length  int64
	age     time.Duration // of the oldest message, at least
	aged    string        // the age in words
}

// openBroker finds out which broker the URL names. It does not connect.
func (c *Check) openBroker() (broker, error) {
	switch {
	case rabbit.Form.Is(c.Broker):
		address, err := rabbit.ParseAddress(c.Broker)
		if err != nil {
			return nil, err
		}
		return &rabbitBroker{address: address, trust: c.trust(), exchange: cmp.Or(c.ControlExchange, DefaultControlExchange)}, nil
	case redisserver.Form.Is(c.Broker):
		address, err := redisserver.ParseAddress(c.Broker)
		if err != nil {
			return nil, err
		}
		return newRedisBroker(c, address), nil
	default:
		return nil, errors.New("has none of the schemes redis, rediss, unix, amqp and amqps: over other brokers workers cannot be asked")
	}
}

// Run asks once.
func (c *Check) Run(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found report.Report
	var where []string
	if c.Broker != "" {
		at, err := c.askBroker(ctx, &found)
		if err != nil {
			return "", err
		}
		where = append(where, at)
	}
	if c.Task != "" {
		at, err := c.askResults(ctx, &found)
		if err != nil {
			return "", err
		}
		if !slices.Contains(where, at) {
			where = append(where, at)
		}
	}
	output, err := found.Result()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.Join(where, ", "))
	}
	return output + ": " + strings.Join(where, ", "), nil
}

func (c *Check) askBroker(ctx context.Context, found *report.Report) (where string, err error) {
	if c.broker == nil {
		if c.broker, err = c.openBroker(); err != nil {
			return "", fmt.Errorf("broker %w", err)
		}
	}
	conn, err := c.broker.connect(ctx)
	if err != nil {
		return "", err
	}
	defer conn.close()
	if err := c.callWorkers(ctx, conn, found); err != nil {
		return "", err
	}
	for _, name := range c.Queues {
		if err := c.lookAt(conn, name, found); err != nil {
			return "", err
		}
	}
	return conn.where(), nil
}

// callWorkers calls the roll of the workers.
func (c *Check) callWorkers(ctx context.Context, conn line, found *report.Report) error {
	host, _ := os.Hostname() // an empty one is as good as none in a name
	request := newRequest(nodeNames(c.Nodes, host), c.Queues, max(c.Workers, 1))
	patience := cmp.Or(c.Wait, DefaultWait)
	if deadline, ok := ctx.Deadline(); ok {
		// What comes after needs time, too.
		patience = min(patience, time.Until(deadline)*3/4)
	}
	called, err := conn.command(ctx, request, patience)
	if err != nil {
		return err
	}
	request.judge(called, patience, found)
	return nil
}

// lookAt looks at the length of a queue, and at the age of its oldest message.
func (c *Check) lookAt(conn line, name string, found *report.Report) error {
	now, err := conn.queue(name, cmp.Or(c.WarnAge, c.MaxAge))
	if err != nil {
		return err
	}
	if now.missing {
		found.Failf("no queue %q", name)
		return nil
	}
	text := fmt.Sprintf("queue %q has %s", name, report.Count(now.length, "message"))
	found.Limit(now.length, int64(c.WarnLength), int64(c.MaxLength), text)
	switch {
	case c.MaxAge > 0 && now.age > c.MaxAge:
		found.Failf("queue %q %s, more than %v", name, now.aged, c.MaxAge)
	case c.WarnAge > 0 && now.age > c.WarnAge:
		found.Warnf("queue %q %s, more than %v", name, now.aged, c.WarnAge)
	}
	return nil
}

// Close ends what is kept between runs, and removes what runs have left on the
// broker that were cut off. It waits for a run that is under way.
func (c *Check) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	if c.broker != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		errs = append(errs, c.broker.clean(ctx))
		c.broker = nil
	}
	if c.results != nil {
		errs = append(errs, c.results.close())
		c.results = nil
	}
	return errors.Join(errs...)
}

// rounded is a length of time for people, rounded down.
func rounded(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Truncate(100 * time.Millisecond)
	}
	return d.Truncate(time.Second)
}
