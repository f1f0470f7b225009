// Package phpfpm checks that a pool of PHP-FPM has workers left for what its
// clients ask.
package phpfpm

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"hale/checks"
	"hale/checks/internal/link"
	"hale/checks/internal/report"
	"hale/checks/internal/statuspage"
	"hale/checks/internal/trust"
	"hale/checks/internal/workers"
	"hale/internal/explain"
	"hale/internal/listenqueue"
)

// DefaultStatusPath is what an empty StatusPath asks for.
const DefaultStatusPath = "/status"

// Check asks a pool of PHP-FPM for its status, over FastCGI, or over HTTP
// through the web server.
//
// It proves that the pool answers, how many of its workers are busy, and that
// the queue in front of them has room. It does not prove that a script works. It
// costs one connection and one request a run, which a worker of the pool
// answers, unless Address is pm.status_listen's, which has a worker of its own.
// It needs the right to connect.
//
// If all workers are busy, a pool without pm.status_listen cannot say so, since
// nobody is left to: then the kernel is asked how many connections wait, and the
// check warns rather than fails, until MaxStuck.
//
//	&phpfpm.Check{Address: "/run/php/php-fpm.sock"}
type Check struct {
	Address    string `yaml:"address" jsonschema_description:"Where the pool takes FastCGI, its listen or pm.status_listen: host:port, or the path of a unix socket."`
	StatusPath string `yaml:"status_path" jsonschema:"default=/status" jsonschema_description:"The pool's pm.status_path."`
	PingPath   string `yaml:"ping_path" jsonschema_description:"The pool's ping.path, to ask for that instead of the status: it only tells whether a worker answers."`
	URL        string `yaml:"url" jsonschema_description:"The status page behind a web server, http or https, instead of address."`
	Socket     string `yaml:"socket" jsonschema_description:"The pool's listen on this machine, to ask the kernel about, where address is another: host:port, or the path of a unix socket."`

	checks.BusyLimits

	WarnSlow int    `yaml:"warn_slow" jsonschema:"minimum=0" jsonschema_description:"Warn when more requests than this were slow (request_slowlog_timeout) since the run before; without it, never."`
	CA       string `yaml:"ca" jsonschema_description:"File of PEM certificates to trust instead of the system's, for url."`
	Insecure bool   `yaml:"insecure" jsonschema:"default=false" jsonschema_description:"Accept any certificate, for url."`

	// Dir is where a relative CA starts; empty means the working directory of
	// this process.
	Dir string `yaml:"-"`

	// mu guards everything that follows, and is held for a whole run.
	mu     sync.Mutex
	before *status // of the last run that had an answer
	watch  workers.Watch
}

// Validate refuses a check that asks nobody, or asks in two ways.
func (c *Check) Validate() error {
	const example = "/run/php/php-fpm.sock"
	errs := []error{c.BusyLimits.Validate()}
	add := func(key, format string, args ...any) { errs = append(errs, checks.Optionf(key, format, args...)) }
	switch {
	case c.Address == "" && c.URL == "":
		add("address", "is missing: write the pool's listen, such as %s, or set url", example)
	case c.Address != "" && c.URL != "":
		add("url", "is another way to what address leads to: write one of the two")
	case c.URL != "":
		errs = append(errs, c.page().Validate("http://127.0.0.1/status"))
		if c.PingPath != "" {
			add("ping_path", "is for address; url names its page itself")
		}
	default:
		errs = append(errs, link.ValidateAddress("address", c.Address, example, true))
	}
	for _, path := range []struct{ key, path string }{{"status_path", c.StatusPath}, {"ping_path", c.PingPath}} {
		if path.path != "" && !strings.HasPrefix(path.path, "/") {
			add(path.key, "%q does not begin with a slash: write it as in the pool's configuration", path.path)
		}
	}
	if c.Socket != "" {
		errs = append(errs, link.ValidateAddress("socket", c.Socket, example, true))
	}
	if c.WarnSlow < 0 {
		add("warn_slow", "%d is negative", c.WarnSlow)
	}
	return errors.Join(errs...)
}

