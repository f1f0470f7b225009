package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"hale/gateway"
	"hale/health"
	"hale/internal/config"
	"hale/internal/logfile"
	"hale/internal/upstream"
)

// site is one generation of the configuration at work: what a reload replaces
// as a whole.
type site struct {
	config  *config.Config
	gateway *gateway.Gateway
	monitor *health.Monitor
	health  *health.Handler
	status  *health.Handler   // for the admin address: the same, with all details
	app     upstream.Upstream // zero: a sidecar

	access, probes *logfile.File

	closeChecks func() error
	cancel      context.CancelFunc
	ended       chan struct{} // closed when the monitor has ended
}

// surroundings are what a site takes from the process around it.
type surroundings struct {
	version   string
	logger    *slog.Logger
	addresses func() []netip.Addr // the instance's own
	open      func(target config.LogTarget) (*logfile.File, error)
}

// newSite makes a site of a configuration; nothing runs yet.
func newSite(c *config.Config, s surroundings) (_ *site, err error) {
	t := &site{config: c, ended: make(chan struct{})}
	if t.access, err = s.open(c.AccessLog); err != nil {
		return nil, fmt.Errorf("access_log: %w", err)
	}
	if t.probes, err = s.open(c.Health.Log); err != nil {
		return nil, fmt.Errorf("health.log: %w", err)
	}
	if c.App.URL != "" {
		if t.app, err = upstream.Parse(string(c.App.URL)); err != nil {
			return nil, fmt.Errorf("app.url: %w", err)
		}
	}
	checks, closeChecks := c.BuildChecks()
	t.closeChecks = closeChecks
	defer func() {
		if err != nil {
			err = errors.Join(err, closeChecks())
		}
	}()
	t.monitor, err = health.NewMonitor(health.Options{
		SharedFailure: c.Health.SharedFailure,
		Logger:        t.transitionLog(s.logger),
		Description:   "hale serve",
		Version:       s.version,
	}, checks...)
	if err != nil {
		return nil, err
	}
	settings := gatewaySettings(c, s.addresses)
	settings.HealthEndpoints = t.monitor.Endpoints()
	if t.gateway, err = gateway.New(settings); err != nil {
		return nil, err
	}
	if t.health, err = health.NewHandler(t.monitor, healthOptions(c)); err != nil {
		return nil, err
	}
	t.status, err = health.NewHandler(t.monitor, health.HandlerOptions{Details: health.DetailsAlways})
	return t, err
}

// transitionLog is where changes of the health answer are told: the process's
// own log, and the health log if that is a file, since there a failing
// deployment is looked into.
func (t *site) transitionLog(logger *slog.Logger) *slog.Logger {
	switch t.config.Health.Log {
	case config.LogStderr, config.LogStdout, config.LogOff:
		return logger
	}
	return slog.New(slog.NewMultiHandler(logger.Handler(), slog.NewJSONHandler(t.probes, nil)))
}

// start runs the checks until stop.
func (t *site) start(logger *slog.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	go func() {
		defer close(t.ended)
		if err := t.monitor.Run(ctx); err != nil {
			logger.Warn("a check outlives its monitor", "error", err)
		}
	}()
}

// stopPatience is how long checks may take to let go of what they hold: one
// that hangs in the kernel, on a dead network file system for one, never does.
const stopPatience = 3 * time.Second

// stop ends the checks and lets go of what they hold. The logs stay open: the
// next generation may share them.
func (t *site) stop() error {
	if t.cancel == nil {
		return t.closeChecks()
	}
	t.cancel()
	closed := make(chan error, 1)
	go func() {
		<-t.ended
		closed <- t.closeChecks()
	}()
	select {
	case err := <-closed:
		return err
	case <-time.After(stopPatience):
		return fmt.Errorf("a check did not end within %v and is left behind", stopPatience)
	}
}

func gatewaySettings(c *config.Config, addresses func() []netip.Addr) gateway.Settings {
	s := gateway.Settings{
		HealthPath:     string(c.Health.Path),
		HostsSetting:   "hosts.allow in hale.yaml",
		TrustedProxies: c.HTTPS.TrustedProxies,
		TrustUnix:      true, // systemd's: whoever may connect to it is a proxy on this machine
		Redirect:       c.HTTPS.Redirect,
		HSTS:           gateway.HSTS{MaxAge: c.HTTPS.HSTS},
		NoSniff:        c.Headers.NoSniff,
		FrameOptions:   c.Headers.FrameOptions,
		ReferrerPolicy: string(c.Headers.ReferrerPolicy),
	}
	for _, h := range c.Hosts.Allow {
		s.Hosts = append(s.Hosts, string(h))
	}
	if c.Hosts.InstanceAddress != "" {
		s.InstanceAddrs = addresses
	}
	return s
}

func healthOptions(c *config.Config) health.HandlerOptions {
	o := health.HandlerOptions{Path: string(c.Health.Path), FailStatus: c.Health.FailStatus}
	o.Token = c.Health.Details.Token
	switch c.Health.Details.Level {
	case config.DetailsLoopback:
		o.Details = health.DetailsLoopback
	case config.DetailsPrivate:
		o.Details = health.DetailsPrivate
	case config.DetailsAlways:
		o.Details = health.DetailsAlways
	}
	return o
}
