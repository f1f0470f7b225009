// Package serve runs on each instance: the health answer, the gateway in front
// of the app, and the app itself as a child, with draining and reload.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"hale/instance"
	"hale/internal/config"
	"hale/internal/logfile"
	"hale/internal/proxy"
	"hale/internal/supervise"
	"hale/internal/systemd"
)

// codeNotStarted is the exit code where serving could not begin: the usage, the
// configuration or the environment is not right.
const codeNotStarted = 2

// Options are what Run needs from outside.
type Options struct {
	ConfigFile string   // hale.yaml
	Command    []string // runs the app, in place of app.command; may be empty
	Environ    []string // "NAME=value"
	Version    string   // hale's, for the details of the health answer

	Stdout, Stderr io.Writer // of access logs and the app
	Logger         *slog.Logger

	// Stop brings the signals that drain, SIGTERM and SIGINT; the second one
	// ends at once. Reload brings SIGHUP. They are two channels, so that a
	// burst of one cannot crowd out the other.
	Stop, Reload <-chan os.Signal

	// Ready is told the addresses once they are listened on; nil is fine.
	Ready func(listen, admin net.Addr)
}

// Run serves until it has drained, or the app has ended, and returns hale's
// exit code: the app's, 0 after draining, 2 with an error where it could not
// start. When ctx is done it drains too.
func Run(ctx context.Context, o Options) (code int, err error) {
	s, err := open(o)
	if err != nil {
		return codeNotStarted, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return s.run(ctx)
}

// server is a hale serve from start to end.
type server struct {
	options Options
	logger  *slog.Logger
	config  *config.Config // the one that was started with
	environ []string       // of the app

	listener, adminListener net.Listener
	inherited               bool // listener is systemd's

	policy  policy
	engine  *proxy.Engine
	server  *proxy.Server
	watcher *instance.Watcher
	logs    map[config.LogTarget]*logfile.File

	drains   chan string // reasons to drain, from everywhere
	leaders  supervise.Leaders
	retiring sync.WaitGroup // generations of the configuration that are ending
}

// open does all that can fail before anything runs.
func open(o Options) (_ *server, err error) {
	s := &server{
		options: o, logger: o.Logger, logs: map[config.LogTarget]*logfile.File{},
		drains: make(chan string, 1),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.config, err = s.load(); err != nil {
		return nil, err
	}
	if s.environ, err = appEnvironment(s.config, o.Environ); err != nil {
		return nil, err
	}
	s.watcher = newWatcher(s.config, s.logger, func(t instance.Termination) {
		s.askToDrain(fmt.Sprintf("%s: %s", t.Source, t.Action))
	})
	if err = s.listen(); err != nil {
		return nil, err
	}
	first, err := newSite(s.config, s.surroundings())
	if err != nil {
		return nil, err
	}
	s.policy.site.Store(first)
	s.engine = proxy.New(&s.policy, engineSettings(s.config), s.logger)
	s.server = proxy.NewServer(s.engine, s.logger)
	return s, nil
}

// LoadConfig reads a hale.yaml whose ${NAME} are the environment's, with the
// variables of its app.env_file before them, as the app will see them.
func LoadConfig(file string, environ []string) (*config.Config, error) {
	return config.Load(file, config.Options{
		Env:     func(name string) (string, bool) { return lookup(environ, name) },
		EnvFile: func(envFile string) (map[string]string, error) { return environmentOf(envFile, environ) },
	})
}

func (s *server) load() (*config.Config, error) {
	cfg, err := LoadConfig(s.options.ConfigFile, s.options.Environ)
	if err == nil && len(s.options.Command) > 0 {
		cfg.App.Command = s.options.Command
	}
	return cfg, err
}

// listen takes systemd's sockets, or opens its own.
func (s *server) listen() error {
	given, err := inherit()
	if err != nil {
		return err
	}
	s.listener, s.adminListener = given.listen, given.admin
	s.inherited = given.listen != nil
	if s.listener == nil {
		if s.listener, err = listen("listen", s.config.Listen); err != nil {
			return err
		}
	}
	if s.adminListener == nil && s.config.Admin != "" {
		if s.adminListener, err = listen("admin", s.config.Admin); err != nil {
			return err
		}
	}
	return nil
}

func listen(key string, address config.Address) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", string(address))
	if err != nil {
		return nil, cannotListen(key, address, err)
	}
	return l, nil
}

// cannotListen says what to do about an address that cannot be listened on.
func cannotListen(key string, address config.Address, err error) error {
	_, unknown := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: %s is taken by another program; stop it, or set %s in hale.yaml to a free one: %w", key, address, key, syscall.EADDRINUSE)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: %s needs a right that hale does not have; use a port above 1023, systemd's socket, or CAP_NET_BIND_SERVICE: %w", key, address, syscall.EACCES)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this machine does not have the address of %s; set %s in hale.yaml to one that it has, or to the port alone for all: %w", key, address, key, syscall.EADDRNOTAVAIL)
	case unknown:
		return fmt.Errorf("%s: the name in %s does not resolve; set %s in hale.yaml to an address of this machine, or to the port alone for all: %w", key, address, key, err)
	}
	return fmt.Errorf("%s: %w", key, err)
}