func (c *Check) page() statuspage.Page {
	return statuspage.Page{
		URL:   c.URL,
		Trust: trust.Options{CA: c.CA, Dir: c.Dir, Insecure: c.Insecure},
		Agent: "phpfpm",
		Hint:  hint,
	}
}

// hint says why the web server has no status.
func hint(resp *http.Response) string {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return "it asks for a password: write https://USER:PASSWORD@HOST/PATH"
	case http.StatusForbidden:
		return "the web server does not let this machine in, or PHP-FPM does not know the path as its pm.status_path"
	case http.StatusNotFound:
		return "the web server passes a SCRIPT_NAME that is not the pool's pm.status_path"
	case http.StatusBadGateway:
		return "PHP-FPM is down, or refuses the web server"
	case http.StatusGatewayTimeout:
		return "no worker answered the web server in time: all are busy, or hang"
	default:
		return ""
	}
}

// Run asks once.
func (c *Check) Run(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mark := randomMark()
	body, err := c.fetchEarly(ctx, mark)
	if err != nil {
		if explain.IsTimeout(err) && !errors.Is(ctx.Err(), context.Canceled) {
			return c.silent(ctx, err)
		}
		return "", err
	}
	if c.PingPath != "" {
		return fmt.Sprintf("answers %q: %s", explain.Line(string(body)), c.Address), nil
	}
	now, ok := parse(string(body))
	if !ok {
		return "", c.odd(body)
	}
	var r report.Report
	c.watch.Judge(&r, time.Now(), c.load(ctx, now, strings.Contains(string(body), mark)), c.BusyLimits)
	c.compare(&r, now)
	return r.Result()
}

// fetchEarly gives up a little before the run has to end, so that there is time
// left to ask the kernel about a pool that is too busy to answer: a warning
// that comes at the deadline is none. Its error says the whole time.
func (c *Check) fetchEarly(ctx context.Context, mark string) ([]byte, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return c.fetch(ctx, mark)
	}
	start := time.Now()
	early, cancel := context.WithDeadline(ctx, deadline.Add(-min(deadline.Sub(start)/5, 250*time.Millisecond)))
	defer cancel()
	body, err := c.fetch(early, mark)
	if err != nil && explain.IsTimeout(err) {
		had, _ := explain.Budget(early, start)
		all, _ := explain.Budget(ctx, start)
		err = &explain.Error{Text: strings.Replace(err.Error(), "within "+had.String(), "within "+all.String(), 1), Err: err}
	}
	return body, err
}

// randomMark is by what the check knows its own request among those of others.
func randomMark() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return "hale=" + hex.EncodeToString(b)
}

const (
	tries = 3                     // of a request that is answered with 500
	pause = 20 * time.Millisecond // between two of them
)

// fetch asks for the status with all processes, or for the ping. Errors are
// explained. To a request for the status that comes while another process writes
// to what it is made of, PHP-FPM answers 500 rather than wait
// for its lock (fpm_scoreboard_copy in its fpm_scoreboard.c); it is asked again.
func (c *Check) fetch(ctx context.Context, mark string) ([]byte, error) {
	for try := 1; ; try++ {
		body, status, err := c.fetchOnce(ctx, mark)
		if status != http.StatusInternalServerError || try == tries {
			return body, err
		}
		select {
		case <-ctx.Done():
			return body, err
		case <-time.After(pause):
		}
	}
}

// fetchOnce returns the status of the answer, too; 0 if it is not known.
func (c *Check) fetchOnce(ctx context.Context, mark string) (body []byte, status int, err error) {
	switch {
	case c.URL != "":
		page := c.page()
		page.Hint = func(resp *http.Response) string { status = resp.StatusCode; return hint(resp) }
		body, err = page.Get(ctx, "full&"+mark)
		return body, status, err
	case c.PingPath != "":
		return c.call(ctx, c.PingPath, "", "ping.path")
	default:
		return c.call(ctx, c.statusPath(), "full&"+mark, "pm.status_path")
	}
}

func (c *Check) statusPath() string {
	if c.StatusPath == "" {
		return DefaultStatusPath
	}
	return c.StatusPath
}

// call asks for a path over FastCGI. The option is the pool's that names it.
func (c *Check) call(ctx context.Context, path, query, option string) (body []byte, status int, err error) {
	conn, err := link.Dial(ctx, c.Address)
	if errors.Is(err, fs.ErrPermission) {
		return nil, 0, &explain.Error{Text: err.Error() + " (see listen.owner, listen.group and listen.mode of the pool)", Err: err}
	}
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	answer, err := ask(conn, path, query)
	switch {
	case errors.Is(err, errProtocol):
		return nil, 0, conn.Stranger("FastCGI", err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		err = conn.Explain("", err)
		return nil, 0, &explain.Error{Text: err.Error() + " (does the pool's listen.allowed_clients let this machine in?)", Err: err}
	case err != nil:
		return nil, 0, conn.Explain("", err)
	case answer.status == http.StatusOK:
		return answer.body, answer.status, nil
	case answer.status == http.StatusNotFound || answer.status == http.StatusForbidden:
		return nil, answer.status, fmt.Errorf("asked for %s, it says %q: is the pool's %s another, or not set? %s", path, explain.Line(string(answer.body)), option, c.Address)
	default:
		return nil, answer.status, fmt.Errorf("asked for %s, it answers with %d: %s", path, answer.status, c.Address)
	}
}

// odd tells of an answer that is not a status.
func (c *Check) odd(body []byte) error {
	if c.URL != "" {
		return fmt.Errorf("%s: 200, but %q is not the status of PHP-FPM", c.page().Name(), explain.Line(string(body)))
	}
	return fmt.Errorf("asked for %s, it says %q, which is not a status: %s", c.statusPath(), explain.Line(string(body)), c.Address)
}

// sockets asks the kernel for the pool's queue; none if it is out of sight.
func (c *Check) sockets(ctx context.Context) []listenqueue.Socket {
	address := c.Socket
	if address == "" {
		address = c.Address
	}
	if address == "" {
		return nil
	}
	sockets, err := listenqueue.At(ctx, address)
	if err != nil {
		return nil
	}
	return sockets
}

// silent judges a pool that did not answer in time. If connections wait while
// others are served, ours was one of them: the pool is busy, or hangs, which time
// will tell. If none is served, there is no worker to serve any; and if none
// waits, a worker has taken ours, and hangs.
func (c *Check) silent(ctx context.Context, err error) (string, error) {
	// The kernel is asked even after the deadline: a late answer says more.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	sockets := c.sockets(ctx)
	load := workers.Load{Silent: true, Queue: workers.Fullest(sockets)}
	if load.Queue.Waiting == 0 {
		return "", err
	}
	serving, which, servingErr := workers.Serving(sockets)
	if servingErr == nil && serving == 0 {
		return "", fmt.Errorf("no worker takes connections: %v, none is served", load.Queue)
	}
	load.Finished = which
	var r report.Report
	c.watch.Judge(&r, time.Now(), load, c.BusyLimits)
	return r.Result()
}

// load is what the pool has to do. If the request for the status was served by
// one of the pool's own workers, that one is free, unless others wait for it.
func (c *Check) load(ctx context.Context, s status, own bool) workers.Load {
	load := workers.Load{
		Busy:     s.active,
		Workers:  s.total,
		Queue:    workers.Queue{Waiting: s.waiting, Limit: s.limit},
		Finished: s.accepted,
	}
	if own || c.Socket != "" {
		// Of a unix socket, PHP-FPM does not know the queue.
		load.Queue = load.Queue.Or(workers.Fullest(c.sockets(ctx)))
	}
	if own && load.Queue.Waiting == 0 {
		load.Busy = max(0, load.Busy-1)
	}
	return load
}

// compare warns of what happened since the run before. A pool that was started
// anew begins to count anew.
func (c *Check) compare(r *report.Report, now status) {
	before := c.before
	c.before = &now
	if before == nil || before.started != now.started {
		return
	}
	if n := now.reached - before.reached; n > 0 {
		r.Warnf("pm.max_children reached %s since the last run", report.Count(n, "time"))
	}
	if n := now.slow - before.slow; c.WarnSlow > 0 && n > c.WarnSlow {
		r.Warnf("%s since the last run, more than %d", report.Count(n, "slow request"), c.WarnSlow)
	}
}