func (s *server) surroundings() surroundings {
	return surroundings{
		version: s.options.Version, logger: s.logger,
		addresses: s.watcher.Addresses, open: s.openLog,
	}
}

// logDelay is how long a line of the access or health log may wait for others.
const logDelay = 100 * time.Millisecond

// openLog opens a log, or returns the open one of the same name.
func (s *server) openLog(target config.LogTarget) (*logfile.File, error) {
	if f, ok := s.logs[target]; ok {
		return f, nil
	}
	f, err := logfile.Open(string(target), logfile.Options{
		Stdout: s.options.Stdout, Stderr: s.options.Stderr, Delay: logDelay, Logger: s.logger,
	})
	if err == nil {
		s.logs[target] = f
	}
	return f, err
}

// run serves from start to end.
func (s *server) run(ctx context.Context) (code int, err error) {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { _ = s.watcher.Run(background) }) // its only end is the context's
	wg.Go(func() { systemd.Watchdog(background, s.logger) })
	wg.Go(func() { _ = supervise.Reaper{Logger: s.logger, Leaders: &s.leaders}.Run(background) }) // fails only as a subreaper

	s.policy.site.Load().start(s.logger)
	served := make(chan error, 2)
	wg.Go(func() { served <- s.server.Serve(s.listener) })
	if s.adminListener != nil {
		admin := newAdmin(s)
		wg.Go(func() { served <- admin.Serve(s.adminListener) })
		defer admin.close()
	}
	s.logger.Info("serving", "listen", s.listener.Addr().String(), "admin", addressOf(s.adminListener), "app", string(s.config.App.URL), "version", s.options.Version)
	if s.options.Ready != nil {
		s.options.Ready(s.listener.Addr(), s.adminAddr())
	}
	systemd.Notify(s.logger, daemon.SdNotifyReady)

	app := s.startApp(background)
	defer app.stop(s.options.Stop)
	return s.steer(ctx, app, served)
}

// steer waits for what happens, and acts on it, until it is time to end.
func (s *server) steer(ctx context.Context, app *app, served <-chan error) (code int, err error) {
	var next *reload // under way
	reason := ""
	for reason == "" {
		select {
		case <-s.options.Reload:
			next = s.beginReload(next)
		case <-next.settled():
			s.finishReload(next)
			next = nil
		case sig := <-s.options.Stop:
			reason = fmt.Sprint(sig)
		case reason = <-s.drains:
		case <-ctx.Done():
			reason = context.Cause(ctx).Error()
		case end := <-app.ended:
			next.giveUp(s)
			if end.err == nil {
				s.logger.Info("app ended, so hale ends", "code", end.code)
			}
			s.finish(0)
			return end.code, end.err
		case err := <-served:
			next.giveUp(s)
			s.finish(0)
			return codeNotStarted, err
		}
	}
	next.giveUp(s)
	return s.drain(reason, app)
}

// drain takes the instance out of service without losing a request: the verdict
// fails at once, serving goes on until the load balancer has noticed, what is
// in flight ends, then the app is stopped. A second signal cuts it short.
func (s *server) drain(reason string, app *app) (code int, err error) {
	current := s.policy.site.Load()
	times := current.config.Drain
	systemd.Notify(s.logger, daemon.SdNotifyStopping)
	current.monitor.Drain(reason)
	if !app.giveUpStarting() {
		times.Notice = 0 // nobody was served yet
	}
	s.logger.Info("draining: the health answer fails, serving goes on", "reason", reason, "notice", times.Notice.String(), "finish", times.Finish.String())

	// Towards the end clients are asked to close their connections after the
	// answer, so that none sends a request into one that is being closed.
	closing := time.NewTimer(times.Notice - min(times.Notice/2, 5*time.Second))
	defer closing.Stop()
	noticed := time.NewTimer(times.Notice)
	defer noticed.Stop()
	for waiting := true; waiting; {
		select {
		case <-closing.C:
			s.engine.CloseAfterAnswer(true)
		case <-noticed.C:
			waiting = false
		case <-s.options.Reload:
			s.reopenLogs()
		case sig := <-s.options.Stop:
			s.logger.Warn("second signal: requests in flight are cut off", "signal", fmt.Sprint(sig))
			s.finish(0)
			app.kill()
			return 0, nil
		case end := <-app.ended:
			if end.err != nil {
				s.finish(0)
				return end.code, end.err
			}
			s.logger.Warn("app ended while draining", "code", end.code)
			waiting = false
		}
	}
	s.logger.Info("draining: no further connection is accepted")
	s.emptyQueue()
	s.finish(times.Finish)
	return 0, nil
}

// emptyQueue lets no connection be lost that the kernel has made and nobody has
// accepted yet. A socket that systemd gave us stays open there, with its queue.
func (s *server) emptyQueue() {
	if s.inherited {
		return
	}
	if err := refuseHandshakes(s.listener); err != nil {
		s.logger.Warn("connections made at this moment may be reset", "error", err)
	}
}

// finish stops accepting, gives what is in flight the time given, and then cuts it off.
func (s *server) finish(patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.server.Shutdown(ctx) }()
	for {
		select {
		case err := <-done:
			if err != nil && patience > 0 {
				s.logger.Warn("requests were cut off", "error", err)
			}
			return
		case <-s.options.Stop:
			cancel()
		}
	}
}

func (s *server) askToDrain(reason string) {
	select {
	case s.drains <- reason:
	default: // asked already
	}
}

func addressOf(l net.Listener) string {
	if l == nil {
		return "off"
	}
	return l.Addr().String()
}

func (s *server) adminAddr() net.Addr {
	if s.adminListener == nil {
		return nil
	}
	return s.adminListener.Addr()
}

// close lets go of what open took. It works on a server that is half open.
func (s *server) close() error {
	var errs []error
	s.retiring.Wait()
	if t := s.policy.site.Load(); t != nil {
		errs = append(errs, t.stop())
	}
	if s.engine != nil {
		s.engine.Close()
	}
	for _, l := range []net.Listener{s.listener, s.adminListener} {
		if l != nil {
			_ = l.Close() // the engine has closed it where it ran
		}
	}
	var closing sync.WaitGroup // each may take a while, where a reader stalls
	for _, f := range s.logs {
		closing.Go(func() {
			if err := f.Close(); err != nil {
				s.logger.Warn("log did not close well", "error", err)
			}
		})
	}
	closing.Wait()
	return errors.Join(errs...)
}

func newWatcher(c *config.Config, logger *slog.Logger, onTermination func(instance.Termination)) *instance.Watcher {
	w := &instance.Watcher{Refresh: c.Instance.Refresh, Logger: logger, OnTermination: onTermination}
	if c.Instance.Metadata == config.MetadataOff {
		w.Options.Metadata = instance.Off
	}
	if file, ok := c.Hosts.InstanceAddress.File(); ok {
		w.Options = instance.Options{File: file, Metadata: w.Options.Metadata, Interfaces: instance.Off}
	}
	return w
}

func engineSettings(c *config.Config) proxy.Settings {
	return proxy.Settings{
		HeaderSize:      int(c.Limits.HeaderSize),
		BodySize:        orNone(int64(c.Limits.BodySize)),
		HeaderTimeout:   c.Limits.HeaderTimeout,
		BodyTimeout:     c.Limits.BodyTimeout,
		IdleTimeout:     c.Limits.IdleTimeout,
		ConnectTimeout:  c.App.ConnectTimeout,
		ResponseTimeout: c.App.ResponseTimeout,
		StreamTimeout:   c.App.ResponseTimeout,
	}
}

// orNone turns the configuration's "off" into the engine's.
func orNone(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// appEnvironment is what the app and the commands before it get: the
// environment, with env_file's variables in it. What the app requires must be
// there.
func appEnvironment(c *config.Config, environ []string) ([]string, error) {
	env, file := environ, c.App.EnvFile
	if file != "" {
		if absolute, err := filepath.Abs(file); err == nil {
			file = absolute
		}
		var err error
		if env, err = supervise.LoadEnv(file, environ); err != nil {
			return nil, err
		}
	}
	return env, supervise.Require(c.App.RequireEnv, env, file)
}

func environmentOf(file string, environ []string) (map[string]string, error) {
	env, err := supervise.LoadEnv(file, environ)
	if err != nil {
		return nil, err
	}
	m := make(map[string]string, len(env))
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		m[name] = value
	}
	return m, nil
}

func lookup(environ []string, name string) (string, bool) {
	for _, e := range environ {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value, true
		}
	}
	return "", false
}
